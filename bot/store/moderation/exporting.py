"""Moderation for `db export`."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, select

from bot.store.moderation.purging import unfinished
from bot.store.moderation.tables import BlockRow, LogChannelRow, PurgeRow
from bot.store.tables import ChannelRow


def blocks(connection: Connection) -> Iterator[dict[str, Any]]:
    """Everybody who is not heard somewhere."""
    for row in connection.execute(select(BlockRow.__table__)).mappings():
        yield {**row}


def log_channels(connection: Connection) -> Iterator[dict[str, Any]]:
    """Every guild's log channel."""
    for row in connection.execute(select(LogChannelRow.__table__)).mappings():
        yield {**row}


def purges(connection: Connection) -> Iterator[dict[str, Any]]:
    """Every purge that is not over, with the messages that are still to go."""
    platforms = (
        select(ChannelRow.platform).join(PurgeRow, PurgeRow.channel_id == ChannelRow.id).distinct()
    )
    for platform in connection.scalars(platforms).all():
        for purge in unfinished(connection, platform):
            yield dataclasses.asdict(purge)
