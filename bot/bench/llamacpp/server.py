"""llama.cpp's server as it comes, in a process of its own, asked as plainly as can be.

What is given to it is the file, the threads, the slots and the room for tokens, the same as our
engine has; everything else is llama.cpp's default.
"""

import json
import os
import sys
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, cast

import aiohttp

from bot.bench.child import ChildProcess
from bot.engine.api import Chunk, FinishReason, GenerationRequest, GenerationStatistics
from bot.engine.llamacpp.process import CHILD, child_environment
from bot.errors import EngineFailed

NAME = "llama.cpp's server"
MOST_LINE_BYTES = 1 << 20
LOOKED_BACK_TOKENS = 1 << 20
MOST_SAID_BYTES = 300  # of what it says of a request that it refuses


class PlainServer:
    """One server, from :meth:`start` to :meth:`close`."""

    def __init__(self, path: Path, *, threads: int, slots: int, room_tokens: int) -> None:
        """Starts nothing. `room_tokens` is for all slots together."""
        self._parameters: dict[str, Any] = {
            "model.path": str(path),
            "hostnames": ["127.0.0.1"],
            "port": 0,
            "ui": False,
            "offline": True,
            "n_ctx": room_tokens,
            "n_parallel": slots,
            "kv_unified": True,  # the server's own choice where it chooses the slots
            "cpuparams.n_threads": threads,
            "cpuparams_batch.n_threads": threads,
            "n_threads_http": slots + 4,
            "verbosity": 1,
        }
        self._child = ChildProcess(
            NAME, [sys.executable, "-P", str(CHILD), str(os.getpid())], child_environment()
        )
        self._session: aiohttp.ClientSession | None = None
        self._address = ""

    async def start(self) -> float:
        """Load the model. Returns the seconds it took. Raises EngineFailed."""
        began = time.monotonic()
        await self._child.start()
        await self._child.hear()  # what it can use
        self._child.say(self._parameters)
        said = await self._child.hear()
        if "address" not in said:
            raise EngineFailed(f"{NAME} does not start: {said.get('error', 'it ended')}")
        self._address = str(said["address"])
        seconds = time.monotonic() - began
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=None),
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            read_bufsize=MOST_LINE_BYTES,
        )
        return seconds

    async def close(self) -> None:
        """End it. Idempotent."""
        if self._session is not None:
            await self._session.close()
        await self._child.close()

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Chunk, None]:
        """One reply, piece by piece. Raises EngineFailed."""
        if self._session is None:
            raise EngineFailed("The server has not been started.")
        sampling = request.sampling
        body = {
            "prompt": request.prompt,
            "n_predict": request.max_tokens,
            "stream": True,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "repeat_penalty": sampling.repetition_penalty,
            "repeat_last_n": LOOKED_BACK_TOKENS,  # all of it, as our engine does
            "seed": sampling.seed,
            "stop": list(request.stop),
        }
        asked_at = time.monotonic()
        text_at = 0.0
        async with self._session.post(f"{self._address}/completion", json=body) as answer:
            if answer.status != 200:
                said = (await answer.content.read(MOST_SAID_BYTES)).decode(errors="replace")
                raise EngineFailed(f"llama.cpp's server answered {answer.status}: {said}")
            async for line in answer.content:
                if not line.startswith(b"data: {"):
                    continue
                event = cast("dict[str, Any]", json.loads(line[len(b"data: ") :]))
                text = str(event.get("content", ""))
                if text:
                    text_at = text_at or time.monotonic()
                if event.get("stop"):
                    found = _statistics(event, asked_at, text_at)
                    yield Chunk(text, FinishReason.LENGTH, found)
                    return
                yield Chunk(text)
        raise EngineFailed("llama.cpp's server broke a reply off.")


def _statistics(event: dict[str, Any], asked_at: float, text_at: float) -> GenerationStatistics:
    now = time.monotonic()
    timings = cast("dict[str, Any]", event.get("timings") or {})
    return GenerationStatistics(
        model="",
        seed=0,
        prompt_tokens=int(event.get("tokens_evaluated", 0)),
        cached_prompt_tokens=int(timings.get("cache_n", 0)),
        reply_tokens=int(event.get("tokens_predicted", 0)),
        queued_seconds=0.0,
        first_token_seconds=(text_at or now) - asked_at,
        total_seconds=now - asked_at,
    )
