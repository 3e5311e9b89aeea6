"""The tables of what guilds keep of their own.

Long contents stand in rows of their own, so that a reply can ask for a persona's version without
reading its picture. Nothing points at a persona or a lorebook that has been deleted for good.
"""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from bot.store.columns import RowId
from bot.store.tables import NEVER_AGAIN, Base

__all__ = [
    "Base",
    "CastRow",
    "LorebookPlaceRow",
    "LorebookRow",
    "PersonaFileRow",
    "PersonaRow",
    "PersonaVersionRow",
]

_IS_THERE = text("deleted_at IS NULL")


class PersonaRow(Base):
    """A guild's own persona. Deleted ones stay for a while, so that it can be undone."""

    __tablename__ = "guild_personas"
    __table_args__ = (
        Index(
            "uq_guild_personas_name",
            "guild_id",
            "name_key",
            unique=True,
            sqlite_where=_IS_THERE,
            postgresql_where=_IS_THERE,
        ),
        NEVER_AGAIN,
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=True)
    guild_id: Mapped[str] = mapped_column(index=True)
    name: Mapped[str]
    name_key: Mapped[str]  # as names are compared
    summary: Mapped[str]
    version: Mapped[str]  # of its text as it is now
    revision: Mapped[int]  # grows with every change, of the text or of anything else
    picture_sha256: Mapped[str]  # "" without a picture
    size_bytes: Mapped[int] = mapped_column(RowId)  # of all its versions and files
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    edited_by: Mapped[str]
    edited_at: Mapped[datetime]
    deleted_by: Mapped[str | None]
    deleted_at: Mapped[datetime | None] = mapped_column(index=True)


class PersonaVersionRow(Base):
    """A version of a persona: its card's document as it came, in its own specification's terms."""

    __tablename__ = "guild_persona_versions"
    __table_args__ = (UniqueConstraint("persona_id", "version"), NEVER_AGAIN)

    id: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=True)
    persona_id: Mapped[int] = mapped_column(
        RowId, ForeignKey("guild_personas.id", ondelete="CASCADE")
    )
    version: Mapped[str]
    origin: Mapped[str]  # the kind of file that it came in
    spec: Mapped[str]  # of the document: v1, v2 or v3
    document: Mapped[bytes] = mapped_column(LargeBinary)  # JSON
    written_by: Mapped[str]
    written_at: Mapped[datetime]


class PersonaFileRow(Base):
    """What came with a card: its picture (re-encoded), other files, a PNG's other texts."""

    __tablename__ = "guild_persona_files"
    __table_args__ = (NEVER_AGAIN,)

    id: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=True)
    persona_id: Mapped[int] = mapped_column(
        RowId, ForeignKey("guild_personas.id", ondelete="CASCADE"), index=True
    )
    kind: Mapped[str]  # picture, file, chunk
    name: Mapped[str]  # a file's path, a chunk's type
    content: Mapped[bytes] = mapped_column(LargeBinary)


class LorebookRow(Base):
    """A guild's lorebook: its file as it came."""

    __tablename__ = "lorebooks"
    __table_args__ = (
        Index(
            "uq_lorebooks_name",
            "guild_id",
            "name_key",
            unique=True,
            sqlite_where=_IS_THERE,
            postgresql_where=_IS_THERE,
        ),
        NEVER_AGAIN,
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=True)
    guild_id: Mapped[str] = mapped_column(index=True)
    name: Mapped[str]
    name_key: Mapped[str]
    revision: Mapped[int]
    entries: Mapped[int]
    size_bytes: Mapped[int] = mapped_column(RowId)
    document: Mapped[bytes] = mapped_column(LargeBinary)
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    edited_by: Mapped[str]
    edited_at: Mapped[datetime]
    deleted_by: Mapped[str | None]
    deleted_at: Mapped[datetime | None] = mapped_column(index=True)


class LorebookPlaceRow(Base):
    """Where a lorebook counts: in a whole guild, in a channel, or wherever a persona speaks."""

    __tablename__ = "lorebook_places"

    lorebook_id: Mapped[int] = mapped_column(
        RowId, ForeignKey("lorebooks.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    scope: Mapped[str] = mapped_column(primary_key=True)  # guild, channel, persona
    scope_id: Mapped[str] = mapped_column(primary_key=True, index=True)


class CastRow(Base):
    """A persona that speaks in a channel beside its main one."""

    __tablename__ = "channel_casts"
    __table_args__ = (UniqueConstraint("scope_id", "persona_id"), NEVER_AGAIN)

    id: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=True)
    scope_id: Mapped[str]  # as of the channel's settings: a thread takes its channel's
    guild_id: Mapped[str | None] = mapped_column(index=True)
    persona_id: Mapped[str] = mapped_column(index=True)  # of any home
    added_by: Mapped[str]
    added_at: Mapped[datetime]
