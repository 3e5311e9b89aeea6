"""The swipes of a bot's turn, and the messages that hold it. Functions of a connection."""

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, delete, insert, literal_column, select, update

from bot.chat.messages import TurnState
from bot.errors import NotFound
from bot.store.tables import (
    MessageRow,
    RunRow,
    SwipeRow,
    TurnRow,
)
from bot.store.turns.access import (
    mark_stale,
    message_ids_of,
    remove_turns,
)
from bot.store.turns.rows import AnyRow, batches

RUNNING = TurnState.RUNNING.value
# The value stands in the statement: as a parameter it would hide from SQLite that the index of what
# is running holds all of them.
IS_RUNNING = SwipeRow.state == literal_column(f"'{RUNNING}'")


_SWIPES = (
    select(SwipeRow.__table__)
    .where(SwipeRow.turn_id == bindparam("turn_id"))
    .order_by(SwipeRow.position)
)


def swipes_of(connection: Connection, turn_id: int) -> Sequence[AnyRow]:
    return connection.execute(_SWIPES, {"turn_id": turn_id}).all()


def runs(swipe: AnyRow) -> bool:
    return swipe.state == RUNNING


def written_swipe(connection: Connection, row: AnyRow, position: int | None) -> AnyRow:
    """The swipe that the caller began; else the one being written, or the active one."""
    swipes = swipes_of(connection, row.id)
    running = next((swipe for swipe in swipes if runs(swipe)), None)
    if position is None:
        active = [swipe for swipe in swipes if swipe.position == row.active_swipe]
        return running or active[0]
    begun = next((swipe for swipe in swipes if swipe.position == position), None)
    if begun is None or (not runs(begun) and (running or row.active_swipe != position)):
        raise NotFound("That reply is no longer this program's.", "Another one went on with it.")
    return begun


def seen_swipe(connection: Connection, row: AnyRow) -> AnyRow:
    """The swipe that people see: the one being written only once there is some text of it."""
    swipes = {swipe.position: swipe for swipe in swipes_of(connection, row.id)}
    running = next((swipe for swipe in swipes.values() if runs(swipe) and swipe.text), None)
    before = swipes.get(row.swipe_before)
    return running or before or swipes[row.active_swipe]


def add_swipe(connection: Connection, turn_id: int, position: int, run_id: int | None) -> None:
    values = {"turn_id": turn_id, "position": position, "text": "", "state": RUNNING}
    connection.execute(insert(SwipeRow), values | {"run_id": run_id})


def turns_written(connection: Connection, *, but_by: int | None) -> list[int]:
    """What runs that have not ended are writing. By its own index: few, whatever is stored."""
    chosen = select(SwipeRow.turn_id).where(IS_RUNNING, SwipeRow.run_id.in_(select(RunRow.id)))
    if but_by is not None:
        chosen = chosen.where(SwipeRow.run_id != but_by)
    return list(connection.scalars(chosen))


def forget_swipe_before(connection: Connection, row: AnyRow) -> None:
    if row.swipe_before is not None:
        connection.execute(update(TurnRow).where(TurnRow.id == row.id).values(swipe_before=None))


def set_messages(connection: Connection, row: AnyRow, message_ids: list[str]) -> None:
    """Let the turn stand in exactly these messages."""
    if message_ids_of(connection, [row.id]) == message_ids:
        return
    connection.execute(delete(MessageRow).where(MessageRow.turn_id == row.id))
    for piece in batches(message_ids):
        connection.execute(
            delete(MessageRow).where(
                MessageRow.channel_id == row.channel_id, MessageRow.message_id.in_(piece)
            )
        )
    if message_ids:
        connection.execute(
            insert(MessageRow),
            [
                {
                    "channel_id": row.channel_id,
                    "message_id": message_id,
                    "turn_id": row.id,
                    "position": position,
                }
                for position, message_id in enumerate(message_ids)
            ],
        )


def take_out_swipe(connection: Connection, row: AnyRow, *, requeue: bool) -> None:
    """Remove the running swipe, or the whole turn when it has no other."""
    swipes = swipes_of(connection, row.id)
    others = [swipe.position for swipe in swipes if not runs(swipe)]
    if others:
        active = row.swipe_before if row.swipe_before in others else others[-1]
        mark_stale(connection, [row.id])
        connection.execute(
            delete(SwipeRow).where(SwipeRow.turn_id == row.id, SwipeRow.state == RUNNING)
        )
        connection.execute(
            update(TurnRow)
            .where(TurnRow.id == row.id)
            .values(active_swipe=active, swipe_before=None)
        )
        return
    if requeue:
        connection.execute(
            update(TurnRow)
            .where(TurnRow.answered_by == row.id, TurnRow.addressed | (TurnRow.role == "bot"))
            .values(is_pending=True, answered_by=None)
        )
    remove_turns(connection, row.channel_id, [row.id])
