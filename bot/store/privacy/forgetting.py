"""Takes out what is kept of a person, a bounded piece a transaction. Functions of a connection."""

from collections import Counter
from collections.abc import Collection, Sequence

from sqlalchemy import Connection, delete, insert, select, update

from bot.chat.messages import ChannelKey
from bot.chat.privacy.people import Person, Place, Step
from bot.store.connecting.connection import is_postgres
from bot.store.memory.staleness import forget_written_about
from bot.store.privacy.names import remove_names
from bot.store.privacy.people import places, turn_ids_of
from bot.store.privacy.tables import RemovalRow
from bot.store.tables import ChannelRow, ConversationRow, SeenRow, SwipeRow, TurnRow
from bot.store.turns.access import (
    conversations_of,
    forget_quotes_where,
    lock_channels,
    message_ids_of,
    remove_turns,
)
from bot.store.turns.rows import CHANNEL_COLUMNS, batches, channel_key
from bot.store.turns.swipes import IS_RUNNING

TURNS_A_STEP = 100


def remove_replies(
    connection: Connection,
    place: Place,
    turn_ids: Sequence[int],
    swipes: Sequence[tuple[int, int]] = (),
) -> list[ChannelKey]:
    """Take out whole replies of a channel, and single swipes of others.

    Returns the other channels that quoted them.
    """
    whole = set(turn_ids)
    among = sorted({turn_id for turn_id, _ in swipes})
    _lock(connection, place, [*turn_ids, *among])
    left = Counter[int]()
    for piece in batches(among):
        chosen = select(SwipeRow.turn_id).where(SwipeRow.turn_id.in_(piece))
        left.update(connection.scalars(chosen))
    left.subtract(turn_id for turn_id, _ in swipes)
    whole |= {turn_id for turn_id, _ in swipes if left[turn_id] <= 0}
    quoting = _remove_all(connection, place, sorted(whole), off_platform=True)
    for turn_id, position in swipes:
        if turn_id not in whole:
            _remove_swipe(connection, turn_id, position)
    return _keys(connection, quoting)


def forget_quotes_in(connection: Connection, place: Place, turn_ids: Sequence[int]) -> None:
    """Take out what turns of a channel quote."""
    lock_channels(connection, [place.number])
    for piece in batches(list(turn_ids)):
        forget_quotes_where(connection, place.number, TurnRow.id.in_(piece))


def _remove_swipe(connection: Connection, turn_id: int, position: int) -> None:
    """One that people do not see: nothing was made from it."""
    is_it = (SwipeRow.turn_id == turn_id) & (SwipeRow.position == position)
    connection.execute(delete(SwipeRow).where(is_it))
    connection.execute(
        update(TurnRow)
        .where(TurnRow.id == turn_id, TurnRow.swipe_before == position)
        .values(swipe_before=None)
    )


def remove_their_turns(connection: Connection, person: Person, place: Place) -> Step:
    """Take out some of somebody's turns in a channel, and of the replies that answer them."""
    theirs, replies = turn_ids_of(connection, person, place, TURNS_A_STEP)
    _lock(connection, place, [*theirs, *replies])
    forget_written_about(connection, [*theirs, *replies])
    quoting = _remove_all(connection, place, replies, off_platform=True)
    quoting |= _remove_all(connection, place, theirs, off_platform=False)
    return Step(TURNS_A_STEP in (len(theirs), len(replies)), _keys(connection, quoting))


def remove_names_of(connection: Connection, person: Person) -> None:
    """Take out somebody's id wherever it says who did something.

    What is deleted meanwhile has such rows, too: whoever deletes has locked its channel first.
    """
    lock_channels(connection, [place.number for place in places(connection, person)])
    remove_names(connection, person)


def _remove_all(
    connection: Connection, place: Place, turn_ids: Sequence[int], *, off_platform: bool
) -> set[int]:
    """Take turns of a channel out, with the marks of having seen them.

    What other channels quote of them goes, too: copies (forks) of who replied to them, and links.
    Returns the numbers of these channels. `off_platform`: the bot's messages that they stood in go,
    too.
    """
    here = conversations_of(place.number)
    there: list[int] = []
    for piece in batches(list(turn_ids)):
        chosen = select(TurnRow.id).where(TurnRow.id.in_(piece), TurnRow.conversation_id.in_(here))
        there += connection.scalars(chosen)
    if not there:
        return set()
    messages = message_ids_of(connection, there)
    if off_platform:
        note_removals(connection, place, messages)
    remove_turns(connection, place.number, there)
    quoting = _quoting(connection, place, messages)
    for channel_id in quoting:
        for piece in batches(messages):
            forget_quotes_where(connection, channel_id, TurnRow.quoted_message_id.in_(piece))
    move_marks(connection, place.number, messages)
    return set(quoting)


def _keys(connection: Connection, channel_ids: Collection[int]) -> list[ChannelKey]:
    """The keys of some channels."""
    found: list[ChannelKey] = []
    for piece in batches(sorted(channel_ids)):
        rows = connection.execute(select(*CHANNEL_COLUMNS).where(ChannelRow.id.in_(piece)))
        found += [channel_key(row) for row in rows]
    return found


def _lock(connection: Connection, place: Place, turn_ids: Sequence[int]) -> None:
    """Lock a channel, and those that quote these turns of it, in the order of everybody."""
    if is_postgres(connection):
        quoting = _quoting(connection, place, message_ids_of(connection, turn_ids))
        lock_channels(connection, {place.number, *quoting})


def _quoting(connection: Connection, place: Place, message_ids: Sequence[str]) -> list[int]:
    """The numbers of the other channels in which some of a channel's messages are quoted."""
    found: set[int] = set()
    for piece in batches(list(message_ids)):
        found.update(
            connection.scalars(
                select(ConversationRow.channel_id)
                .join(ChannelRow, ChannelRow.id == ConversationRow.channel_id)
                .join(TurnRow, TurnRow.conversation_id == ConversationRow.id)
                .where(TurnRow.quoted_message_id.in_(piece))
                .where(ChannelRow.platform == place.channel.platform)
            )
        )
    return sorted(found - {place.number})


def note_removals(connection: Connection, place: Place, message_ids: Sequence[str]) -> None:
    """These messages of the bot's are to be taken off the platform."""
    key = place.channel
    rows = [
        {
            "platform": key.platform,
            "channel_id": key.channel_id,
            "parent_id": key.parent_id or "",
            "message_id": message_id,
        }
        for message_id in message_ids
    ]
    if rows:
        connection.execute(insert(RemovalRow), rows)


def move_marks(connection: Connection, channel_id: int, message_ids: Sequence[str]) -> None:
    """The newest message seen is one that goes: remember a number after it that is nobody's."""
    for piece in batches(list(message_ids)):
        marks = select(SeenRow.seen_by, SeenRow.message_id).where(
            SeenRow.channel_id == channel_id, SeenRow.message_id.in_(piece)
        )
        for mark in connection.execute(marks).all():
            is_it = (SeenRow.channel_id == channel_id) & (SeenRow.seen_by == mark.seen_by)
            if mark.message_id.isascii() and mark.message_id.isdecimal():
                after = str(int(mark.message_id) + 1)
                connection.execute(update(SeenRow).where(is_it).values(message_id=after))
            else:
                connection.execute(delete(SeenRow).where(is_it))


def remove_traces(connection: Connection, person: Person, place: Place) -> list[ChannelKey]:
    """Take out what is left of somebody in a channel where they say nothing any more.

    What other programs are writing there was told what they said: it goes, and is not answered
    anew. Returns the other channels that quoted it.
    """
    _lock(connection, place, _written_now(connection, place))
    forget_quotes_where(connection, place.number, TurnRow.quoted_speaker_id == person.speaker_id)
    running = _written_now(connection, place)
    return _keys(connection, _remove_all(connection, place, running, off_platform=True))


def _written_now(connection: Connection, place: Place) -> Sequence[int]:
    """The replies of a channel that are being written."""
    here = select(TurnRow.id).where(TurnRow.conversation_id.in_(conversations_of(place.number)))
    writing = select(SwipeRow.turn_id).where(IS_RUNNING, SwipeRow.turn_id.in_(here))
    return connection.scalars(writing).all()
