"""One call of the engine: the model's raw chunks in, text fit to show out."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from bot.chat.ports import Engine
from bot.chat.prompt import Prompt
from bot.chat.text import ReplyFilter
from bot.engine.api import FinishReason, GenerationRequest, GenerationStatistics
from bot.errors import EngineError


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
        self._filter = ReplyFilter(
            prompt.speaker, prompt.others, prompt.stops, continuing=continues
        )
        self._raw: list[str] = []
        self._statistics: GenerationStatistics | None = None
        self._so_far: GenerationStatistics | None = None
        self._began = time.monotonic()
        self._first_token: float | None = None

    async def stream(self) -> AsyncGenerator[str, None]:
        """New text, piece by piece. Closing it cancels the request. Raises EngineError."""
        self._began = time.monotonic()
        async with aclosing(self._engine.generate(self.request)) as chunks:
            async for chunk in chunks:
                if self._first_token is None:
                    self._first_token = time.monotonic()
                self._so_far = self._so_far or chunk.so_far
                self._raw.append(chunk.text)
                if text := _sendable(self._filter.decode(chunk.text)):
                    yield text
                if self._filter.ended or chunk.finish is not None:
                    self._statistics = chunk.statistics
                    if chunk.finish is FinishReason.CANCELLED:
                        return
                    if text := _sendable(self._filter.flush()):
                        yield text
                    self.finish = chunk.finish or FinishReason.STOP
                    return

    async def statistics(self) -> GenerationStatistics:
        """The engine's statistics; of a generation that was broken off, what is known of it."""
        if self._statistics is not None:
            return self._statistics
        total_seconds = time.monotonic() - self._began
        reply_tokens = await self._count_reply()
        if self._so_far is not None:
            return replace(self._so_far, reply_tokens=reply_tokens, total_seconds=total_seconds)
        waited = total_seconds if self._first_token is None else self._first_token - self._began
        return GenerationStatistics(
            model=self._engine.info.name,
            seed=self.request.sampling.seed or 0,
            prompt_tokens=self.prompt.tokens,
            cached_prompt_tokens=0,
            reply_tokens=reply_tokens,
            queued_seconds=0.0,
            first_token_seconds=waited,
            total_seconds=total_seconds,
        )

    async def _count_reply(self) -> int:
        try:
            return (await self._engine.count_tokens(["".join(self._raw)]))[0]
        except EngineError:
            return len(self._raw)  # about one a chunk


def _sendable(text: str) -> str:
    """Without NUL, which a byte-level model may well write and no chat takes."""
    return text.replace("\0", "")
