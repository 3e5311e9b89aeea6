"""Texts made from what people said (a summary, a fact), each with the turns that it came from.

Functions of a connection, each one transaction. What marks such a text stale stands with what
changes a turn: :func:`bot.store.turns.access.mark_stale`.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select

from bot.chat.messages import ChannelKey, Derived
from bot.errors import NotFound
from bot.store.privacy.left_out import is_seen
from bot.store.tables import ConversationRow, DerivedFromRow, DerivedRow, TurnRow
from bot.store.turns.access import find_channel, lock_channels, now, take_channel, usable_ids
from bot.store.turns.rows import AnyRow, batches


def keep_derived(
    connection: Connection,
    channel: ChannelKey,
    kind: str,
    text: str,
    turn_ids: Sequence[int],
    *,
    conversation_id: int | None = None,
) -> Derived:
    """Keep a text that was made from these turns of a channel.

    With `conversation_id` it is that conversation's, else the whole channel's. It is stale from the
    start when a turn of it has gone meanwhile. NotFound for a conversation of another channel.
    """
    channel_id: int = take_channel(connection, channel).id
    if conversation_id is not None:
        _check_conversation(connection, channel_id, conversation_id)
    wanted = set(turn_ids)
    there: set[int] = set()
    for piece in batches(usable_ids(wanted)):
        there.update(
            connection.scalars(
                select(TurnRow.id)
                .join(ConversationRow, ConversationRow.id == TurnRow.conversation_id)
                .where(TurnRow.id.in_(piece), ConversationRow.channel_id == channel_id)
                .where(is_seen())
            )
        )
    row = connection.execute(
        insert(DerivedRow)
        .values(
            channel_id=channel_id,
            conversation_id=conversation_id,
            kind=kind,
            text=text,
            created_at=now(),
            is_stale=there != wanted,
        )
        .returning(*DerivedRow.__table__.columns)
    ).one()
    if there:
        links = [{"derived_id": row.id, "turn_id": turn_id} for turn_id in sorted(there)]
        connection.execute(insert(DerivedFromRow), links)
    return _derived(row, channel, sorted(there))


def derived(
    connection: Connection, channel: ChannelKey, *, kind: str | None = None
) -> list[Derived]:
    """What is kept of a channel, the oldest first; of one kind, or of every."""
    channel_id = find_channel(connection, channel)
    if channel_id is None:
        return []
    chosen = select(DerivedRow.__table__).where(DerivedRow.channel_id == channel_id)
    if kind is not None:
        chosen = chosen.where(DerivedRow.kind == kind)
    rows = connection.execute(chosen.order_by(DerivedRow.id)).all()
    sources: dict[int, list[int]] = {row.id: [] for row in rows}
    for piece in batches(list(sources)):
        links = connection.execute(
            select(DerivedFromRow.derived_id, DerivedFromRow.turn_id)
            .where(DerivedFromRow.derived_id.in_(piece))
            .order_by(DerivedFromRow.turn_id)
        )
        for link in links:
            sources[link.derived_id].append(link.turn_id)
    return [_derived(row, channel, sources[row.id]) for row in rows]


def remove_derived(connection: Connection, derived_ids: Sequence[int]) -> int:
    """Take derived texts out. Returns how many went."""
    gone = 0
    for piece in batches(usable_ids(derived_ids)):
        channels = select(DerivedRow.channel_id).where(DerivedRow.id.in_(piece))
        lock_channels(connection, set(connection.scalars(channels)))
        gone += connection.execute(delete(DerivedRow).where(DerivedRow.id.in_(piece))).rowcount
    return gone


def _check_conversation(connection: Connection, channel_id: int, conversation_id: int) -> None:
    found = select(ConversationRow.id).where(
        ConversationRow.id.in_(usable_ids([conversation_id])),
        ConversationRow.channel_id == channel_id,
    )
    if connection.scalar(found) is None:
        raise NotFound("That conversation is not there any more.")


def _derived(row: AnyRow, channel: ChannelKey, turn_ids: Sequence[int]) -> Derived:
    return Derived(
        derived_id=row.id,
        channel=channel,
        conversation_id=row.conversation_id,
        kind=row.kind,
        text=row.text,
        turn_ids=tuple(turn_ids),
        created_at=row.created_at,
        is_stale=row.is_stale,
    )
