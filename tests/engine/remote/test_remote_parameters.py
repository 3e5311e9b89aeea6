"""What a request leaves out where its server refuses something: that, and nothing else."""

import json
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from remote_servers import DONE, Server, collect, event, request, serving

from bot.engine.api import Sampling
from bot.engine.remote.parameters import Refusal, Trial, body_of
from bot.errors import RemoteEngineError

SAMPLING = Sampling(top_k=40, min_p=0.1, repetition_penalty=1.3)
STOPS = tuple("abcdefg")
EVERYTHING = frozenset(
    body_of(request(stop=STOPS), model="m", max_tokens=5, seed=1, refused=Refusal())
)


def takes(server: Server, rule: Any, refusal: str, status: int = 400) -> None:
    """Bodies that `rule` does not hold for are refused."""

    async def answer(http: web.Request) -> web.StreamResponse:
        if not rule(server.bodies[-1]):
            return web.Response(status=status, text=refusal)
        response = web.StreamResponse()
        await response.prepare(http)
        await response.write(event("ok", "stop") + DONE)
        return response

    server.answers = [answer] * 30


@pytest.mark.parametrize(
    ("refusal", "most"),
    [
        ('{"error": {"message": "\'stop\': array too long, 4 at most"}}', 4),
        ('{"error": {"message": "Expected an array with maximum length 2", "param": "stop"}}', 2),
        ("stop: too many", 4),
        ("Bad Request", 4),
    ],
)
async def test_too_many_stops_cost_the_stops_above_the_limit_alone(refusal: str, most: int) -> None:
    server = Server("plain")
    takes(server, lambda body: len(body.get("stop", ())) <= most, refusal)
    async with serving(server) as engine:
        await collect(engine, stop=STOPS, sampling=SAMPLING)
        await collect(engine, stop=STOPS, sampling=SAMPLING)
    assert [len(body["stop"]) for body in server.bodies] == [7, most, most]
    assert all(body.keys() == EVERYTHING for body in server.bodies)


@pytest.mark.parametrize(
    "name", ["stream_options", "top_k", "min_p", "repetition_penalty", "repeat_penalty", "seed"]
)
@pytest.mark.parametrize(
    ("status", "refusal"),
    [
        (400, '{{"error": {{"message": "Unknown parameter: {name}."}}}}'),
        (422, '{{"detail": [{{"loc": ["body", "{name}"], "msg": "no", "input": "top_k min_p"}}]}}'),
    ],
)
async def test_a_parameter_that_is_named_is_left_out_from_then_on(
    name: str, status: int, refusal: str
) -> None:
    server = Server("plain")
    takes(server, lambda body: name not in body, refusal.format(name=name), status)
    async with serving(server) as engine:
        await collect(engine, stop=STOPS)
        await collect(engine, stop=STOPS)
    assert [EVERYTHING - body.keys() for body in server.bodies] == [set(), {name}, {name}]


@pytest.mark.parametrize("name", ["stream_options", "top_k", "min_p", "repetition_penalty"])
async def test_a_parameter_that_is_refused_without_a_name_is_found(name: str) -> None:
    server = Server("plain")
    takes(server, lambda body: name not in body, "Bad Request")
    async with serving(server) as engine:
        await collect(engine, stop=STOPS)
    left_out = EVERYTHING - server.bodies[-1].keys()
    assert left_out - {"repeat_penalty"} == {name}
    assert len(server.bodies[-1]["stop"]) == len(STOPS)


async def test_a_plain_server_that_takes_nothing_but_openai_parameters_is_served() -> None:
    server = Server("plain")
    extra = {"stream_options", "top_k", "min_p", "repetition_penalty", "repeat_penalty"}
    takes(server, lambda body: extra.isdisjoint(body) and len(body.get("stop", ())) <= 4, "no")
    async with serving(server) as engine:
        await collect(engine, stop=STOPS)
    assert server.bodies[-1].keys() == EVERYTHING - extra


async def test_a_server_that_renames_the_limit_gets_its_name() -> None:
    server = Server("plain")
    said = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    takes(server, lambda body: "max_tokens" not in body, said)
    async with serving(server) as engine:
        await collect(engine)
    assert server.bodies[-1]["max_completion_tokens"] == 16


async def test_a_server_that_refuses_everything_is_given_up() -> None:
    server = Server("plain")
    takes(server, lambda body: False, "Bad Request")
    async with serving(server) as engine:
        with pytest.raises(RemoteEngineError, match="Bad Request"):
            await collect(engine, stop=STOPS)
        takes(server, lambda body: True, "")
        await collect(engine, stop=STOPS)
    assert server.bodies[-1].keys() == EVERYTHING  # nothing of it is remembered


@given(
    st.integers(0, 9),
    st.lists(
        st.one_of(
            st.text(max_size=30),
            st.sampled_from([*EVERYTHING, "max_completion_tokens", "stop 3", "context"]),
            st.dictionaries(st.text(max_size=3), st.integers(), max_size=2).map(json.dumps),
        ),
        min_size=40,
        max_size=40,
    ),
)
def test_no_server_is_asked_without_end(stops: int, refusals: list[str]) -> None:
    trial = Trial(Refusal())
    tries = 0
    for said in refusals:
        body = body_of(
            request(stop=STOPS[:stops]), model="m", max_tokens=5, seed=1, refused=trial.refused
        )
        assert {"model", "prompt", "stream"} <= body.keys()
        if not trial.refuse(body, said):
            break
        tries += 1
    assert tries < 30
