"""What people say: taken in, edited, deleted. Functions of a connection, each one transaction."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, insert, select, update

from bot.chat.messages import ChannelKey, IncomingMessage, Turn
from bot.store.access import (
    find_channel,
    forget_quotes,
    message_ids_of,
    new_turn,
    read_turn,
    remove_turns,
    replace_quotes,
    take_channel,
    take_conversation,
    take_turn,
)
from bot.store.rows import CHANNEL_COLUMNS, batches, channel_key
from bot.store.tables import ChannelRow, MessageRow, SeenRow, SwipeRow, TurnRow


def add_message(
    connection: Connection, message: IncomingMessage, *, addressed: bool, heard_by: str = ""
) -> Turn | None:
    """Append a user's turn; None when the message is known already.

    What another account had heard without being addressed waits for `heard_by` now.
    """
    channel = take_channel(connection, message.channel)
    known = turn_id_of_message(connection, channel.id, message.message_id)
    if known is not None:
        if addressed:
            connection.execute(
                update(TurnRow)
                .where(TurnRow.id == known, TurnRow.role == "user", ~TurnRow.addressed)
                .where(TurnRow.heard_by != heard_by)
                .values(addressed=True, is_pending=True, heard_by=heard_by)
            )
        return None
    quoted = message.reply_to
    turn_id = new_turn(
        connection,
        {
            "conversation_id": take_conversation(connection, channel.id),
            "role": "user",
            "speaker_id": message.author.speaker_id,
            "speaker_name": message.author.name,
            "speaker_is_bot": message.author.is_bot,
            "text": message.text,
            "created_at": message.sent_at,
            "persona": "",
            "addressed": addressed,
            "is_pending": addressed,
            "heard_by": heard_by,
            "active_swipe": 0,
            "quoted_message_id": quoted and quoted.message_id,
            "quoted_speaker_id": quoted and quoted.author.speaker_id,
            "quoted_speaker_name": quoted and quoted.author.name,
            "quoted_speaker_is_bot": quoted and quoted.author.is_bot,
            "quoted_text": quoted and quoted.text,
        },
    )
    values = {
        "channel_id": channel.id,
        "message_id": message.message_id,
        "turn_id": turn_id,
        "position": 0,
    }
    connection.execute(insert(MessageRow), values)
    return read_turn(connection, turn_id)


def note_seen(
    connection: Connection, channel: ChannelKey, message_id: str, *, seen_by: str = ""
) -> None:
    """Remember the newest message seen in a channel. Never goes back."""
    channel_id: int = take_channel(connection, channel).id
    mark = (SeenRow.channel_id == channel_id) & (SeenRow.seen_by == seen_by)
    newest = connection.scalar(select(SeenRow.message_id).where(mark))
    if newest is None:
        values = {"channel_id": channel_id, "seen_by": seen_by, "message_id": message_id}
        connection.execute(insert(SeenRow), values)
    elif is_newer(message_id, newest):
        connection.execute(update(SeenRow).where(mark).values(message_id=message_id))


def last_seen(
    connection: Connection, platform: str, *, seen_by: str = ""
) -> Mapping[ChannelKey, str]:
    """The newest message id seen, for every channel of `platform`."""
    rows = connection.execute(
        select(SeenRow.message_id, *CHANNEL_COLUMNS)
        .join(ChannelRow, ChannelRow.id == SeenRow.channel_id)
        .where(ChannelRow.platform == platform, SeenRow.seen_by == seen_by)
    )
    return {channel_key(row): row.message_id for row in rows}


def edit_message(connection: Connection, channel: ChannelKey, message_id: str, text: str) -> bool:
    """Replace a user's text, also where it is quoted. False when nothing of it was kept.

    A bot's turn is left alone: its text is what :func:`bot.store.replies.show_reply` says.
    """
    channel_id = find_channel(connection, channel, lock=True)
    if channel_id is None:
        return False
    turn_id = turn_id_of_message(connection, channel_id, message_id)
    if turn_id is not None:
        replaced = connection.execute(
            update(TurnRow).where(TurnRow.id == turn_id, TurnRow.role == "user").values(text=text)
        )
        if not replaced.rowcount:
            return False
    quoted = replace_quotes(connection, channel_id, [message_id], text)
    return turn_id is not None or quoted


def delete_messages(connection: Connection, channel: ChannelKey, message_ids: Sequence[str]) -> int:
    """Take messages out, with what others quote of them. Returns how many turns went."""
    channel_id = find_channel(connection, channel, lock=True)
    if channel_id is None:
        return 0
    forget_quotes(connection, channel_id, message_ids)
    gone = 0
    for piece in batches(message_ids):
        turn_ids = connection.scalars(
            select(MessageRow.turn_id)
            .where(MessageRow.channel_id == channel_id, MessageRow.message_id.in_(piece))
            .distinct()
        ).all()
        remove_turns(connection, channel_id, turn_ids)
        gone += len(turn_ids)
    return gone


def delete_turn(connection: Connection, turn_id: int) -> Turn:
    """Take one turn out with its swipes; returns what it was."""
    row = take_turn(connection, turn_id)
    turn = read_turn(connection, turn_id)
    remove_turns(connection, row.channel_id, [turn_id])
    return turn


def ask_again(connection: Connection, turn_id: int, *, heard_by: str = "") -> Turn:
    """Let a user's turn wait for an answer of `heard_by`. Raises NotFound, also for a bot's."""
    take_turn(connection, turn_id, role="user")
    connection.execute(
        update(TurnRow)
        .where(TurnRow.id == turn_id)
        .values(addressed=True, is_pending=True, heard_by=heard_by, answered_by=None)
    )
    return read_turn(connection, turn_id)


def edit_turn(connection: Connection, turn_id: int, text: str) -> Turn:
    """Replace the (active) text of any turn, also where it is quoted."""
    row = take_turn(connection, turn_id)
    if row.role == "bot":
        connection.execute(
            update(SwipeRow)
            .where(SwipeRow.turn_id == turn_id, SwipeRow.position == row.active_swipe)
            .values(text=text)
        )
    else:
        connection.execute(update(TurnRow).where(TurnRow.id == turn_id).values(text=text))
    replace_quotes(connection, row.channel_id, message_ids_of(connection, [turn_id]), text)
    return read_turn(connection, turn_id)


def turn_id_of_message(connection: Connection, channel_id: int, message_id: str) -> int | None:
    """The turn that a platform's message belongs to."""
    return connection.scalar(
        select(MessageRow.turn_id).where(
            MessageRow.channel_id == channel_id, MessageRow.message_id == message_id
        )
    )


def is_newer(message_id: str, than: str) -> bool:
    """Whether a message id is newer: by number where both are numbers, else the later call wins."""
    if all(text.isascii() and text.isdecimal() for text in (message_id, than)):
        return int(message_id) > int(than)
    return message_id != than
