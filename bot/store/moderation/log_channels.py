"""The log channels of guilds. Functions of a connection, each one transaction."""

from sqlalchemy import ColumnElement, Connection, case, delete, select, update

from bot.chat.moderation.log_channels import LogChannel
from bot.store.moderation.tables import LogChannelRow
from bot.store.upserting import put_row


def find(connection: Connection, platform: str, guild_id: str) -> LogChannel | None:
    """A guild's."""
    row = connection.execute(select(LogChannelRow.__table__).where(_of(platform, guild_id))).first()
    if row is None:
        return None
    return LogChannel(
        row.platform,
        row.guild_id,
        row.channel_id,
        row.set_by,
        row.set_at,
        row.problem,
        row.untold,
    )


def put(connection: Connection, log: LogChannel) -> None:
    """Let a guild have this one, in place of any other. Its number of lines untold stays."""
    key = {"platform": log.platform, "guild_id": log.guild_id}
    values = {
        "channel_id": log.channel_id,
        "set_by": log.set_by,
        "set_at": log.set_at,
        "problem": log.problem,
    }
    put_row(connection, LogChannelRow, key, values)


def remove(connection: Connection, platform: str, guild_id: str) -> LogChannel | None:
    """Switch a guild's off; returns what it was."""
    there = find(connection, platform, guild_id)
    connection.execute(delete(LogChannelRow).where(_of(platform, guild_id)))
    return there


def note_problem(connection: Connection, log: LogChannel, problem: str) -> None:
    """Write no more to it, for this reason ("": write again), unless the guild has another."""
    connection.execute(
        update(LogChannelRow)
        .where(_of(log.platform, log.guild_id), LogChannelRow.channel_id == log.channel_id)
        .values(problem=problem)
    )


def count_untold(connection: Connection, platform: str, guild_id: str, more: int) -> None:
    """Count lines that could not be told, or take away (below 0) what has been told of them."""
    untold = LogChannelRow.untold + more
    connection.execute(
        update(LogChannelRow)
        .where(_of(platform, guild_id))
        .values(untold=case((untold < 0, 0), else_=untold))
    )


def with_untold(connection: Connection, platform: str) -> list[str]:
    """The guilds that are to be told of a number of lines, by their ids."""
    here = (LogChannelRow.platform == platform) & (LogChannelRow.untold > 0)
    return list(connection.scalars(select(LogChannelRow.guild_id).where(here)).all())


def _of(platform: str, guild_id: str) -> ColumnElement[bool]:
    return (LogChannelRow.platform == platform) & (LogChannelRow.guild_id == guild_id)
