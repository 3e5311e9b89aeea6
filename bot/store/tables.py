"""The tables. The chain in `migrations/` makes the same ones: `db check --migrations` compares.

A user's text stands in its turn, a bot's in its swipes: every text has one place. What people said
in a message that was replied to (`quoted_text`) is the one copy; edits and deletions reach it too.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from bot.chat.messages import JsonValue
from bot.store.columns import CleanText, RowId, UtcDateTime, WideInteger

__all__ = [
    "AskerRow",
    "Base",
    "ChannelRow",
    "ConversationRow",
    "DerivedFromRow",
    "DerivedRow",
    "GenerationRow",
    "MessageRow",
    "ReclaimingRow",
    "RunRow",
    "SeenRow",
    "SettingChangeRow",
    "SettingValueRow",
    "SummarySectionRow",
    "SwipeRow",
    "TurnRow",
]


class Base(DeclarativeBase):
    """Every constraint has a name, so that a migration can speak of it."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {str: CleanText, datetime: UtcDateTime, int: Integer}  # noqa: RUF012


def _key() -> Mapped[int]:
    return mapped_column(RowId, primary_key=True, autoincrement=True)


def _belongs_to(target: str) -> Mapped[int]:
    return mapped_column(RowId, ForeignKey(target, ondelete="CASCADE"))


# Numbers are never used twice: a button under an old message must not find another turn.
NEVER_AGAIN: dict[str, Any] = {"sqlite_autoincrement": True}


class ChannelRow(Base):
    """Anything with a history of its own."""

    __tablename__ = "channels"
    __table_args__ = (UniqueConstraint("platform", "platform_channel_id"), NEVER_AGAIN)

    id: Mapped[int] = _key()
    platform: Mapped[str]
    platform_channel_id: Mapped[str]
    guild_id: Mapped[str | None]
    parent_id: Mapped[str | None]
    is_direct: Mapped[bool]


class SeenRow(Base):
    """The newest message of a channel that somebody who serves it has seen."""

    __tablename__ = "seen_marks"

    channel_id: Mapped[int] = mapped_column(
        RowId, ForeignKey("channels.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    seen_by: Mapped[str] = mapped_column(primary_key=True)  # an account; "": whoever serves next
    message_id: Mapped[str]


class RunRow(Base):
    """A program at work on this database; gone when it has ended, or was found dead."""

    __tablename__ = "runs"

    id: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=False)  # by chance
    program: Mapped[str]  # for people: which process, on which machine
    is_locked: Mapped[bool]  # it also holds a lock that ends with its process
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]  # its last heartbeat


class ConversationRow(Base):
    """What `/chat reset` begins anew; one of a channel's is the current one."""

    __tablename__ = "conversations"
    __table_args__ = (
        Index(
            "uq_conversations_current",
            "channel_id",
            unique=True,
            sqlite_where=text("is_current"),
            postgresql_where=text("is_current"),
        ),
        NEVER_AGAIN,
    )

    id: Mapped[int] = _key()
    channel_id: Mapped[int] = mapped_column(
        RowId, ForeignKey("channels.id", ondelete="CASCADE"), index=True
    )
    is_current: Mapped[bool]
    created_at: Mapped[datetime]


class TurnRow(Base):
    """What one speaker said in one go."""

    __tablename__ = "turns"
    __table_args__ = (
        Index("ix_turns_conversation_id_id", "conversation_id", "id"),
        # SQLite uses a partial index only for a condition that says the same in the same words: a
        # query writes the value literally, never as a parameter.
        Index(
            "ix_turns_pending",
            "conversation_id",
            "id",
            sqlite_where=text("is_pending = 1"),
            postgresql_where=text("is_pending"),
        ),
        Index(
            "ix_turns_replies",
            "conversation_id",
            "id",
            sqlite_where=text("role = 'bot'"),
            postgresql_where=text("role = 'bot'"),
        ),
        NEVER_AGAIN,
    )

    id: Mapped[int] = _key()
    conversation_id: Mapped[int] = _belongs_to("conversations.id")
    # Absolute in the conversation: grows, never changes, has gaps where turns were taken out.
    position: Mapped[int] = mapped_column(server_default="0")
    role: Mapped[str]
    speaker_id: Mapped[str] = mapped_column(index=True)
    speaker_name: Mapped[str]
    speaker_is_bot: Mapped[bool]
    text: Mapped[str]  # a user's; "" for a bot's, whose texts are its swipes'
    created_at: Mapped[datetime] = mapped_column(index=True)  # a copy (a fork) has its original's
    persona: Mapped[str]  # the name that people saw
    persona_id: Mapped[str | None]  # NULL in a user's, and in those of before there were ids
    addressed: Mapped[bool]
    # Addressed, and no reply taken up; of a reply: another persona is to follow it. Stays False if
    # what came of it goes.
    is_pending: Mapped[bool]
    heard_by: Mapped[str] = mapped_column(server_default="")  # the account to answer it
    answered_by: Mapped[int | None] = mapped_column(
        RowId, ForeignKey("turns.id", ondelete="SET NULL"), index=True
    )
    quoted_message_id: Mapped[str | None] = mapped_column(index=True)
    quoted_speaker_id: Mapped[str | None] = mapped_column(index=True)
    quoted_speaker_name: Mapped[str | None]
    quoted_speaker_is_bot: Mapped[bool | None]
    quoted_text: Mapped[str | None]
    active_swipe: Mapped[int]
    swipe_before: Mapped[int | None]  # the active one before a swipe that is being written
    hidden_at: Mapped[datetime | None]


class MessageRow(Base):
    """A platform's message, and the turn it is part of."""

    __tablename__ = "messages"
    __table_args__ = (UniqueConstraint("channel_id", "message_id"),)

    id: Mapped[int] = _key()
    channel_id: Mapped[int] = _belongs_to("channels.id")
    message_id: Mapped[str]
    turn_id: Mapped[int] = mapped_column(
        RowId, ForeignKey("turns.id", ondelete="CASCADE"), index=True
    )
    position: Mapped[int]


class SwipeRow(Base):
    """One alternative of a reply. `state` is a TurnState: the turn has that of its active swipe."""

    __tablename__ = "swipes"
    __table_args__ = (
        UniqueConstraint("turn_id", "position"),
        Index(
            "ix_swipes_running",
            "id",
            sqlite_where=text("state = 'running'"),
            postgresql_where=text("state = 'running'"),
        ),
    )

    id: Mapped[int] = _key()
    turn_id: Mapped[int] = _belongs_to("turns.id")
    position: Mapped[int]
    text: Mapped[str]
    state: Mapped[str]
    finish: Mapped[str | None]
    # The run that writes it. No foreign key: where it is no longer there, nobody writes.
    run_id: Mapped[int | None] = mapped_column(RowId)


class AskerRow(Base):
    """Who asked: outlives the question, because that person may still take the answer back."""

    __tablename__ = "turn_askers"

    turn_id: Mapped[int] = mapped_column(
        RowId, ForeignKey("turns.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    speaker_id: Mapped[str] = mapped_column(primary_key=True, index=True)


class DerivedRow(Base):
    """A text made from what people said."""

    __tablename__ = "derived"
    __table_args__ = (NEVER_AGAIN,)

    id: Mapped[int] = _key()
    channel_id: Mapped[int] = mapped_column(
        RowId, ForeignKey("channels.id", ondelete="CASCADE"), index=True
    )
    conversation_id: Mapped[int | None] = mapped_column(
        RowId, ForeignKey("conversations.id", ondelete="CASCADE"), index=True
    )
    kind: Mapped[str]
    text: Mapped[str]
    created_at: Mapped[datetime]
    is_stale: Mapped[bool]


class DerivedFromRow(Base):
    """A turn that a derived text came from."""

    __tablename__ = "derived_from"

    derived_id: Mapped[int] = mapped_column(
        RowId, ForeignKey("derived.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    turn_id: Mapped[int] = mapped_column(
        RowId,
        ForeignKey("turns.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
        index=True,
    )


class SummarySectionRow(Base):
    """What a section of a rolling summary stands for; its text is a derived one."""

    __tablename__ = "summary_sections"

    derived_id: Mapped[int] = mapped_column(
        RowId, ForeignKey("derived.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    level: Mapped[int]  # 0: made from turns, else from narrower sections
    first_turn_id: Mapped[int] = mapped_column(RowId)  # no foreign keys: turns may be deleted
    last_turn_id: Mapped[int] = mapped_column(RowId)
    by_hand: Mapped[bool]


class GenerationRow(Base):
    """How a swipe came to be; a continued one has several, the newest counts."""

    __tablename__ = "generations"

    id: Mapped[int] = _key()
    swipe_id: Mapped[int] = mapped_column(
        RowId, ForeignKey("swipes.id", ondelete="CASCADE"), index=True
    )
    created_at: Mapped[datetime]
    prompt_sha256: Mapped[str]
    prompt_format: Mapped[str]
    persona: Mapped[str]
    persona_id: Mapped[str | None]  # NULL, as is the version, in those of before there were ids
    persona_version: Mapped[str | None]
    first_turn_id: Mapped[int | None] = mapped_column(RowId)  # no foreign key: it may be deleted
    last_turn_id: Mapped[int | None] = mapped_column(RowId)
    settings_revision: Mapped[int] = mapped_column(RowId)
    temperature: Mapped[float]
    top_k: Mapped[int]
    top_p: Mapped[float]
    min_p: Mapped[float]
    repetition_penalty: Mapped[float]
    wanted_seed: Mapped[int | None] = mapped_column(WideInteger)
    finish: Mapped[str]
    model: Mapped[str]
    seed: Mapped[int] = mapped_column(WideInteger)
    prompt_tokens: Mapped[int]
    cached_prompt_tokens: Mapped[int]
    reply_tokens: Mapped[int]
    queued_seconds: Mapped[float]
    first_token_seconds: Mapped[float]
    total_seconds: Mapped[float]
    engine: Mapped[str] = mapped_column(server_default="")
    thinking_tokens: Mapped[int] = mapped_column(server_default="0")
    occasion: Mapped[str | None]  # JSON, see rows.py; NULL in those of before it was kept
    samplers: Mapped[str | None]  # JSON, see turns/samplers.py; NULL: all off


class ReclaimingRow(Base):
    """How far a pass against traces has come: see :mod:`bot.store.connecting.erasure`."""

    __tablename__ = "reclaiming"

    stage: Mapped[str] = mapped_column(primary_key=True)
    after_row: Mapped[int] = mapped_column(RowId)


class SettingValueRow(Base):
    """A value that holds now."""

    __tablename__ = "setting_values"

    scope: Mapped[str] = mapped_column(primary_key=True)
    scope_id: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[JsonValue] = mapped_column(JSON(none_as_null=True), nullable=False)


class SettingChangeRow(Base):
    """A value that was set or taken back. NULL stands for «not set»."""

    __tablename__ = "setting_changes"
    __table_args__ = (
        Index("ix_setting_changes_scope_scope_id_id", "scope", "scope_id", "id"),
        NEVER_AGAIN,
    )

    id: Mapped[int] = _key()
    scope: Mapped[str]
    scope_id: Mapped[str]
    key: Mapped[str]
    old: Mapped[JsonValue] = mapped_column(JSON(none_as_null=True))
    new: Mapped[JsonValue] = mapped_column(JSON(none_as_null=True))
    changed_by: Mapped[str]
    changed_at: Mapped[datetime]
