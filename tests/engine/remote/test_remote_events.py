"""A reply's stream: errors in every shape, what is no text, and how it may end."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from remote_servers import DONE, Server, collect, delta, event, serving

from bot.engine.remote.events import parse_event, read_events
from bot.errors import RemoteEngineError


@pytest.mark.parametrize(
    "error",
    [
        b'data: {"error": {"message": "no memory"}}\n\n',
        b'data: {"error": "no memory"}\n\n',
        b'data: {"error": [{"msg": "no memory"}]}\n\n',
        b'data: {"object": "error", "message": "no memory", "code": 500}\n\n',
        b'data: {"detail": "no memory"}\n\n',
        b'data: {"detail": {"msg": "no memory", "type": "service_unavailable"}}\n\n',
        b'data: {"detail": [{"loc": ["body"], "msg": "no memory"}]}\n\n',
        b'event: error\ndata: {"message": "no memory"}\n\n',
        b"event: error\ndata: no memory\n\n",
        b'error: {"code": 500, "message": "no memory"}\n\n',
        b'error:{"code": 500, "message": "no memory"}\r\n\r\n',
    ],
)
@pytest.mark.parametrize("before", [b"", event("Hel")], ids=["at once", "after some text"])
async def test_an_error_within_the_stream_never_ends_as_a_whole_reply(
    error: bytes, before: bytes
) -> None:
    server = Server()
    server.streams(before, error, DONE)
    async with serving(server) as engine:
        with pytest.raises(RemoteEngineError, match="no memory"):
            await collect(engine)
        assert "no memory" in engine.status().last_error


@pytest.mark.parametrize("reason", ["error", "abort"])
async def test_a_reply_that_the_server_gave_up_is_not_whole(reason: str) -> None:
    server = Server()
    server.streams(event("Hel"), event("", reason), DONE)
    async with serving(server) as engine:
        with pytest.raises(RemoteEngineError, match=reason):
            await collect(engine)


async def test_an_error_as_a_plain_answer_is_told() -> None:
    server = Server()
    for before in (b"", event("Hel")):
        server.streams(before, b'{\n  "error": "the model is gone"\n}\n')
        async with serving(server) as engine:
            with pytest.raises(RemoteEngineError, match="the model is gone"):
                await collect(engine)


async def test_what_comes_between_the_events_is_passed_over() -> None:
    server = Server()
    server.streams(
        b"\xef\xbb\xbf" + event("(") + b"data: null\n\n",
        b"data:\n\ndata: \n\n: a comment\n\nid: 1\nretry: 5\nevent: message\n",
        event("a"),
        b"data: {}\n\n",
        event("b", "stop"),
        DONE,
    )
    async with serving(server) as engine:
        assert "".join(chunk.text for chunk in await collect(engine)) == "(ab"


async def test_a_stream_without_an_end_is_broken_off() -> None:
    server = Server("both")
    server.streams(event("Half"), b"data: {}\n\n")
    async with serving(server) as engine:
        with pytest.raises(RemoteEngineError, match="broke off"):
            await collect(engine)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_reasoning_is_no_text_but_shows_that_the_server_is_at_work(field: str) -> None:
    server = Server("chat")
    server.streams(delta("", **{field: "Hm. "}), delta("Hello"), delta("", "stop"), DONE)
    async with serving(server) as engine:
        assert "".join(chunk.text for chunk in await collect(engine)) == "Hello"


async def test_reasoning_without_end_is_cut_off() -> None:
    server = Server("chat")
    server.hangs(*(delta("", reasoning="x" * 500) for _ in range(10)))
    async with serving(server) as engine:
        with pytest.raises(RemoteEngineError, match="more than was asked for"):
            await collect(engine, max_tokens=16)


@pytest.mark.parametrize("count", [10**20, 2**31, -3, True, "7", [], 1.5])
async def test_a_usage_that_cannot_be_true_is_not_taken(count: Any) -> None:
    found = parse_event(f'{{"choices": [], "usage": {{"prompt_tokens": {_json(count)}}}}}')
    assert found.prompt_tokens == 0


async def test_counts_itself_where_the_usage_cannot_be_true() -> None:
    server = Server()
    usage = b'data: {"choices": [], "usage": {"prompt_tokens": %d}}\n\n' % 10**20
    server.streams(event("a", "stop"), usage, DONE)
    async with serving(server) as engine:
        statistics = (await collect(engine))[-1].statistics
    assert statistics is not None
    assert (statistics.prompt_tokens, statistics.reply_tokens) == (3, 1)


def _json(value: object) -> str:
    import json

    return json.dumps(value)


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.sampled_from(
                [b"data: [DONE]", b"", b"event: error", b'data: {"choices": [{"text": "a"}]}']
            ),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.text(max_size=5),
                lambda inner: (
                    st.lists(inner, max_size=3)
                    | st.dictionaries(
                        st.sampled_from(
                            ["choices", "error", "detail", "delta", "text", "usage", "content"]
                        ),
                        inner,
                        max_size=3,
                    )
                ),
                max_leaves=8,
            ).map(lambda value: b"data: " + _json(value).encode()),
        ),
        max_size=8,
    )
)
def test_whatever_a_server_sends_is_text_or_an_error_of_ours(lines: list[bytes]) -> None:
    async def content() -> Any:
        for line in lines:
            yield line + b"\n"

    async def read() -> None:
        response: Any = SimpleNamespace(content=content())
        try:
            async for one in read_events(response):
                one.text.encode()
                assert 0 <= one.prompt_tokens < 2**31
                assert 0 <= one.reply_tokens < 2**31
        except RemoteEngineError as error:
            assert str(error).isprintable()

    asyncio.run(read())
