"""Where something of a person stands, and what they said there. Functions of a connection."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, case, distinct, func, or_, select, union

from bot.chat.messages import ChannelKey
from bot.chat.privacy.people import (
    Mark,
    Own,
    Page,
    Person,
    Place,
    Preview,
    SaidByOthers,
    SaidByThem,
)
from bot.store.memory.tables import FactRow
from bot.store.privacy.names import facts_of, in_channels
from bot.store.scenes.tables import SceneCharacterRow, SceneRow
from bot.store.tables import (
    AskerRow,
    ChannelRow,
    ConversationRow,
    GenerationRow,
    SwipeRow,
    TurnRow,
)
from bot.store.turns.rows import CHANNEL_COLUMNS, batches, channel_key


def preview(connection: Connection, person: Person) -> Preview:
    """How much of a person there is."""
    here = _conversations(person)
    theirs = _theirs(person)
    asked = select(AskerRow.turn_id).where(AskerRow.speaker_id == person.speaker_id)
    counted = select(func.count(TurnRow.id)).where(TurnRow.conversation_id.in_(here))
    quoting = (TurnRow.quoted_speaker_id == person.speaker_id) & ~theirs
    facts = select(func.count(FactRow.id)).where(
        FactRow.said_by == person.speaker_id, facts_of(person)
    )
    channels = (
        select(func.count(distinct(ConversationRow.channel_id)))
        .join(TurnRow, TurnRow.conversation_id == ConversationRow.id)
        .where(theirs, ConversationRow.id.in_(here))
    )
    return Preview(
        messages=connection.scalar(counted.where(theirs)) or 0,
        replies=connection.scalar(counted.where(TurnRow.role == "bot", TurnRow.id.in_(asked))) or 0,
        quotes=connection.scalar(counted.where(quoting)) or 0,
        facts=connection.scalar(facts) or 0,
        channels=connection.scalar(channels) or 0,
    )


def places(connection: Connection, person: Person, *, own: str = "") -> list[Place]:
    """The channels in which something of a person stands, in one order for everybody."""
    found: dict[int, Place] = {}
    for standing, speaks in _standing(person):
        chosen = select(ChannelRow.id, *CHANNEL_COLUMNS).where(
            in_channels(person), ChannelRow.id.in_(standing)
        )
        for row in connection.execute(chosen):
            # A direct channel is one person's, and what is theirs there is all of it.
            if row.id not in found or (speaks and row.is_direct):
                found[row.id] = Place(row.id, channel_key(row), speaks and row.is_direct)
    if own and not person.guild_id:
        chosen = select(ChannelRow.id, *CHANNEL_COLUMNS).where(
            ChannelRow.platform == person.platform, ChannelRow.platform_channel_id == own
        )
        row = connection.execute(chosen).first()
        key = ChannelKey(person.platform, own, is_direct=True) if row is None else channel_key(row)
        number = 0 if row is None else row.id
        found[number] = Place(number, key, is_own=True)
    return [found[number] for number in sorted(found)]


def _standing(person: Person) -> Iterator[tuple[Select[Any], bool]]:
    """Channels by each of the ways in which somebody stands there, and whether they speak there.

    Each has an index.
    """
    who = person.speaker_id
    asked = select(AskerRow.turn_id).where(AskerRow.speaker_id == who)
    for names_them, speaks in (
        (TurnRow.speaker_id == who, True),
        (TurnRow.id.in_(asked), True),
        (TurnRow.quoted_speaker_id == who, False),
    ):
        yield (
            (
                select(ConversationRow.channel_id)
                .join(TurnRow, TurnRow.conversation_id == ConversationRow.id)
                .where(names_them)
            ),
            speaks,
        )
    said = or_(FactRow.said_by == who, FactRow.written_by == who)
    yield select(FactRow.channel_id).where(said, FactRow.channel_id.is_not(None)), True
    parents = (
        select(ChannelRow.platform_channel_id)
        .join(FactRow, FactRow.channel_id == ChannelRow.id)
        .where(said)
    )
    yield select(ChannelRow.id).where(ChannelRow.parent_id.in_(parents)), False
    guilds = select(FactRow.guild_id).where(said, FactRow.platform == person.platform)
    yield select(ChannelRow.id).where(ChannelRow.guild_id.in_(guilds)), False
    plays = select(SceneCharacterRow.scene_id).where(SceneCharacterRow.speaker_id == who)
    in_scene = or_(SceneRow.started_by == who, SceneRow.id.in_(plays))
    yield select(SceneRow.channel_id).where(in_scene), True


def own(connection: Connection, person: Person, place: Place) -> Own:
    """The names under which somebody spoke in a channel, and what they pinned that holds there."""
    here = TurnRow.conversation_id.in_(_of_channel(place.number))
    spoke = select(TurnRow.speaker_name).where(here, _theirs(person)).distinct()
    quoted = select(TurnRow.quoted_speaker_name).where(
        here, TurnRow.quoted_speaker_id == person.speaker_id
    )
    names = [*connection.scalars(spoke), *connection.scalars(quoted.distinct())]
    facts = select(FactRow.text).where(FactRow.said_by == person.speaker_id, FactRow.text != "")
    facts = facts.where(facts_of(person))
    return Own(tuple(sorted({name for name in names if name})), tuple(connection.scalars(facts)))


def said_by_them(
    connection: Connection, person: Person, place: Place, after: Page, limit: int
) -> list[SaidByThem]:
    """What somebody says in a channel, conversation after conversation.

    Their own turns, and what others' quote of them: often that is the only place where it stands.
    """
    quotes = TurnRow.quoted_speaker_id == person.speaker_id
    said = case((_theirs(person), TurnRow.text), else_="")
    quoted = case((quotes, TurnRow.quoted_text), else_="")
    return [
        SaidByThem(row.conversation_id, row.id, f"{row.said}\n{row.quoted or ''}".strip("\n"))
        for row in connection.execute(
            select(TurnRow.conversation_id, TurnRow.id, said.label("said"), quoted.label("quoted"))
            .where(_after(place.number, after), _theirs(person) | quotes)
            .order_by(TurnRow.conversation_id, TurnRow.id)
            .limit(limit)
        )
    ]


def said_by_others(
    connection: Connection, person: Person, place: Place, after: Page, limit: int
) -> list[SaidByOthers]:
    """What others said in a channel, and the bot."""
    chosen = _said().where(_after(place.number, after), ~_theirs(person))
    chosen = chosen.order_by(TurnRow.conversation_id, TurnRow.id).limit(limit)
    return _with_swipes(connection, chosen)


def mark(connection: Connection, place: Place) -> Mark:
    """The newest swipe of all, and the newest generation."""
    swipe = connection.scalar(select(func.max(SwipeRow.id))) or 0
    return Mark(swipe, connection.scalar(select(func.max(GenerationRow.id))) or 0)


def replies_since(connection: Connection, place: Place, since: Mark) -> list[SaidByOthers]:
    """Replies of a channel that came, went on or were being written after a mark."""
    made = union(  # not joined: then every swipe there is would be read
        select(SwipeRow.turn_id).where(SwipeRow.id > since.swipe),
        select(SwipeRow.turn_id)
        .join(GenerationRow, GenerationRow.swipe_id == SwipeRow.id)
        .where(GenerationRow.id > since.generation),
    )
    chosen = _said().where(
        TurnRow.conversation_id.in_(_of_channel(place.number)), TurnRow.id.in_(made)
    )
    return _with_swipes(connection, chosen.order_by(TurnRow.conversation_id, TurnRow.id))


def _said() -> Select[int, int, str, str, str, int, str]:
    return select(
        TurnRow.conversation_id,
        TurnRow.id,
        TurnRow.role,
        TurnRow.text,
        case((TurnRow.role == "bot", TurnRow.persona), else_="").label("persona"),
        TurnRow.active_swipe,
        case((TurnRow.quoted_speaker_is_bot.is_(True), TurnRow.quoted_text), else_="").label(
            "quoted"
        ),
    )


def _with_swipes(
    connection: Connection, chosen: Select[int, int, str, str, str, int, str]
) -> list[SaidByOthers]:
    rows = connection.execute(chosen).all()
    swipes: dict[int, dict[int, str]] = {}
    for piece in batches([row.id for row in rows if row.role == "bot"]):
        for swipe in connection.execute(
            select(SwipeRow.turn_id, SwipeRow.position, SwipeRow.text).where(
                SwipeRow.turn_id.in_(piece)
            )
        ):
            swipes.setdefault(swipe.turn_id, {})[swipe.position] = swipe.text
    return [
        SaidByOthers(
            row.conversation_id,
            row.id,
            swipes.get(row.id, {}).get(row.active_swipe, "") if row.role == "bot" else row.text,
            row.persona,
            row.role == "bot",
            row.active_swipe,
            row.quoted,
            swipes.get(row.id, {}),
        )
        for row in rows
    ]


def _theirs(person: Person) -> ColumnElement[bool]:
    return (TurnRow.speaker_id == person.speaker_id) & (TurnRow.role == "user")


def _of_channel(channel_id: int) -> Select[int]:
    return select(ConversationRow.id).where(ConversationRow.channel_id == channel_id)


def _after(channel_id: int, after: Page) -> ColumnElement[bool]:
    conversation, turn = after
    here = TurnRow.conversation_id.in_(_of_channel(channel_id))
    later = (TurnRow.conversation_id > conversation) | (
        (TurnRow.conversation_id == conversation) & (TurnRow.id > turn)
    )
    return here & later


def _conversations(person: Person) -> Select[int]:
    return (
        select(ConversationRow.id)
        .join(ChannelRow, ChannelRow.id == ConversationRow.channel_id)
        .where(in_channels(person))
    )


def turn_ids_of(
    connection: Connection, person: Person, place: Place, limit: int
) -> tuple[Sequence[int], Sequence[int]]:
    """Some of somebody's turns in a channel, and some replies that answer them."""
    here = TurnRow.conversation_id.in_(_of_channel(place.number))
    asked = select(AskerRow.turn_id).where(AskerRow.speaker_id == person.speaker_id)
    theirs = select(TurnRow.id).where(here, _theirs(person)).order_by(TurnRow.id).limit(limit)
    replies = (
        select(TurnRow.id)
        .where(here, TurnRow.role == "bot", TurnRow.id.in_(asked))
        .order_by(TurnRow.id)
        .limit(limit)
    )
    return connection.scalars(theirs).all(), connection.scalars(replies).all()
