"""What follows from changes of messages and turns for what is remembered of them.

A fact that repeats a kept turn needs nothing of this: it reads as the turn does, and goes with it.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, bindparam, delete, insert, select, text, update

from bot.store.columns import RowId
from bot.store.memory.tables import FactRow, WordsDueRow
from bot.store.privacy.left_out import stays_out
from bot.store.turns.rows import batches


def has_facts_of(connection: Connection, channel_id: int, message_ids: Sequence[str]) -> bool:
    """Whether anything was pinned of these messages, beside what repeats kept turns."""
    return any(
        connection.scalar(select(FactRow.id).where(_of_messages(channel_id, piece)).limit(1))
        for piece in batches(message_ids)
    )


def forget_facts_of(connection: Connection, channel_id: int, message_ids: Sequence[str]) -> None:
    """These messages are gone: so is what was pinned of them."""
    for piece in batches(message_ids):
        connection.execute(delete(FactRow).where(_of_messages(channel_id, piece)))


def update_facts_of(
    connection: Connection, channel_id: int, message_ids: Sequence[str], says: str
) -> int:
    """These messages say something else: so does what repeats them. Returns how many facts do."""
    changed = 0
    for piece in batches(message_ids):
        changed += connection.execute(
            update(FactRow)
            .where(_of_messages(channel_id, piece), FactRow.repeats)
            .where(~stays_out(FactRow.said_by))
            .values(text=says)
        ).rowcount
    return changed


def let_go_of_turn(connection: Connection, turn_id: int, message_id: str) -> None:
    """A turn goes, but not its message: what was pinned stays that message's."""
    connection.execute(
        update(FactRow)
        .where(FactRow.turn_id == turn_id)
        .values(turn_id=None, message_id=message_id)
    )


def hold_on_to_turn(connection: Connection, channel_id: int, message_id: str, turn_id: int) -> None:
    """A message is kept as a turn now: what was pinned of it is that turn's."""
    where = _of_messages(channel_id, [message_id])
    connection.execute(update(FactRow).where(where, FactRow.repeats).values(text=""))
    connection.execute(update(FactRow).where(where).values(turn_id=turn_id, message_id=None))


def forget_facts_of_guild(connection: Connection, guild_id: str) -> None:
    """Take out what was pinned to personas in a guild."""
    connection.execute(delete(FactRow).where(FactRow.guild_id == guild_id))


def forget_facts_of_personas(connection: Connection, persona_ids: Sequence[str]) -> None:
    """Take out what was pinned to personas that have gone for good."""
    connection.execute(delete(FactRow).where(FactRow.persona_id.in_(persona_ids)))


_IS_DUE = text(
    "INSERT INTO words_due (turn_id, version) SELECT id, 0 FROM turns WHERE id IN :turn_ids"
    " ON CONFLICT (turn_id) DO UPDATE SET version = words_due.version + 1"
).bindparams(bindparam("turn_ids", expanding=True, type_=RowId))
_NEW = insert(WordsDueRow).values(turn_id=bindparam("turn_id"), version=0)
_TAKE_OUT = {
    database: text(f"DELETE FROM turn_search WHERE {key} IN :turn_ids").bindparams(  # noqa: S608
        bindparam("turn_ids", expanding=True, type_=RowId)
    )
    for database, key in (("sqlite", "rowid"), ("postgresql", "turn_id"))
}


def words_due(connection: Connection, turn_id: int) -> None:
    """A turn is new: its words are to be looked at."""
    connection.execute(_NEW, {"turn_id": turn_id})


def words_changed(connection: Connection, turn_ids: Sequence[int]) -> None:
    """What these turns say changes: they are not found until their words are looked at.

    See :mod:`bot.store.memory.search`.
    """
    for piece in batches([number for number in turn_ids if number > 0]):
        take_out_marks(connection, piece)
        connection.execute(_IS_DUE, {"turn_ids": piece})


def take_out_marks(connection: Connection, turn_ids: Sequence[int]) -> None:
    """Let turns be found no more. Call it also where turns go: in SQLite, nothing else does."""
    connection.execute(_TAKE_OUT[connection.dialect.name], {"turn_ids": turn_ids})


def _of_messages(channel_id: int, message_ids: Sequence[str]) -> ColumnElement[bool]:
    return (FactRow.channel_id == channel_id) & FactRow.message_id.in_(message_ids)
