"""Who is not heard where. Functions of a connection, each one transaction."""

import dataclasses

from sqlalchemy import ColumnElement, Connection, delete, select

from bot.chat.limits.blocking import Block
from bot.store.moderation.tables import BlockRow
from bot.store.turns.rows import AnyRow
from bot.store.upserting import add_row


def find(connection: Connection, platform: str, guild_id: str, speaker_id: str) -> Block | None:
    """Somebody's block in a guild."""
    row = connection.execute(
        select(BlockRow.__table__).where(_is(platform, guild_id, speaker_id))
    ).first()
    return None if row is None else _block(row)


def add(connection: Connection, block: Block) -> Block | None:
    """Block somebody; the block that there was, unchanged, where they are."""
    if add_row(connection, BlockRow, dataclasses.asdict(block)):
        return None
    return find(connection, block.platform, block.guild_id, block.speaker_id)


def remove(connection: Connection, platform: str, guild_id: str, speaker_id: str) -> Block | None:
    """Take a block back."""
    there = find(connection, platform, guild_id, speaker_id)
    if there is not None:
        connection.execute(delete(BlockRow).where(_is(platform, guild_id, speaker_id)))
    return there


def listed(
    connection: Connection, platform: str, guild_id: str, *, limit: int = 1000
) -> list[Block]:
    """The blocks of a guild, the newest first."""
    rows = connection.execute(
        select(BlockRow.__table__)
        .where(BlockRow.platform == platform, BlockRow.guild_id == guild_id)
        .order_by(BlockRow.blocked_at.desc(), BlockRow.speaker_id)
        .limit(max(0, limit))
    )
    return [_block(row) for row in rows]


def _is(platform: str, guild_id: str, speaker_id: str) -> ColumnElement[bool]:
    return (
        (BlockRow.platform == platform)
        & (BlockRow.guild_id == guild_id)
        & (BlockRow.speaker_id == speaker_id)
    )


def _block(row: AnyRow) -> Block:
    return Block(
        row.platform, row.guild_id, row.speaker_id, row.name, row.blocked_by, row.blocked_at
    )
