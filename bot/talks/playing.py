"""Plays scripts through the real conversations, with an engine and a database of its own."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from bot.chat.engines import Engines
from bot.chat.messages import ChannelKey, IncomingMessage, Speaker
from bot.chat.persona import Persona
from bot.chat.personas.homes import PersonaHome, in_order, persona_key
from bot.chat.settings import SettingsCascade
from bot.chat.talk.conversations import Conversations, utc_now
from bot.chat.talk.faults import NOTHING_CAME, NOTHING_TO_ADD
from bot.chat.talk.generation import Anew
from bot.chat.talk.reply import Reply
from bot.engine.api import FinishReason
from bot.store.database import Database
from bot.talks.measuring import ReplyFigures, facts_in, headers_shown, is_repetition, spoken_for
from bot.talks.script import Script, ScriptLine

PLATFORM = "talk"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Played:
    """A script and what came of it."""

    name: str
    script: Script
    replies: tuple[ReplyFigures, ...]


class ScriptPersonas(PersonaHome):
    """A script's personas, the first of which is the default."""

    def __init__(self, script: Script, name: str) -> None:
        self.personas = [
            Persona(**dict(each.persona), id=f"{PLATFORM}:{name}:{at}")
            for at, each in enumerate(script.personas)
        ]
        self.facts = {
            persona.id: each.facts
            for persona, each in zip(self.personas, script.personas, strict=True)
        }

    async def by_id(self, guild_id: str | None, persona_id: str) -> Persona | None:
        """One of them."""
        return next((each for each in self.personas if each.id == persona_id), None)

    async def by_name(self, guild_id: str | None, name: str) -> Persona | None:
        """One of them."""
        key = persona_key(name)
        return next((each for each in self.personas if persona_key(each.name) == key), None)

    async def listed(self, guild_id: str | None) -> list[Persona]:
        """All of them."""
        return in_order(self.personas)

    async def default(self) -> Persona:
        """The first."""
        return self.personas[0]

    def problems(self) -> Mapping[str, str]:
        """None: the script was read."""
        return {}

    async def cast(self, scope_id: str) -> list[str]:
        """Those beside the first."""
        return [each.id for each in self.personas[1:]]


async def play_all(
    scripts: Mapping[str, Script],
    engines: Engines,
    folder: Path,
    *,
    seed: int,
    max_reply_tokens: int,
    say: Say,
) -> list[Played]:
    """Play one after another, with a database in `folder`. Raises CaduceusError."""
    database = await Database.open(f"sqlite+aiosqlite:///{folder / 'talk.db'}")
    try:
        played: list[Played] = []
        for at, (name, script) in enumerate(scripts.items(), 1):
            say(f"{at} of {len(scripts)}: {script.title}")
            stage = _Stage(name, script, database, engines, seed, max_reply_tokens)
            played.append(Played(name, script, tuple(await stage.play())))
        return played
    finally:
        await database.close()


async def start_and_play(
    scripts: Mapping[str, Script],
    engines: Engines,
    folder: Path,
    *,
    seed: int,
    max_reply_tokens: int,
    say: Say,
) -> tuple[str, list[Played]]:
    """Start the engines, play as :func:`play_all`, close them. Returns the model in words, too."""
    try:
        for engine in engines.all:
            say(f"starting {engine.name}")
            await engine.start()
        limit = max_reply_tokens
        played = await play_all(
            scripts, engines, folder, seed=seed, max_reply_tokens=limit, say=say
        )
        status = engines.status()
        return f"{status.model}, {status.kernel}", played
    finally:
        await engines.close()


class _Stage:
    def __init__(
        self,
        name: str,
        script: Script,
        database: Database,
        engines: Engines,
        seed: int,
        max_reply_tokens: int,
    ) -> None:
        self._name = name
        self._script = script
        self._database = database
        self._channel = ChannelKey(PLATFORM, name)
        self._personas = ScriptPersonas(script, name)
        self._conversations = Conversations(
            database.history,
            SettingsCascade(database.settings, self._personas),
            self._personas,
            engines,
            max_reply_tokens=max_reply_tokens,
            random=Random(f"{seed}:{name}"),  # noqa: S311 - the same replies with the same seed
            casts=self._personas,
        )
        self._figures: list[ReplyFigures] = []
        self._shown: list[str] = []
        self._messages = 0

    async def play(self) -> Sequence[ReplyFigures]:
        scope = self._conversations.settings.scopes(self._channel)[-1]
        for key, value in self._script.checked_settings().items():
            await self._database.settings.change(*scope, key, value, by=PLATFORM)
        try:
            for line in self._script.lines:
                await self._say(line)
        finally:
            await self._conversations.close(0.0)
        return self._figures

    async def _say(self, line: ScriptLine) -> None:
        author = Speaker(f"player:{self._script.players.index(line.by)}", line.by)
        await self._conversations.hear(
            IncomingMessage(
                message_id=self._next_id(),
                channel=self._channel,
                author=author,
                text=line.text,
                sent_at=utc_now(),
                mentions_bot=line.is_heard,
            )
        )
        last: Reply | None = None
        while (reply := await self._conversations.next_reply(self._channel)) is not None:
            await self._measure(reply)
            last = reply
        if last is None or not self._figures[-1].text:
            return
        if line.then == "regenerate":
            await self._measure(await self._conversations.regenerate(last.turn.turn_id))
        elif line.then == "continue":
            await self._measure(await self._conversations.continue_reply(last.turn.turn_id))

    async def _measure(self, reply: Reply) -> None:
        text = reply.text_before
        message_ids = reply.turn.message_ids or (self._next_id(),)
        async with reply:
            async for piece in reply:
                text = reply.text_before + piece if isinstance(piece, Anew) else text + piece
                await reply.shown(text, message_ids)
        new = text.removeprefix(reply.text_before)
        outcome = reply.outcome
        error = outcome.error if outcome is not None else ""
        figures = await self._figures_of(reply, new, error)
        self._figures.append(figures)
        if new.strip():
            self._shown.append(new)

    async def _figures_of(self, reply: Reply, new: str, error: str) -> ReplyFigures:
        persona = reply.persona_name
        others = [*self._script.players, *(each.name for each in self._personas.personas)]
        is_empty = not new.strip() and error in ("", NOTHING_CAME, NOTHING_TO_ADD)
        if not new.strip():
            return ReplyFigures(persona, "", is_empty=is_empty, error="" if is_empty else error)
        why = await self._conversations.why(reply.turn.turn_id)
        facts = self._personas.facts.get(why.persona.id, ())
        retry = why.record.occasion.retry if why.record and why.record.occasion else None
        took = why.record.statistics if why.record else None
        return ReplyFigures(
            persona,
            new,
            spoken_for=spoken_for(new, [name for name in others if name != persona]),
            headers=headers_shown(new, persona),
            is_repeated=is_repetition(new, self._shown),
            retry=retry.flaw if retry else None,
            is_cut=why.record is not None and why.record.finish is FinishReason.LENGTH,
            facts=len(facts),
            facts_found=await asyncio.to_thread(facts_in, why.prompt.text, facts),
            prompt_tokens=took.prompt_tokens if took else 0,
            reply_tokens=took.reply_tokens if took else 0,
            wasted_tokens=retry.tokens if retry else 0,
            first_seconds=took.first_token_seconds if took else 0.0,
            seconds=took.total_seconds if took else 0.0,
            error=error,
        )

    def _next_id(self) -> str:
        self._messages += 1
        return f"{self._name}:{self._messages}"
