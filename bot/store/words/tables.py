"""The table of guilds' word lists."""

from datetime import datetime

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from bot.store.columns import RowId
from bot.store.tables import NEVER_AGAIN, Base

__all__ = ["Base", "GuildWordRow"]


class GuildWordRow(Base):
    """A word, phrase or pattern that a guild does not want."""

    __tablename__ = "guild_words"
    __table_args__ = (UniqueConstraint("platform", "guild_id", "pattern_key"), NEVER_AGAIN)

    id: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=True)
    platform: Mapped[str]
    guild_id: Mapped[str]
    pattern: Mapped[str]  # as it was written
    pattern_key: Mapped[str]  # as patterns are compared
    then: Mapped[str]
    side: Mapped[str]
    added_by: Mapped[str] = mapped_column(index=True)  # "": that person was forgotten
    added_at: Mapped[datetime]
