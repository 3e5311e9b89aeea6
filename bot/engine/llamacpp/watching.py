"""Is the child still there for us? One that hangs does not end by itself, so it is ended."""

import asyncio
from http import HTTPStatus

import aiohttp

from bot.engine.llamacpp.loading import LoadedServer
from bot.errors import EngineError

PAUSE_SECONDS = 5.0
PATIENCE_SECONDS = 10.0  # for one answer; a machine that swaps takes its time
MOST_MISSES = 3  # in a row: our own process may have been the one that slept


async def until_it_ends(
    server: LoadedServer,
    pause_seconds: float = PAUSE_SECONDS,
    patience_seconds: float = PATIENCE_SECONDS,
) -> None:
    """Wait for the child's end, and see to it where it hangs.

    It is asked every `pause_seconds`, and has `patience_seconds` to answer.
    """
    ended = asyncio.create_task(server.process.ended.wait())
    hangs = asyncio.create_task(_hangs(server, pause_seconds, patience_seconds))
    try:
        await asyncio.wait((ended, hangs), return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            hangs.result()
            server.process.kill("it did not answer any more")
            await ended
    finally:
        ended.cancel()
        hangs.cancel()


async def _hangs(server: LoadedServer, pause_seconds: float, patience_seconds: float) -> None:
    """Return when there was no answer for several times in a row.

    `GET /health` is answered while the model computes, too.
    """
    url = f"{server.address}/health"
    misses = 0
    while misses < MOST_MISSES:
        await asyncio.sleep(pause_seconds)
        try:
            answer = await server.link.ask("GET", url, seconds=patience_seconds)
            misses = 0 if answer.status < HTTPStatus.INTERNAL_SERVER_ERROR else misses + 1
        except (aiohttp.ClientError, TimeoutError, EngineError):
            misses += 1
