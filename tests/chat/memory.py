"""The ports' simplest honest implementation, for tests: everything in memory, one loop, no SQL."""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from bot.chat.messages import (
    ChannelKey,
    GenerationRecord,
    HistoryWindow,
    IncomingMessage,
    JsonValue,
    Scope,
    SettingChange,
    Speaker,
    Swipe,
    Turn,
    TurnState,
)
from bot.chat.persona import Persona
from bot.errors import NotFound


@dataclass
class Row:
    turn: Turn
    hidden: bool = False
    pending: bool = False
    swipe_before: int = 0


@dataclass
class MemoryHistory:
    """A history without a database. Every call gives the loop a turn, as a real one would."""

    rows: dict[int, Row] = field(default_factory=dict)
    records: dict[tuple[int, int], GenerationRecord] = field(default_factory=dict)
    current: dict[ChannelKey, int] = field(default_factory=dict)
    seen: dict[ChannelKey, str] = field(default_factory=dict)
    _turn_ids: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    _conversation_ids: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    async def add_message(self, message: IncomingMessage, *, addressed: bool) -> Turn | None:
        await asyncio.sleep(0)
        if self._of_message(message.channel, message.message_id) is not None:
            return None
        turn = Turn(
            turn_id=next(self._turn_ids),
            conversation_id=self._conversation(message.channel),
            channel=message.channel,
            role="user",
            speaker=message.author,
            text=message.text,
            created_at=message.sent_at,
            message_ids=(message.message_id,),
            addressed=addressed,
            reply_to=message.reply_to,
        )
        self.rows[turn.turn_id] = Row(turn, pending=addressed)
        return turn

    async def note_seen(self, channel: ChannelKey, message_id: str) -> None:
        await asyncio.sleep(0)
        old = self.seen.get(channel, "")
        self.seen[channel] = max(old, message_id, key=lambda number: (len(number), number))

    async def last_seen(self, platform: str) -> Mapping[ChannelKey, str]:
        return {key: seen for key, seen in self.seen.items() if key.platform == platform}

    async def edit_message(self, channel: ChannelKey, message_id: str, text: str) -> bool:
        await asyncio.sleep(0)
        known = False
        for row in self.rows.values():
            turn = row.turn
            if turn.channel != channel:
                continue
            if turn.reply_to is not None and turn.reply_to.message_id == message_id:
                row.turn = turn = replace(turn, reply_to=replace(turn.reply_to, text=text))
            if turn.role == "user" and message_id in turn.message_ids:
                row.turn = replace(turn, text=text)
                known = True
        return known

    async def delete_messages(self, channel: ChannelKey, message_ids: Sequence[str]) -> int:
        await asyncio.sleep(0)
        gone = 0
        for row in list(self.rows.values()):
            turn = row.turn
            if turn.channel != channel:
                continue
            if turn.reply_to is not None and turn.reply_to.message_id in message_ids:
                row.turn = replace(turn, reply_to=None)
            if set(turn.message_ids) & set(message_ids):
                self._drop(turn.turn_id)
                gone += 1
        return gone

    async def delete_turn(self, turn_id: int) -> Turn:
        await asyncio.sleep(0)
        turn = self._row(turn_id).turn
        self._drop(turn_id)
        return turn

    async def edit_turn(self, turn_id: int, text: str) -> Turn:
        await asyncio.sleep(0)
        row = self._row(turn_id)
        row.turn = _with_text(row.turn, text)
        return row.turn

    async def turn(self, turn_id: int) -> Turn:
        await asyncio.sleep(0)
        return self._row(turn_id).turn

    async def turn_of_message(self, channel: ChannelKey, message_id: str) -> Turn | None:
        await asyncio.sleep(0)
        return self._of_message(channel, message_id)

    async def window(
        self, channel: ChannelKey, limit: int, *, before_turn: int | None = None
    ) -> HistoryWindow:
        await asyncio.sleep(0)
        conversation = self._conversation(channel)
        if before_turn is not None:
            conversation = self._row(before_turn).turn.conversation_id
        turns = [
            turn
            for turn in self._visible(conversation)
            if before_turn is None or turn.turn_id < before_turn
        ]
        kept = turns[len(turns) - limit :] if limit < len(turns) else turns
        return HistoryWindow(conversation, tuple(kept), len(turns) - len(kept))

    async def pending(self, channel: ChannelKey, *, since: datetime | None = None) -> list[Turn]:
        await asyncio.sleep(0)
        return self._pending(channel, since)

    async def channels_with_pending(self, platform: str, *, since: datetime) -> list[ChannelKey]:
        return [
            channel
            for channel in self.current
            if channel.platform == platform and self._pending(channel, since)
        ]

    async def begin_reply(
        self, channel: ChannelKey, speaker: Speaker, *, persona: str, answers: Sequence[int]
    ) -> Turn:
        await asyncio.sleep(0)
        questions = [self.rows[answered] for answered in answers if answered in self.rows]
        if answers and not questions:
            raise NotFound("What was asked is gone.")
        turn_id = next(self._turn_ids)
        asked_by: set[str] = set()
        for row in questions:
            row.turn = replace(row.turn, answered_by=turn_id)
            row.pending = False
            asked_by.add(row.turn.speaker.speaker_id)
        turn = Turn(
            turn_id=turn_id,
            conversation_id=self._conversation(channel),
            channel=channel,
            role="bot",
            speaker=speaker,
            text="",
            created_at=datetime.now(UTC),
            state=TurnState.RUNNING,
            swipes=(Swipe(0, ""),),
            asked_by=frozenset(asked_by),
            persona=persona,
        )
        self.rows[turn_id] = Row(turn)
        return turn

    async def begin_swipe(self, turn_id: int) -> Turn:
        await asyncio.sleep(0)
        row = self._row(turn_id)
        index = max(swipe.index for swipe in row.turn.swipes) + 1
        row.swipe_before = row.turn.active_swipe
        row.turn = replace(
            row.turn,
            text="",
            state=TurnState.RUNNING,
            swipes=(*row.turn.swipes, Swipe(index, "")),
            active_swipe=index,
        )
        return row.turn

    async def show_reply(self, turn_id: int, text: str, message_ids: Sequence[str]) -> None:
        await asyncio.sleep(0)
        row = self._row(turn_id)
        row.turn = replace(_with_text(row.turn, text), message_ids=tuple(message_ids))

    async def finish_reply(
        self, turn_id: int, state: TurnState, record: GenerationRecord | None
    ) -> Turn:
        await asyncio.sleep(0)
        row = self._row(turn_id)
        row.turn = turn = replace(row.turn, state=state)
        if record is not None:
            self.records[turn_id, turn.active_swipe] = record
            swipes = [
                replace(swipe, finish=record.finish) if swipe.index == turn.active_swipe else swipe
                for swipe in turn.swipes
            ]
            row.turn = replace(turn, swipes=tuple(swipes))
        return row.turn

    async def abandon_reply(self, turn_id: int, *, requeue: bool) -> None:
        await asyncio.sleep(0)
        row = self._row(turn_id)
        swipes = tuple(s for s in row.turn.swipes if s.index != row.turn.active_swipe)
        if swipes:
            before = next(swipe for swipe in swipes if swipe.index == row.swipe_before)
            row.turn = replace(
                row.turn,
                text=before.text,
                state=TurnState.WHOLE,
                swipes=swipes,
                active_swipe=before.index,
            )
        else:
            self._drop(turn_id, requeue=requeue)

    async def select_swipe(self, turn_id: int, index: int) -> Turn:
        await asyncio.sleep(0)
        row = self._row(turn_id)
        for swipe in row.turn.swipes:
            if swipe.index == index:
                row.turn = replace(row.turn, active_swipe=index, text=swipe.text)
                return row.turn
        raise NotFound("There is no such swipe.")

    async def generation(self, turn_id: int, swipe: int) -> GenerationRecord | None:
        await asyncio.sleep(0)
        self._row(turn_id)
        return self.records.get((turn_id, swipe))

    async def last_reply(self, channel: ChannelKey) -> Turn | None:
        replies = [
            turn for turn in self._visible(self._conversation(channel)) if turn.role == "bot"
        ]
        return replies[-1] if replies else None

    async def reset(self, channel: ChannelKey) -> tuple[int, int]:
        await asyncio.sleep(0)
        old = self._conversation(channel)
        self.current[channel] = next(self._conversation_ids)
        return old, self.current[channel]

    async def restore(self, channel: ChannelKey, conversation_id: int) -> None:
        self.current[channel] = conversation_id

    async def hide_last_exchange(self, channel: ChannelKey) -> list[int]:
        reply = await self.last_reply(channel)
        if reply is None:
            return []
        hidden = [
            turn.turn_id
            for turn in self._visible(reply.conversation_id)
            if turn.turn_id >= reply.turn_id or turn.answered_by == reply.turn_id
        ]
        for turn_id in hidden:
            self.rows[turn_id].hidden = True
        return hidden

    async def unhide(self, turn_ids: Sequence[int]) -> None:
        for turn_id in turn_ids:
            if turn_id in self.rows:
                self.rows[turn_id].hidden = False

    async def export(self, channel: ChannelKey) -> list[Turn]:
        return self._visible(self._conversation(channel))

    async def recover(self) -> int:
        running = [r.turn for r in self.rows.values() if r.turn.state is TurnState.RUNNING]
        for turn in running:
            if turn.text:
                await self.finish_reply(turn.turn_id, TurnState.CUT, None)
            else:
                await self.abandon_reply(turn.turn_id, requeue=True)
        return len(running)

    # For tests only ------------------------------------------------------------------------------

    def turns(self, channel: ChannelKey) -> list[Turn]:
        """What stands in the current conversation."""
        return self._visible(self._conversation(channel))

    def _conversation(self, channel: ChannelKey) -> int:
        if channel not in self.current:
            self.current[channel] = next(self._conversation_ids)
        return self.current[channel]

    def _row(self, turn_id: int) -> Row:
        if turn_id not in self.rows:
            raise NotFound("That message is gone.")
        return self.rows[turn_id]

    def _visible(self, conversation: int) -> list[Turn]:
        return [
            row.turn
            for row in self.rows.values()
            if row.turn.conversation_id == conversation and not row.hidden
        ]

    def _of_message(self, channel: ChannelKey, message_id: str) -> Turn | None:
        for row in self.rows.values():
            if row.turn.channel == channel and message_id in row.turn.message_ids:
                return row.turn
        return None

    def _pending(self, channel: ChannelKey, since: datetime | None) -> list[Turn]:
        return [
            turn
            for turn in self._visible(self._conversation(channel))
            if self.rows[turn.turn_id].pending and (since is None or turn.created_at >= since)
        ]

    def _drop(self, turn_id: int, *, requeue: bool = False) -> None:
        del self.rows[turn_id]
        for row in self.rows.values():
            if row.turn.answered_by == turn_id:
                row.turn = replace(row.turn, answered_by=None)
                row.pending = requeue


def _with_text(turn: Turn, text: str) -> Turn:
    swipes = tuple(
        replace(swipe, text=text) if swipe.index == turn.active_swipe else swipe
        for swipe in turn.swipes
    )
    return replace(turn, text=text, swipes=swipes)


class MemorySettings:
    """A settings store without a database."""

    def __init__(self) -> None:
        self.log: list[SettingChange] = []
        self._values: dict[tuple[Scope, str], dict[str, JsonValue]] = {}

    async def values(
        self, scopes: Sequence[tuple[Scope, str]]
    ) -> Mapping[tuple[Scope, str], Mapping[str, JsonValue]]:
        await asyncio.sleep(0)
        return {scope: dict(self._values[scope]) for scope in scopes if scope in self._values}

    async def change(
        self, scope: Scope, scope_id: str, key: str, value: JsonValue, *, by: str
    ) -> SettingChange:
        await asyncio.sleep(0)
        values = self._values.setdefault((scope, scope_id), {})
        change = SettingChange(
            change_id=len(self.log) + 1,
            scope=scope,
            scope_id=scope_id,
            key=key,
            old=values.get(key),
            new=value,
            changed_by=by,
            changed_at=datetime.now(UTC),
        )
        if value is None:
            values.pop(key, None)
        else:
            values[key] = value
        self.log.append(change)
        return change

    async def changes(
        self, scopes: Sequence[tuple[Scope, str]], *, limit: int = 20
    ) -> list[SettingChange]:
        found = [change for change in self.log if (change.scope, change.scope_id) in scopes]
        return found[::-1][:limit]

    async def change_by_id(self, change_id: int) -> SettingChange | None:
        return self.log[change_id - 1] if 0 < change_id <= len(self.log) else None

    async def revision(self) -> int:
        await asyncio.sleep(0)
        return len(self.log)


class MemoryPersonas:
    """Personas that are simply there."""

    def __init__(self, *personas: Persona) -> None:
        self._personas = personas or (Persona(name="Ada", description="{{char}} is a clear head."),)

    def names(self) -> list[str]:
        return sorted(persona.name for persona in self._personas)

    def get(self, name: str) -> Persona | None:
        for persona in self._personas:
            if persona.name.casefold() == name.strip().casefold():
                return persona
        return None

    def default(self) -> Persona:
        return self._personas[0]

    def problems(self) -> Mapping[str, str]:
        return {}
