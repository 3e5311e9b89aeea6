"""The tables of moderation. None of them holds anything that was said."""

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from bot.store.columns import RowId
from bot.store.scenes.tables import Base
from bot.store.tables import NEVER_AGAIN

__all__ = ["Base", "BlockRow", "LogChannelRow", "PurgeMessageRow", "PurgeRow"]


class BlockRow(Base):
    """Somebody who is not heard in a guild."""

    __tablename__ = "blocks"

    platform: Mapped[str] = mapped_column(primary_key=True)
    guild_id: Mapped[str] = mapped_column(primary_key=True)
    speaker_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    blocked_by: Mapped[str]
    blocked_at: Mapped[datetime]


class LogChannelRow(Base):
    """Where the moderators of a guild are told of what happens."""

    __tablename__ = "log_channels"

    platform: Mapped[str] = mapped_column(primary_key=True)
    guild_id: Mapped[str] = mapped_column(primary_key=True)
    channel_id: Mapped[str]
    set_by: Mapped[str]
    set_at: Mapped[datetime]
    problem: Mapped[str]  # "": it is in use
    untold: Mapped[int] = mapped_column(server_default="0", default=0)  # lines


class PurgeRow(Base):
    """A purge of which messages may still stand on the platform. Its turns are gone already."""

    __tablename__ = "purges"
    __table_args__ = (NEVER_AGAIN,)

    id: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=True)
    channel_id: Mapped[int] = mapped_column(
        RowId, ForeignKey("channels.id", ondelete="CASCADE"), index=True
    )
    asked_by: Mapped[str]
    asked_at: Mapped[datetime]
    speaker_id: Mapped[str]  # whose messages; "": everybody's
    exchanges: Mapped[int]


class PurgeMessageRow(Base):
    """A message that is still to be taken away."""

    __tablename__ = "purge_messages"

    purge_id: Mapped[int] = mapped_column(
        RowId, ForeignKey("purges.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    message_id: Mapped[str] = mapped_column(primary_key=True)
    is_own: Mapped[bool]
