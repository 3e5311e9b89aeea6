"""The bot's own turns: begun, shown, finished, swiped. Each function is one transaction."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from bot.chat.messages import (
    BegunReply,
    ChannelKey,
    GenerationRecord,
    LorePast,
    Speaker,
    Turn,
    TurnState,
)
from bot.errors import NotAllowed, NotFound
from bot.store.columns import RowId
from bot.store.privacy.left_out import is_left_out, is_seen
from bot.store.tables import (
    AskerRow,
    ConversationRow,
    GenerationRow,
    RunRow,
    SwipeRow,
    TurnRow,
)
from bot.store.turns.access import (
    LARGEST_ID,
    conversation_of,
    forget_quotes,
    lock_channels_of,
    mark_stale,
    message_ids_of,
    new_bot_turn,
    read_turn,
    take_channel,
    take_conversation,
    take_turn,
    usable_ids,
)
from bot.store.turns.conversations import window
from bot.store.turns.occasions import read_occasion
from bot.store.turns.rounds import follow, require_unfollowed, wait_for_next
from bot.store.turns.rows import AnyRow, batches, from_record, to_record
from bot.store.turns.swipes import (
    IS_RUNNING,
    RUNNING,
    add_swipe,
    forget_swipe_before,
    runs,
    seen_swipe,
    set_messages,
    swipes_of,
    take_out_swipe,
    turns_written,
    written_swipe,
)

REPLIES_WITH_LORE = 5_000  # the newest of a conversation, whose lore is looked at


def begin_reply(
    connection: Connection,
    channel: ChannelKey,
    speaker: Speaker,
    *,
    persona: str,
    answers: Sequence[int],
    run_id: int | None = None,
    persona_id: str = "",
    asked_by: Collection[str] = (),
    follows: int | None = None,
    awaited_by: str | None = None,
) -> Turn:
    """Insert the bot's running turn and mark `answers` as answered by it.

    `asked_by` caused it beside those who asked. It stands in the conversation of what it answers,
    else in the current one. NotFound when all that it would answer is gone, some of it is answered
    already, or another run is writing in this channel: what waits then is offered again (see
    :mod:`bot.store.runs`). So, too, where another reply `follows` the one that this one is to.
    `awaited_by` is the account by which another one is to follow it.
    """
    channel_id: int = take_channel(connection, channel).id
    if follows is not None:
        require_unfollowed(connection, follows)
    questions = _questions(connection, channel_id, answers)
    if answers and not questions:
        raise NotFound("What was asked is no longer there.", "It was deleted meanwhile.")
    if any(_is_taken(question) for question in questions):
        raise NotFound("What was asked has an answer already.", "Another program took it up.")
    is_asked = bool(answers) or follows is not None
    if is_asked and channel_id in channels_written_in(connection, but_by=run_id):
        raise NotFound("Another program is writing in this channel.", "Wait for its end.")
    conversation = (
        questions[0].conversation_id if questions else take_conversation(connection, channel_id)
    )
    turn_id = new_bot_turn(connection, conversation, speaker, persona, persona_id)
    add_swipe(connection, turn_id, 0, run_id)
    askers = sorted({question.speaker_id for question in questions} | set(asked_by))
    if askers:
        connection.execute(
            insert(AskerRow), [{"turn_id": turn_id, "speaker_id": asker} for asker in askers]
        )
    for piece in batches([question.id for question in questions]):
        connection.execute(_ANSWERED, {"turn_ids": piece, "reply": turn_id})
    if follows is not None:
        follow(connection, follows, turn_id)
    if awaited_by is not None:
        wait_for_next(connection, turn_id, awaited_by)
    return read_turn(connection, turn_id)


def answer_no_more(connection: Connection, turn_ids: Sequence[int]) -> None:
    """These turns wait for no answer any more; they stay as they are."""
    lock_channels_of(connection, turn_ids)
    for piece in batches(turn_ids):
        chosen = update(TurnRow).where(TurnRow.id.in_(piece))
        connection.execute(chosen.values(is_pending=False))


def take_up(
    connection: Connection,
    channel: ChannelKey,
    speaker: Speaker,
    *,
    persona: str,
    answers: Sequence[int],
    limit: int,
    persona_id: str = "",
    run_id: int | None = None,
    asked_by: Collection[str] = (),
    follows: int | None = None,
    awaited_by: str | None = None,
) -> BegunReply:
    """:func:`begin_reply`, and the window of `limit` turns before it."""
    turn = begin_reply(
        connection,
        channel,
        speaker,
        persona=persona,
        answers=answers,
        persona_id=persona_id,
        run_id=run_id,
        asked_by=asked_by,
        follows=follows,
        awaited_by=awaited_by,
    )
    return BegunReply(turn, window(connection, channel, limit, before_turn=turn.turn_id))


def begin_swipe(connection: Connection, turn_id: int, run_id: int | None = None) -> Turn:
    """Add an empty, running swipe to a bot's turn and make it the active one.

    NotAllowed while another run writes one.
    """
    row = take_turn(connection, turn_id, role="bot")
    if turn_id in turns_written(connection, but_by=run_id):
        raise NotAllowed("That reply is being written.", "Wait for its end.")
    mark_stale(connection, [turn_id])
    position = swipes_of(connection, turn_id)[-1].position + 1
    add_swipe(connection, turn_id, position, run_id)
    connection.execute(
        update(TurnRow)
        .where(TurnRow.id == turn_id)
        .values(active_swipe=position, swipe_before=row.active_swipe)
    )
    return read_turn(connection, turn_id)


def show_reply(
    connection: Connection,
    turn_id: int,
    text: str,
    message_ids: Sequence[str],
    position: int | None = None,
) -> None:
    """The active swipe's text as people see it now, and the messages that hold it.

    `position` is the swipe that the caller began. Where its run was taken for dead meanwhile, it
    runs again; NotFound when others have gone on with the turn since.
    """
    row = take_turn(connection, turn_id, role="bot")
    swipe = written_swipe(connection, row, position)
    values = {"text": text} if position is None else {"text": text, "state": RUNNING}
    connection.execute(update(SwipeRow).where(SwipeRow.id == swipe.id).values(values))
    if swipe.text != text and not runs(swipe):
        mark_stale(connection, [turn_id])
    set_messages(connection, row, list(dict.fromkeys(message_ids)))


def finish_reply(
    connection: Connection,
    turn_id: int,
    state: TurnState,
    record: GenerationRecord | None,
    position: int | None = None,
    shown: tuple[str, Sequence[str]] | None = None,
) -> Turn:
    """End a running reply as WHOLE or CUT, and keep how it came to be.

    `position` as for :func:`show_reply`. `shown`, its text and messages, is kept first.
    """
    row = take_turn(connection, turn_id, role="bot")
    swipe = written_swipe(connection, row, position)
    values: dict[str, Any] = {"state": state.value}
    if shown is not None:
        values["text"], message_ids = shown
        if swipe.text != shown[0] and not runs(swipe):
            mark_stale(connection, [turn_id])
        set_messages(connection, row, list(dict.fromkeys(message_ids)))
    if record is not None:
        values["finish"] = record.finish.value
        connection.execute(insert(GenerationRow), from_record(record, swipe.id))
    connection.execute(update(SwipeRow).where(SwipeRow.id == swipe.id).values(values))
    forget_swipe_before(connection, row)
    return read_turn(connection, turn_id)


def shorten_reply(
    connection: Connection,
    turn_id: int,
    message_ids: Sequence[str],
    text_left: Callable[[str, int, Collection[int]], str],
) -> Turn:
    """Take some of a bot's turn's messages out, and of its text what stood in them.

    `text_left` is given the text, how many messages it stood in, and which of them go.
    """
    row = take_turn(connection, turn_id, role="bot")
    mark_stale(connection, [turn_id])
    before = message_ids_of(connection, [turn_id])
    gone = [place for place, message_id in enumerate(before) if message_id in message_ids]
    swipe = seen_swipe(connection, row)
    mark_stale(connection, [turn_id])
    connection.execute(
        update(SwipeRow)
        .where(SwipeRow.id == swipe.id)
        .values(text=text_left(swipe.text, len(before), gone))
    )
    set_messages(connection, row, [each for each in before if each not in message_ids])
    forget_quotes(connection, row.channel_id, message_ids)
    return read_turn(connection, turn_id)


def abandon_reply(connection: Connection, turn_id: int, *, requeue: bool) -> None:
    """A running reply of which nothing was shown: take it (or its new swipe) out.

    `requeue` makes the questions pending again; not where an earlier swipe answers them. A reply
    that does not run is left alone.
    """
    row = take_turn(connection, turn_id, role="bot")
    if any(runs(swipe) for swipe in swipes_of(connection, turn_id)):
        take_out_swipe(connection, row, requeue=requeue)


def select_swipe(connection: Connection, turn_id: int, index: int) -> Turn:
    """Make another swipe the active one. NotFound when there is no such swipe."""
    take_turn(connection, turn_id, role="bot")
    if all(swipe.position != index for swipe in swipes_of(connection, turn_id)):
        raise NotFound(f"That reply has no alternative number {index + 1}.")
    mark_stale(connection, [turn_id])
    connection.execute(update(TurnRow).where(TurnRow.id == turn_id).values(active_swipe=index))
    return read_turn(connection, turn_id)


def generation(connection: Connection, turn_id: int, swipe: int) -> GenerationRecord | None:
    """How a swipe came to be: its newest record."""
    if not (0 < turn_id <= LARGEST_ID and 0 <= swipe <= LARGEST_ID):
        return None
    row = connection.execute(
        select(GenerationRow.__table__)
        .join(SwipeRow, SwipeRow.id == GenerationRow.swipe_id)
        .where(SwipeRow.turn_id == turn_id, SwipeRow.position == swipe)
        .order_by(GenerationRow.id.desc())
        .limit(1)
    ).first()
    return None if row is None else to_record(row)


def lore_past(connection: Connection, turn_id: int) -> LorePast:
    """What lore was told for the replies before a turn in its conversation, as they stand."""
    before = (
        TurnRow.conversation_id == conversation_of(connection, turn_id),
        TurnRow.id < turn_id,
        is_seen(),
        TurnRow.role == "bot",
    )
    rows = connection.execute(
        select(GenerationRow.occasion, SwipeRow.turn_id)
        .join(SwipeRow, SwipeRow.id == GenerationRow.swipe_id)
        .join(TurnRow, TurnRow.id == SwipeRow.turn_id)
        .where(
            *before,
            SwipeRow.position == TurnRow.active_swipe,
            GenerationRow.occasion.is_not(None),
        )
        .order_by(SwipeRow.turn_id.desc(), GenerationRow.id.desc())
        .limit(REPLIES_WITH_LORE)
    )
    newest: dict[int, str | None] = {}  # a continued reply has several
    for row in rows:
        newest.setdefault(row.turn_id, row.occasion)
    found = (read_occasion(text) for text in newest.values())
    fired = tuple(firing for occasion in found if occasion for firing in occasion.lore)
    replies = connection.scalar(select(func.count(TurnRow.id)).where(*before)) or 0
    return LorePast(fired, replies)


def left_running(connection: Connection) -> list[int]:
    """The turns whose writer is no run any more."""
    rows = connection.scalars(
        select(SwipeRow.turn_id)
        .where(IS_RUNNING)
        .where(SwipeRow.run_id.is_(None) | SwipeRow.run_id.not_in(select(RunRow.id)))
    )
    return sorted(set(rows))


def channels_written_in(connection: Connection, *, but_by: int | None = None) -> set[int]:
    """The channels in which runs are writing."""
    found: set[int] = set()
    for piece in batches(turns_written(connection, but_by=but_by)):
        found.update(
            connection.scalars(
                select(ConversationRow.channel_id)
                .join(TurnRow, TurnRow.conversation_id == ConversationRow.id)
                .where(TurnRow.id.in_(piece))
            )
        )
    return found


def recover(connection: Connection, turn_id: int) -> bool:
    """A reply whose writer is gone: with text it is CUT, else it is taken out and its questions

    wait again. Whether there was anything to do.
    """
    try:
        row = take_turn(connection, turn_id)
    except NotFound:
        return False
    if turn_id not in left_running(connection):  # somebody else was here first
        return False
    running = [swipe for swipe in swipes_of(connection, turn_id) if runs(swipe)]
    if any(swipe.text for swipe in running):
        connection.execute(
            update(SwipeRow)
            .where(SwipeRow.id.in_([swipe.id for swipe in running]))
            .values(state=TurnState.CUT.value)
        )
        forget_swipe_before(connection, row)
    else:
        take_out_swipe(connection, row, requeue=True)
    return True


def _is_taken(question: AnyRow) -> bool:
    already_taken_up = question.addressed and not question.is_pending
    return question.answered_by is not None or already_taken_up


_TURN_IDS = bindparam("turn_ids", expanding=True, type_=RowId)
_QUESTIONS = (
    select(
        TurnRow.id,
        TurnRow.conversation_id,
        TurnRow.speaker_id,
        TurnRow.addressed,
        TurnRow.is_pending,
        TurnRow.answered_by,
    )
    .join(ConversationRow, ConversationRow.id == TurnRow.conversation_id)
    .where(TurnRow.id.in_(_TURN_IDS), ConversationRow.channel_id == bindparam("channel_id"))
    .where(~is_left_out())  # opted out since the look at what waits
    .order_by(TurnRow.id)
)
_ANSWERED = (
    update(TurnRow)
    .where(TurnRow.id.in_(_TURN_IDS))
    .values(answered_by=bindparam("reply"), is_pending=False)
)


def _questions(connection: Connection, channel_id: int, turn_ids: Sequence[int]) -> list[AnyRow]:
    found: list[AnyRow] = []
    for piece in batches(usable_ids(turn_ids)):
        found += connection.execute(_QUESTIONS, {"turn_ids": piece, "channel_id": channel_id})
    return found
