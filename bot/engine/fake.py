"""A scripted engine: for tests, and for looking at everything else without a model."""

import asyncio
import re
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from bot.engine.api import (
    Chunk,
    EngineState,
    EngineStatus,
    FinishReason,
    GenerationRequest,
    GenerationStatistics,
    ModelInfo,
)
from bot.engine.stops import StopStrings
from bot.errors import EngineError, EngineUnavailable, RequestTooLarge

Script = Sequence[str | EngineError] | Callable[[GenerationRequest], str]

MODEL_NAME = "fake"
KEPT_REQUESTS = 500  # the newest ones, which is plenty for a test
_TOKEN = re.compile(r" ?\w{1,8}|\s|[^\w\s]")

_DEMO_REPLIES = (
    "Hello! I am the scripted engine: there is no model behind me, only a few lines that I repeat.",
    (
        "A second line, a little longer, so that you can watch a reply **stream** and stop it.\n\n"
        "```python\nprint('fences are kept whole')\n```\nSet `ENGINE=local` to talk with a model."
    ),
    "That was the last line. Next I begin again.",
)


def tokens_of(text: str) -> list[str]:
    """The pieces that count as tokens here: short words, single spaces, single signs."""
    return _TOKEN.findall(text)


class FakeEngine:
    """Streams scripted replies as a real engine would, with stops, limits and statistics.

    `replies` are used in turn and over again, or made by a function of the request; an EngineError
    among them is raised for that request. Tests hold it back with `gate`: an Event is waited for
    before every chunk, a Semaphore is acquired once for every chunk. `fail_with` (also settable
    later) is raised for any request once `fail_after_chunks` chunks have come.
    """

    def __init__(
        self,
        replies: Script = _DEMO_REPLIES,
        *,
        context_tokens: int = 4096,
        chunk_characters: int = 12,
        chunk_seconds: float = 0.0,
        gate: asyncio.Event | asyncio.Semaphore | None = None,
        fail_with: EngineError | None = None,
        fail_after_chunks: int = 0,
        info: ModelInfo | None = None,
    ) -> None:
        """`info` replaces what :attr:`info` reports, for example to try a chat template.

        `requests` and `cancelled` are the newest ones, for tests to look at.
        """
        self.requests: list[GenerationRequest] = []
        self.cancelled: list[GenerationRequest] = []
        self.gate = gate
        self.fail_with = fail_with
        self.fail_after_chunks = fail_after_chunks
        self._replies = replies
        self._chunk_characters = max(1, chunk_characters)
        self._chunk_seconds = chunk_seconds
        self._info = info or ModelInfo(name=MODEL_NAME, context_tokens=context_tokens)
        self._state = EngineState.STARTING
        self._closing = asyncio.Event()
        self._running = 0
        self._asked = 0  # requests so far

    async def start(self) -> None:
        """Nothing to load. A closed engine can be started again."""
        self._closing.clear()
        self._state = EngineState.READY

    async def close(self) -> None:
        """Running generations end as cancelled."""
        self._state = EngineState.STOPPED
        self._closing.set()

    @property
    def info(self) -> ModelInfo:
        """A model that does not exist."""
        return self._info

    async def count_tokens(self, texts: Sequence[str]) -> tuple[int, ...]:
        """As :func:`tokens_of` cuts them."""
        return tuple(len(tokens_of(text)) for text in texts)

    def status(self) -> EngineStatus:
        """Always fast, never any queue."""
        return EngineStatus(
            state=self._state,
            model=self._info.name,
            device="none",
            kernel="scripted",
            running=self._running,
            last_error=str(self.fail_with or ""),
        )

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Chunk, None]:
        """Stream the next scripted reply. Works before :meth:`start` too, for tests' sake."""
        began = time.monotonic()
        self._check(request)
        self._asked += 1
        _keep(self.requests, request)
        reply = self._reply_to(request)
        self._running += 1
        finished = False
        try:
            async with aclosing(self._stream(request, tokens_of(reply), began)) as chunks:
                async for chunk in chunks:
                    finished = chunk.finish is not None
                    yield chunk
        except EngineError:
            finished = True
            raise
        finally:
            self._running -= 1
            if not finished:
                _keep(self.cancelled, request)

    def _check(self, request: GenerationRequest) -> None:
        if self._closing.is_set():
            raise EngineUnavailable("The engine has been stopped.", "Start the bot again.")
        needed = len(tokens_of(request.prompt)) + request.max_tokens
        if needed > self._info.context_tokens:
            raise RequestTooLarge(
                f"Prompt and reply need {needed} tokens; the model has room for "
                f"{self._info.context_tokens}.",
                "Shorten the message or the persona, or lower max_reply_tokens.",
            )

    def _reply_to(self, request: GenerationRequest) -> str:
        if callable(self._replies):
            return self._replies(request)
        reply = self._replies[(self._asked - 1) % len(self._replies)]
        if isinstance(reply, EngineError):
            raise reply
        return reply

    async def _stream(
        self, request: GenerationRequest, tokens: list[str], began: float
    ) -> AsyncGenerator[Chunk, None]:
        finish = FinishReason.LENGTH if len(tokens) > request.max_tokens else FinishReason.STOP
        tokens = tokens[: request.max_tokens]
        stops = StopStrings(request.stop)
        first_token: float | None = None
        used = chunks = 0
        while used < len(tokens) and not stops.stopped:
            if self.fail_with is not None and chunks >= self.fail_after_chunks:
                raise self.fail_with
            if await self._closed_at_gate():
                finish = FinishReason.CANCELLED
                break
            first_token = first_token or time.monotonic()
            piece = ""
            while used < len(tokens) and len(piece) < self._chunk_characters:
                piece += tokens[used]
                used += 1
            text = stops.decode(piece)
            chunks += 1
            if text:
                yield Chunk(text)
        if self.fail_with is not None:
            raise self.fail_with
        now = time.monotonic()
        statistics = GenerationStatistics(
            model=self._info.name,
            seed=secrets.randbits(31) if request.sampling.seed is None else request.sampling.seed,
            prompt_tokens=len(tokens_of(request.prompt)),
            cached_prompt_tokens=0,
            reply_tokens=used,
            queued_seconds=0.0,
            first_token_seconds=(first_token or now) - began,
            total_seconds=now - began,
        )
        yield Chunk(
            stops.flush(), FinishReason.STOP if stops.stopped else finish, statistics=statistics
        )

    async def _closed_at_gate(self) -> bool:
        """Wait to be let on. True when the engine was closed meanwhile."""
        await asyncio.sleep(self._chunk_seconds)
        if self.gate is None or self._closing.is_set():
            return self._closing.is_set()
        passed = self.gate.wait() if isinstance(self.gate, asyncio.Event) else self.gate.acquire()
        waits = [asyncio.ensure_future(passed), asyncio.ensure_future(self._closing.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return self._closing.is_set()


def _keep(requests: list[GenerationRequest], request: GenerationRequest) -> None:
    """Add one, and forget the oldest: each holds a whole prompt, and a demo may run for months."""
    requests.append(request)
    del requests[:-KEPT_REQUESTS]
