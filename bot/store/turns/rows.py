"""Rows of the database turned into the core's records, and back."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import (
    Connection,
    Integer,
    Row,
    Select,
    Text,
    bindparam,
    cast,
    literal,
    null,
    select,
    union_all,
)

from bot.chat.messages import (
    ChannelKey,
    FinishReason,
    GenerationRecord,
    GenerationStatistics,
    QuotedMessage,
    Sampling,
    Scope,
    SettingChange,
    Speaker,
    Swipe,
    Turn,
    TurnState,
)
from bot.store.columns import RowId
from bot.store.privacy.left_out import quotes_who_stays_out
from bot.store.tables import (
    AskerRow,
    ChannelRow,
    ConversationRow,
    MessageRow,
    SwipeRow,
    TurnRow,
)
from bot.store.turns.occasions import read_occasion, write_occasion
from bot.store.turns.samplers import read_samplers, write_samplers

Item = TypeVar("Item")
AnyRow: TypeAlias = Row[*tuple[Any, ...]]

LARGEST_COUNT = 2**31 - 1  # of an Integer column
VALUES_A_STATEMENT = 500  # how many values we put into one IN (...): both databases take more

CHANNEL_COLUMNS = (
    ChannelRow.platform,
    ChannelRow.platform_channel_id,
    ChannelRow.guild_id,
    ChannelRow.parent_id,
    ChannelRow.is_direct,
)


def batches(items: Sequence[Item], size: int = VALUES_A_STATEMENT) -> Iterator[list[Item]]:
    """`items` in pieces that fit one statement."""
    iterator = iter(items)
    while piece := list(islice(iterator, size)):
        yield piece


def channel_key(row: AnyRow) -> ChannelKey:
    """The key of a channel, from a row with :data:`CHANNEL_COLUMNS`."""
    return ChannelKey(
        row.platform, row.platform_channel_id, row.guild_id, row.parent_id, row.is_direct
    )


# Made once: putting so many columns together costs more than reading a row of them.
_TURNS: Select[Any] = (
    select(
        *TurnRow.__table__.columns,
        *CHANNEL_COLUMNS,
        quotes_who_stays_out().label("quotes_who_stays_out"),
    )
    .join(ConversationRow, ConversationRow.id == TurnRow.conversation_id)
    .join(ChannelRow, ChannelRow.id == ConversationRow.channel_id)
)


def select_turns() -> Select[Any]:
    """All columns of turns and their channels: add `where`, then :func:`load_turns`."""
    return _TURNS


def load_turns(
    connection: Connection, statement: Select[Any], values: dict[str, Any] | None = None
) -> list[Turn]:
    """The turns that a :func:`select_turns` chooses, in its order: two statements in all."""
    return [turn for turn, _row in load_turns_with_rows(connection, statement, values)]


def load_turns_with_rows(
    connection: Connection,
    statement: Select[Any],
    values: dict[str, Any] | None = None,
    *,
    every_quote: bool = False,
) -> list[tuple[Turn, AnyRow]]:
    """The same, with the rows, which say more: `is_pending`, `hidden_at`.

    `every_quote`: also those of people who have opted out.
    """
    rows = connection.execute(statement, values).all()
    parts: dict[int, _Parts] = {row.id: _Parts() for row in rows}
    for piece in batches(list(parts)):
        for part in connection.execute(_PARTS, {"turn_ids": piece}):
            parts[part.turn_id].add(part)
    return [(_turn(row, parts[row.id], every_quote=every_quote), row) for row in rows]


@dataclass(slots=True)
class _Parts:
    """What belongs to a turn, in order."""

    message_ids: list[str] = field(default_factory=list[str])
    swipes: list[Swipe] = field(default_factory=list[Swipe])
    states: list[TurnState] = field(default_factory=list[TurnState])
    askers: list[str] = field(default_factory=list[str])

    def add(self, part: AnyRow) -> None:
        if part.kind == "message":
            self.message_ids.append(part.content)
        elif part.kind == "swipe":
            finish = FinishReason(part.finish) if part.finish else None
            self.swipes.append(Swipe(part.position, part.content, finish))
            self.states.append(TurnState(part.state))
        else:
            self.askers.append(part.content)


_NOTHING = cast(null(), Text)
_WANTED = bindparam("turn_ids", expanding=True, type_=RowId)
# Messages, swipes and askers in one statement: on a busy machine each costs more than its rows.
_PARTS = union_all(
    select(
        MessageRow.turn_id.label("turn_id"),
        cast(literal("message"), Text).label("kind"),
        MessageRow.position.label("position"),
        MessageRow.message_id.label("content"),
        _NOTHING.label("state"),
        _NOTHING.label("finish"),
    ).where(MessageRow.turn_id.in_(_WANTED)),
    select(
        SwipeRow.turn_id,
        cast(literal("swipe"), Text),
        SwipeRow.position,
        SwipeRow.text,
        SwipeRow.state,
        SwipeRow.finish,
    ).where(SwipeRow.turn_id.in_(_WANTED)),
    select(
        AskerRow.turn_id,
        cast(literal("asker"), Text),
        cast(literal(0), Integer),
        AskerRow.speaker_id,
        _NOTHING,
        _NOTHING,
    ).where(AskerRow.turn_id.in_(_WANTED)),
).order_by("position")


def _turn(row: AnyRow, parts: _Parts, *, every_quote: bool) -> Turn:
    text: str = row.text
    state = TurnState.WHOLE
    for swipe, its_state in zip(parts.swipes, parts.states, strict=True):
        if swipe.index == row.active_swipe:
            text, state = swipe.text, its_state
    return Turn(
        turn_id=row.id,
        conversation_id=row.conversation_id,
        channel=channel_key(row),
        role=row.role,
        speaker=Speaker(row.speaker_id, row.speaker_name, row.speaker_is_bot),
        text=text,
        created_at=row.created_at,
        state=state,
        message_ids=tuple(parts.message_ids),
        addressed=row.addressed,
        answered_by=row.answered_by,
        reply_to=_quoted(row) if every_quote or not row.quotes_who_stays_out else None,
        swipes=tuple(parts.swipes),
        active_swipe=row.active_swipe,
        asked_by=frozenset(parts.askers),
        persona=row.persona,
        persona_id=row.persona_id or "",
    )


def _quoted(row: AnyRow) -> QuotedMessage | None:
    if row.quoted_message_id is None:
        return None
    author = Speaker(row.quoted_speaker_id, row.quoted_speaker_name, row.quoted_speaker_is_bot)
    return QuotedMessage(row.quoted_message_id, author, row.quoted_text)


def to_record(row: AnyRow) -> GenerationRecord:
    """How a swipe came to be."""
    return GenerationRecord(
        prompt_sha256=row.prompt_sha256,
        prompt_format=row.prompt_format,
        persona=row.persona,
        first_turn_id=row.first_turn_id,
        last_turn_id=row.last_turn_id,
        sampling=Sampling(
            temperature=row.temperature,
            top_k=row.top_k,
            top_p=row.top_p,
            min_p=row.min_p,
            repetition_penalty=row.repetition_penalty,
            seed=row.wanted_seed,
            **read_samplers(row.samplers),
        ),
        finish=FinishReason(row.finish),
        statistics=GenerationStatistics(
            model=row.model,
            seed=row.seed,
            prompt_tokens=row.prompt_tokens,
            cached_prompt_tokens=row.cached_prompt_tokens,
            reply_tokens=row.reply_tokens,
            queued_seconds=row.queued_seconds,
            first_token_seconds=row.first_token_seconds,
            total_seconds=row.total_seconds,
            thinking_tokens=row.thinking_tokens,
        ),
        created_at=row.created_at,
        settings_revision=row.settings_revision,
        persona_id=row.persona_id or "",
        persona_version=row.persona_version or "",
        engine=row.engine,
        occasion=read_occasion(row.occasion),
    )


def from_record(record: GenerationRecord, swipe_id: int) -> dict[str, Any]:
    """The values that keep a record."""
    return {
        "swipe_id": swipe_id,
        "created_at": record.created_at,
        "prompt_sha256": record.prompt_sha256,
        "prompt_format": record.prompt_format,
        "persona": record.persona,
        "persona_id": record.persona_id or None,
        "persona_version": record.persona_version or None,
        "first_turn_id": record.first_turn_id,
        "last_turn_id": record.last_turn_id,
        "settings_revision": record.settings_revision,
        "temperature": record.sampling.temperature,
        "top_k": record.sampling.top_k,
        "top_p": record.sampling.top_p,
        "min_p": record.sampling.min_p,
        "repetition_penalty": record.sampling.repetition_penalty,
        "wanted_seed": record.sampling.seed,
        "finish": record.finish.value,
        "model": record.statistics.model,
        "seed": record.statistics.seed,
        "prompt_tokens": _count(record.statistics.prompt_tokens),
        "cached_prompt_tokens": _count(record.statistics.cached_prompt_tokens),
        "reply_tokens": _count(record.statistics.reply_tokens),
        "queued_seconds": _seconds(record.statistics.queued_seconds),
        "first_token_seconds": _seconds(record.statistics.first_token_seconds),
        "total_seconds": _seconds(record.statistics.total_seconds),
        "engine": record.engine,
        "thinking_tokens": _count(record.statistics.thinking_tokens),
        "occasion": write_occasion(record.occasion),
        "samplers": write_samplers(record.sampling),
    }


def _count(number: int) -> int:
    """As a column can hold it: a server may report any number, and its reply is to be kept."""
    return max(0, min(number, LARGEST_COUNT))


def _seconds(number: float) -> float:
    """Finite, or it would read as missing."""
    return float(number) if 0 <= number <= LARGEST_COUNT else 0.0  # also of NaN


def to_change(row: AnyRow) -> SettingChange:
    """One entry of the settings' history."""
    return SettingChange(
        change_id=row.id,
        scope=Scope(row.scope),
        scope_id=row.scope_id,
        key=row.key,
        old=row.old,
        new=row.new,
        changed_by=row.changed_by,
        changed_at=row.changed_at,
    )
