"""One reply as the engine writes it: the thought that may come first, and the answer.

The two are asked for one after the other, so that each has its own tokens: the answer's prompt ends
with the thought and what closes it. What was thought is kept nowhere else. Where a model thinks of
which nobody knew, and its tokens end with that, the rest is asked for in the same way.
"""

import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from functools import partial

from bot.chat.ports import Engine
from bot.chat.prompt.build import Prompt
from bot.chat.prompt.formats import Thought
from bot.chat.text.reply_filter import ReplyFilter
from bot.chat.text.thinking import opened_by, opens_thought
from bot.engine.api import (
    FinishReason,
    GenerationRequest,
    GenerationStatistics,
)
from bot.errors import EngineError, EngineUnavailable

LEAST_REST_TOKENS = 32  # for less, an answer is not asked for again

_log = logging.getLogger(__name__)


class Anew(str):
    """Text that takes the place of all that came before: that was a thought."""

    __slots__ = ()


class Generation:
    """Streams one reply, filtered, and knows afterwards how it went.

    `finish` is CANCELLED until the text has come to its end.
    """

    def __init__(
        self, engine: Engine, prompt: Prompt, request: GenerationRequest, *, continues: bool = False
    ) -> None:
        """`continues`: the text is to join on to what the reply had already."""
        self.prompt = prompt
        self.request = request
        self.finish = FinishReason.CANCELLED
        self._engine = engine
        self._continues = continues
        self._filter = self._new_filter()
        self._raw: list[str] = []
        self._passed: list[str] = []  # of the answer
        self._is_open = False  # it ended within or after a thought, and goes on
        self._statistics: GenerationStatistics | None = None
        self._so_far: GenerationStatistics | None = None
        self._before: list[GenerationStatistics] = []  # of the requests in which it thought
        self._began = time.monotonic()
        self._first_token: float | None = None

    @property
    def looped(self) -> bool:
        """Whether the text was ended because it looped."""
        return self._filter.looped

    @property
    def may_loop(self) -> bool:
        """Whether the text repeats something just now, of which more would be a loop."""
        return self._filter.may_loop

    async def stream(self) -> AsyncGenerator[str, None]:
        """New text, piece by piece. Closing it cancels the request. Raises EngineError."""
        self._began = time.monotonic()
        request: GenerationRequest | None = self.request
        takes_prompts = self._engine.info.takes_prompts
        is_known = self.prompt.thought is not None and takes_prompts
        if self.prompt.thought is not None and takes_prompts:
            request = await self._think(self.prompt.thought, "", self.prompt.thinking_tokens)
        while request is not None:
            self._is_open = False
            may_go_on = takes_prompts and not is_known
            async with aclosing(self._answer(request, may_go_on=may_go_on)) as pieces:
                async for piece in pieces:
                    yield piece
            request, is_known = await self._rest() if self._is_open else None, True
        if self._is_open:  # and there is no room for more
            for piece in self._decoded(partial(self._filter.flush, cut=True)):
                yield piece

    async def _think(self, thought: Thought, begun: str, tokens: int) -> GenerationRequest:
        """Have the model think, at most for so many tokens; returns the request for the answer.

        `begun` is what it wrote of the thought before it was known to be one.
        """
        prompt = self.request.prompt + begun
        thoughts: list[str] = []
        if tokens > 0:
            request = replace(
                self.request, prompt=prompt, max_tokens=tokens, stop=(thought.ends,),
                thinking_tokens=0,
            )  # fmt: skip
            async with aclosing(self._engine.generate(request)) as chunks:
                async for chunk in chunks:
                    thoughts.append(chunk.text)
                    if chunk.finish is FinishReason.CANCELLED:
                        raise EngineUnavailable("The engine was stopped while the model thought.")
                    if chunk.statistics is not None:
                        self._before.append(chunk.statistics)
                    if chunk.finish is FinishReason.LENGTH:
                        _log.info("A thought has taken all of its %d tokens", tokens)
        thinking = "".join(thoughts)
        thinking = thinking.rstrip() if thinking.strip() else ""
        return replace(self.request, prompt=prompt + thinking + thought.closes, thinking_tokens=0)

    async def _rest(self) -> GenerationRequest | None:
        """What is to be asked for where a thought nobody expected took some of the reply's tokens.

        The rest of the thought first, if it isn't over.
        """
        raw, spent = "".join(self._raw), self.request.max_tokens
        if self._statistics is not None:
            self._before.append(replace(self._statistics))
        left = self.prompt.room_tokens - spent
        if not self._filter.is_thought:
            answered = (await self._engine.count_tokens(["".join(self._passed)]))[0]
            tokens = min(self.request.max_tokens - answered, left)
            if tokens < LEAST_REST_TOKENS:
                return None
            return replace(self.request, prompt=self.request.prompt + raw, max_tokens=tokens)
        tag = opened_by(raw)
        tokens = min(self.request.max_tokens, left - LEAST_REST_TOKENS)
        if tag is None or tokens < LEAST_REST_TOKENS:
            return None
        thought = Thought(tag.opens, tag.closes, f"\n{tag.closes}\n\n")
        more = min(self.prompt.thinking_tokens - spent, left - tokens - LEAST_REST_TOKENS)
        request = await self._think(thought, raw, more)
        self._filter = self._new_filter()
        return replace(request, max_tokens=tokens)

    async def _answer(
        self, request: GenerationRequest, *, may_go_on: bool
    ) -> AsyncGenerator[str, None]:
        """The answer's text; where it `may_go_on` after a thought that took its tokens, it stays
        open at their end.
        """
        self._raw.clear()
        async with aclosing(self._engine.generate(request)) as chunks:
            async for chunk in chunks:
                self._so_far = self._so_far or chunk.so_far
                self._raw.append(chunk.text)
                for piece in self._decoded(self._filter.decode, chunk.text):
                    yield piece
                if not self._filter.ended and chunk.finish is None:
                    continue
                self._statistics = chunk.statistics
                if chunk.finish is FinishReason.CANCELLED:
                    return
                self.finish = chunk.finish or FinishReason.STOP
                is_cut = chunk.finish is FinishReason.LENGTH
                self._is_open = is_cut and may_go_on and self._filter.has_thought
                if not self._is_open:
                    for piece in self._decoded(partial(self._filter.flush, cut=is_cut)):
                        yield piece
                return

    def _decoded(self, decode: Callable[..., str], *text: str) -> Iterator[str]:
        restarts = self._filter.restarts
        passed = _sendable(decode(*text))
        if passed and self._first_token is None:
            self._first_token = time.monotonic()
        if self._filter.restarts != restarts:
            self._passed = [passed]
            yield Anew(passed)
        elif passed:
            self._passed.append(passed)
            yield passed

    def _new_filter(self) -> ReplyFilter:
        info = self._engine.info
        # Where the prompt says how the model thinks, the answer's own begins after that.
        is_known = self.prompt.knows_thought and info.takes_prompts
        return ReplyFilter(
            self.prompt.speaker,
            self.prompt.others,
            self.prompt.stops,
            names=self.prompt.names,
            continuing=self._continues,
            thinks=not is_known and opens_thought(info.chat_template),
        )

    async def statistics(self) -> GenerationStatistics:
        """The engine's statistics; of a generation that was broken off, what is known of it."""
        if self._statistics is not None:
            return self._with_thought(self._statistics)
        total_seconds = time.monotonic() - self._began
        reply_tokens = await self._count_reply()
        if self._so_far is not None:
            known = replace(self._so_far, reply_tokens=reply_tokens, total_seconds=total_seconds)
            return self._with_thought(known)
        waited = total_seconds if self._first_token is None else self._first_token - self._began
        known = GenerationStatistics(
            model=self._engine.info.name,
            seed=self.request.sampling.seed or 0,
            prompt_tokens=self.prompt.tokens,
            cached_prompt_tokens=0,
            reply_tokens=reply_tokens,
            queued_seconds=0.0,
            first_token_seconds=waited,
            total_seconds=total_seconds,
        )
        return self._with_thought(known)

    def _with_thought(self, answer: GenerationStatistics) -> GenerationStatistics:
        """The answer's statistics, as those see them who waited while the model thought."""
        if not self._before:
            return answer
        first = self._before[0]
        seconds = sum(thought.total_seconds for thought in self._before)
        return replace(
            answer,
            prompt_tokens=first.prompt_tokens,
            cached_prompt_tokens=first.cached_prompt_tokens,
            queued_seconds=first.queued_seconds,
            first_token_seconds=seconds + answer.first_token_seconds,
            total_seconds=seconds + answer.total_seconds,
            thinking_tokens=sum(thought.reply_tokens for thought in self._before),
        )

    async def _count_reply(self) -> int:
        try:
            return (await self._engine.count_tokens(["".join(self._raw)]))[0]
        except EngineError:
            return len(self._raw)  # about one a chunk


def _sendable(text: str) -> str:
    """Without NUL, which a byte-level model may well write and no chat takes."""
    return text.replace("\0", "")
