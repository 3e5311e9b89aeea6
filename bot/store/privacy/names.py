"""Every column that holds somebody's id beside what was said: one list for all that look there.

A new table that holds such an id, or a guild's, gets its line here, and a test of every column
asks for it.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from sqlalchemy import ColumnElement, Connection, delete, or_, select, true, update
from sqlalchemy.orm import InstrumentedAttribute

from bot.chat.messages import JsonValue, Scope
from bot.chat.privacy.people import Person
from bot.store.limits.tables import TokensSpentRow
from bot.store.memory.tables import FactRow
from bot.store.moderation.tables import BlockRow, LogChannelRow, PurgeRow
from bot.store.personas.tables import CastRow, LorebookRow, PersonaRow, PersonaVersionRow
from bot.store.scenes.tables import SceneCharacterRow, SceneRow, is_copy_of_others
from bot.store.tables import (
    AskerRow,
    Base,
    ChannelRow,
    ConversationRow,
    SettingChangeRow,
    SettingValueRow,
    TurnRow,
)
from bot.store.turns.rows import batches
from bot.store.words.tables import GuildWordRow

Within: TypeAlias = Callable[[Person], ColumnElement[bool]]

_MADE_BY = ("created_by", "edited_by", "deleted_by")
NOBODY = "0"  # stands for an id in a list of a setting: no account has it
KEEPS_OUT = "blocked_roles"  # what keeps somebody out is the guild's: else anybody lifts it alone


@dataclass(frozen=True, slots=True)
class Name:
    """A column that holds a person's id."""

    rows: type[Base]
    column: str
    within: Within  # which rows are of a person's platform, and of their guild where it is one
    goes: bool = False  # the row is theirs and goes; else it is somebody else's, without the name


def in_channels(person: Person) -> ColumnElement[bool]:
    """The channels of a platform, or of one guild."""
    return _of_platform(ChannelRow)(person)


def _of_platform(rows: type[Base]) -> Within:
    """Rows that say of which platform and which guild they are."""
    table = rows.__table__

    def within(person: Person) -> ColumnElement[bool]:
        here = table.c["platform"] == person.platform
        return here & (table.c["guild_id"] == person.guild_id) if person.guild_id else here

    return within


def _channel_ids(person: Person) -> ColumnElement[bool]:
    return SceneRow.channel_id.in_(select(ChannelRow.id).where(in_channels(person)))


def _in_scenes(person: Person) -> ColumnElement[bool]:
    scenes = select(SceneRow.id).where(_channel_ids(person))
    return SceneCharacterRow.scene_id.in_(scenes)


def _in_turns(person: Person) -> ColumnElement[bool]:
    turns = (
        select(TurnRow.id)
        .join(ConversationRow, ConversationRow.id == TurnRow.conversation_id)
        .join(ChannelRow, ChannelRow.id == ConversationRow.channel_id)
        .where(in_channels(person))
    )
    return AskerRow.turn_id.in_(turns)


def facts_of(person: Person) -> ColumnElement[bool]:
    """What is pinned on a platform, or in one guild and its channels."""
    here = FactRow.platform == person.platform
    if not person.guild_id:
        return here
    channels = select(ChannelRow.id).where(in_channels(person))
    return here & or_(FactRow.guild_id == person.guild_id, FactRow.channel_id.in_(channels))


def _of_guild(column: InstrumentedAttribute[str] | InstrumentedAttribute[str | None]) -> Within:
    """Rows that are a guild's own: guilds are one platform's."""
    return lambda person: column == person.guild_id if person.guild_id else true()


def _purges(person: Person) -> ColumnElement[bool]:
    return PurgeRow.channel_id.in_(select(ChannelRow.id).where(in_channels(person)))


def _spending(person: Person) -> ColumnElement[bool]:
    if person.guild_id:
        return TokensSpentRow.home == f"{person.platform}:{person.guild_id}"
    return TokensSpentRow.home.startswith(f"{person.platform}:", autoescape=True)


def _versions(person: Person) -> ColumnElement[bool]:
    if not person.guild_id:
        return true()
    personas = select(PersonaRow.id).where(PersonaRow.guild_id == person.guild_id)
    return PersonaVersionRow.persona_id.in_(personas)


def in_settings(
    rows: type[SettingValueRow] | type[SettingChangeRow], person: Person
) -> ColumnElement[bool]:
    """What is set on a platform, or in one guild and its channels."""
    if not person.guild_id:
        return rows.scope_id.startswith(f"{person.platform}:", autoescape=True)
    guild = (rows.scope == Scope.GUILD.value) & (
        rows.scope_id == f"{person.platform}:{person.guild_id}"
    )
    channels = select(ChannelRow.platform + ":" + ChannelRow.platform_channel_id)
    in_guild = channels.where(in_channels(person))
    return guild | ((rows.scope == Scope.CHANNEL.value) & rows.scope_id.in_(in_guild))


NAMES: Sequence[Name] = (
    Name(AskerRow, "speaker_id", _in_turns, goes=True),
    Name(FactRow, "said_by", facts_of, goes=True),
    Name(FactRow, "written_by", facts_of),
    Name(SceneCharacterRow, "speaker_id", _in_scenes, goes=True),
    *(Name(PersonaRow, column, _of_guild(PersonaRow.guild_id)) for column in _MADE_BY),
    *(Name(LorebookRow, column, _of_guild(LorebookRow.guild_id)) for column in _MADE_BY),
    Name(PersonaVersionRow, "written_by", _versions),
    Name(CastRow, "added_by", _of_guild(CastRow.guild_id)),
    Name(TokensSpentRow, "speaker_id", _spending, goes=True),
    Name(BlockRow, "blocked_by", _of_platform(BlockRow)),
    Name(LogChannelRow, "set_by", _of_platform(LogChannelRow)),
    Name(GuildWordRow, "added_by", _of_platform(GuildWordRow)),
    Name(PurgeRow, "asked_by", _purges),
    Name(PurgeRow, "speaker_id", _purges),
    Name(SettingChangeRow, "changed_by", lambda person: in_settings(SettingChangeRow, person)),
)


def remove_names(connection: Connection, person: Person) -> None:
    """Take a person's id out of every column of the list, and out of settings' values."""
    for name in NAMES:
        theirs = name.rows.__table__.c[name.column] == person.speaker_id
        if name.goes:
            connection.execute(delete(name.rows).where(theirs, name.within(person)))
        else:
            empty = {name.column: ""}
            connection.execute(update(name.rows).where(theirs, name.within(person)).values(empty))
    _remove_started(connection, person)
    _unname_blocks(connection, person)
    _remove_from_settings(connection, person)


def _remove_started(connection: Connection, person: Person) -> None:
    """A scene that they started stays the players', without what they wrote for it.

    So does a copy (a fork) that somebody else goes on with: it began at the same moment.
    """
    theirs = SceneRow.started_by == person.speaker_id
    wrote = select(SceneRow.__table__).where(theirs, _channel_ids(person), ~is_copy_of_others())
    rows = connection.execute(wrote).all()
    for row in rows:
        is_copy = (SceneRow.started_at == row.started_at) & (SceneRow.id > row.id)
        is_copy &= _channel_ids(person)
        for column, left in (("title", "Scene"), ("scenario", ""), ("note", "")):
            written = SceneRow.__table__.c[column] == getattr(row, column)
            connection.execute(update(SceneRow).where(is_copy, written).values({column: left}))
    connection.execute(
        update(SceneRow)
        .where(theirs, _channel_ids(person))
        .values(started_by="", title="Scene", scenario="", note="")
    )


def _unname_blocks(connection: Connection, person: Person) -> None:
    """That they are blocked stays, by their id alone: else anybody lifts it by forgetting."""
    theirs = BlockRow.speaker_id == person.speaker_id
    connection.execute(
        update(BlockRow).where(theirs, _of_platform(BlockRow)(person)).values(name="")
    )


def _remove_from_settings(connection: Connection, person: Person) -> None:
    """Who was named in a list of members is named there no more; the list stays as narrow."""
    values = select(SettingValueRow.__table__).where(in_settings(SettingValueRow, person))
    for row in connection.execute(values.where(SettingValueRow.key != KEEPS_OUT)).all():
        value = without(row.value, person.speaker_id)
        if value != row.value:
            connection.execute(
                update(SettingValueRow)
                .where(
                    SettingValueRow.scope == row.scope,
                    SettingValueRow.scope_id == row.scope_id,
                    SettingValueRow.key == row.key,
                )
                .values(value=value)
            )
    chosen = select(SettingChangeRow.id, SettingChangeRow.old, SettingChangeRow.new)
    rows = connection.execute(chosen.where(in_settings(SettingChangeRow, person))).all()
    changed = {
        row.id: (without(row.old, person.speaker_id), without(row.new, person.speaker_id))
        for row in rows
        if person.speaker_id in f"{row.old} {row.new}"
    }
    for piece in batches(list(changed)):
        for number in piece:
            old, new = changed[number]
            row = SettingChangeRow.id == number
            connection.execute(update(SettingChangeRow).where(row).values(old=old, new=new))


def without(value: JsonValue, speaker_id: str) -> JsonValue:
    """A setting's value without a person's id; of a list, as many entries as before."""
    if isinstance(value, str):
        return _replaced(value, speaker_id)
    if isinstance(value, list):
        return [_replaced(entry, speaker_id) for entry in value]
    return value


def _replaced(text: str, speaker_id: str) -> str:
    return re.sub(rf"(?<!\w){re.escape(speaker_id)}(?!\w)", NOBODY, text)
