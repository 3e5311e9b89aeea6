"""What texts cost in tokens, counted by the engine that would answer now."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.chat.engines import Engines
from bot.chat.personas.macros import expand_macros
from bot.chat.roleplay.activation.request import estimate_tokens
from bot.errors import EngineError

COUNT_SECONDS = 20.0
REMEMBERED_CHARACTERS = 2_000_000  # of texts whose tokens are known


@dataclass(frozen=True, slots=True)
class Cost:
    """Tokens by text. `context_tokens` is 0 while no model is there to say it.

    `is_exact` is False where they were estimated: no model yet, or a server that does not count.
    """

    tokens: Mapping[str, int]
    context_tokens: int
    model: str
    is_exact: bool


class TokenCounter:
    """Counts texts, each of them once."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._known: dict[str, int] = {}
        self._model = ""
        self._characters = 0

    async def cost(self, texts: Mapping[str, str], *, char: str, user: str = "Guest") -> Cost:
        """The cost of texts by their names, macros in them expanded. Empty ones cost nothing."""
        expanded = await asyncio.to_thread(_expanded, texts, char, user)
        counts, is_exact = await self.count(list(expanded.values()))
        tokens = dict.fromkeys(texts, 0) | dict(zip(expanded, counts, strict=True))
        try:
            info = self._engines.answering().info
        except EngineError:
            return Cost(tokens, 0, "", is_exact)
        return Cost(tokens, info.context_tokens, info.name, is_exact)

    async def count(self, texts: Sequence[str]) -> tuple[list[int], bool]:
        """The tokens of each text, and whether that is exact."""
        engine = self._engines.answering()
        try:
            model, is_exact = engine.info.name, engine.info.counts_exactly
            if model != self._model:
                self._known, self._model, self._characters = {}, model, 0
            new = list(dict.fromkeys(text for text in texts if text not in self._known))
            if new:
                async with asyncio.timeout(COUNT_SECONDS):
                    counted = await engine.count_tokens(new)
                found = dict(zip(new, counted, strict=True))
            else:
                found = {}
        except (EngineError, TimeoutError):  # not there yet, or away: it says so itself
            return await asyncio.to_thread(_estimated, texts), False
        found |= {text: self._known[text] for text in texts if text in self._known}
        if model == self._model:
            self._remember(found)
        return [found[text] for text in texts], is_exact

    def _remember(self, found: Mapping[str, int]) -> None:
        if self._characters > REMEMBERED_CHARACTERS:
            self._known, self._characters = {}, 0
        for text, tokens in found.items():
            if text not in self._known:
                self._known[text] = tokens
                self._characters += len(text)


# Of a lorebook of megabytes, both take seconds.


def _expanded(texts: Mapping[str, str], char: str, user: str) -> dict[str, str]:
    return {name: expand_macros(text, char=char, user=user) for name, text in texts.items() if text}


def _estimated(texts: Sequence[str]) -> list[int]:
    return [estimate_tokens(text) for text in texts]
