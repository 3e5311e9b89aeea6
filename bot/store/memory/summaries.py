"""The rolling summaries of conversations: :class:`bot.chat.roleplay.memory.sections.SummaryShelf`.

A section's text is a derived one, of kind `summary`, with the turns that it came from: what marks
that stale stands with what changes a turn.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    bindparam,
    exists,
    func,
    insert,
    literal_column,
    or_,
    select,
)
from sqlalchemy.orm import aliased

from bot.chat.messages import ChannelKey, Turn, TurnState
from bot.chat.roleplay.memory.sections import (
    FoldingState,
    NewSection,
    Section,
    folded_up_to,
)
from bot.store.columns import RowId
from bot.store.connecting.binding import OnTransactions, reads, writes
from bot.store.privacy.left_out import is_seen
from bot.store.tables import (
    ChannelRow,
    ConversationRow,
    DerivedFromRow,
    DerivedRow,
    GenerationRow,
    SummarySectionRow,
    SwipeRow,
    TurnRow,
)
from bot.store.turns.access import current_conversation, find_channel
from bot.store.turns.derived import remove_derived
from bot.store.turns.rows import CHANNEL_COLUMNS, channel_key, load_turns, select_turns

KIND = "summary"
_BOT: ColumnElement[str] = literal_column("'bot'")  # as `ix_turns_replies` says it

_SECTIONS = (
    select(
        DerivedRow.id,
        DerivedRow.text,
        DerivedRow.created_at,
        DerivedRow.is_stale,
        SummarySectionRow.level,
        SummarySectionRow.first_turn_id,
        SummarySectionRow.last_turn_id,
        SummarySectionRow.by_hand,
    )
    .join(SummarySectionRow, SummarySectionRow.derived_id == DerivedRow.id)
    .where(DerivedRow.conversation_id == bindparam("conversation"), DerivedRow.kind == KIND)
    .order_by(SummarySectionRow.first_turn_id, DerivedRow.id)
)


def sections(connection: Connection, conversation_id: int) -> list[Section]:
    """All of a conversation, in the order of their turns."""
    rows = connection.execute(_SECTIONS, {"conversation": conversation_id})
    return [
        Section(
            section_id=row.id,
            text=row.text,
            level=row.level,
            first_turn=row.first_turn_id,
            last_turn=row.last_turn_id,
            made_at=row.created_at,
            is_stale=row.is_stale,
            by_hand=row.by_hand,
        )
        for row in rows
    ]


_SHOWN_FROM = (
    select(GenerationRow.first_turn_id)
    .join(SwipeRow, SwipeRow.id == GenerationRow.swipe_id)
    .join(TurnRow, TurnRow.id == SwipeRow.turn_id)
    .where(
        TurnRow.conversation_id == bindparam("conversation"),
        TurnRow.role == _BOT,
        is_seen(),
        GenerationRow.first_turn_id.is_not(None),
    )
    .order_by(TurnRow.id.desc(), GenerationRow.id.desc())
    .limit(1)
)
_BETWEEN = (
    (TurnRow.conversation_id == bindparam("conversation"))
    & is_seen()
    & (TurnRow.id > bindparam("after"))
    & (TurnRow.id < bindparam("before"))
)
_TURNS_BETWEEN = select_turns().where(_BETWEEN).order_by(TurnRow.id).limit(bindparam("limit"))
_ANY_BETWEEN = select(exists(select(TurnRow.id).where(_BETWEEN)))


def folding_state(connection: Connection, channel: ChannelKey) -> FoldingState | None:
    """Where the summary of the current conversation stands."""
    conversation = current_conversation(connection, channel)
    if conversation is None:
        return None
    found = tuple(sections(connection, conversation))
    shown_from = connection.scalar(_SHOWN_FROM, {"conversation": conversation})
    unfolded = False
    if shown_from is not None:
        between = {"after": folded_up_to(found), "before": shown_from}
        unfolded = bool(connection.scalar(_ANY_BETWEEN, between | {"conversation": conversation}))
    return FoldingState(conversation, found, shown_from, unfolded)


def turns_between(
    connection: Connection, conversation_id: int, after: int, before: int, limit: int
) -> list[Turn]:
    """The oldest visible turns between two, these not among them."""
    wanted = {"conversation": conversation_id, "after": after, "before": before, "limit": limit}
    return load_turns(connection, _TURNS_BETWEEN, wanted)


def keep_section(connection: Connection, channel: ChannelKey, section: NewSection) -> bool:
    """Keep a new section, unless what it was made from is not what there is now."""
    channel_id = find_channel(connection, channel, lock=True)
    if channel_id is None:
        return False
    if current_conversation(connection, channel) != section.conversation_id:
        return False
    known = {each.section_id: each for each in sections(connection, section.conversation_id)}
    if not _is_as_read(connection, section, known):
        return False
    remove_derived(connection, section.replaces)
    turn_ids = [turn.turn_id for turn in section.turns]
    derived_id = _insert(connection, channel_id, section, by_hand=False)
    if turn_ids:
        links = [{"derived_id": derived_id, "turn_id": turn_id} for turn_id in turn_ids]
        connection.execute(insert(DerivedFromRow), links)
    if section.merged:
        sources = (
            select(bindparam("made", derived_id, RowId), DerivedFromRow.turn_id)
            .where(DerivedFromRow.derived_id.in_(section.merged))
            .distinct()
        )
        columns = ["derived_id", "turn_id"]
        connection.execute(insert(DerivedFromRow).from_select(columns, sources))
    return True


def _is_as_read(connection: Connection, section: NewSection, known: dict[int, Section]) -> bool:
    """Whether its sources stand as they were read, and nothing else stands for its turns."""
    if section.merged:
        sources = [known.get(section_id) for section_id in section.merged]
        if any(source is None or source.is_stale for source in sources):
            return False
        return not any(
            other.level >= section.level and _overlaps(other, section) for other in known.values()
        )
    replaced = set(section.replaces)
    if not replaced <= set(known):
        return False
    if any(_overlaps(known[each], section) for each in known if each not in replaced):
        return False
    now = turns_between(
        connection,
        section.conversation_id,
        section.first_turn - 1,
        section.last_turn + 1,
        len(section.turns) + 1,
    )
    return [_read_of(turn) for turn in now] == [_read_of(turn) for turn in section.turns] and all(
        turn.state is not TurnState.RUNNING for turn in now
    )


def _read_of(turn: Turn) -> tuple[object, ...]:
    """What of a turn a summary is made from."""
    return turn.turn_id, turn.role, turn.speaker, turn.persona, turn.text, turn.reply_to


def _overlaps(one: Section, other: NewSection) -> bool:
    return one.first_turn <= other.last_turn and other.first_turn <= one.last_turn


def write_by_hand(
    connection: Connection,
    channel: ChannelKey,
    conversation_id: int,
    text: str,
    *,
    up_to: int,
    at: datetime,
) -> bool:
    """Let a text stand for all up to a turn, and for what stands with that in one section."""
    channel_id = find_channel(connection, channel, lock=True)
    if channel_id is None or current_conversation(connection, channel) != conversation_id:
        return False
    known = sections(connection, conversation_id)
    narrow = [each for each in known if each.level == 0 and each.first_turn <= up_to]
    last = max((each.last_turn for each in narrow), default=up_to)
    gone = [each.section_id for each in known if each.first_turn <= last]
    remove_derived(connection, gone)
    made = NewSection(conversation_id, text, 0, 0, last, at)
    _insert(connection, channel_id, made, by_hand=True)
    return True


def _insert(connection: Connection, channel_id: int, section: NewSection, *, by_hand: bool) -> int:
    derived_id: int = connection.execute(
        insert(DerivedRow)
        .values(
            channel_id=channel_id,
            conversation_id=section.conversation_id,
            kind=KIND,
            text=section.text,
            created_at=section.made_at,
            is_stale=False,
        )
        .returning(DerivedRow.id)
    ).scalar_one()
    connection.execute(
        insert(SummarySectionRow).values(
            derived_id=derived_id,
            level=section.level,
            first_turn_id=section.first_turn,
            last_turn_id=section.last_turn,
            by_hand=by_hand,
        )
    )
    return derived_id


def remove_sections(connection: Connection, section_ids: Sequence[int]) -> None:
    """Take sections out."""
    remove_derived(connection, section_ids)


def clear(connection: Connection, conversation_id: int) -> None:
    """Take all sections of a conversation out."""
    remove_derived(connection, [each.section_id for each in sections(connection, conversation_id)])


def channels_to_fold(connection: Connection) -> list[ChannelKey]:
    """Where something has fallen out that is in no section, or a section is stale."""
    newest = aliased(TurnRow)
    shown_from = (
        select(GenerationRow.first_turn_id)
        .join(SwipeRow, SwipeRow.id == GenerationRow.swipe_id)
        .join(newest, newest.id == SwipeRow.turn_id)
        .where(
            newest.conversation_id == ConversationRow.id,
            newest.role == _BOT,
            is_seen(newest),
            GenerationRow.first_turn_id.is_not(None),
        )
        .order_by(newest.id.desc(), GenerationRow.id.desc())
        .limit(1)
        .correlate(ConversationRow)
        .scalar_subquery()
    )
    of_it = (DerivedRow.conversation_id == ConversationRow.id) & (DerivedRow.kind == KIND)
    folded = (
        select(func.coalesce(func.max(SummarySectionRow.last_turn_id), 0))
        .join(DerivedRow, DerivedRow.id == SummarySectionRow.derived_id)
        .where(of_it)
        .correlate(ConversationRow)
        .scalar_subquery()
    )
    fallen = exists().where(
        TurnRow.conversation_id == ConversationRow.id,
        is_seen(),
        TurnRow.id > folded,
        TurnRow.id < shown_from,
    )
    changed = exists().where(of_it, DerivedRow.is_stale)
    rows = connection.execute(
        select(*CHANNEL_COLUMNS)
        .join(ConversationRow, ConversationRow.channel_id == ChannelRow.id)
        .where(ConversationRow.is_current, or_(fallen, changed))
        .order_by(ChannelRow.id)
    )
    return [channel_key(row) for row in rows]


class SqlSummaries(OnTransactions):
    """The sections of summaries, on SQL."""

    sections = reads(sections)
    folding_state = reads(folding_state)
    turns_between = reads(turns_between)
    channels_to_fold = reads(channels_to_fold)
    keep_section = writes(keep_section)  # what it replaces is stale, and without a text
    write_by_hand = writes(write_by_hand, erases=True)
    remove_sections = writes(remove_sections, erases=True)
    clear = writes(clear, erases=True)
