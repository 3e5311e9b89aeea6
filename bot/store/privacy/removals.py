"""Messages that are still to be taken off a platform. Functions of a connection."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, delete, select

from bot.chat.privacy.removals import Removal
from bot.store.privacy.tables import RemovalRow
from bot.store.turns.rows import batches


def to_remove(connection: Connection, platform: str, after: int, limit: int) -> list[Removal]:
    """The oldest after one."""
    rows = connection.execute(
        select(RemovalRow.__table__)
        .where(RemovalRow.platform == platform, RemovalRow.id > after)
        .order_by(RemovalRow.id)
        .limit(limit)
    )
    return [Removal(row.id, row.channel_id, row.parent_id, row.message_id) for row in rows]


def removed(connection: Connection, numbers: Sequence[int]) -> None:
    """These are gone, or cannot be taken away."""
    for piece in batches(numbers):
        connection.execute(delete(RemovalRow).where(RemovalRow.id.in_(piece)))


def exported_removals(connection: Connection) -> Iterator[dict[str, Any]]:
    """Every message that is still to be taken away, for `db export`."""
    rows = connection.execute(select(RemovalRow.__table__).order_by(RemovalRow.id))
    for row in rows.mappings().all():
        yield {name: value for name, value in row.items() if name != "id"}
