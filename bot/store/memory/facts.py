"""Facts, kept: :class:`bot.chat.roleplay.memory.facts.FactStore` on SQL."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    text,
    true,
    update,
)

from bot.chat.messages import ChannelKey
from bot.chat.roleplay.memory.facts import MOST_FACTS, Fact, FactSource
from bot.errors import NotAllowed, NotFound
from bot.store.connecting.connection import is_postgres
from bot.store.memory.tables import FactRow
from bot.store.privacy.left_out import (
    is_seen,
    refuse_left_out,
    refuse_opted_out,
    stays_out,
)
from bot.store.tables import ChannelRow, SwipeRow, TurnRow
from bot.store.turns.access import (
    find_channel,
    lock_channels,
    now,
    take_channel,
    usable_ids,
)
from bot.store.turns.incoming import turn_id_of_message
from bot.store.turns.rows import AnyRow

_TEXT = case(
    (
        FactRow.repeats & FactRow.turn_id.is_not(None),
        case((TurnRow.role == "bot", SwipeRow.text), else_=TurnRow.text),
    ),
    else_=FactRow.text,
)


def facts(connection: Connection, channel: ChannelKey, persona_id: str | None = None) -> list[Fact]:
    """What holds in a channel, the oldest first; None: for any persona."""
    chosen = _seen_facts(_holding_in(connection, channel)).order_by(FactRow.id)
    if persona_id is not None:
        chosen = chosen.where(FactRow.persona_id.in_(["", persona_id]))
    return [_fact(row) for row in connection.execute(chosen)]


def fact(connection: Connection, channel: ChannelKey, fact_id: int) -> Fact:
    """One that holds in a channel. Raises NotFound."""
    number = FactRow.id.in_(usable_ids([fact_id]))
    row = connection.execute(_seen_facts(_holding_in(connection, channel) & number)).first()
    if row is None:
        raise NotFound(f"There is no fact number {fact_id} here.", "See `/memory show`.")
    return _fact(row)


def add_fact(
    connection: Connection,
    channel: ChannelKey,
    text: str,
    *,
    by: str,
    persona_id: str = "",
    source: FactSource | None = None,
    limit: int = MOST_FACTS,
) -> Fact:
    """Keep one. Raises NotAllowed where there are `limit` already, or it is pinned already.

    Also where whoever pins or said it has opted out.
    """
    refuse_opted_out(connection, by, source.said_by if source else by)
    channel_id: int = take_channel(connection, channel).id
    in_guild = bool(persona_id) and channel.guild_id is not None
    _refuse_too_many(connection, channel_id, channel.guild_id, persona_id, limit)
    values = {
        "platform": channel.platform,
        "channel_id": None if in_guild else channel_id,
        "guild_id": channel.guild_id if in_guild else None,
        "persona_id": persona_id,
        "text": text,
        "repeats": source is not None,
        "written_by": by,
        "said_by": by,
        "created_at": now(),
    }
    if source is not None:
        turn_id = turn_id_of_message(connection, channel_id, source.message_id)
        refuse_left_out(connection, turn_id or 0)
        values |= {"said_by": source.said_by, "turn_id": turn_id}
        values |= {"message_id": source.message_id} if turn_id is None else {"text": ""}
        _refuse_twice(connection, channel_id, source.message_id, turn_id)
    number = connection.execute(insert(FactRow).values(values).returning(FactRow.id)).scalar_one()
    return fact(connection, channel, number)


def edit_fact(connection: Connection, channel: ChannelKey, fact_id: int, text: str) -> Fact:
    """Let it say something else. Raises NotFound."""
    _lock(connection, channel)
    fact(connection, channel, fact_id)
    connection.execute(
        update(FactRow).where(FactRow.id == fact_id).values(text=text, repeats=False)
    )
    return fact(connection, channel, fact_id)


def remove_fact(connection: Connection, channel: ChannelKey, fact_id: int) -> Fact:
    """Take it out; returns what it was. Raises NotFound."""
    _lock(connection, channel)
    gone = fact(connection, channel, fact_id)
    connection.execute(delete(FactRow).where(FactRow.id == fact_id))
    return gone


def exported_facts(connection: Connection) -> Iterator[dict[str, Any]]:
    """Every fact with its text as it reads now, hidden ones too, for `db export`."""
    chosen = selected_facts(true()).order_by(FactRow.id)
    for row in connection.execute(chosen).mappings().all():
        fields = dict(row)
        fields |= {"text": fields.pop("reads") or "", "fact_id": fields.pop("id")}
        fields["channel_id"] = fields.pop("platform_channel_id")
        yield fields


def _lock(connection: Connection, channel: ChannelKey) -> None:
    lock_channels(connection, _channel_ids(connection, channel))


def _channel_ids(connection: Connection, channel: ChannelKey) -> list[int]:
    """The channel's number, and that of the channel that a thread belongs to."""
    keys = [channel]
    if channel.parent_id is not None:
        keys.append(ChannelKey(channel.platform, channel.parent_id, channel.guild_id))
    found = (find_channel(connection, key) for key in keys)
    return [number for number in found if number is not None]


def _holding_in(connection: Connection, channel: ChannelKey) -> ColumnElement[bool]:
    """What holds there: its own, its channel's where it is a thread, its guild's personas'."""
    holding = FactRow.channel_id.in_(_channel_ids(connection, channel))
    if channel.guild_id is None:
        return holding
    of_personas = (FactRow.platform == channel.platform) & (FactRow.guild_id == channel.guild_id)
    return or_(holding, of_personas)


def _seen_facts(chosen: ColumnElement[bool]) -> Select[Any]:
    """Those whose turn is not hidden, of people who have not opted out."""
    return selected_facts(chosen).where(is_seen(), ~stays_out(FactRow.said_by))


def selected_facts(chosen: ColumnElement[bool]) -> Select[Any]:
    """Some facts, hidden ones too, with their text as it `reads` now."""
    return (
        select(*FactRow.__table__.columns, _TEXT.label("reads"), ChannelRow.platform_channel_id)
        .outerjoin(ChannelRow, ChannelRow.id == FactRow.channel_id)
        .outerjoin(TurnRow, TurnRow.id == FactRow.turn_id)
        .outerjoin(
            SwipeRow,
            (SwipeRow.turn_id == TurnRow.id) & (SwipeRow.position == TurnRow.active_swipe),
        )
        .where(chosen)
    )


def _fact(row: AnyRow) -> Fact:
    return Fact(
        fact_id=row.id,
        text=row.reads or "",
        written_by=row.written_by,
        said_by=row.said_by,
        created_at=row.created_at,
        persona_id=row.persona_id,
        channel_id=row.platform_channel_id or "",
        repeats_message=row.repeats,
    )


def _refuse_too_many(
    connection: Connection, channel_id: int, guild_id: str | None, persona_id: str, limit: int
) -> None:
    in_guild = bool(persona_id) and guild_id is not None
    if in_guild:
        # Two channels of a guild may add at the same time: the channel's lock is not enough.
        if is_postgres(connection):
            connection.execute(text("LOCK TABLE facts IN SHARE ROW EXCLUSIVE MODE"))
        here = (FactRow.guild_id == guild_id) & (FactRow.persona_id == persona_id)
    else:
        here = FactRow.channel_id == channel_id
    if (connection.scalar(select(func.count(FactRow.id)).where(here)) or 0) >= limit:
        where = "that persona" if in_guild else "this channel"
        raise NotAllowed(
            f"There are {limit} facts about {where} already, which is the limit.",
            "Take one out with `/memory remove`.",
        )


def _refuse_twice(
    connection: Connection, channel_id: int, message_id: str, turn_id: int | None
) -> None:
    same: Sequence[ColumnElement[bool]] = (
        (FactRow.turn_id == turn_id,)
        if turn_id is not None
        else (FactRow.channel_id == channel_id, FactRow.message_id == message_id)
    )
    known = connection.scalar(select(FactRow.id).where(*same).limit(1))
    if known is not None:
        raise NotAllowed(
            f"That message is remembered already, as fact number {known}.",
            "See `/memory show`.",
        )
