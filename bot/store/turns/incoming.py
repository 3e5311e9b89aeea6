"""What people say: taken in, edited, deleted. Functions of a connection, each one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, bindparam, delete, exists, insert, select, update

from bot.chat.messages import ChannelKey, IncomingMessage, QuotedMessage, Speaker, Turn
from bot.store.columns import storable, utc
from bot.store.memory.upkeep import has_facts_of, hold_on_to_turn, let_go_of_turn
from bot.store.privacy.left_out import opted_out, stays_out
from bot.store.tables import ChannelRow, MessageRow, SeenRow, SwipeRow, TurnRow
from bot.store.turns.access import (
    better_key,
    conversations_of,
    find_channel,
    forget_quotes,
    mark_stale,
    message_ids_of,
    new_turn,
    read_turn,
    remove_turns,
    replace_quotes,
    take_channel,
    take_conversation,
    take_turn,
    turn_gone,
)
from bot.store.turns.rows import CHANNEL_COLUMNS, AnyRow, batches, channel_key


def add_message(
    connection: Connection, message: IncomingMessage, *, addressed: bool, heard_by: str = ""
) -> Turn | None:
    """Append a user's turn; None when the message is known already. It is noted as seen.

    What another account had heard without being addressed waits for `heard_by` now. Of somebody who
    has opted out nothing is kept, also nothing that is quoted: None, then, too.
    """
    channel = take_channel(connection, message.channel)
    _note_seen(connection, channel.id, message.message_id, heard_by)
    allowed = _what_may_be_kept(connection, message)
    if allowed is None:
        return None
    message = allowed
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
    conversation = take_conversation(connection, channel.id)
    turn_id = new_turn(
        connection,
        {
            **_what_is_said(message),
            "conversation_id": conversation,
            "role": "user",
            "created_at": message.sent_at,
            "persona": "",
            "addressed": addressed,
            "is_pending": addressed,
            "heard_by": heard_by,
            "active_swipe": 0,
        },
    )
    values = {
        "channel_id": channel.id,
        "message_id": message.message_id,
        "turn_id": turn_id,
        "position": 0,
    }
    connection.execute(insert(MessageRow), values)
    return _as_stored(message, turn_id, conversation, channel, addressed=addressed)


def renew_message(connection: Connection, message: IncomingMessage, *, heard_by: str = "") -> Turn:
    """Take a message up, to be answered, as if it came only now."""
    channel = take_channel(connection, message.channel)
    if _what_may_be_kept(connection, message) is None:
        raise turn_gone()
    before = turn_id_of_message(connection, channel.id, message.message_id)
    if before is not None:
        mark_stale(connection, [before])
        let_go_of_turn(connection, before, message.message_id)
        connection.execute(delete(TurnRow).where(TurnRow.id == before))
        replace_quotes(connection, channel.id, [message.message_id], message.text)
    turn = add_message(connection, message, addressed=True, heard_by=heard_by)
    if turn is None:
        raise turn_gone()
    hold_on_to_turn(connection, channel.id, message.message_id, turn.turn_id)
    return turn


def replace_message(
    connection: Connection, message: IncomingMessage, original_id: str
) -> Turn | None:
    """Let a message stand for another one: the same turn, with a new id, author and text."""
    channel = take_channel(connection, message.channel)
    turn_id = turn_id_of_message(connection, channel.id, original_id)
    known = turn_id_of_message(connection, channel.id, message.message_id)
    allowed = _what_may_be_kept(connection, message)
    if turn_id is None or known is not None or allowed is None:
        return None
    message = allowed
    said = _what_is_said(message)
    replaced = connection.execute(
        update(TurnRow).where(TurnRow.id == turn_id, TurnRow.role == "user").values(said)
    )
    if not replaced.rowcount:
        return None
    mark_stale(connection, [turn_id])
    connection.execute(
        update(MessageRow)
        .where(MessageRow.channel_id == channel.id, MessageRow.message_id == original_id)
        .values(message_id=message.message_id)
    )
    connection.execute(
        update(TurnRow)
        .where(
            TurnRow.quoted_message_id == original_id,
            TurnRow.conversation_id.in_(conversations_of(channel.id)),
        )
        .values(
            quoted_message_id=message.message_id,
            quoted_speaker_id=message.author.speaker_id,
            quoted_speaker_name=message.author.name,
            quoted_speaker_is_bot=message.author.is_bot,
            quoted_text=message.text,
        )
    )
    return read_turn(connection, turn_id)


def _what_may_be_kept(connection: Connection, message: IncomingMessage) -> IncomingMessage | None:
    """A message without what it quotes of somebody who has opted out; nothing of their own."""
    quoted = message.reply_to
    people = {message.author.speaker_id}
    if quoted is not None:
        people.add(quoted.author.speaker_id)
    out = opted_out(connection, people)
    if message.author.speaker_id in out:
        return None
    return replace(message, reply_to=None) if out else message


def _what_is_said(message: IncomingMessage) -> dict[str, Any]:
    quoted = message.reply_to
    return {
        "speaker_id": message.author.speaker_id,
        "speaker_name": message.author.name,
        "speaker_is_bot": message.author.is_bot,
        "text": message.text,
        "quoted_message_id": quoted and quoted.message_id,
        "quoted_speaker_id": quoted and quoted.author.speaker_id,
        "quoted_speaker_name": quoted and quoted.author.name,
        "quoted_speaker_is_bot": quoted and quoted.author.is_bot,
        "quoted_text": quoted and quoted.text,
    }


def _as_stored(
    message: IncomingMessage, turn_id: int, conversation: int, channel: AnyRow, *, addressed: bool
) -> Turn:
    """The turn that was just written, without reading it again."""
    quoted = message.reply_to
    return Turn(
        turn_id=turn_id,
        conversation_id=conversation,
        channel=better_key(message.channel, channel),
        role="user",
        speaker=_storable_speaker(message.author),
        text=storable(message.text),
        created_at=utc(message.sent_at),
        message_ids=(storable(message.message_id),),
        addressed=addressed,
        reply_to=quoted
        and QuotedMessage(
            storable(quoted.message_id), _storable_speaker(quoted.author), storable(quoted.text)
        ),
    )


def _storable_speaker(speaker: Speaker) -> Speaker:
    return Speaker(storable(speaker.speaker_id), storable(speaker.name), speaker.is_bot)


def note_seen(
    connection: Connection, channel: ChannelKey, message_id: str, *, seen_by: str = ""
) -> None:
    """Remember the newest message seen in a channel. Never goes back."""
    _note_seen(connection, take_channel(connection, channel).id, message_id, seen_by)


_SEEN_MARK = (SeenRow.channel_id == bindparam("within")) & (SeenRow.seen_by == bindparam("account"))
_NEWEST_SEEN = select(SeenRow.message_id).where(_SEEN_MARK)
_SEEN = update(SeenRow).where(_SEEN_MARK).values(message_id=bindparam("newest"))


def _note_seen(connection: Connection, channel_id: int, message_id: str, seen_by: str) -> None:
    mark = {"within": channel_id, "account": seen_by}
    newest = connection.scalar(_NEWEST_SEEN, mark)
    if newest is None:
        values = {"channel_id": channel_id, "seen_by": seen_by, "message_id": message_id}
        connection.execute(insert(SeenRow), values)
    elif is_newer(message_id, newest):
        connection.execute(_SEEN, mark | {"newest": message_id})


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
    """Replace a user's text, also where it is quoted or pinned. False when nothing of it was kept.

    A bot's turn is left alone: its text is what :func:`bot.store.turns.replies.show_reply` says.
    So is what somebody had said who has opted out since: their new text is not kept.
    """
    channel_id = find_channel(connection, channel, lock=True)
    if channel_id is None:
        return False
    turn_id = turn_id_of_message(connection, channel_id, message_id)
    if turn_id is not None:
        replaced = connection.execute(
            update(TurnRow)
            .where(TurnRow.id == turn_id, TurnRow.role == "user", ~stays_out(TurnRow.speaker_id))
            .values(text=text)
        )
        if not replaced.rowcount:
            return False
        mark_stale(connection, [turn_id])
    quoted = replace_quotes(connection, channel_id, [message_id], text)
    return turn_id is not None or quoted


def holds(connection: Connection, channel: ChannelKey, message_ids: Sequence[str]) -> bool:
    """Whether anything of a channel is of these messages: turns, quotes, or what was pinned."""
    channel_id = find_channel(connection, channel)
    if channel_id is None:
        return False
    here = TurnRow.conversation_id.in_(conversations_of(channel_id))
    for piece in batches(message_ids):
        is_kept = (MessageRow.channel_id == channel_id) & MessageRow.message_id.in_(piece)
        is_quoted = here & TurnRow.quoted_message_id.in_(piece)
        found = select(exists().where(is_kept) | exists().where(is_quoted))
        if connection.scalar(found):
            return True
    return has_facts_of(connection, channel_id, message_ids)


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
    mark_stale(connection, [turn_id])
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


_TURN_OF_MESSAGE = select(MessageRow.turn_id).where(
    MessageRow.channel_id == bindparam("channel_id"),
    MessageRow.message_id == bindparam("message_id"),
)


def turn_id_of_message(connection: Connection, channel_id: int, message_id: str) -> int | None:
    """The turn that a platform's message belongs to."""
    wanted = {"channel_id": channel_id, "message_id": message_id}
    return connection.scalar(_TURN_OF_MESSAGE, wanted)


def is_newer(message_id: str, than: str) -> bool:
    """Whether a message id is newer: by number where both are numbers, else the later call wins."""
    if all(text.isascii() and text.isdecimal() for text in (message_id, than)):
        return int(message_id) > int(than)
    return message_id != than
