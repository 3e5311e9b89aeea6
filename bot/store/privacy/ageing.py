"""What has grown old, found and taken out in small pieces. Functions of a connection."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, select, update

from bot.chat.privacy.people import Place
from bot.store.memory.staleness import forget_written_about
from bot.store.memory.tables import FactRow
from bot.store.privacy.forgetting import move_marks
from bot.store.scenes.tables import SceneRow
from bot.store.tables import ChannelRow, SwipeRow, TurnRow
from bot.store.turns.access import (
    conversations_of,
    lock_channels,
    message_ids_of,
    remove_turns,
)
from bot.store.turns.rows import CHANNEL_COLUMNS, batches, channel_key
from bot.store.turns.swipes import IS_RUNNING


def channels_after(connection: Connection, number: int, limit: int) -> list[Place]:
    """Some channels of every platform, in the order of the store's own numbers."""
    rows = connection.execute(
        select(ChannelRow.id, *CHANNEL_COLUMNS)
        .where(ChannelRow.id > number)
        .order_by(ChannelRow.id)
        .limit(limit)
    )
    return [Place(row.id, channel_key(row)) for row in rows]


def old_turns(connection: Connection, place: Place, before: datetime, limit: int) -> list[int]:
    """Some turns of any conversation of a channel that were said before; hidden ones, too."""
    being_written = select(SwipeRow.turn_id).where(IS_RUNNING)
    return list(
        connection.scalars(
            select(TurnRow.id)
            .where(
                TurnRow.conversation_id.in_(conversations_of(place.number)),
                TurnRow.created_at < before,
                TurnRow.id.not_in(being_written),
            )
            .order_by(TurnRow.id)
            .limit(limit)
        )
    )


def remove_old(connection: Connection, place: Place, turn_ids: Sequence[int]) -> None:
    """Take turns out with all that was made from them; what was pinned by hand stays."""
    lock_channels(connection, [place.number])
    there: list[int] = []
    for piece in batches(turn_ids):
        here = TurnRow.conversation_id.in_(conversations_of(place.number))
        there += connection.scalars(select(TurnRow.id).where(TurnRow.id.in_(piece), here))
        by_hand = (FactRow.turn_id.in_(piece)) & FactRow.repeats.is_(False)
        connection.execute(update(FactRow).where(by_hand).values(turn_id=None, message_id=None))
    messages = message_ids_of(connection, there)
    forget_written_about(connection, there)
    remove_turns(connection, place.number, there)
    move_marks(connection, place.number, messages)


def remove_old_rest(connection: Connection, place: Place, before: datetime) -> None:
    """Take out what is as old and no turn: scenes that had ended, messages pinned but not kept."""
    lock_channels(connection, [place.number])
    connection.execute(
        delete(SceneRow).where(SceneRow.channel_id == place.number, SceneRow.ended_at < before)
    )
    connection.execute(
        delete(FactRow).where(
            FactRow.channel_id == place.number,
            FactRow.repeats,
            FactRow.turn_id.is_(None),
            FactRow.created_at < before,
        )
    )


def has_old_rest(connection: Connection, place: Place, before: datetime) -> bool:
    """Whether :func:`remove_old_rest` would take anything out."""
    scene = select(SceneRow.id).where(
        SceneRow.channel_id == place.number, SceneRow.ended_at < before
    )
    fact = select(FactRow.id).where(
        FactRow.channel_id == place.number,
        FactRow.repeats,
        FactRow.turn_id.is_(None),
        FactRow.created_at < before,
    )
    return any(connection.scalar(chosen.limit(1)) is not None for chosen in (scene, fact))
