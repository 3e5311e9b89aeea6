"""What every part of the history needs: finding, locking and making channels and turns.

On PostgreSQL every write locks its channel's row first. That puts the writes of one channel in a
row, so that turn ids rise in the order in which the turns were taken up, and no two transactions
wait for each other. SQLite has one writer anyway.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.orm import aliased

from bot.chat.messages import ChannelKey, Speaker, Turn
from bot.errors import NotFound
from bot.store.columns import RowId
from bot.store.connecting.connection import is_postgres
from bot.store.memory.upkeep import (
    forget_facts_of,
    update_facts_of,
    words_changed,
    words_due,
)
from bot.store.privacy.left_out import stays_out
from bot.store.tables import (
    ChannelRow,
    ConversationRow,
    DerivedFromRow,
    DerivedRow,
    MessageRow,
    TurnRow,
)
from bot.store.turns.rows import AnyRow, batches, load_turns, select_turns
from bot.store.upserting import add_row

LARGEST_ID = 2**63 - 1


def now() -> datetime:
    """This moment, aware."""
    return datetime.now(UTC)


def turn_gone() -> NotFound:
    """What is raised for a turn that is not there."""
    return NotFound("That message is no longer in the history.", "It was deleted meanwhile.")


def usable_ids(ids: Iterable[int]) -> list[int]:
    """Those that a column can hold: any others are nobody's."""
    return [number for number in ids if 0 < number <= LARGEST_ID]


# Statements that every reply needs are put together once: that costs more than running them.
_IS_CHANNEL = (ChannelRow.platform == bindparam("platform")) & (
    ChannelRow.platform_channel_id == bindparam("channel")
)
_CHANNEL_ID = select(ChannelRow.id).where(_IS_CHANNEL)
_CHANNEL_ID_LOCKED = _CHANNEL_ID.with_for_update(key_share=True)
_CHANNEL_LOCKED = select(ChannelRow.__table__).where(_IS_CHANNEL).with_for_update(key_share=True)


def find_channel(connection: Connection, key: ChannelKey, *, lock: bool = False) -> int | None:
    """A stored channel's number, or None."""
    return connection.scalar(_CHANNEL_ID_LOCKED if lock else _CHANNEL_ID, _named(key))


def _named(key: ChannelKey) -> dict[str, Any]:
    return {"platform": key.platform, "channel": key.channel_id}


def take_channel(connection: Connection, key: ChannelKey) -> AnyRow:
    """The channel's row, locked; made if it is new. What `key` knows more of it is kept."""
    row = connection.execute(_CHANNEL_LOCKED, _named(key)).first()
    if row is None:
        values = {
            "platform": key.platform,
            "platform_channel_id": key.channel_id,
            "guild_id": key.guild_id,
            "parent_id": key.parent_id,
            "is_direct": key.is_direct,
        }
        add_row(connection, ChannelRow, values)  # another transaction may be making the same one
        row = connection.execute(_CHANNEL_LOCKED, _named(key)).one()
    better = better_key(key, row)
    known = (row.guild_id, row.parent_id, row.is_direct)
    if (better.guild_id, better.parent_id, better.is_direct) != known:
        connection.execute(
            update(ChannelRow)
            .where(ChannelRow.id == row.id)
            .values(
                guild_id=better.guild_id, parent_id=better.parent_id, is_direct=better.is_direct
            )
        )
    return row


def better_key(key: ChannelKey, row: AnyRow) -> ChannelKey:
    """A channel as what is stored and what `key` knows of it together say."""
    return ChannelKey(
        row.platform,
        row.platform_channel_id,
        key.guild_id or row.guild_id,
        key.parent_id or row.parent_id,
        key.is_direct or row.is_direct,
    )


_CURRENT = (
    select(ConversationRow.id)
    .join(ChannelRow, ChannelRow.id == ConversationRow.channel_id)
    .where(_IS_CHANNEL, ConversationRow.is_current)
)
_CURRENT_OF = select(ConversationRow.id).where(
    ConversationRow.channel_id == bindparam("channel_id"), ConversationRow.is_current
)


def current_conversation(connection: Connection, key: ChannelKey) -> int | None:
    """The number of a channel's current conversation."""
    return connection.scalar(_CURRENT, _named(key))


def take_conversation(connection: Connection, channel_id: int) -> int:
    """The channel's current conversation, made if there is none."""
    found = connection.scalar(_CURRENT_OF, {"channel_id": channel_id})
    return found or new_conversation(connection, channel_id)


def new_conversation(connection: Connection, channel_id: int) -> int:
    """A conversation that becomes the current one."""
    retire_conversation(connection, channel_id)
    return connection.scalar(
        insert(ConversationRow)
        .values(channel_id=channel_id, is_current=True, created_at=now())
        .returning(ConversationRow.id)
    )  # pyright: ignore[reportReturnType] - an INSERT returns its number


def retire_conversation(connection: Connection, channel_id: int) -> None:
    """Leave the channel without a current conversation."""
    connection.execute(
        update(ConversationRow)
        .where(ConversationRow.channel_id == channel_id, ConversationRow.is_current)
        .values(is_current=False)
    )


_EARLIER = aliased(TurnRow)
_NEXT_POSITION = (
    select(_EARLIER.position + 1)
    .where(_EARLIER.conversation_id == bindparam("within"))
    .order_by(_EARLIER.id.desc())
    .limit(1)
    .scalar_subquery()
)
_NEW_TURN = insert(TurnRow).values(position=func.coalesce(_NEXT_POSITION, 0)).returning(TurnRow.id)


def new_turn(connection: Connection, values: dict[str, Any]) -> int:
    """Append a turn; returns its number."""
    values = {**values, "within": values["conversation_id"]}
    number: int = connection.execute(_NEW_TURN, values).scalar_one()
    words_due(connection, number)
    return number


def new_bot_turn(
    connection: Connection, conversation: int, speaker: Speaker, persona: str, persona_id: str
) -> int:
    """Append a turn that the bot speaks, without a swipe; returns its number."""
    return new_turn(
        connection,
        {
            "conversation_id": conversation,
            "role": "bot",
            "speaker_id": speaker.speaker_id,
            "speaker_name": speaker.name,
            "speaker_is_bot": speaker.is_bot,
            "text": "",
            "created_at": now(),
            "persona": persona,
            "persona_id": persona_id or None,
            "addressed": False,
            "is_pending": False,
            "active_swipe": 0,
        },
    )


_ONE_TURN = select_turns().where(TurnRow.id == bindparam("turn_id"))


def read_turn(connection: Connection, turn_id: int) -> Turn:
    """A turn with all its parts. Raises NotFound."""
    if not 0 < turn_id <= LARGEST_ID:
        raise turn_gone()
    found = load_turns(connection, _ONE_TURN, {"turn_id": turn_id})
    if not found:
        raise turn_gone()
    return found[0]


_CONVERSATION_OF = select(TurnRow.conversation_id).where(TurnRow.id == bindparam("turn_id"))


def conversation_of(connection: Connection, turn_id: int) -> int:
    """The conversation that a turn belongs to. Raises NotFound."""
    found = None
    if 0 < turn_id <= LARGEST_ID:
        found = connection.scalar(_CONVERSATION_OF, {"turn_id": turn_id})
    if found is None:
        raise turn_gone()
    return found


_TAKEN_TURN = (
    select(
        TurnRow.id,
        TurnRow.role,
        ConversationRow.channel_id,
        TurnRow.active_swipe,
        TurnRow.swipe_before,
    )
    .join(ConversationRow, ConversationRow.id == TurnRow.conversation_id)
    .where(TurnRow.id == bindparam("turn_id"))
)


def take_turn(connection: Connection, turn_id: int, *, role: str | None = None) -> AnyRow:
    """What concerns a turn itself: `id, role, channel_id, active_swipe, swipe_before`.

    Its channel is locked. Raises NotFound, also for the wrong role.
    """
    if not 0 < turn_id <= LARGEST_ID:
        raise turn_gone()
    lock_channels_of(connection, [turn_id])
    row = connection.execute(_TAKEN_TURN, {"turn_id": turn_id}).first()
    if row is None:
        raise turn_gone()
    if role is not None and row.role != role:
        what = "is not a reply of the bot's" if role == "bot" else "is the bot's own"
        raise NotFound(f"That message {what}.")
    return row


def lock_channels_of(connection: Connection, turn_ids: Sequence[int]) -> None:
    """Lock the channels that hold these turns, in one order for everybody."""
    if not is_postgres(connection):
        return
    channel_ids: set[int] = set()
    for piece in batches(usable_ids(turn_ids)):
        channel_ids.update(
            connection.scalars(
                select(ConversationRow.channel_id)
                .join(TurnRow, TurnRow.conversation_id == ConversationRow.id)
                .where(TurnRow.id.in_(piece))
            )
        )
    lock_channels(connection, channel_ids)


def lock_channels(connection: Connection, channel_ids: Collection[int]) -> None:
    """Lock these channels, in one order for everybody."""
    if not is_postgres(connection):
        return
    for piece in batches(sorted(channel_ids)):
        connection.execute(
            select(ChannelRow.id)
            .where(ChannelRow.id.in_(piece))
            .order_by(ChannelRow.id)
            .with_for_update(key_share=True)
        )


def conversations_of(channel_id: int) -> Select[int]:
    """The numbers of a channel's conversations, as a part of a statement."""
    return select(ConversationRow.id).where(ConversationRow.channel_id == channel_id)


_MESSAGE_IDS = (
    select(MessageRow.message_id)
    .where(MessageRow.turn_id.in_(bindparam("turn_ids", expanding=True, type_=RowId)))
    .order_by(MessageRow.turn_id, MessageRow.position)
)


def message_ids_of(connection: Connection, turn_ids: Sequence[int]) -> list[str]:
    """The platform's messages that hold these turns, in order."""
    found: list[str] = []
    for piece in batches(turn_ids):
        found += connection.scalars(_MESSAGE_IDS, {"turn_ids": piece})
    return found


def remove_turns(connection: Connection, channel_id: int, turn_ids: Sequence[int]) -> None:
    """Take turns out: their swipes, messages and records, and what others quote of them."""
    mark_stale(connection, turn_ids)
    forget_quotes(connection, channel_id, message_ids_of(connection, turn_ids))
    for piece in batches(turn_ids):
        connection.execute(delete(TurnRow).where(TurnRow.id.in_(piece)))


def forget_quotes(connection: Connection, channel_id: int, message_ids: Sequence[str]) -> None:
    """Take out what turns of this channel quote of these messages, and what was pinned of them."""
    forget_facts_of(connection, channel_id, message_ids)
    for piece in batches(message_ids):
        forget_quotes_where(connection, channel_id, TurnRow.quoted_message_id.in_(piece))


def forget_quotes_where(
    connection: Connection, channel_id: int, chosen: ColumnElement[bool]
) -> None:
    """Take out what the chosen turns of this channel quote."""
    _change_quotes(
        connection,
        channel_id,
        chosen,
        quoted_message_id=None,
        quoted_speaker_id=None,
        quoted_speaker_name=None,
        quoted_speaker_is_bot=None,
        quoted_text=None,
    )


def _change_quotes(
    connection: Connection, channel_id: int, chosen: ColumnElement[bool], **values: str | None
) -> int:
    changed = connection.scalars(
        update(TurnRow)
        .where(chosen, TurnRow.conversation_id.in_(conversations_of(channel_id)))
        .values(**values)
        .returning(TurnRow.id)
    ).all()
    mark_stale(connection, changed)
    return len(changed)


_STALE = (
    update(DerivedRow)
    .where(
        DerivedRow.id.in_(
            select(DerivedFromRow.derived_id).where(
                DerivedFromRow.turn_id.in_(bindparam("turn_ids", expanding=True, type_=RowId))
            )
        )
    )
    .values(is_stale=True, text="")
)


def mark_stale(connection: Connection, turn_ids: Sequence[int]) -> None:
    """What these turns say, or whether they are seen, changes: so does what came from them.

    Its text goes at once: it may tell what is to be told no more. Nor are the turns found by their
    words, until those are looked at again.
    """
    for piece in batches(turn_ids):
        connection.execute(_STALE, {"turn_ids": piece})
    words_changed(connection, turn_ids)


def replace_quotes(
    connection: Connection, channel_id: int, message_ids: Sequence[str], text: str
) -> bool:
    """Let turns that quote these messages quote the new text, and what was pinned of them say it.

    Whether there was anything. Of whoever has opted out, nothing new is kept.
    """
    changed = update_facts_of(connection, channel_id, message_ids, text)
    for piece in batches(message_ids):
        quoting = TurnRow.quoted_message_id.in_(piece) & ~stays_out(TurnRow.quoted_speaker_id)
        changed += _change_quotes(connection, channel_id, quoting, quoted_text=text)
    return changed > 0
