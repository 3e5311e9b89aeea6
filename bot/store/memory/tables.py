"""The tables of what is remembered."""

from datetime import datetime

from sqlalchemy import DDL, ForeignKey, Index, event
from sqlalchemy.orm import Mapped, mapped_column

from bot.store.columns import RowId
from bot.store.tables import NEVER_AGAIN, Base

__all__ = ["Base", "FactRow", "WordsDueRow"]


class FactRow(Base):
    """What somebody pinned. What repeats a turn has no text of its own: every text has one place.

    `message_id` is of a message that was not kept as a turn when it was pinned.
    """

    __tablename__ = "facts"
    __table_args__ = (
        Index("ix_facts_guild_id_persona_id", "guild_id", "persona_id"),
        Index("ix_facts_channel_id_message_id", "channel_id", "message_id"),
        NEVER_AGAIN,
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=True)
    platform: Mapped[str]
    # Of a persona in a whole guild, the channel is NULL; of a channel, the guild.
    channel_id: Mapped[int | None] = mapped_column(
        RowId, ForeignKey("channels.id", ondelete="CASCADE")
    )
    guild_id: Mapped[str | None]
    persona_id: Mapped[str]  # "": whoever speaks
    text: Mapped[str]
    repeats: Mapped[bool]  # its text is its turn's or its message's
    turn_id: Mapped[int | None] = mapped_column(
        RowId, ForeignKey("turns.id", ondelete="CASCADE"), index=True
    )
    message_id: Mapped[str | None]
    written_by: Mapped[str] = mapped_column(index=True)
    said_by: Mapped[str] = mapped_column(index=True)
    created_at: Mapped[datetime]


class WordsDueRow(Base):
    """A turn whose words are to be looked at, before it can be found by them.

    What they are found by is no table of SQLAlchemy's: `turn_search` is an FTS5 table in SQLite,
    one with a `tsvector` in PostgreSQL.
    """

    __tablename__ = "words_due"

    turn_id: Mapped[int] = mapped_column(
        RowId, ForeignKey("turns.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    version: Mapped[int]  # grows with each change of the turn meanwhile


# As the migration makes it, for who makes all tables at once.
_SEARCH = {
    "sqlite": "CREATE VIRTUAL TABLE turn_search USING fts5"
    "(words, tokenize = 'unicode61', detail = 'none', columnsize = 0)",
    "postgresql": "CREATE TABLE turn_search (turn_id BIGINT NOT NULL PRIMARY KEY"
    " REFERENCES turns (id) ON DELETE CASCADE, words TSVECTOR NOT NULL)",
}
for _dialect, _statement in _SEARCH.items():
    event.listen(
        WordsDueRow.__table__, "after_create", DDL(_statement).execute_if(dialect=_dialect)
    )
