"""The connections to a server: kept ones that are gone, and answers that never come."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from bot.engine.remote.engine import OpenAIEngine
from bot.errors import RemoteEngineError

STREAM = b'data: {"choices": [{"text": "ok", "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
EMPTY = b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"

Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[bool]]


@asynccontextmanager
async def answering(answer: Answer, **options: float) -> AsyncIterator[OpenAIEngine]:
    """An engine at a server that is no more than a socket. `answer` says whether to go on."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = 0
                for line in head.lower().splitlines():
                    if line.startswith(b"content-length:"):
                        length = int(line.partition(b":")[2])
                await reader.readexactly(length)
                if not await answer(head, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    engine = OpenAIEngine(f"http://127.0.0.1:{port}/v1", **options)  # type: ignore[arg-type]
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def said(engine: OpenAIEngine) -> str:
    from remote_servers import collect

    return "".join(chunk.text for chunk in await collect(engine))


async def test_a_kept_connection_that_the_server_has_closed_costs_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    served: list[bytes] = []

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> bool:
        """A second request on a connection finds it closed, as it happens between two of them."""
        if b"/completions" not in head or head.startswith(b"GET"):
            writer.write(EMPTY.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            await writer.drain()
            return False
        if writer in seen:
            return False
        seen.append(writer)
        served.append(head)
        length = str(len(STREAM)).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\n\r\n" + STREAM)
        await writer.drain()
        return True

    seen: list[asyncio.StreamWriter] = []
    async with answering(answer) as engine:
        began = time.monotonic()
        for _ in range(3):
            assert await said(engine) == "ok"
        assert time.monotonic() - began < 0.5
    assert len(served) == 3
    assert caplog.records == []


@pytest.mark.parametrize("status", [b"400 Bad", b"401 No", b"404 No", b"500 Fault", b"503 Busy"])
@pytest.mark.parametrize("drips", [False, True], ids=["nothing of it", "drop by drop"])
async def test_an_error_whose_body_never_ends_holds_nobody_past_the_time_limit(
    status: bytes, drips: bool
) -> None:
    async def answer(head: bytes, writer: asyncio.StreamWriter) -> bool:
        if b"/completions" not in head or head.startswith(b"GET"):
            writer.write(EMPTY)
            return True
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 5000\r\n\r\n")
        while True:
            writer.write(b"x" if drips else b"")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with answering(answer, first_token_seconds=0.3, stall_seconds=0.3) as engine:
        with pytest.raises(RemoteEngineError, match=rf"{status[:3].decode()}|no first word"):
            await asyncio.wait_for(said(engine), 5)


async def test_headers_that_never_end_hold_nobody_past_the_time_limit() -> None:
    async def answer(head: bytes, writer: asyncio.StreamWriter) -> bool:
        if b"/completions" not in head or head.startswith(b"GET"):
            writer.write(EMPTY)
            return True
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X-A: b\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with answering(answer, first_token_seconds=0.3) as engine:
        with pytest.raises(RemoteEngineError):
            await asyncio.wait_for(said(engine), 5)
