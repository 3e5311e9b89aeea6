"""Who speaks in a channel beside its main persona: functions of a connection."""

from sqlalchemy import Connection, delete, func, insert, select, text

from bot.errors import NotAllowed
from bot.store.connecting.connection import is_postgres
from bot.store.personas.tables import CastRow
from bot.store.turns.access import now

MOST_IN_A_CAST = 25


def cast(connection: Connection, scope_id: str) -> list[str]:
    """The ids of the personas, in the order in which they were added."""
    chosen = select(CastRow.persona_id).where(CastRow.scope_id == scope_id).order_by(CastRow.id)
    return list(connection.scalars(chosen))


def add_to_cast(
    connection: Connection, scope_id: str, guild_id: str | None, persona_id: str, by: str
) -> bool:
    """Add one at the end; False if it is there. Raises NotAllowed where there are too many."""
    if is_postgres(connection):
        connection.execute(text("LOCK TABLE channel_casts IN SHARE ROW EXCLUSIVE MODE"))
    here = CastRow.scope_id == scope_id
    if connection.scalar(select(CastRow.id).where(here, CastRow.persona_id == persona_id)):
        return False
    if (connection.scalar(select(func.count(CastRow.id)).where(here)) or 0) >= MOST_IN_A_CAST:
        raise NotAllowed(
            f"{MOST_IN_A_CAST} personas speak here beside the main one, which is the limit.",
            "Take one out with `/persona remove`.",
        )
    connection.execute(
        insert(CastRow).values(
            scope_id=scope_id,
            guild_id=guild_id,
            persona_id=persona_id,
            added_by=by,
            added_at=now(),
        )
    )
    return True


def remove_from_cast(connection: Connection, scope_id: str, persona_id: str) -> bool:
    """Take one out; False if it isn't there."""
    gone = connection.execute(
        delete(CastRow).where(CastRow.scope_id == scope_id, CastRow.persona_id == persona_id)
    )
    return gone.rowcount > 0
