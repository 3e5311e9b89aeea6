"""The last exchange, taken back and brought back: functions of a connection, each a transaction."""

from collections.abc import Sequence

from sqlalchemy import Connection, update

from bot.chat.messages import ChannelKey
from bot.store.memory.staleness import mark_stale_among
from bot.store.privacy.left_out import is_seen
from bot.store.tables import TurnRow
from bot.store.turns.access import (
    current_conversation,
    find_channel,
    lock_channels_of,
    mark_stale,
    now,
    usable_ids,
)
from bot.store.turns.conversations import newest_reply
from bot.store.turns.rows import batches


def hide_last_exchange(
    connection: Connection, channel: ChannelKey, *, only_of: str | None = None
) -> list[int]:
    """Hide the newest reply, what it answered and anything after it. Returns the turn ids.

    With `only_of`, the newest reply to that person alone, and what they have said since.
    """
    find_channel(connection, channel, lock=True)
    conversation = current_conversation(connection, channel)
    if conversation is None:
        return []
    reply = newest_reply(connection, conversation, only_of)
    if reply is None:
        return []
    since = TurnRow.id >= reply
    if only_of is not None:
        is_theirs = (TurnRow.role == "user") & (TurnRow.speaker_id == only_of)
        since &= (TurnRow.id == reply) | is_theirs
    hidden: list[int] = []
    asked = (TurnRow.role == "user") & (TurnRow.answered_by == reply)
    for part in (since, asked):  # each has an index
        hidden += connection.scalars(
            update(TurnRow)
            .where(TurnRow.conversation_id == conversation, is_seen(), part)
            .values(hidden_at=now())
            .returning(TurnRow.id)
        )
    mark_stale(connection, hidden)
    return sorted(hidden)


def unhide(connection: Connection, turn_ids: Sequence[int]) -> None:
    """Bring hidden turns back; those deleted meanwhile stay gone."""
    lock_channels_of(connection, turn_ids)
    mark_stale(connection, usable_ids(turn_ids))
    mark_stale_among(connection, usable_ids(turn_ids))
    for piece in batches(usable_ids(turn_ids)):
        connection.execute(update(TurnRow).where(TurnRow.id.in_(piece)).values(hidden_at=None))
