"""Copies a conversation up to a turn into another channel. A function of a connection."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Connection, RowMapping, Table, bindparam, func, insert, select, update

from bot.chat.messages import ChannelKey, Turn, TurnState
from bot.chat.roleplay.scenes.keeping import Fork
from bot.chat.roleplay.scenes.scene import Scene
from bot.errors import NotFound
from bot.store.memory.upkeep import words_changed
from bot.store.privacy.left_out import (
    is_seen,
    quotes_who_stays_out,
    refuse_left_out,
    refuse_opted_out,
    stays_out,
)
from bot.store.scenes.keeping import add, at, running
from bot.store.tables import AskerRow, ConversationRow, GenerationRow, SwipeRow, TurnRow
from bot.store.turns.access import (
    conversation_of,
    new_conversation,
    read_turn,
    take_channel,
)
from bot.store.turns.rows import batches

_RUNNING = TurnState.RUNNING.value
_TURNS = cast("Table", TurnRow.__table__)
_SWIPES = cast("Table", SwipeRow.__table__)
_GENERATIONS = cast("Table", GenerationRow.__table__)
_NO_QUOTE = dict.fromkeys(column.name for column in _TURNS.c if column.name.startswith("quoted_"))


def fork(connection: Connection, turn_id: int, target: ChannelKey, by: str) -> Fork:
    """Copy what was said up to a turn; see :meth:`bot.chat.roleplay.scenes.keeping.Scenes.fork`.

    A swipe that is being written is left out, and with it a reply that has no other.
    """
    refuse_opted_out(connection, by)
    last = read_turn(connection, turn_id)
    source = conversation_of(connection, turn_id)
    refuse_left_out(connection, turn_id)
    if connection.scalar(select(TurnRow.id).where(TurnRow.id == turn_id, is_seen())) is None:
        raise NotFound("That message was taken back.", "Bring it back first, or choose another.")
    channel_id: int = take_channel(connection, target).id
    scene = _scene_of(connection, source, last)
    conversation = new_conversation(connection, channel_id)
    numbers = _copy_turns(connection, source, turn_id, conversation)
    if not numbers:
        raise NotFound("Nothing can be seen up to that message any more.")
    words_changed(connection, list(numbers.values()))
    if scene is not None and running(connection, target) is None:
        copied = replace(scene, channel=target, started_by=by, ended_at=None, is_paused=False)
        scene = add(connection, channel_id, copied)
    return Fork(len(numbers), read_turn(connection, max(numbers.values())), scene)


def _scene_of(connection: Connection, conversation: int, last: Turn) -> Scene | None:
    """The scene that a turn was said in.

    What people say has the time of their platform, whose clock may go otherwise: only when the
    conversation and the bot's turns in it began is compared with when scenes did.
    """
    row = connection.execute(
        select(ConversationRow.is_current, ConversationRow.created_at).where(
            ConversationRow.id == conversation
        )
    ).one()
    playing = running(connection, last.channel) if row.is_current else None
    if playing is not None:
        return playing
    answer = last.answered_by if last.role == "user" else None
    is_up_to = (TurnRow.id <= last.turn_id) | (TurnRow.id == answer)
    newest: datetime | None = connection.scalar(
        select(func.max(TurnRow.created_at)).where(
            TurnRow.conversation_id == conversation, TurnRow.role == "bot", is_up_to
        )
    )
    return at(connection, last.channel, max(row.created_at, newest or row.created_at))


def _copy_turns(
    connection: Connection, source: int, last: int, conversation: int
) -> Mapping[int, int]:
    """The numbers of the copies by those of the originals."""
    of_source = (TurnRow.conversation_id == source) & (TurnRow.id <= last)
    stays = quotes_who_stays_out().label("quotes_who_stays_out")
    chosen = select(_TURNS, stays).where(of_source, is_seen()).order_by(TurnRow.id)
    rows: Sequence[RowMapping] = connection.execute(chosen).mappings().all()
    swipes = _whole_swipes(connection, [row["id"] for row in rows])
    rows = [row for row in rows if row["role"] == "user" or row["id"] in swipes]
    nobody = {"is_pending": False, "answered_by": None, "swipe_before": None}
    copies = [
        {
            **row,
            **(_NO_QUOTE if row["quotes_who_stays_out"] else {}),
            **nobody,
            "conversation_id": conversation,
            "active_swipe": _active(row, swipes.get(row["id"], ())),
        }
        for row in rows
    ]
    copied = _insert(connection, _TURNS, copies)
    numbers = dict(zip([row["id"] for row in rows], copied, strict=True))
    _copy_swipes(
        connection, [swipe for row in rows for swipe in swipes.get(row["id"], ())], numbers
    )
    _copy_askers(connection, numbers)
    answered = [
        {"copy": numbers[row["id"]], "answer": numbers[row["answered_by"]]}
        for row in rows
        if row["answered_by"] in numbers
    ]
    if answered:
        statement = update(_TURNS).where(_TURNS.c.id == bindparam("copy"))
        connection.execute(statement.values(answered_by=bindparam("answer")), answered)
    return numbers


def _active(row: RowMapping, swipes: Sequence[RowMapping]) -> int:
    """The swipe that is seen, or the newest where that one is only being written."""
    there = [swipe["position"] for swipe in swipes]
    return row["active_swipe"] if row["active_swipe"] in there or not there else there[-1]


def _whole_swipes(connection: Connection, turn_ids: Sequence[int]) -> dict[int, list[RowMapping]]:
    found: dict[int, list[RowMapping]] = {}
    for piece in batches(turn_ids):
        of_turns = SwipeRow.turn_id.in_(piece) & (SwipeRow.state != _RUNNING)
        chosen = select(_SWIPES).where(of_turns).order_by(SwipeRow.turn_id, SwipeRow.position)
        for row in connection.execute(chosen).mappings():
            found.setdefault(row["turn_id"], []).append(row)
    return found


def _copy_swipes(
    connection: Connection, swipes: Sequence[RowMapping], numbers: Mapping[int, int]
) -> None:
    """With how they came to be, in the copy's own numbers."""
    nobody = {"run_id": None}
    copies = [{**swipe, **nobody, "turn_id": numbers[swipe["turn_id"]]} for swipe in swipes]
    copied = _insert(connection, _SWIPES, copies)
    by_swipe = dict(zip([swipe["id"] for swipe in swipes], copied, strict=True))
    for piece in batches(list(by_swipe)):
        chosen = select(_GENERATIONS).where(GenerationRow.swipe_id.in_(piece))
        records = [
            {
                **record,
                "swipe_id": by_swipe[record["swipe_id"]],
                "first_turn_id": numbers.get(record["first_turn_id"]),
                "last_turn_id": numbers.get(record["last_turn_id"]),
            }
            for record in connection.execute(chosen.order_by(GenerationRow.id)).mappings()
        ]
        _insert(connection, _GENERATIONS, records)


def _copy_askers(connection: Connection, numbers: Mapping[int, int]) -> None:
    for piece in batches(list(numbers)):
        chosen = select(AskerRow.turn_id, AskerRow.speaker_id).where(
            AskerRow.turn_id.in_(piece), ~stays_out(AskerRow.speaker_id)
        )
        copies = [
            {"turn_id": numbers[row.turn_id], "speaker_id": row.speaker_id}
            for row in connection.execute(chosen)
        ]
        if copies:
            connection.execute(insert(AskerRow), copies)


def _insert(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> list[int]:
    """Rows with numbers of their own, which rise in the order of the rows."""
    numbers: list[int] = []
    columns = set(table.c.keys())
    statement = insert(table).returning(table.c.id, sort_by_parameter_order=True)
    for piece in batches(rows):
        values = [
            {key: value for key, value in row.items() if key in columns and key != "id"}
            for row in piece
        ]
        numbers += connection.execute(statement, values).scalars()
    return numbers
