"""Rounds of streams that start together, through the engine's own front: text in, text out."""

import asyncio
import math
import statistics
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

from bot.bench.prompts import PromptMaker
from bot.engine.api import (
    Chunk,
    EngineStatus,
    GenerationRequest,
    GenerationStatistics,
    Sampling,
)
from bot.errors import EngineFailed

TEMPERATURE = 0.7
TOP_P = 0.95
WARM_UP_TOKENS = 4
PIECES_LEAST = 8  # with all streams writing, for the time of a step
STOPS = ("\n<nobody>:", "\n### Nothing:")  # looked for as in a chat; no model says these


@dataclass(frozen=True, slots=True)
class Load:
    """What every stream of a round asks for."""

    streams: int
    prompt_tokens: int
    new_tokens: int
    repetition_penalty: float


@dataclass(frozen=True, slots=True)
class TimedAnswer:
    """One stream as its reader saw it. Times are of `time.monotonic()`, in seconds."""

    asked_at: float
    text_at: float  # when its first text was there to be read
    ended_at: float
    text: str
    statistics: GenerationStatistics
    texts_at: tuple[float, ...] = ()  # when each piece of it was there

    @property
    def first_token_at(self) -> float:
        """When the engine had its first token; some tokens have no text."""
        return self.asked_at + self.statistics.first_token_seconds


@dataclass(frozen=True, slots=True)
class Round:
    """What one round showed. `first_token_seconds` are one a stream, shortest first."""

    step_seconds: float  # while all streams write; 0 where they hardly do so together
    tokens_per_second: float
    first_token_seconds: tuple[float, ...]
    prompt_tokens: int  # of all streams
    cached_prompt_tokens: int
    reply_tokens: int
    guessed_tokens: int = 0  # checked ahead, of all streams
    accepted_tokens: int = 0  # of these, that were right
    worst_gap_seconds: float = 0.0  # the longest wait within a stream that writes
    processor_seconds: float = 0.0  # of all threads; says more than the clock on a busy machine


class Generating(Protocol):
    """What can be asked for a reply: an engine, or a server that we compare with."""

    def generate(self, request: GenerationRequest) -> AsyncGenerator[Chunk, None]:
        """One reply, piece by piece; its statistics come with the last one."""
        ...


class Streams:
    """Asks an engine, each stream in a channel that was never used before."""

    def __init__(
        self,
        engine: Generating,
        prompts: PromptMaker,
        status: Callable[[], EngineStatus] | None = None,
    ) -> None:
        """`prompts` makes what is asked; `status` tells of an engine that guesses ahead."""
        self._engine = engine
        self._prompts = prompts
        self._status = status
        self._channels = 0

    async def run(self, load: Load) -> Round:
        """One round. Raises EngineFailed when a reply ends early."""
        requests = [self._request(load) for _ in range(load.streams)]
        processor_before, guesses_before = time.process_time(), self._guesses()
        answers = await asyncio.gather(*(ask(self._engine, request) for request in requests))
        processor_seconds = time.process_time() - processor_before
        short = [a for a in answers if a.statistics.reply_tokens != load.new_tokens]
        if short:
            raise EngineFailed(
                f"A reply ended after {short[0].statistics.reply_tokens} tokens of "
                f"{load.new_tokens}: its figures would be wrong."
            )
        guessed, accepted = (
            now - before for now, before in zip(self._guesses(), guesses_before, strict=True)
        )
        return replace(
            summarize(answers),
            processor_seconds=processor_seconds,
            guessed_tokens=guessed,
            accepted_tokens=accepted,
        )

    def _guesses(self) -> tuple[int, int]:
        """How many tokens were checked ahead so far, and how many of them were right."""
        if self._status is None:
            return 0, 0
        status = self._status()
        return status.guessed_tokens, status.accepted_tokens

    def fresh_channel(self) -> str:
        """A name that no request has had."""
        self._channels += 1
        return f"bench-{self._channels}"

    def _request(self, load: Load) -> GenerationRequest:
        return request_for(
            self._prompts.make(load.prompt_tokens),
            self.fresh_channel(),
            load.new_tokens,
            repetition_penalty=load.repetition_penalty,
        )


def request_for(
    prompt: str, channel: str, new_tokens: int, *, repetition_penalty: float = 1.15
) -> GenerationRequest:
    """A request as a channel makes it."""
    sampling = Sampling(
        temperature=TEMPERATURE, top_p=TOP_P, repetition_penalty=repetition_penalty, seed=0
    )
    return GenerationRequest(
        prompt, channel, user=channel, max_tokens=new_tokens, sampling=sampling, stop=STOPS
    )


async def ask(engine: Generating, request: GenerationRequest) -> TimedAnswer:
    """Read one reply to its end."""
    asked_at = time.monotonic()
    text_at: float | None = None
    texts: list[str] = []
    texts_at: list[float] = []
    async for chunk in engine.generate(request):
        if chunk.text:
            texts_at.append(time.monotonic())
            text_at = text_at or texts_at[0]
        texts.append(chunk.text)
        if chunk.statistics is not None:
            now = time.monotonic()
            return TimedAnswer(
                asked_at, text_at or now, now, "".join(texts), chunk.statistics, tuple(texts_at)
            )
    raise EngineFailed("A reply ended without its statistics.")


def summarize(answers: Sequence[TimedAnswer]) -> Round:
    """The figures of streams that ran together.

    A decode step is that of the time in which all of them write: from when the last stream had its
    first token until the first one ended. Before, prompts are computed; after, steps are shorter
    for fewer streams, and whoever spreads first tokens would look the faster for it.
    """
    started = min(answer.asked_at for answer in answers)
    ended = max(answer.ended_at for answer in answers)
    tokens = sum(answer.statistics.reply_tokens for answer in answers)
    return Round(
        step_seconds=_step_seconds(answers),
        tokens_per_second=tokens / (ended - started),
        first_token_seconds=tuple(sorted(a.text_at - a.asked_at for a in answers)),
        prompt_tokens=sum(a.statistics.prompt_tokens for a in answers),
        cached_prompt_tokens=sum(a.statistics.cached_prompt_tokens for a in answers),
        reply_tokens=tokens,
        worst_gap_seconds=max((_worst_gap(answer.texts_at) for answer in answers), default=0.0),
    )


def _step_seconds(answers: Sequence[TimedAnswer]) -> float:
    if len(answers) == 1:
        steps = answers[0].statistics.reply_tokens - 1
        return (answers[0].ended_at - answers[0].first_token_at) / steps if steps else 0.0
    begin = max(answer.first_token_at for answer in answers)
    end = min(answer.ended_at for answer in answers)
    # A token may have no text: the stream with the most pieces tells the steps best.
    pieces = max(([at for at in a.texts_at if begin <= at <= end] for a in answers), key=len)
    if len(pieces) <= PIECES_LEAST:
        return 0.0
    return (pieces[-1] - pieces[0]) / (len(pieces) - 1)


def _worst_gap(times: Sequence[float]) -> float:
    return max((later - sooner for sooner, later in pairwise(times)), default=0.0)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of all values do not exceed."""
    ranked = sorted(values)
    return ranked[max(math.ceil(percent / 100 * len(ranked)), 1) - 1]


def median(values: Sequence[float]) -> float:
    """The middle one, or the mean of the middle two."""
    return statistics.median(values)
