"""llama.cpp's server as it comes, in a process of its own, asked as plainly as can be.

What is given to it is the file, the threads, the slots and the room for tokens, the same as our
engine has; everything else is llama.cpp's default.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, cast

import aiohttp
import psutil

from bot.bench.load import STOPS, TEMPERATURE, TOP_P, TimedAnswer
from bot.engine.api import GenerationStatistics
from bot.engine.llamacpp.process import CHILD
from bot.errors import EngineFailed

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
        self._process: subprocess.Popen[bytes] | None = None
        self._session: aiohttp.ClientSession | None = None
        self._address = ""

    async def start(self) -> float:
        """Load the model. Returns the seconds it took. Raises EngineFailed."""
        began = time.monotonic()
        self._address = await asyncio.to_thread(self._spawn)
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
        if self._process is not None:
            await asyncio.to_thread(_end, self._process)

    @property
    def memory_bytes(self) -> int:
        """What the process takes, the file's pages in memory with it."""
        if self._process is None:
            return 0
        return int(psutil.Process(self._process.pid).memory_info().rss)

    async def ask(
        self, prompt: str, new_tokens: int, *, repetition_penalty: float = 1.0
    ) -> TimedAnswer:
        """Read one reply to its end. Raises EngineFailed."""
        if self._session is None:
            raise EngineFailed("The server has not been started.")
        body = {
            "prompt": prompt,
            "n_predict": new_tokens,
            "stream": True,
            "temperature": TEMPERATURE,
            "top_p": TOP_P,
            "repeat_penalty": repetition_penalty,
            "repeat_last_n": LOOKED_BACK_TOKENS,  # all of it, as our engine does
            "seed": 0,
            "stop": list(STOPS),
        }
        asked_at = time.monotonic()
        text_at: float | None = None
        texts: list[str] = []
        texts_at: list[float] = []
        async with self._session.post(f"{self._address}/completion", json=body) as answer:
            if answer.status != 200:
                said = (await answer.content.read(MOST_SAID_BYTES)).decode(errors="replace")
                raise EngineFailed(f"llama.cpp's server answered {answer.status}: {said}")
            async for line in answer.content:
                if not line.startswith(b"data: {"):
                    continue
                event = cast("dict[str, Any]", json.loads(line[len(b"data: ") :]))
                if event.get("content"):
                    texts_at.append(time.monotonic())
                    text_at = text_at or texts_at[0]
                texts.append(str(event.get("content", "")))
                if event.get("stop"):
                    now = time.monotonic()
                    found = _statistics(event, asked_at, text_at or now, now)
                    return TimedAnswer(
                        asked_at, text_at or now, now, "".join(texts), found, tuple(texts_at)
                    )
        raise EngineFailed("llama.cpp's server broke a reply off.")

    def _spawn(self) -> str:
        self._process = process = subprocess.Popen(  # noqa: S603 - our own file
            [sys.executable, "-P", str(CHILD), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: value for name, value in os.environ.items() if "TOKEN" not in name},
        )
        assert process.stdin is not None and process.stdout is not None  # noqa: S101
        process.stdout.readline()  # what it can use
        process.stdin.write(json.dumps(self._parameters).encode() + b"\n")
        process.stdin.flush()
        line = process.stdout.readline()
        said = cast("dict[str, str]", json.loads(line or b"{}"))
        if "address" not in said:
            raise EngineFailed(
                f"llama.cpp's server does not start: {said.get('error', 'it ended')}"
            )
        return said["address"]


def _end(process: subprocess.Popen[bytes]) -> None:
    with process:  # it closes the pipes
        process.kill()


def _statistics(
    event: dict[str, Any], asked_at: float, text_at: float, now: float
) -> GenerationStatistics:
    timings = cast("dict[str, Any]", event.get("timings") or {})
    return GenerationStatistics(
        model="",
        seed=0,
        prompt_tokens=int(event.get("tokens_evaluated", 0)),
        cached_prompt_tokens=int(timings.get("cache_n", 0)),
        reply_tokens=int(event.get("tokens_predicted", 0)),
        queued_seconds=0.0,
        first_token_seconds=text_at - asked_at,
        total_seconds=now - asked_at,
    )
