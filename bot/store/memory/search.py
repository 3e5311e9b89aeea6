"""The words that turns are found by: an index of their marks, on both databases.

Every turn that is new, or says something else, is due: :mod:`bot.store.memory.indexing` looks at
its words soon after, and until then it is not found. So nothing that writes turns waits for that,
and what is found is always read anew from the turns themselves. What stands in the index is
marks of words (:func:`bot.chat.text.search_words.mark`), no text.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, TextClause, bindparam, case, func, select, text

from bot.chat.messages import Turn
from bot.chat.text.search_words import TEXT_CHARACTERS
from bot.store.columns import RowId
from bot.store.connecting.connection import is_postgres
from bot.store.memory.tables import WordsDueRow
from bot.store.memory.upkeep import take_out_marks
from bot.store.privacy.left_out import is_seen
from bot.store.tables import SwipeRow, TurnRow
from bot.store.turns.access import conversation_of, lock_channels_of, usable_ids
from bot.store.turns.rows import load_turns, select_turns
from bot.store.turns.swipes import IS_RUNNING

HITS_A_WORD = 300  # the newest turns that a word is found in: what is in more tells nothing apart
MOST_LOADED = 100  # turns of one search


@dataclass(frozen=True, slots=True)
class DueTurn:
    """A turn whose words are to be looked at."""

    turn_id: int
    version: int  # grows with each change: what was looked at before it is no longer so
    conversation_id: int
    text: str  # with who said it


_SAYS = func.substr(
    case((TurnRow.role == "bot", SwipeRow.text), else_=TurnRow.text), 1, TEXT_CHARACTERS
)
_WHO = case((TurnRow.role == "bot", TurnRow.persona), else_=TurnRow.speaker_name)
_DUE = (
    select(
        WordsDueRow.turn_id,
        WordsDueRow.version,
        TurnRow.conversation_id,
        _SAYS.label("says"),
        _WHO.label("who"),
    )
    .join(TurnRow, TurnRow.id == WordsDueRow.turn_id)
    .outerjoin(
        SwipeRow, (SwipeRow.turn_id == TurnRow.id) & (SwipeRow.position == TurnRow.active_swipe)
    )
    .where(WordsDueRow.turn_id.not_in(select(SwipeRow.turn_id).where(IS_RUNNING)))
    .order_by(WordsDueRow.turn_id.desc())
)


def due_turns(connection: Connection, limit: int) -> list[DueTurn]:
    """The newest turns whose words are to be looked at, but for those being written."""
    return [
        DueTurn(row.turn_id, row.version, row.conversation_id, f"{row.who}\n{row.says or ''}")
        for row in connection.execute(_DUE.limit(limit))
    ]


def put_marks(connection: Connection, marks: Mapping[DueTurn, Sequence[str]]) -> None:
    """Let turns be found by these marks, but for those that have changed since."""
    lock_channels_of(connection, [due.turn_id for due in marks])
    unchanged = text("DELETE FROM words_due WHERE turn_id = :turn_id AND version = :version")
    put = text(
        "INSERT INTO turn_search (turn_id, words) VALUES (:turn_id, array_to_tsvector(:words))"
        if is_postgres(connection)
        else "INSERT INTO turn_search (rowid, words) VALUES (:turn_id, :words)"
    )
    for due, words in marks.items():
        wanted = {"turn_id": due.turn_id, "version": due.version}
        if not connection.execute(unchanged, wanted).rowcount:
            continue
        take_out_marks(connection, [due.turn_id])
        found_by = [_conversation(due.conversation_id), *words]
        values = found_by if is_postgres(connection) else " ".join(found_by)
        connection.execute(put, {"turn_id": due.turn_id, "words": values})


def repair(connection: Connection, after: int, numbers: int) -> int | None:
    """Put right what stands in the index of some turns: missing ones are due, those gone go.

    Looks at the turns of the next `numbers` numbers; returns the last, None at the end.
    """
    newest = connection.scalar(select(func.max(TurnRow.id))) or 0
    key = "turn_id" if is_postgres(connection) else "rowid"
    piece = {"after": after, "last": after + numbers}
    for statement in (_GONE, _MISSING):
        connection.execute(text(statement.format(key=key)), piece)
    return None if after + numbers >= newest else after + numbers


_GONE = (
    "DELETE FROM turn_search WHERE {key} > :after AND {key} <= :last AND {key} NOT IN"
    " (SELECT id FROM turns WHERE id > :after AND id <= :last)"
)
_MISSING = (
    "INSERT INTO words_due (turn_id, version)"
    " SELECT id, 0 FROM turns WHERE id > :after AND id <= :last"
    " AND id NOT IN (SELECT turn_id FROM words_due WHERE turn_id > :after AND turn_id <= :last)"
    " AND id NOT IN (SELECT {key} FROM turn_search WHERE {key} > :after AND {key} <= :last)"
    " ON CONFLICT (turn_id) DO NOTHING"
)

Choose = Callable[[Mapping[str, Sequence[int]]], Sequence[int]]


def search(
    connection: Connection, before_turn: int, marks: Sequence[str], choose: Choose
) -> list[Turn]:
    """The visible turns of a conversation that `choose` wants of those found, in their order.

    All are before a turn, in its conversation. `choose` is given the turns of each mark, the newest
    :data:`HITS_A_WORD`. Raises NotFound when that turn is gone.
    """
    conversation = conversation_of(connection, before_turn)
    found = _found(connection, _conversation(conversation), before_turn, marks)
    chosen = usable_ids(choose(found))[:MOST_LOADED]
    wanted = select_turns().where(
        TurnRow.id.in_(chosen),
        TurnRow.id < before_turn,
        TurnRow.conversation_id == conversation,
        is_seen(),
    )
    return load_turns(connection, wanted.order_by(TurnRow.id))


def _found(
    connection: Connection, conversation: str, before_turn: int, marks: Sequence[str]
) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    if is_postgres(connection):
        wanted = {"conversation": conversation, "before": before_turn, "marks": list(marks)}
        for row in connection.execute(_POSTGRES_SEARCH, wanted | {"hits": HITS_A_WORD}):
            found.setdefault(row.mark, []).append(row.turn_id)
        return found
    for mark in marks:
        wanted = {"query": f"{conversation} {mark}", "before": before_turn, "hits": HITS_A_WORD}
        if hits := connection.scalars(_SQLITE_SEARCH, wanted).all():
            found[mark] = list(hits)
    return found


_SQLITE_SEARCH: TextClause = text(
    "SELECT rowid FROM turn_search WHERE turn_search MATCH :query AND rowid < :before"
    " ORDER BY rowid DESC LIMIT :hits"
)
# The sum keeps the planner from going through all turns by their numbers, the newest first.
_POSTGRES_SEARCH: TextClause = text(
    "SELECT wanted.mark, hit.turn_id"
    " FROM unnest(CAST(:marks AS text[])) AS wanted(mark), LATERAL ("
    "  SELECT turn_id FROM turn_search"
    "  WHERE words @@ CAST(CAST(:conversation AS text) || ' & ' || wanted.mark AS tsquery)"
    "  AND turn_id < :before ORDER BY turn_id + 0 DESC LIMIT :hits"
    " ) AS hit"
).bindparams(bindparam("before", type_=RowId), bindparam("hits", type_=RowId))


def _conversation(conversation_id: int) -> str:
    """What stands for a conversation among the marks: longer than any of a word."""
    return f"conversation{conversation_id}"
