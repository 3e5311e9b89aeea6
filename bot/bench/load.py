"""Rounds of streams that start together, through the engine's own front: text in, text out."""

import asyncio
import math
import statistics
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from bot.bench.prompts import PromptMaker
from bot.engine.api import Chunk, GenerationRequest, GenerationStatistics, Sampling
from bot.errors import EngineFailed

TEMPERATURE = 0.7
TOP_P = 0.95
WARM_UP_TOKENS = 4
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

    @property
    def first_token_at(self) -> float:
        """When the engine had its first token; some tokens have no text."""
        return self.asked_at + self.statistics.first_token_seconds


@dataclass(frozen=True, slots=True)
class Round:
    """What one round showed. `first_token_seconds` are one a stream, shortest first."""

    step_seconds: float
    tokens_per_second: float
    first_token_seconds: tuple[float, ...]
    prompt_tokens: int  # of all streams
    cached_prompt_tokens: int
    reply_tokens: int
    guessed_tokens: int = 0  # checked ahead, of all streams
    accepted_tokens: int = 0  # of these, that were right
    processor_seconds: float = 0.0  # of all threads; says more than the clock on a busy machine


class Generating(Protocol):
    """What can be asked for a reply: an engine, or a server that we compare with."""

    def generate(self, request: GenerationRequest) -> AsyncGenerator[Chunk, None]:
        """One reply, piece by piece; its statistics come with the last one."""
        ...


class Streams:
    """Asks an engine, each stream in a channel that was never used before."""

    def __init__(self, engine: Generating, prompts: PromptMaker) -> None:
        """`prompts` makes what is asked."""
        self._engine = engine
        self._prompts = prompts
        self._channels = 0

    async def run(self, load: Load) -> Round:
        """One round. Raises EngineFailed when a reply ends early."""
        requests = [self._request(load) for _ in range(load.streams)]
        processor_before, before = time.process_time(), self._engine.status()
        answers = await asyncio.gather(*(ask(self._engine, request) for request in requests))
        processor_seconds = time.process_time() - processor_before
        short = [a for a in answers if a.statistics.reply_tokens != load.new_tokens]
        if short:
            raise EngineFailed(
                f"A reply ended after {short[0].statistics.reply_tokens} tokens of "
                f"{load.new_tokens}: its figures would be wrong."
            )
        after = self._engine.status()
        return replace(
            summarize(answers),
            processor_seconds=processor_seconds,
            guessed_tokens=after.guessed_tokens - before.guessed_tokens,
            accepted_tokens=after.accepted_tokens - before.accepted_tokens,
        )

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
    async for chunk in engine.generate(request):
        if chunk.text and text_at is None:
            text_at = time.monotonic()
        texts.append(chunk.text)
        if chunk.statistics is not None:
            now = time.monotonic()
            return TimedAnswer(asked_at, text_at or now, now, "".join(texts), chunk.statistics)
    raise EngineFailed("A reply ended without its statistics.")


def summarize(answers: Sequence[TimedAnswer]) -> Round:
    """The figures of streams that ran together.

    A decode step is the time from when the last stream had its first token until the last one
    ended, over the tokens that this one wrote meanwhile; prompts are not computed any more then.
    """
    started = min(answer.asked_at for answer in answers)
    ended = max(answer.ended_at for answer in answers)
    all_decode_from = max(answer.first_token_at for answer in answers)
    steps = max(answer.statistics.reply_tokens for answer in answers) - 1
    tokens = sum(answer.statistics.reply_tokens for answer in answers)
    return Round(
        step_seconds=(ended - all_decode_from) / steps if steps else 0.0,
        tokens_per_second=tokens / (ended - started),
        first_token_seconds=tuple(sorted(a.text_at - a.asked_at for a in answers)),
        prompt_tokens=sum(a.statistics.prompt_tokens for a in answers),
        cached_prompt_tokens=sum(a.statistics.cached_prompt_tokens for a in answers),
        reply_tokens=tokens,
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of all values do not exceed."""
    ranked = sorted(values)
    return ranked[max(math.ceil(percent / 100 * len(ranked)), 1) - 1]


def median(values: Sequence[float]) -> float:
    """The middle one, or the mean of the middle two."""
    return statistics.median(values)
