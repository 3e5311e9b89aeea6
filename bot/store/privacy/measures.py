"""What a person did as a moderator, and what was done about them: `/privacy export`.

Whom they blocked, whose messages they purged and who did so to them is not told: that is others'.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, or_, select

from bot.chat.privacy.ports import Field, Page
from bot.store.limits.tables import TokensSpentRow
from bot.store.moderation.tables import BlockRow, LogChannelRow, PurgeRow
from bot.store.privacy.pages import PAGE_ROWS, page_of, plain
from bot.store.tables import ChannelRow
from bot.store.turns.rows import CHANNEL_COLUMNS
from bot.store.words.tables import GuildWordRow


def words(connection: Connection, platform: str, speaker_id: str, after: int) -> Page:
    """Entries of servers' word lists that they wrote."""
    rows = connection.execute(
        select(GuildWordRow.__table__)
        .where(GuildWordRow.platform == platform, GuildWordRow.added_by == speaker_id)
        .where(GuildWordRow.id > after)
        .order_by(GuildWordRow.id)
        .limit(PAGE_ROWS)
    ).all()
    return page_of(
        rows,
        lambda row: {
            "guild_id": row.guild_id,
            "pattern": row.pattern,
            "then": row.then,
            "side": row.side,
            "added_at": plain(row.added_at),
        },
    )


def log_channels(connection: Connection, platform: str, speaker_id: str, after: int) -> Page:
    """Log channels that they chose: one a server."""
    rows = connection.execute(
        select(LogChannelRow.__table__)
        .where(LogChannelRow.platform == platform, LogChannelRow.set_by == speaker_id)
        .order_by(LogChannelRow.guild_id)
        .offset(after)
        .limit(PAGE_ROWS)
    ).all()
    items = [
        {"guild_id": row.guild_id, "channel_id": row.channel_id, "set_at": plain(row.set_at)}
        for row in rows
    ]
    return _counted(items, after)


def blocks(connection: Connection, platform: str, speaker_id: str, after: int) -> Page:
    """Where they are blocked, and where they blocked somebody."""
    about_them = or_(BlockRow.speaker_id == speaker_id, BlockRow.blocked_by == speaker_id)
    rows = connection.execute(
        select(BlockRow.__table__)
        .where(BlockRow.platform == platform, about_them)
        .order_by(BlockRow.guild_id, BlockRow.speaker_id)
        .offset(after)
        .limit(PAGE_ROWS)
    ).all()
    items = [
        {
            "guild_id": row.guild_id,
            "you_are_blocked": row.speaker_id == speaker_id,
            "blocked_by_you": row.blocked_by == speaker_id,
            "name": row.name if row.speaker_id == speaker_id else None,
            "blocked_at": plain(row.blocked_at),
        }
        for row in rows
    ]
    return _counted(items, after)


def purges(connection: Connection, platform: str, speaker_id: str, after: int) -> Page:
    """Purges that still go on: asked for by them, or of their messages."""
    about_them = or_(PurgeRow.asked_by == speaker_id, PurgeRow.speaker_id == speaker_id)
    rows = connection.execute(
        select(*PurgeRow.__table__.columns, *CHANNEL_COLUMNS)
        .join(ChannelRow, ChannelRow.id == PurgeRow.channel_id)
        .where(ChannelRow.platform == platform, about_them, PurgeRow.id > after)
        .order_by(PurgeRow.id)
        .limit(PAGE_ROWS)
    ).all()
    return page_of(
        rows,
        lambda row: {
            "guild_id": row.guild_id,
            "channel_id": row.platform_channel_id,
            "asked_at": plain(row.asked_at),
            "asked_by_you": row.asked_by == speaker_id,
            "of_your_messages": row.speaker_id == speaker_id,
            "exchanges": row.exchanges,
        },
    )


def tokens_spent(connection: Connection, platform: str, speaker_id: str, after: int) -> Page:
    """How much was written for them, where quotas count it: of one day, the newest."""
    here = TokensSpentRow.home.startswith(f"{platform}:", autoescape=True)
    rows = connection.execute(
        select(TokensSpentRow.__table__)
        .where(TokensSpentRow.speaker_id == speaker_id, here)
        .order_by(TokensSpentRow.home, TokensSpentRow.day)
        .offset(after)
        .limit(PAGE_ROWS)
    ).all()
    items = [{"home": row.home, "day": row.day.isoformat(), "tokens": row.tokens} for row in rows]
    return _counted(items, after)


def _counted(items: Sequence[Mapping[str, Field]], after: int) -> Page:
    """A page of rows that have no number of their own: they are counted."""
    return Page(items, after + PAGE_ROWS if len(items) == PAGE_ROWS else None)
