"""The engines that can write a reply, in the order in which they are asked.

Each reply asks :meth:`Engines.pick` before its prompt is prepared: format, token counts and context
are those of the engine that it is given.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from bot.engine.api import (
    CanBeLost,
    CanForget,
    Chunk,
    Engine,
    EngineState,
    EngineStatus,
    FinishReason,
    GenerationRequest,
    ModelInfo,
)
from bot.errors import CaduceusError, EngineError, RequestTooLarge

ASIDE = "summary"  # the channel of what is written while nobody waits, of all talks
FAILURES_IN_A_ROW = 2  # so many requests without a word, and an engine counts as down
REST_SECONDS = 30.0  # for so long; then the next request tries it again
CALM_SECONDS = 60.0  # without a reply of another engine, until the log says that it is over

_log = logging.getLogger(__name__)

MonotonicClock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class WrittenIn:
    """The format of an engine's prompts, in words, and what is wrong with it, if anything is."""

    format: str = ""  # "" while it isn't known
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """How an engine is doing, for people."""

    name: str
    status: EngineStatus
    answers: bool  # a message that came now would be answered by this one
    written_in: WrittenIn = WrittenIn()


@dataclass(frozen=True, slots=True)
class WrittenAside:
    """What a model wrote while nobody waited for it."""

    text: str
    finish: FinishReason


class NamedEngine:
    """An :class:`~bot.engine.api.Engine` with a name, watched for what its status does not tell.

    A server that answers nobody is READY in its own eyes: the time for which requests have waited
    for a first word counts as its wait, and requests that fail one after another as being down.
    """

    def __init__(
        self,
        name: str,
        engine: Engine,
        *,
        prompt_format: str = "auto",
        clock: MonotonicClock = time.monotonic,
    ) -> None:
        """`name` stands in records and logs; `prompt_format` is a PROMPT_FORMAT."""
        self.name = name
        self.prompt_format = prompt_format
        self.written_in = WrittenIn()  # told by whoever writes the prompts
        self._engine = engine
        self._clock = clock
        self._start_error = ""
        self._silent: dict[object, float] = {}  # since when requests wait for their first word
        self._heard_at = float("-inf")
        self._failures = 0  # in a row, before the first word
        self._failed_at = 0.0
        self._people = 0  # requests that somebody waits for
        self._aside: set[asyncio.Task[WrittenAside]] = set()

    async def start(self) -> None:
        """As the engine's own; a failure stands in the status from then on."""
        self._start_error = ""
        try:
            await self._engine.start()
        except CaduceusError as error:
            self._start_error = str(error)
            raise

    async def close(self) -> None:
        """As the engine's own."""
        await self._engine.close()

    @property
    def info(self) -> ModelInfo:
        """The loaded model. Raises EngineUnavailable before it is there."""
        return self._engine.info

    async def lost(self) -> EngineError:
        """Wait until the engine can be brought back by another process only."""
        if isinstance(self._engine, CanBeLost):
            return await self._engine.lost()
        return await asyncio.get_running_loop().create_future()  # never

    def forget(self, channel: str, *, only_copies: bool = False) -> None:
        """See :class:`~bot.engine.api.CanForget`; nothing where the engine keeps nothing."""
        if isinstance(self._engine, CanForget):
            self._engine.forget(channel, only_copies=only_copies)

    async def count_tokens(self, texts: Sequence[str]) -> tuple[int, ...]:
        """As the engine's own."""
        return await self._engine.count_tokens(texts)

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Chunk, None]:
        """As the engine's own. What is written aside gives way."""
        ticket = object()
        self._silent[ticket] = self._clock()
        self._people += 1
        self.give_way()
        try:
            async with aclosing(self._engine.generate(request)) as chunks:
                async for chunk in chunks:
                    if self._silent.pop(ticket, None) is not None:
                        self._heard_at = self._clock()
                        self._failures = 0
                    yield chunk
        except RequestTooLarge:
            raise  # says nothing about the engine
        except EngineError:
            if ticket in self._silent:
                self._failures += 1
                self._failed_at = self._clock()
            raise
        finally:
            self._silent.pop(ticket, None)
            self._people -= 1

    @property
    def is_idle(self) -> bool:
        """Whether it is ready and nobody waits for anything, nor is anything written aside."""
        status = self._engine.status()
        is_free = not (self._people or self._aside or status.running or status.waiting)
        return is_free and status.state is EngineState.READY

    def give_way(self) -> None:
        """Somebody asks: what is written aside ends before the engine's next step."""
        for task in self._aside:
            task.cancel()

    async def write_aside(self, request: GenerationRequest) -> WrittenAside | None:
        """What the model writes while nobody asks for anything; None where it is not idle, or had
        to give way. Raises EngineError, which does not count against the engine.
        """
        if not self.is_idle:
            return None
        task = asyncio.ensure_future(self._write_aside(request))
        self._aside.add(task)
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()
            self._aside.discard(task)
        return None if task.cancelled() else task.result()

    async def _write_aside(self, request: GenerationRequest) -> WrittenAside:
        pieces: list[str] = []
        finish = FinishReason.CANCELLED
        async with aclosing(self._engine.generate(request)) as chunks:
            async for chunk in chunks:
                pieces.append(chunk.text)
                finish = chunk.finish or finish
        return WrittenAside("".join(pieces), finish)

    def status(self) -> EngineStatus:
        """The engine's own, with what was seen from outside."""
        status = self._engine.status()
        if self._start_error and status.state is not EngineState.READY:
            error = status.last_error or self._start_error
            return replace(status, state=EngineState.STOPPED, last_error=error)
        if self._aside and not self._people:
            # Whoever asks now does not wait for that.
            status = replace(status, expected_wait_seconds=0.0)
        waited = self._silent_seconds()
        if waited > status.expected_wait_seconds:
            return replace(status, expected_wait_seconds=waited)
        return status

    @property
    def is_failing(self) -> bool:
        """Whether the last requests all failed before their first word, a moment ago."""
        recent = self._clock() - self._failed_at < REST_SECONDS
        return self._failures >= FAILURES_IN_A_ROW and recent

    def _silent_seconds(self) -> float:
        """For how long somebody has waited and nobody has been given a first word."""
        if not self._silent:
            return 0.0
        return self._clock() - max(min(self._silent.values()), self._heard_at)


def recap_channel(channel: str) -> str:
    """The engine's channel for what is told again of a channel."""
    return f"recap {channel}"


def choose(
    statuses: Sequence[EngineStatus], after_seconds: float, failing: Collection[int] = ()
) -> int:
    """Which engine is to answer: its place in `statuses`, where the first is the preferred one.

    The first that is ready and lets nobody wait longer than `after_seconds`; else, of those that
    are ready, the one with the shortest wait; else the first that may yet answer; else the first.
    What is `failing` is as good as not ready.
    """
    ready = [
        place
        for place, status in enumerate(statuses)
        if status.state is EngineState.READY and place not in failing
    ]
    for place in ready:
        if statuses[place].expected_wait_seconds <= after_seconds:
            return place
    if ready:
        return min(ready, key=lambda place: statuses[place].expected_wait_seconds)
    may_answer = (
        place for place, status in enumerate(statuses) if status.state is not EngineState.STOPPED
    )
    return next(may_answer, 0)


class Engines:
    """The engines in their order: the first is asked as long as it is up and quick enough."""

    def __init__(
        self,
        engines: Sequence[NamedEngine],
        *,
        after_seconds: float = 30.0,
        clock: MonotonicClock = time.monotonic,
    ) -> None:
        """`after_seconds` is the longest expected wait at which the first one is still asked."""
        if not engines:
            raise ValueError("There has to be an engine.")
        self._engines = tuple(engines)
        self._after_seconds = after_seconds
        self._clock = clock
        self._told = 0  # which one the log says is answering
        self._elsewhere_at = 0.0  # when a reply was last given to another than the first

    @classmethod
    def only(cls, engine: Engine, name: str = "fake") -> "Engines":
        """One engine, and nobody to take its place."""
        return cls([NamedEngine(name, engine)])

    @property
    def all(self) -> tuple[NamedEngine, ...]:
        """Every engine, in order."""
        return self._engines

    def pick(self) -> NamedEngine:
        """The engine for a reply that begins now. What is written aside there gives way."""
        chosen = self._tell(self._choice())
        chosen.give_way()
        return chosen

    def instead_of(self, failed: NamedEngine) -> NamedEngine | None:
        """Another one that is up, for a request of which `failed` made nothing."""
        up = [
            engine
            for engine in self._engines
            if engine is not failed and engine.status().state is EngineState.READY
        ]
        up = [engine for engine in up if not engine.is_failing]
        if not up:
            return None
        best = up[choose([engine.status() for engine in up], self._after_seconds)]
        return self._tell(self._engines.index(best))

    def named(self, name: str) -> NamedEngine | None:
        """The engine of a record, if it is still there. A record without a name is of the first."""
        if not name:
            return self._engines[0]
        return next((engine for engine in self._engines if engine.name == name), None)

    def answering(self) -> NamedEngine:
        """The one that would answer now; only asking changes nothing, unlike :meth:`pick`."""
        return self._engines[self._choice()]

    def sampling_defaults(self) -> Mapping[str, float]:
        """How the makers of the model that would answer now choose its tokens; {} before it is."""
        try:
            return self.answering().info.sampling_defaults
        except EngineError:
            return {}

    def forget(self, channel: str, *, only_copies: bool = False) -> None:
        """What was said in a channel went or changed: no engine keeps it for a next request.

        What is written aside may have had any channel's words before it.
        """
        for engine in self._engines:
            for name in (channel, recap_channel(channel), ASIDE):
                engine.forget(name, only_copies=only_copies)

    def status(self) -> EngineStatus:
        """Of the one that would answer now."""
        return self.answering().status()

    def standings(self) -> list[Standing]:
        """Of all, in order."""
        answering = self._choice()
        return [
            Standing(engine.name, _with_failures(engine), place == answering, engine.written_in)
            for place, engine in enumerate(self._engines)
        ]

    async def lost(self) -> EngineError:
        """Wait until one of them can be brought back by another process only."""
        waits = [asyncio.ensure_future(engine.lost()) for engine in self._engines]
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for wait in waits:
                wait.cancel()

    async def close(self) -> None:
        """Close all, at the same time."""
        await asyncio.gather(*(engine.close() for engine in self._engines))

    def _choice(self) -> int:
        failing = [place for place, engine in enumerate(self._engines) if engine.is_failing]
        statuses = [engine.status() for engine in self._engines]
        return choose(statuses, self._after_seconds, failing)

    def _tell(self, place: int) -> NamedEngine:
        """Log who answers: when that changes, not for every reply."""
        chosen, now = self._engines[place], self._clock()
        if place:
            self._elsewhere_at = now
            if place != self._told:
                self._told = place
                first = self._engines[0]
                why = self._why_not(first)
                _log.warning("%s answers instead of %s: %s", chosen.name, first.name, why)
        elif self._told and now - self._elsewhere_at >= CALM_SECONDS:
            self._told = 0
            _log.info("%s answers again", chosen.name)
        return chosen

    def _why_not(self, engine: NamedEngine) -> str:
        """Why an engine is passed over, in words."""
        status = engine.status()
        if status.state is not EngineState.READY:
            return f"it is {status.state}. {status.last_error}".strip()
        if not engine.is_failing and status.expected_wait_seconds > self._after_seconds:
            return f"its expected wait is {status.expected_wait_seconds:.0f} s."
        return f"it failed. {status.last_error}".strip()


def _with_failures(engine: NamedEngine) -> EngineStatus:
    status = engine.status()
    if engine.is_failing and not status.last_error:
        return replace(status, last_error="The last requests failed.")
    return status
