"""The tables of what is still to be done for people's privacy."""

from datetime import datetime

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from bot.store.columns import RowId
from bot.store.tables import NEVER_AGAIN, Base

__all__ = ["Base", "JobRow", "RemovalRow"]


class JobRow(Base):
    """Work that goes on at the next start where a run ends in its midst; gone once it is done."""

    __tablename__ = "jobs"
    __table_args__ = (
        UniqueConstraint("kind", "platform", "subject", "guild_id"),
        Index("ix_jobs_due_at", "due_at"),
        NEVER_AGAIN,
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=True)
    kind: Mapped[str]  # a JobKind
    platform: Mapped[str]
    subject: Mapped[str]  # whom or what it is about; "" where that goes without saying
    guild_id: Mapped[str]  # within which guild; "": everywhere
    place: Mapped[str]  # the person's own direct channel, where that is known; else ""
    due_at: Mapped[datetime]
    reached: Mapped[int] = mapped_column(RowId)  # how far it has come, in its kind's own numbers
    # Who does it. No foreign key: where that run is no longer there, nobody does.
    run_id: Mapped[int | None] = mapped_column(RowId)


class RemovalRow(Base):
    """A message of the bot's that is to be taken off the platform: its turn has gone already."""

    __tablename__ = "message_removals"
    __table_args__ = (Index("ix_message_removals_platform_id", "platform", "id"), NEVER_AGAIN)

    id: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=True)
    platform: Mapped[str]
    channel_id: Mapped[str]  # the platform's own: ours may be gone
    parent_id: Mapped[str]  # of a thread; "" elsewhere
    message_id: Mapped[str]
