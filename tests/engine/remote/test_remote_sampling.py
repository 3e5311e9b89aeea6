"""How a server's model chooses its tokens, as the server tells it: below the owner's settings."""

from typing import Any

import pytest
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st
from remote_servers import DONE, Server, collect, event, serving

from bot.engine.remote.apis import LLAMA_SAMPLING, llama_sampling, ollama_sampling
from bot.engine.remote.engine import OpenAIEngine

# As llama.cpp tells its own: C's floats, widened.
BUILT_IN = {
    "temperature": 0.800000011920929,
    "top_k": 40,
    "top_p": 0.949999988079071,
    "min_p": 0.05000000074505806,
    "repeat_penalty": 1.0,
    "samplers": ["penalties", "top_k"],
}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=8), below),
    max_leaves=6,
)


def props(**settings: Any) -> dict[str, Any]:
    return {"default_generation_settings": {"n_ctx": 1024, "params": BUILT_IN | settings}}


def test_only_what_is_another_than_llama_cpps_own_is_of_the_model() -> None:
    assert llama_sampling(props()) == {}
    told = props(temperature=0.6000000238418579, top_k=20, repeat_penalty=1.0499999523162842)
    assert llama_sampling(told) == {"temperature": 0.6, "top_k": 20, "repetition_penalty": 1.05}


def test_an_older_llama_cpp_tells_it_beside_the_context() -> None:
    settings = BUILT_IN | {"n_ctx": 1024, "min_p": 0.1, "temperature": 0.0}
    told = {"default_generation_settings": settings}
    assert llama_sampling(told) == {"min_p": 0.1, "temperature": 0}


def test_ollama_tells_what_the_models_own_file_says() -> None:
    parameters = (
        'stop                           "temperature 3"\n'
        "temperature                    0.6\r\n"
        "top_k                          20\n"
        "top_p                          9e\n"
        "num_ctx                        8192\n"
        "repeat_penalty                 1.1"
    )
    assert ollama_sampling({"parameters": parameters}) == {
        "temperature": 0.6,
        "top_k": 20,
        "repetition_penalty": 1.1,
    }
    assert ollama_sampling({"parameters": "temperature 0.6\n" * 10_000}) == {}


@given(st.dictionaries(st.sampled_from([*BUILT_IN, "params"]), ANYTHING), ANYTHING)
def test_whatever_a_server_tells_only_finite_numbers_are_taken(
    settings: dict[str, Any], other: Any
) -> None:
    for told in ({"default_generation_settings": settings}, {"default_generation_settings": other}):
        for key, value in llama_sampling(told).items():
            assert key in LLAMA_SAMPLING
            assert abs(value) < 2**31
    assert ollama_sampling({"parameters": other}) == {}


@given(st.text(alphabet="temprau_kop 0123456789.e+-\n\r\t", max_size=200))
def test_ollamas_parameters_are_never_misread(text: str) -> None:
    assert all(abs(value) < 2**31 for value in ollama_sampling({"parameters": text}).values())


async def test_the_engine_tells_its_models_sampling() -> None:
    server = Server("plain")
    shown = {"template": "{{ .Prompt }}", "parameters": "temperature 0.6", "model_info": {}}
    server.tells("/api/show", lambda body: shown)
    async with serving(server) as engine:
        assert engine.info.sampling_defaults == {"temperature": 0.6}


@pytest.mark.parametrize(
    ("name", "temperature"), [("Qwen2.5-7B-Instruct", 0.7), ("some-model", None)]
)
async def test_a_server_that_tells_nothing_is_known_by_its_models_name(
    name: str, temperature: float | None
) -> None:
    async with serving(Server("plain"), model=name) as engine:
        assert engine.info.sampling_defaults.get("temperature") == temperature


async def test_a_server_started_anew_with_other_values_is_noticed() -> None:
    first = Server("llama.cpp", sampling={"temperature": 0.6})
    second = Server("llama.cpp", sampling={"temperature": 0.3})
    http = TestServer(first.app)
    await http.start_server()
    port: Any = http.port
    engine = OpenAIEngine(f"http://127.0.0.1:{port}/v1")
    await engine.start()
    assert engine.info.sampling_defaults == {"temperature": 0.6}
    await http.close()
    second.streams(event("ok", "stop"), DONE)
    async with TestServer(second.app, port=port):
        await collect(engine)
        assert engine.info.sampling_defaults == {"temperature": 0.3}
        await engine.close()
