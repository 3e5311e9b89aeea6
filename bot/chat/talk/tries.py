"""One of the at most two tries at a reply, with what is held back of it."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from bot.chat.messages import Flaw, Retry
from bot.chat.talk.generation import Generation
from bot.chat.talk.judging import Judge, Standards
from bot.engine.api import FinishReason, GenerationStatistics

_ORDER = (*Flaw, None)  # the worst first


class Try:
    """A generation that shows nothing before it has been judged."""

    def __init__(
        self, generation: Generation, standards: Standards, *, first: "Try | None" = None
    ) -> None:
        """`first` is the one before, which had a flaw: this one is the last."""
        self.generation = generation
        self.first = first
        self._judge = Judge(standards, is_last=first is not None)

    @property
    def flaw(self) -> Flaw | None:
        """Why nothing of it was shown. Set at its end, or where it was broken off for that."""
        return self._judge.flaw

    async def stream(self) -> AsyncGenerator[str, None]:
        """What may be shown. Raises EngineError."""
        judge = self._judge
        async with aclosing(self.generation.stream()) as pieces:
            async for piece in pieces:
                if passed := judge.feed(piece, may_loop=self.generation.may_loop):
                    yield passed
                if judge.flaw is not None:
                    return
        if self.generation.finish is FinishReason.CANCELLED:
            rest = judge.release()
        else:
            rest = judge.end(looped=self.generation.looped)
        if rest:
            yield rest

    def take(self) -> str:
        """What is held back: nobody sees more of it."""
        return self._judge.release()

    @property
    def finish(self) -> FinishReason:
        """How it ended. What was broken off for its flaw has ended by itself."""
        finish = self.generation.finish
        is_broken_off = finish is FinishReason.CANCELLED and self.flaw is not None
        return FinishReason.STOP if is_broken_off else finish

    def is_better_than(self, other: "Try") -> bool:
        """Whether its flaw is the lesser one."""
        return _ORDER.index(self.flaw) > _ORDER.index(other.flaw)


async def statistics_of(shown: Try, hidden: Try | None) -> GenerationStatistics:
    """What the try that people saw took; of the other one they only waited for the end."""
    statistics = await shown.generation.statistics()
    if hidden is None:
        return statistics
    waited = (await hidden.generation.statistics()).total_seconds
    return replace(
        statistics,
        first_token_seconds=statistics.first_token_seconds + waited,
        total_seconds=statistics.total_seconds + waited,
    )


async def retry_of(shown: Try, hidden: Try | None) -> Retry | None:
    """What is to be recorded of the try that nobody saw."""
    if hidden is None:
        return None
    first = hidden if shown.first is hidden else shown
    took = await hidden.generation.statistics()
    tokens = took.reply_tokens + took.thinking_tokens
    return Retry(first.flaw or Flaw.EMPTY, tokens, kept_first=first is shown)
