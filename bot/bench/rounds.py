"""The rounds of a plan with one engine, whoever's it is: loads, then chats, each several times."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, TypeVar

from bot.bench.chat import Chat, ChatRound, run_chat
from bot.bench.load import WARM_UP_TOKENS, Load, Round, Streams, median
from bot.bench.prompts import PromptMaker
from bot.bench.results import ChatResult
from bot.engine.api import Engine, EngineState
from bot.errors import EngineError

RESTART_POLL_SECONDS = 0.5

Found = TypeVar("Found")
Say = Callable[[str], None]


class Rounds:
    """Measures, and keeps what was found. What fails is noted, and the rest is measured."""

    def __init__(
        self,
        engine: Engine,
        prompts: PromptMaker,
        loads: list[Load],
        chats: tuple[Chat, ...],
        *,
        say: Say,
        keep: Callable[[], None],
        whose: str = "",
    ) -> None:
        """`keep` is called after every measurement; `whose` stands before what is said."""
        self._engine = engine
        self._prompts = prompts
        self._streams = Streams(engine, prompts, engine.status)
        self._tell = say
        self._keep = keep
        self._whose = whose
        self.loads: dict[Load, list[Round]] = {load: [] for load in loads}
        self._chats: dict[Chat, list[ChatRound]] = {chat: [] for chat in chats}
        self.failures: list[str] = []

    async def warm_up(self) -> None:
        """Every load once, with few tokens that do not count."""
        self._say("Warming up")
        for load in self.loads:
            short = replace(load, new_tokens=WARM_UP_TOKENS)
            await self.attempt(load, self._streams.run(short))

    async def run_loads(self, which: str, after_each: Callable[[Load], None]) -> None:
        """Every load once: a disturbance falls on all of them, not on one."""
        for load, rounds in self.loads.items():
            self._say(f"{which}: {words(load)}")
            found = await self.attempt(load, self._streams.run(load))
            if found is not None:
                rounds.append(found)
                after_each(load)
            self._keep()

    async def run_chats(self, which: str) -> None:
        """Every chat once."""
        for chat, rounds in self._chats.items():
            self._say(f"{which}: {chat.turns} turns in {chat.channels} channels")
            running = run_chat(self._engine, self._prompts, self._streams, chat)
            found = await self.attempt(chat, running)
            if found is not None:
                rounds.append(found)
            self._keep()

    def chat_results(self) -> tuple[ChatResult, ...]:
        """As far as they have been measured."""
        return tuple(_result(chat, rounds) for chat, rounds in self._chats.items() if rounds)

    async def attempt(
        self, what: Load | Chat, measuring: Coroutine[Any, Any, Found]
    ) -> Found | None:
        """What was measured; None when the engine failed, which is noted and waited out."""
        try:
            return await measuring
        except EngineError as error:
            self.failures.append(f"{self._whose}failed: {words(what)}: {error}")
            self._tell(self.failures[-1])
        while self._engine.status().state is EngineState.RESTARTING:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(RESTART_POLL_SECONDS)
        return None

    def _say(self, text: str) -> None:
        self._tell(f"{self._whose}{text}")


def words(what: Load | Chat) -> str:
    """For people."""
    if isinstance(what, Chat):
        return f"the chat in {what.channels} channels"
    return f"{what.streams} streams, repetition penalty {what.repetition_penalty:g}"


def _result(chat: Chat, rounds: list[ChatRound]) -> ChatResult:
    return ChatResult(
        channels=chat.channels,
        turns=chat.turns,
        persona_tokens=chat.persona_tokens,
        message_tokens=chat.message_tokens,
        reply_tokens=chat.reply_tokens,
        prompt_tokens=int(median([found.prompt_tokens for found in rounds])),
        cached_tokens=int(median([found.cached_tokens for found in rounds])),
        cached_tokens_fresh=max(found.cached_tokens_fresh for found in rounds),
        reused=tuple(found.reused_seconds for found in rounds),
        fresh=tuple(found.fresh_seconds for found in rounds),
    )
