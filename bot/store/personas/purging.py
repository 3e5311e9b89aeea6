"""What goes for good: deleted personas and lorebooks after a while, a guild's or person's all."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, select, update

from bot.chat.personas.guild.kept import GUILD_ID, LORE_ID, Purged
from bot.store.memory.upkeep import forget_facts_of_guild, forget_facts_of_personas
from bot.store.personas.access import KeptRows, lock_guilds
from bot.store.personas.tables import (
    CastRow,
    LorebookPlaceRow,
    LorebookRow,
    PersonaRow,
    PersonaVersionRow,
)
from bot.store.scenes.purging import remove_guild_scenes, remove_personas
from bot.store.turns.rows import batches
from bot.store.words.keeping import remove_guild_words


def is_due(connection: Connection, before: datetime) -> bool:
    """Whether :func:`purge` would take anything away."""
    kinds: Sequence[KeptRows] = (PersonaRow, LorebookRow)
    return any(
        connection.scalar(select(rows.id).where(rows.deleted_at < before).limit(1)) is not None
        for rows in kinds
    )


def purge(connection: Connection, before: datetime) -> Purged:
    """Take away for good what was deleted before, personas and lorebooks."""
    lock_guilds(connection)
    personas = _numbers(connection, PersonaRow, PersonaRow.deleted_at < before)
    books = _numbers(connection, LorebookRow, LorebookRow.deleted_at < before)
    return _take_away(connection, personas, books)


def remove_guild(connection: Connection, guild_id: str) -> Purged:
    """Take away at once all that a guild has of its own."""
    lock_guilds(connection)
    personas = _numbers(connection, PersonaRow, PersonaRow.guild_id == guild_id)
    books = _numbers(connection, LorebookRow, LorebookRow.guild_id == guild_id)
    connection.execute(delete(CastRow).where(CastRow.guild_id == guild_id))
    forget_facts_of_guild(connection, guild_id)
    remove_guild_scenes(connection, guild_id)
    remove_guild_words(connection, guild_id)
    return _take_away(connection, personas, books)


def forget_person(connection: Connection, speaker_id: str) -> None:
    """Keep nobody's name on what they made for a guild: it is the guild's, and stays."""
    for rows in (PersonaRow, LorebookRow):
        for column in (rows.created_by, rows.edited_by, rows.deleted_by):
            connection.execute(update(rows).where(column == speaker_id).values({column: ""}))
    connection.execute(
        update(PersonaVersionRow)
        .where(PersonaVersionRow.written_by == speaker_id)
        .values(written_by="")
    )
    connection.execute(update(CastRow).where(CastRow.added_by == speaker_id).values(added_by=""))


def _numbers(connection: Connection, rows: KeptRows, condition: object) -> list[int]:
    return list(connection.scalars(select(rows.id).where(condition)))  # type: ignore[arg-type]


def _take_away(connection: Connection, personas: list[int], books: list[int]) -> Purged:
    digests: set[str] = set()
    for piece in batches(personas):
        digests.update(
            connection.scalars(
                select(PersonaRow.picture_sha256).where(
                    PersonaRow.id.in_(piece), PersonaRow.picture_sha256 != ""
                )
            )
        )
        ids = [GUILD_ID.format(number) for number in piece]
        connection.execute(delete(CastRow).where(CastRow.persona_id.in_(ids)))
        forget_facts_of_personas(connection, ids)
        remove_personas(connection, ids)
        connection.execute(
            delete(LorebookPlaceRow).where(
                LorebookPlaceRow.scope == "persona", LorebookPlaceRow.scope_id.in_(ids)
            )
        )
        connection.execute(delete(PersonaRow).where(PersonaRow.id.in_(piece)))
    for piece in batches(books):
        connection.execute(delete(LorebookRow).where(LorebookRow.id.in_(piece)))
    for piece in batches(sorted(digests)):
        digests.difference_update(
            connection.scalars(
                select(PersonaRow.picture_sha256).where(PersonaRow.picture_sha256.in_(piece))
            )
        )
    gone = [GUILD_ID.format(number) for number in personas]
    gone += [LORE_ID.format(number) for number in books]
    return Purged(tuple(gone), tuple(sorted(digests)))
