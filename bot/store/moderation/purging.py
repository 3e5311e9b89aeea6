"""Takes exchanges out for good. Functions of a connection, each one transaction."""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, insert, or_, select

from bot.chat.messages import ChannelKey
from bot.chat.moderation.purges import Purge, PurgedMessage, PurgePlan, PurgeWish
from bot.store.memory.staleness import forget_written_about
from bot.store.moderation.tables import PurgeMessageRow, PurgeRow
from bot.store.tables import AskerRow, ChannelRow, ConversationRow, MessageRow, TurnRow
from bot.store.turns.access import (
    conversations_of,
    find_channel,
    forget_quotes_where,
    now,
    remove_turns,
)
from bot.store.turns.rows import CHANNEL_COLUMNS, AnyRow, batches, channel_key

OLDEST_SHOWN = 3

_COLUMNS = (
    TurnRow.id,
    TurnRow.role,
    TurnRow.answered_by,
    TurnRow.speaker_id,
    TurnRow.created_at,
)

# The time alone finds them: with a guild beside it, SQLite would go through all turns of the guild.
_HAS_MESSAGE = select(MessageRow.turn_id).where(MessageRow.turn_id == TurnRow.id).exists()
_OF_TIMES = (
    select(
        *_COLUMNS,
        TurnRow.text,
        ConversationRow.channel_id,
        or_(
            (TurnRow.role == "user") & ~_HAS_MESSAGE,
            (TurnRow.role == "bot") & (TurnRow.created_at < ConversationRow.created_at),
        ).label("is_copied"),
    )
    .join(ConversationRow, ConversationRow.id == TurnRow.conversation_id)
    .where(TurnRow.created_at.in_(bindparam("moments", expanding=True)))
)


def make_plan(connection: Connection, wish: PurgeWish) -> PurgePlan:
    """What would go now."""
    channel_id = find_channel(connection, wish.channel)
    return _plan(connection, wish, channel_id, _chosen(connection, wish, channel_id))


def purge(connection: Connection, plan: PurgePlan, *, by: str) -> Purge | None:
    """Take it out. None, and nothing done, where it is no longer the same."""
    wish = plan.wish
    channel_id = find_channel(connection, wish.channel, lock=True)
    rows = _chosen(connection, wish, channel_id)
    if channel_id is None or _digest(rows) != plan.digest:
        return None
    purged = _take_out(connection, plan, wish.channel, channel_id, rows, by)
    if wish.speaker_id and wish.since is None and wish.exchanges is None:
        # Others may quote what was never kept of theirs.
        forget_quotes_where(connection, channel_id, TurnRow.quoted_speaker_id == wish.speaker_id)
    return purged


def channels_with_copies(connection: Connection, plan: PurgePlan) -> list[ChannelKey]:
    """Where forks have copies of what would go now."""
    found = {row.channel_id for row in _copies(connection, plan)}
    rows = connection.execute(select(*CHANNEL_COLUMNS).where(ChannelRow.id.in_(found)))
    return [channel_key(row) for row in rows]


def purge_copies(
    connection: Connection, plan: PurgePlan, channel: ChannelKey, *, by: str
) -> Purge | None:
    """Take out a channel's copies of what the plan means. None where there are none (any more)."""
    channel_id = find_channel(connection, channel, lock=True)
    rows = [row for row in _copies(connection, plan) if row.channel_id == channel_id]
    if channel_id is None or not rows:
        return None
    return _take_out(connection, plan, channel, channel_id, rows, by)


def _take_out(
    connection: Connection,
    plan: PurgePlan,
    channel: ChannelKey,
    channel_id: int,
    rows: Sequence[AnyRow],
    by: str,
) -> Purge:
    wish = plan.wish
    turn_ids = sorted(row.id for row in rows)
    messages = _messages(connection, turn_ids)
    asked_at = now()
    purge_id = connection.scalars(
        insert(PurgeRow)
        .values(
            channel_id=channel_id,
            asked_by=by,
            asked_at=asked_at,
            speaker_id=wish.speaker_id,
            exchanges=plan.exchanges,
        )
        .returning(PurgeRow.id)
    ).one()
    for piece in batches(messages):
        values = [
            {"purge_id": purge_id, "message_id": each.message_id, "is_own": each.is_own}
            for each in piece
        ]
        connection.execute(insert(PurgeMessageRow), values)
    forget_written_about(connection, turn_ids)
    remove_turns(connection, channel_id, turn_ids)
    if not messages:
        connection.execute(delete(PurgeRow).where(PurgeRow.id == purge_id))
    return Purge(
        purge_id,
        channel,
        by,
        asked_at,
        wish.speaker_id,
        plan.exchanges,
        tuple(messages),
    )


def gone(connection: Connection, purge_id: int, message_ids: Sequence[str]) -> None:
    """These messages are gone, or will never be. With the last of them, the purge is over."""
    of_purge = PurgeMessageRow.purge_id == purge_id
    for piece in batches(message_ids):
        connection.execute(
            delete(PurgeMessageRow).where(of_purge, PurgeMessageRow.message_id.in_(piece))
        )
    if connection.scalar(select(PurgeMessageRow.message_id).where(of_purge).limit(1)) is None:
        connection.execute(delete(PurgeRow).where(PurgeRow.id == purge_id))


def unfinished(connection: Connection, platform: str) -> list[Purge]:
    """Purges that are not over, the oldest first."""
    rows = connection.execute(
        select(PurgeRow.__table__, *CHANNEL_COLUMNS)
        .join(ChannelRow, ChannelRow.id == PurgeRow.channel_id)
        .where(ChannelRow.platform == platform)
        .order_by(PurgeRow.id)
    ).all()
    return [
        Purge(
            row.id,
            channel_key(row),
            row.asked_by,
            row.asked_at,
            row.speaker_id,
            row.exchanges,
            tuple(
                PurgedMessage(message.message_id, message.is_own)
                for message in connection.execute(
                    select(PurgeMessageRow.message_id, PurgeMessageRow.is_own).where(
                        PurgeMessageRow.purge_id == row.id
                    )
                )
            ),
        )
        for row in rows
    ]


# What is chosen ----------------------------------------------------------------------------------


def _chosen(connection: Connection, wish: PurgeWish, channel_id: int | None) -> list[AnyRow]:
    """The turns that a wish means: hidden ones and earlier conversations' too."""
    if channel_id is None:
        return []
    here = select(*_COLUMNS).where(TurnRow.conversation_id.in_(conversations_of(channel_id)))
    found = {row.id: row for row in connection.execute(here.where(*_meant_by(wish)))}
    answers = {row.answered_by for row in found.values() if row.role == "user"} - {None, *found}
    for piece in batches(sorted(answers)):
        replies = connection.execute(here.where(TurnRow.id.in_(piece), TurnRow.role == "bot"))
        found |= {row.id: row for row in replies}
    rows = list(found.values())
    return rows if wish.exchanges is None else _newest(rows, wish.exchanges)


def _copies(connection: Connection, plan: PurgePlan) -> list[AnyRow]:
    """The copies in forks of what a plan means, with their channels.

    A copy has its original's speaker and time. It is older than its conversation, and has no
    message of whoever said it. What reads as something that stays is a copy of that.
    """
    wish = plan.wish
    channel_id = find_channel(connection, wish.channel)
    originals = _chosen(connection, wish, channel_id)
    said = {_said(row) for row in originals}
    known = {row.id for row in originals}
    found: list[AnyRow] = []
    for piece in batches(sorted({row.created_at for row in originals})):
        others = [
            row
            for row in connection.execute(_OF_TIMES, {"moments": piece})
            if row.id not in known and _said(row) in said
        ]
        stays = {
            _said(row): row.text
            for row in others
            if row.role == "user" and row.channel_id == channel_id
        }
        found += [row for row in others if row.is_copied and stays.get(_said(row)) != row.text]
    reached = _within_reach(connection, wish.channel, {row.channel_id for row in found})
    return [row for row in found if row.channel_id in reached]


def _within_reach(
    connection: Connection, channel: ChannelKey, channel_ids: Collection[int]
) -> set[int]:
    """Those channels into which one's turns may have been copied."""
    if channel.guild_id is None:  # forked in the same channel
        here = ChannelRow.platform_channel_id == channel.channel_id
    else:
        here = ChannelRow.guild_id == channel.guild_id
    found: set[int] = set()
    for piece in batches(sorted(channel_ids)):
        of_guild = (ChannelRow.platform == channel.platform) & here
        found.update(
            connection.scalars(select(ChannelRow.id).where(ChannelRow.id.in_(piece), of_guild))
        )
    return found


def _said(row: AnyRow) -> tuple[str, str, datetime]:
    return row.role, row.speaker_id, row.created_at


def _meant_by(wish: PurgeWish) -> Iterator[ColumnElement[bool]]:
    if wish.speaker_id:
        asked = select(AskerRow.turn_id).where(AskerRow.speaker_id == wish.speaker_id)
        theirs = (TurnRow.speaker_id == wish.speaker_id) & (TurnRow.role == "user")
        yield theirs | TurnRow.id.in_(asked)
    if wish.since is not None:
        yield TurnRow.created_at >= wish.since
    if wish.until_turn is not None:
        yield TurnRow.id <= wish.until_turn


def _exchange(row: AnyRow) -> int:
    return row.id if row.role == "bot" or row.answered_by is None else row.answered_by


def _newest(rows: Iterable[AnyRow], exchanges: int) -> list[AnyRow]:
    groups: dict[int, list[AnyRow]] = {}
    for row in rows:
        groups.setdefault(_exchange(row), []).append(row)
    newest_first = sorted(groups.values(), key=lambda group: -max(row.id for row in group))
    return [row for group in newest_first[: max(0, exchanges)] for row in group]


def _plan(
    connection: Connection, wish: PurgeWish, channel_id: int | None, rows: list[AnyRow]
) -> PurgePlan:
    if wish.until_turn is None:
        newest = select(func.max(TurnRow.id)).join(
            ConversationRow, ConversationRow.id == TurnRow.conversation_id
        )
        in_channel = newest.where(ConversationRow.channel_id == channel_id)
        wish = replace(wish, until_turn=connection.scalar(in_channel) or 0)
    said_by = {row.id: row.speaker_id if row.role == "user" else "" for row in rows}
    counts: dict[str, int] = {}
    for piece in batches(sorted(said_by)):
        found = connection.execute(
            select(MessageRow.turn_id, func.count())
            .where(MessageRow.turn_id.in_(piece))
            .group_by(MessageRow.turn_id)
        )
        for turn_id, count in found:
            counts[said_by[turn_id]] = counts.get(said_by[turn_id], 0) + count
    oldest = sorted(said_by)[:OLDEST_SHOWN]
    return PurgePlan(
        wish,
        exchanges=len({_exchange(row) for row in rows}),
        turns=len(rows),
        digest=_digest(rows),
        own_messages=counts.pop("", 0),
        people=counts,
        oldest=min((row.created_at for row in rows), default=None),
        oldest_message_ids=tuple(each.message_id for each in _messages(connection, oldest)[::-1]),
    )


def _digest(rows: Iterable[AnyRow]) -> str:
    numbers = ",".join(str(number) for number in sorted(row.id for row in rows))
    return hashlib.sha256(numbers.encode()).hexdigest()


def _messages(connection: Connection, turn_ids: Sequence[int]) -> list[PurgedMessage]:
    """The platform's messages of these turns, the newest first."""
    found: list[PurgedMessage] = []
    for piece in batches(turn_ids):
        rows = connection.execute(
            select(MessageRow.message_id, TurnRow.role)
            .join(TurnRow, TurnRow.id == MessageRow.turn_id)
            .where(MessageRow.turn_id.in_(piece))
            .order_by(MessageRow.turn_id, MessageRow.position)
        )
        found += [PurgedMessage(row.message_id, row.role == "bot") for row in rows]
    return found[::-1]
