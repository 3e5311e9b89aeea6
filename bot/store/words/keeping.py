"""Guilds' word lists: functions of a connection."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, select, text, update

from bot.chat.limits.words.word import (
    MOST_PATTERNS,
    MOST_WORDS,
    Guild,
    GuildWord,
    Side,
    key_of,
)
from bot.chat.text.forbidden.redaction import Then
from bot.errors import NotAllowed
from bot.store.connecting.connection import is_postgres
from bot.store.turns.access import now
from bot.store.turns.rows import AnyRow
from bot.store.words.tables import GuildWordRow


def words(connection: Connection, guild: Guild) -> list[GuildWord]:
    """A guild's list, the oldest first."""
    chosen = select(GuildWordRow.__table__).where(_of(guild))
    return [_word(row) for row in connection.execute(chosen.order_by(GuildWordRow.id))]


def put(connection: Connection, guild: Guild, word: GuildWord) -> tuple[GuildWord, bool]:
    """Add an entry, or change the one of the same pattern: False then. Raises NotAllowed."""
    if is_postgres(connection):
        connection.execute(text("LOCK TABLE guild_words IN SHARE ROW EXCLUSIVE MODE"))
    word = replace(word, added_at=word.added_at or now())
    values = {
        "pattern": word.pattern,
        "then": word.then.name.lower(),
        "side": word.side.value,
        "added_by": word.added_by,
        "added_at": word.added_at,
    }
    key = key_of(word.pattern)
    same = and_(_of(guild), GuildWordRow.pattern_key == key)
    known = connection.scalar(select(GuildWordRow.id).where(same))
    if known is not None:
        connection.execute(update(GuildWordRow).where(same).values(values))
        return replace(word, word_id=known), False
    _refuse_too_many(words(connection, guild), word)
    platform, guild_id = guild
    made = connection.execute(
        insert(GuildWordRow)
        .values(platform=platform, guild_id=guild_id, pattern_key=key, **values)
        .returning(GuildWordRow.id)
    )
    return replace(word, word_id=made.scalar_one()), True


def _refuse_too_many(there: Sequence[GuildWord], word: GuildWord) -> None:
    if len(there) >= MOST_WORDS:
        raise NotAllowed(
            f"The list has {MOST_WORDS} entries, which is the limit.", "Remove one of them first."
        )
    if word.is_pattern and sum(known.is_pattern for known in there) >= MOST_PATTERNS:
        raise NotAllowed(
            f"The list has {MOST_PATTERNS} patterns, which is the limit.",
            "Remove one of them first, or add plain words.",
        )


def take_out(connection: Connection, guild: Guild, pattern: str) -> GuildWord | None:
    """Take an entry out by its pattern; returns what it was."""
    same = and_(_of(guild), GuildWordRow.pattern_key == key_of(pattern))
    row = connection.execute(select(GuildWordRow.__table__).where(same)).one_or_none()
    if row is None:
        return None
    connection.execute(delete(GuildWordRow).where(same))
    return _word(row)


def exported_words(connection: Connection) -> Iterator[dict[str, Any]]:
    """Every guild's list for `db export`."""
    chosen = select(GuildWordRow.__table__).order_by(GuildWordRow.id)
    for row in connection.execute(chosen).mappings().all():
        yield {key: value for key, value in row.items() if key not in ("id", "pattern_key")}


def _of(guild: Guild) -> ColumnElement[bool]:
    platform, guild_id = guild
    return and_(GuildWordRow.platform == platform, GuildWordRow.guild_id == guild_id)


def _word(row: AnyRow) -> GuildWord:
    then, side = Then[row.then.upper()], Side(row.side)
    return GuildWord(row.pattern, then, side, row.id, row.added_by, row.added_at)
