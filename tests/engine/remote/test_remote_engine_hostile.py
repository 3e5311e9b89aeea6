"""The remote engine against servers that redirect, flood, refuse and break off."""

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from remote_servers import DONE, Server, collect, event, serving

from bot.engine.api import FinishReason
from bot.errors import RemoteEngineError


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.engine.remote.engine.RETRY_SECONDS", 0.0)


def answers(server: Server, status: int, **headers: str) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers=headers)

    server.answers.append(answer)


def breaks_off(server: Server, *pieces: bytes) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
        assert request.transport is not None
        request.transport.abort()
        return response

    server.answers.append(answer)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_prompt_goes_nowhere_but_to_the_server_that_was_named(status: int) -> None:
    server, elsewhere = Server(), []

    async def other(request: web.Request) -> web.StreamResponse:
        elsewhere.append(await request.text())
        return web.Response()

    server.app.router.add_route("*", "/other", other)
    answers(server, status, Location="/other")
    async with serving(server) as engine:
        with pytest.raises(RemoteEngineError, match=f"{status}.*OPENAI_BASE_URL"):
            await collect(engine)
    assert elsewhere == []


async def test_a_redirected_server_is_not_taken_for_ready() -> None:
    server = Server(redirects_to="/other/v1")
    async with serving(server) as engine:
        assert "/other/v1/models" in engine.status().last_error


@pytest.mark.parametrize("ends", ["breaks off", "hangs", "fails"])
async def test_a_reply_that_has_ended_needs_nothing_more(
    ends: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.engine.remote.completion.AFTER_THE_END_SECONDS", 0.05)
    server = Server()
    if ends == "hangs":
        server.hangs(event("All"), event("", "length"))
    elif ends == "fails":
        server.streams(event("All"), event("", "length"), b'data: {"error": "no usage"}\n\n')
    else:
        breaks_off(server, event("All"), event("", "length"))
    async with serving(server) as engine:
        chunks = await collect(engine)
    assert "".join(chunk.text for chunk in chunks) == "All"
    assert chunks[-1].finish is FinishReason.LENGTH


async def test_events_without_text_do_not_count_as_progress() -> None:
    server = Server()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(event("Hm"))
        while True:
            await response.write(event(""))
            await asyncio.sleep(0.005)

    server.answers.append(answer)
    async with serving(server, stall_seconds=0.1) as engine:
        with pytest.raises(RemoteEngineError, match=r"nothing for 0\.1 s"):
            await asyncio.wait_for(collect(engine), 5)


async def test_a_bomb_of_comments_neither_blocks_the_loop_nor_outlives_its_time() -> None:
    server = Server()
    bomb = gzip.compress(event("Hm") + b": c\n" * 5_000_000 + DONE)

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=bomb, headers={"Content-Encoding": "gzip"})

    server.answers.append(answer)
    async with serving(server, stall_seconds=0.2) as engine, longest_pause() as pauses:
        with pytest.raises(RemoteEngineError, match=r"nothing for 0\.2 s"):
            await collect(engine)
    assert max(pauses) < 0.5


@asynccontextmanager
async def longest_pause() -> AsyncIterator[list[float]]:
    """How long the event loop was away, each time."""
    pauses = [0.0]

    async def watch() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            pauses.append(time.monotonic() - before)

    task = asyncio.create_task(watch())
    try:
        yield pauses
    finally:
        task.cancel()


async def test_one_request_that_is_refused_for_itself_changes_nothing_for_the_next() -> None:
    server = Server()
    server.refuses(400, "the prompt is too long")
    server.streams(event("ok", "stop"), DONE)
    async with serving(server) as engine:
        with pytest.raises(RemoteEngineError, match="too long"):
            await collect(engine)
        await collect(engine)
    assert ["top_k" in body for body in server.bodies] == [True, True]


async def test_retry_after_is_waited_for() -> None:
    server = Server()
    answers(server, 429, **{"Retry-After": "1"})
    server.streams(event("ok", "stop"), DONE)
    began = time.monotonic()
    async with serving(server) as engine:
        assert (await collect(engine))[0].text == "ok"
    assert time.monotonic() - began >= 1


@pytest.mark.parametrize("said", ["3600", "Wed, 21 Oct 2065 07:28:00 GMT", "-1", "nan", "x"])
async def test_no_retry_after_outlasts_the_time_for_a_first_word(said: str) -> None:
    server = Server()
    for _ in range(3):
        answers(server, 503, **{"Retry-After": said})
    async with serving(server, first_token_seconds=5) as engine:
        with pytest.raises(RemoteEngineError, match="503"):
            await asyncio.wait_for(collect(engine), 4)


@pytest.mark.parametrize(
    "body", [b"<html>hello</html>\n", b"", json.dumps({"choices": [{"text": "all"}]}).encode()]
)
async def test_an_answer_without_any_event_is_no_completion(body: bytes) -> None:
    server = Server()
    server.streams(body)
    async with serving(server) as engine:
        with pytest.raises(RemoteEngineError, match="no completion"):
            await collect(engine)


async def test_half_a_character_is_never_passed_on() -> None:
    server = Server()
    server.streams(b'data: {"choices": [{"text": "a\\ud800b"}]}\n\n', DONE)
    async with serving(server) as engine:
        text = "".join(chunk.text for chunk in await collect(engine))
    assert text == "a\ufffdb"


async def test_what_a_library_says_comes_on_one_line() -> None:
    server = Server()

    async def answer(request: web.Request) -> Any:
        assert request.transport is not None
        request.transport.write(b"HELLO\r\n\r\n")
        request.transport.close()
        return web.Response()

    server.answers += [answer] * 3
    async with serving(server) as engine:
        with pytest.raises(RemoteEngineError) as caught:
            await collect(engine)
    assert "\n" not in str(caught.value)
