"""What personas and lorebooks of a guild have in common in the database."""

from collections.abc import Sequence
from typing import TypeAlias

from sqlalchemy import ColumnElement, Connection, func, select, text

from bot.chat.personas.guild.kept import Limits
from bot.errors import UserError
from bot.store.connecting.connection import is_postgres
from bot.store.personas.tables import LorebookRow, PersonaRow
from bot.store.turns.access import LARGEST_ID, now

KeptRows: TypeAlias = type[PersonaRow] | type[LorebookRow]


def number_of(kept_id: str, form: str) -> int:
    """The row's number in an id such as `guild:12`; 0, which no row has, for any other text."""
    beginning = form.removesuffix("{}")
    digits = kept_id.removeprefix(beginning)
    if not kept_id.startswith(beginning) or not (digits.isascii() and digits.isdigit()):
        return 0
    number = int(digits) if len(digits) < 20 else 0
    return number if number <= LARGEST_ID else 0


def lock_guilds(connection: Connection) -> None:
    """One change at a time, so that limits hold and names stay unique. Readers don't wait."""
    if is_postgres(connection):
        connection.execute(text("LOCK TABLE guild_personas, lorebooks IN SHARE ROW EXCLUSIVE MODE"))


def is_there(rows: KeptRows, guild_id: str, number: int) -> ColumnElement[bool]:
    """The condition for one of a guild's that was not deleted."""
    return (rows.id == number) & of_guild(rows, guild_id)


def of_guild(rows: KeptRows, guild_id: str) -> ColumnElement[bool]:
    """The condition for all of a guild's that were not deleted."""
    return (rows.guild_id == guild_id) & rows.deleted_at.is_(None)


def has_name(rows: KeptRows, guild_id: str, name_key: str) -> ColumnElement[bool]:
    """The condition for the one of a guild's with this name, as names are compared."""
    return of_guild(rows, guild_id) & (rows.name_key == name_key)


def is_taken(
    connection: Connection, rows: KeptRows, guild_id: str, name_key: str, but: int = 0
) -> bool:
    """Whether another one in the guild has this name."""
    chosen = select(rows.id).where(has_name(rows, guild_id, name_key), rows.id != but)
    return connection.scalar(chosen) is not None


def count_of(connection: Connection, rows: KeptRows, guild_id: str) -> int:
    """How many a guild has, those that wait for an Undo left out."""
    chosen = select(func.count(rows.id)).where(of_guild(rows, guild_id))
    return connection.scalar(chosen) or 0


def first_columns(guild_id: str, by: str) -> dict[str, object]:
    """What the row of a new one says of who brought it, and when."""
    moment = now()
    return {
        "guild_id": guild_id,
        "revision": 1,
        "created_by": by,
        "created_at": moment,
        "edited_by": by,
        "edited_at": moment,
    }


def bytes_of(connection: Connection, guild_id: str) -> int:
    """What all of a guild's personas and lorebooks take, also those that wait for an Undo."""
    total = 0
    kinds: Sequence[KeptRows] = (PersonaRow, LorebookRow)
    for rows in kinds:
        chosen = select(func.coalesce(func.sum(rows.size_bytes), 0))
        total += int(connection.scalar(chosen.where(rows.guild_id == guild_id)) or 0)
    return total


def refuse_too_much(
    connection: Connection, guild_id: str, limits: Limits, error: type[UserError]
) -> None:
    """Raise the error where a guild keeps more than it may."""
    if bytes_of(connection, guild_id) > limits.total_bytes:
        raise error(
            f"This server's personas and lorebooks would take more than "
            f"{limits.total_bytes // 2**20} MiB, which is the limit.",
            "Delete some that nobody needs. What was deleted counts for ten minutes more.",
        )
