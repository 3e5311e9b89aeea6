"""Reading a channel's conversation, and turning it over: windows, what waits, reset.

Functions of a connection, each one transaction.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    bindparam,
    case,
    delete,
    func,
    literal_column,
    select,
    update,
)

from bot.chat.messages import (
    ChannelKey,
    HistoryWindow,
    Overview,
    PastConversation,
    Turn,
    Waiting,
)
from bot.errors import NotFound
from bot.store import settings
from bot.store.columns import RowId
from bot.store.privacy.left_out import is_seen
from bot.store.tables import ChannelRow, ConversationRow, MessageRow, TurnRow
from bot.store.turns.access import (
    LARGEST_ID,
    conversation_of,
    current_conversation,
    find_channel,
    new_conversation,
    read_turn,
    remove_turns,
    retire_conversation,
    take_channel,
    take_conversation,
    usable_ids,
)
from bot.store.turns.incoming import turn_id_of_message
from bot.store.turns.rows import (
    CHANNEL_COLUMNS,
    batches,
    channel_key,
    load_turns,
    load_turns_with_rows,
    select_turns,
)
from bot.store.turns.scope import ONLY_OF, REPLY_TO

_BOT: ColumnElement[str] = literal_column("'bot'")  # as `ix_turns_replies` says it


def turn_of_message(connection: Connection, channel: ChannelKey, message_id: str) -> Turn | None:
    """The turn that a platform's message belongs to, also a hidden one."""
    channel_id = find_channel(connection, channel)
    if channel_id is None:
        return None
    turn_id = turn_id_of_message(connection, channel_id, message_id)
    return None if turn_id is None else read_turn(connection, turn_id)


def replies_in(
    connection: Connection, channel: ChannelKey, message_ids: Sequence[str]
) -> list[Turn]:
    """The bot's turns that these messages hold, or parts of them, also hidden ones."""
    channel_id = find_channel(connection, channel)
    if channel_id is None:
        return []
    found: dict[int, Turn] = {}
    for piece in batches(message_ids):
        holding = select(MessageRow.turn_id).where(
            MessageRow.channel_id == channel_id, MessageRow.message_id.in_(piece)
        )
        chosen = select_turns().where(TurnRow.role == "bot", TurnRow.id.in_(holding))
        found |= {turn.turn_id: turn for turn in load_turns(connection, chosen)}
    return list(found.values())


_VISIBLE = (TurnRow.conversation_id == bindparam("conversation")) & is_seen()
_WINDOW = (
    select_turns()
    .where(_VISIBLE, TurnRow.id < bindparam("before"))
    .order_by(TurnRow.id.desc())
    .limit(bindparam("limit"))
)
_WINDOW_OF_ONE = _WINDOW.where(ONLY_OF)
_PENDING = (
    select_turns()
    .where(_VISIBLE, TurnRow.is_pending, TurnRow.heard_by == bindparam("heard_by"))
    .where(TurnRow.role == "user")
    .order_by(TurnRow.id)
)
_NEWEST = (
    select(
        select(TurnRow.id)
        .where(TurnRow.conversation_id == ConversationRow.id, is_seen())
        .order_by(TurnRow.id.desc())
        .limit(1)
        .correlate(ConversationRow)
        .scalar_subquery()
    )
    .select_from(ConversationRow)
    .join(ChannelRow, ChannelRow.id == ConversationRow.channel_id)
    .where(
        ChannelRow.platform == bindparam("platform"),
        ChannelRow.platform_channel_id.in_(bindparam("channels", expanding=True)),
        ConversationRow.is_current,
    )
)
_PENDING_SINCE = _PENDING.where(
    (TurnRow.created_at >= bindparam("since"))
    | TurnRow.id.in_(bindparam("also", expanding=True, type_=RowId))
)


def window(
    connection: Connection,
    channel: ChannelKey,
    limit: int,
    *,
    before_turn: int | None = None,
    conversation_id: int | None = None,
    only_of: str | None = None,
) -> HistoryWindow:
    """The newest `limit` visible turns. Conversation 0 where nothing was ever said.

    Reads no more than that, however many there are before; with `only_of`, looks through others'.
    """
    if before_turn is None:
        conversation = _chosen(connection, channel, conversation_id)
        if conversation is None:
            return HistoryWindow(0, ())
    else:
        conversation = conversation_of(connection, before_turn)
    limit = max(0, min(limit, LARGEST_ID - 1))
    before = LARGEST_ID if before_turn is None else before_turn
    wanted = {"conversation": conversation, "before": before, "limit": limit + 1}
    if only_of is None:
        found = load_turns_with_rows(connection, _WINDOW, wanted)
    else:
        found = load_turns_with_rows(connection, _WINDOW_OF_ONE, {**wanted, "person": only_of})
    shown = found[limit - 1 :: -1] if limit else []
    turns = tuple(turn for turn, _row in shown)
    positions = tuple(row.position for _turn, row in shown)
    if len(found) <= limit:
        return HistoryWindow(conversation, turns, 0, positions)
    skipped = positions[0] if positions else found[0][1].position + 1
    return HistoryWindow(conversation, turns, skipped, positions)


def pending(
    connection: Connection,
    channel: ChannelKey,
    *,
    since: datetime | None = None,
    heard_by: str = "",
    also: Collection[int] = (),
) -> list[Turn]:
    """What an account is still to answer in the current conversation, oldest first.

    With `since`, what was said then or later, and whichever `also` names.
    """
    conversation = current_conversation(connection, channel)
    if conversation is None:
        return []
    wanted: dict[str, object] = {"conversation": conversation, "heard_by": heard_by}
    if since is None:
        return load_turns(connection, _PENDING, wanted)
    wanted |= {"since": since, "also": usable_ids(also)}
    return load_turns(connection, _PENDING_SINCE, wanted)


def waiting(
    connection: Connection,
    channel: ChannelKey,
    scopes: settings.Scopes,
    *,
    since: datetime,
    also: Collection[int] = (),
    heard_by: str = "",
) -> Waiting:
    """What is to be answered, and what is set, at the same moment."""
    turns = pending(connection, channel, since=since, also=also, heard_by=heard_by)
    return Waiting(tuple(turns), settings.stored(connection, scopes))


def overview(
    connection: Connection, channels: Sequence[ChannelKey], scopes: settings.Scopes
) -> Overview:
    """The newest visible turn of each channel's current conversation, and what is set."""
    newest: dict[ChannelKey, Turn] = {}
    by_platform: dict[str, list[str]] = {}
    for key in channels:
        by_platform.setdefault(key.platform, []).append(key.channel_id)
    for platform, channel_ids in by_platform.items():
        for piece in batches(channel_ids):
            wanted = {"platform": platform, "channels": piece}
            turn_ids = connection.scalars(_NEWEST, wanted).all()  # None of an empty conversation
            chosen = select_turns().where(TurnRow.id.in_(turn_ids))
            newest.update({turn.channel: turn for turn in load_turns(connection, chosen)})
    return Overview(newest, settings.values(connection, scopes))


def channels_with_pending(
    connection: Connection, platform: str, *, since: datetime, heard_by: str = ""
) -> list[ChannelKey]:
    """Where somebody still waits for an answer, or for another persona's, the longest first."""
    rows = connection.execute(
        select(*CHANNEL_COLUMNS)
        .join(ConversationRow, ConversationRow.channel_id == ChannelRow.id)
        .join(TurnRow, TurnRow.conversation_id == ConversationRow.id)
        .where(
            ChannelRow.platform == platform,
            ConversationRow.is_current,
            TurnRow.is_pending,
            TurnRow.heard_by == heard_by,
            is_seen(),
            TurnRow.created_at >= since,
        )
        .group_by(ChannelRow.id)
        .order_by(func.min(TurnRow.id))
    )
    return [channel_key(row) for row in rows]


def channels_quoting(
    connection: Connection, platform: str, message_ids: Sequence[str]
) -> list[ChannelKey]:
    """The channels in which some turn quotes one of these messages."""
    found: dict[ChannelKey, None] = {}
    for piece in batches(message_ids):
        rows = connection.execute(
            select(*CHANNEL_COLUMNS)
            .join(ConversationRow, ConversationRow.channel_id == ChannelRow.id)
            .join(TurnRow, TurnRow.conversation_id == ConversationRow.id)
            .where(ChannelRow.platform == platform, TurnRow.quoted_message_id.in_(piece))
            .distinct()
        )
        found |= {channel_key(row): None for row in rows}
    return list(found)


def last_reply(
    connection: Connection, channel: ChannelKey, *, only_of: str | None = None
) -> Turn | None:
    """The newest visible bot's turn of the current conversation, as :func:`newest_reply`."""
    conversation = current_conversation(connection, channel)
    newest = None if conversation is None else newest_reply(connection, conversation, only_of)
    return None if newest is None else read_turn(connection, newest)


def newest_reply(
    connection: Connection, conversation_id: int, only_of: str | None = None
) -> int | None:
    """The newest visible bot's turn of a conversation; with `only_of`, to that person alone."""
    chosen = select(TurnRow.id).where(_visible(conversation_id), TurnRow.role == _BOT)
    if only_of is not None:
        chosen = chosen.where(REPLY_TO)
    wanted = {} if only_of is None else {"person": only_of}
    return connection.scalar(chosen.order_by(TurnRow.id.desc()).limit(1), wanted)


def export(
    connection: Connection, channel: ChannelKey, *, conversation_id: int | None = None
) -> list[Turn]:
    """Every visible turn of a conversation, by default the current one."""
    conversation = _chosen(connection, channel, conversation_id)
    if conversation is None:
        return []
    chosen = select_turns().where(_visible(conversation)).order_by(TurnRow.id)
    return load_turns(connection, chosen)


def reset(connection: Connection, channel: ChannelKey) -> tuple[int, int]:
    """Start a new conversation, deleting nothing. Returns (old, new) conversation ids."""
    channel_id: int = take_channel(connection, channel).id
    old = take_conversation(connection, channel_id)
    return old, new_conversation(connection, channel_id)


def list_conversations(connection: Connection, channel: ChannelKey) -> list[PastConversation]:
    """Every conversation of a channel in which something was said, the newest first.

    It is told by what a person said first: many begin with the same greeting.
    """
    said = case((TurnRow.role == "user", TurnRow.id))
    rows = connection.execute(
        select(
            ConversationRow.id,
            ConversationRow.is_current,
            func.count(TurnRow.id).label("turns"),
            func.coalesce(func.min(said), func.min(TurnRow.id)).label("first"),
            func.max(TurnRow.created_at).label("newest_at"),
        )
        .join(ChannelRow, ChannelRow.id == ConversationRow.channel_id)
        .join(TurnRow, TurnRow.conversation_id == ConversationRow.id)
        .where(
            ChannelRow.platform == channel.platform,
            ChannelRow.platform_channel_id == channel.channel_id,
            is_seen(),
        )
        .group_by(ConversationRow.id, ConversationRow.is_current)
        .order_by(func.max(TurnRow.id).desc())
    ).all()
    firsts: dict[int, Turn] = {}
    for piece in batches([row.first for row in rows]):
        chosen = select_turns().where(TurnRow.id.in_(piece))
        firsts |= {turn.turn_id: turn for turn in load_turns(connection, chosen)}
    return [
        PastConversation(row.id, row.is_current, row.turns, firsts[row.first], row.newest_at)
        for row in rows
    ]


def delete_conversation(connection: Connection, channel: ChannelKey, conversation_id: int) -> None:
    """Take out a conversation that was left, with all its turns. NotFound for any other."""
    channel_id = _take_own(connection, channel, conversation_id)
    wanted = ConversationRow.id == conversation_id
    if connection.scalar(select(ConversationRow.is_current).where(wanted)):
        raise NotFound("That is the present conversation.", "Begin a new one first.")
    turn_ids = connection.scalars(
        select(TurnRow.id).where(TurnRow.conversation_id == conversation_id)
    ).all()
    remove_turns(connection, channel_id, turn_ids)
    connection.execute(delete(ConversationRow).where(wanted))


def restore(connection: Connection, channel: ChannelKey, conversation_id: int) -> None:
    """Make an earlier conversation the current one again. NotFound when it is not here."""
    channel_id = _take_own(connection, channel, conversation_id)
    retire_conversation(connection, channel_id)
    connection.execute(
        update(ConversationRow).where(ConversationRow.id == conversation_id).values(is_current=True)
    )


def _chosen(connection: Connection, channel: ChannelKey, conversation_id: int | None) -> int | None:
    """A conversation of the channel: by default the current one, if there is any."""
    if conversation_id is None:
        return current_conversation(connection, channel)
    _require_own(connection, find_channel(connection, channel), conversation_id)
    return conversation_id


def _take_own(connection: Connection, channel: ChannelKey, conversation_id: int) -> int:
    """The channel's number, locked. NotFound when the conversation is none of its own."""
    channel_id = find_channel(connection, channel, lock=True)
    return _require_own(connection, channel_id, conversation_id)


def _require_own(connection: Connection, channel_id: int | None, conversation_id: int) -> int:
    owner = None
    if 0 < conversation_id <= LARGEST_ID:
        owner = connection.scalar(
            select(ConversationRow.channel_id).where(ConversationRow.id == conversation_id)
        )
    if channel_id is None or owner != channel_id:
        raise NotFound("That conversation is not there any more.")
    return channel_id


def _visible(conversation_id: int) -> ColumnElement[bool]:
    return (TurnRow.conversation_id == conversation_id) & is_seen()
