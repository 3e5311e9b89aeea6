"""What the remote engine finds out about its server: kind, context, counting, readiness."""

import asyncio
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from remote_servers import DONE, Server, collect, event, serving

from bot.engine.api import EngineState
from bot.engine.remote.engine import OpenAIEngine
from bot.errors import RemoteEngineError, RequestTooLarge

LOADING = {"error": {"message": "Loading model", "code": 503}}


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.engine.remote.engine.RETRY_SECONDS", 0.0)


def words(text: str) -> int:
    return len(text.split())


def loads(server: Server, *, except_for: tuple[str, ...] = ()) -> asyncio.Event:
    """The server answers 503 until the event that this returns is set."""
    ready = asyncio.Event()

    @web.middleware
    async def wait(request: web.Request, handler: Any) -> web.StreamResponse:
        if ready.is_set() or request.path in except_for:
            return await handler(request)
        return web.json_response(LOADING, status=503)

    server.app.middlewares.append(wait)
    return ready


@pytest.mark.parametrize("answers", [(), ("/v1/models",)], ids=["nothing", "its models alone"])
async def test_a_server_that_still_loads_is_not_ready_and_is_asked_again(
    answers: tuple[str, ...],
) -> None:
    server = Server("llama.cpp")
    ready = loads(server, except_for=answers)
    async with serving(server) as engine:
        assert engine.status().state is EngineState.STARTING
        assert "loading" in engine.status().last_error
        ready.set()
        server.streams(event("hi", "stop"), DONE)
        assert (await collect(engine))[0].text == "hi"
        assert engine.status().state is EngineState.READY
        assert engine.status().last_error == ""
        assert engine.info.context_tokens == 1024
        assert "llama.cpp" in engine.counting
    assert server.bodies[-1]["model"] == "nous"


async def test_a_server_that_begins_to_load_is_not_ready_any_more() -> None:
    server = Server("plain")
    ready = loads(server)
    ready.set()
    async with serving(server) as engine:
        ready.clear()
        with pytest.raises(RemoteEngineError, match="503: Loading model"):
            await collect(engine)
        assert engine.status().state is EngineState.STARTING


async def test_a_server_that_writes_is_ready_whatever_it_answers_elsewhere() -> None:
    server = Server("plain")
    loads(server, except_for=("/v1/models", "/v1/completions"))
    async with serving(server) as engine:
        assert engine.status().state is EngineState.STARTING
        server.streams(event("hi", "stop"), DONE)
        await collect(engine)
        async with asyncio.timeout(10):
            while engine.status().state is not EngineState.READY:  # noqa: ASYNC110 - it looks again
                await asyncio.sleep(0.01)
        assert engine.info.name == "nous"


@pytest.mark.parametrize(
    ("counting", "body"),
    [
        ("/v1/internal/token-count", lambda b: {"length": words(b["text"]) + 1}),
        (
            "/v1/token/encode",
            lambda b: {"tokens": [7] * (words(b["text"]) + b["add_bos_token"])},
        ),
        ("/api/extra/tokencount", lambda b: {"value": words(b["prompt"]) + b["special"]}),
    ],
    ids=["text-generation-webui", "TabbyAPI", "KoboldCpp"],
)
async def test_counts_by_each_kind_of_server_without_its_bos(counting: str, body: Any) -> None:
    server = Server("plain")
    server.tells(counting, body)
    async with serving(server) as engine:
        assert engine.info.counts_exactly
        assert counting in engine.counting
        assert await engine.count_tokens(["one two three", ""]) == (3, 0)
        assert engine.info.room_tokens == engine.info.context_tokens - 1


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/v1/model", {"id": "nous", "parameters": {"max_seq_len": 8192}}),
        ("/api/extra/true_max_context_length", {"value": 8192}),
        ("/v1/internal/model/info", {"model_name": "nous", "ctx_size": 8192}),
        (
            "/api/v0/models",
            {"data": [{"id": "nous", "max_context_length": 32768, "loaded_context_length": 8192}]},
        ),
    ],
    ids=["TabbyAPI", "KoboldCpp", "text-generation-webui", "LM Studio"],
)
async def test_learns_the_context_where_each_kind_of_server_tells_it(
    path: str, answer: dict[str, Any]
) -> None:
    server = Server("plain")
    server.tells(path, answer)
    async with serving(server) as engine:
        assert engine.info.context_tokens == 8192


@pytest.mark.parametrize(
    ("running", "parameters", "context"),
    [
        ([{"model": "nous:latest", "context_length": 4096}], "num_ctx 8192", 4096),
        ([], "stop [INST]\nnum_ctx   8192", 8192),
        ([], "", 32768),
    ],
)
async def test_learns_the_context_with_which_ollama_runs_the_model(
    running: list[Any], parameters: str, context: int
) -> None:
    server = Server("plain")
    info = {"general.architecture": "llama", "llama.context_length": 32768}
    shown = {"template": "{{ .Prompt }}", "parameters": parameters, "model_info": info}
    server.tells("/api/show", lambda body: shown if body["model"] == "nous" else {})
    server.tells("/api/ps", {"models": running})
    async with serving(server) as engine:
        assert engine.info.context_tokens == context
        assert engine.shortcomings == ()


async def test_warns_of_a_server_that_wraps_prompts_in_a_template_of_its_own(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = Server("plain")
    template = "<|im_start|>user\n{{ .Prompt }}<|im_end|>"
    server.tells("/api/show", lambda body: {"template": template, "model_info": {}})
    async with serving(server) as engine:
        ((text, fix),) = engine.shortcomings
        assert engine.info.chat_template == template
    assert "template" in text
    assert "{{ .Prompt }}" in fix
    assert text in caplog.text


async def test_room_is_kept_for_what_the_server_puts_before_a_prompt() -> None:
    async with serving(Server("vllm")) as engine:
        assert engine.info.room_tokens == 2047  # it does not tell: perhaps a BOS
    async with serving(Server("vllm", special_tokens=3)) as engine:
        assert engine.info.room_tokens == 2045


async def test_a_reply_is_never_asked_to_be_longer_than_there_is_room() -> None:
    server = Server("vllm")
    server.streams(event("x", "stop"), DONE)
    async with serving(server) as engine:
        await collect(engine, prompt="w " * 2000, max_tokens=512)
    assert server.bodies[-1]["max_tokens"] == 47


@pytest.mark.parametrize("given", ["{root}", "{root}/"])
async def test_an_address_without_its_version_is_named(given: str) -> None:
    server = Server("llama.cpp")
    server.tells("/models", {"data": [{"id": "nous"}]})
    async with TestServer(server.app) as http:
        root = str(http.make_url("")).rstrip("/")
        engine = OpenAIEngine(given.format(root=root))
        await engine.start()
        assert engine.status().state is EngineState.STARTING
        assert f"{root}/v1" in engine.status().last_error
        with pytest.raises(RemoteEngineError, match=f"OPENAI_BASE_URL={root}/v1"):
            await collect(engine)
        await engine.close()
    assert server.bodies == []


@pytest.mark.parametrize("given", ["/v1/", " {}/v1 ", "/v1/completions", "/v1/chat/completions"])
async def test_an_address_with_something_too_much_works(given: str) -> None:
    server = Server()
    server.streams(event("ok", "stop"), DONE)
    async with TestServer(server.app) as http:
        root = str(http.make_url("")).rstrip("/")
        engine = OpenAIEngine(given.format(root) if "{}" in given else root + given)
        await engine.start()
        assert (await collect(engine))[0].text == "ok"
        await engine.close()


async def test_a_refused_request_has_the_server_asked_again_what_it_is() -> None:
    server = Server("plain")
    length = {"value": 2048}
    server.tells("/api/extra/true_max_context_length", length)
    async with serving(server) as engine:
        assert engine.info.context_tokens == 2048
        length["value"] = 512
        server.refuses(400, "the prompt exceeds the context")
        with pytest.raises(RemoteEngineError):
            await collect(engine)
        assert engine.info.context_tokens == 512


@pytest.mark.parametrize(
    "refusal",
    [
        '{"error": {"message": "exceeds the available context size", "n_ctx": 768}}',
        '{"message": "This model\'s maximum context length is 768 tokens. However, ..."}',
    ],
)
async def test_a_context_that_only_a_refusal_tells_is_learnt(refusal: str) -> None:
    server = Server("plain")
    server.refuses(400, refusal)
    async with serving(server) as engine:
        with pytest.raises(RemoteEngineError):
            await collect(engine)
        assert engine.info.context_tokens == 768
        with pytest.raises(RequestTooLarge, match="768"):
            await collect(engine, prompt="x" * 3 * 768)


@pytest.mark.parametrize(
    ("shape", "context"),
    [("vllm", 2048), ("llama.cpp", 512)],
    ids=["as another kind", "with another context"],
)
async def test_a_server_that_was_started_anew_in_between_is_noticed(
    shape: str, context: int
) -> None:
    first, second = Server("llama.cpp"), Server(shape, context=context)
    http = TestServer(first.app)
    await http.start_server()
    port = http.port
    engine = OpenAIEngine(f"http://127.0.0.1:{port}/v1")
    await engine.start()
    assert engine.info.context_tokens == 1024
    await http.close()
    second.streams(event("ok", "stop"), DONE)
    async with TestServer(second.app, port=port):
        assert (await collect(engine, max_tokens=1000))[0].text == "ok"
        assert engine.info.context_tokens == context
        await engine.close()
    assert second.bodies[-1]["max_tokens"] == min(1000, context - 4)


async def test_the_last_error_goes_once_a_reply_succeeds() -> None:
    server = Server()
    server.refuses(401)
    server.streams(event("ok", "stop"), DONE)
    async with serving(server) as engine:
        with pytest.raises(RemoteEngineError):
            await collect(engine)
        assert "401" in engine.status().last_error
        await collect(engine)
        assert engine.status().last_error == ""


@pytest.mark.parametrize(
    "row",
    [
        {"id": "no\0us", "max_model_len": 10**20},
        {"id": "x" * 100_000, "max_model_len": -1},
        {"id": ["nous"], "max_model_len": True},
        {"id": "\ud800", "max_model_len": "2048"},
    ],
)
async def test_what_cannot_be_true_of_a_model_counts_as_not_told(row: dict[str, Any]) -> None:
    app = web.Application()

    async def models(request: web.Request) -> web.StreamResponse:
        return web.json_response({"data": [row]})

    app.router.add_get("/v1/models", models)
    app.router.add_post("/tokenize", _absurd_count)
    async with TestServer(app) as http:
        engine = OpenAIEngine(str(http.make_url("/v1")))
        await engine.start()
        assert engine.info.name == "remote model"
        assert engine.info.context_tokens == 4096
        assert not engine.info.counts_exactly
        await engine.close()


async def _absurd_count(request: web.Request) -> web.StreamResponse:
    return web.json_response({"count": 10**20})
