"""The tables of scenes. A scene that has ended stays, for what was said in it."""

from datetime import datetime

from sqlalchemy import ColumnElement, ForeignKey, Index, exists, select, text
from sqlalchemy.orm import Mapped, aliased, mapped_column

from bot.store.columns import RowId
from bot.store.personas.tables import Base
from bot.store.privacy.left_out import OptOutRow, stays_out
from bot.store.tables import NEVER_AGAIN

__all__ = ["Base", "SceneCastRow", "SceneCharacterRow", "SceneRow"]

_RUNS = text("ended_at IS NULL")


def _of_scene() -> Mapped[int]:
    return mapped_column(
        RowId, ForeignKey("scenes.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )


class SceneRow(Base):
    """What is played in a channel; one at a time."""

    __tablename__ = "scenes"
    __table_args__ = (
        Index(
            "uq_scenes_running",
            "channel_id",
            unique=True,
            sqlite_where=_RUNS,
            postgresql_where=_RUNS,
        ),
        NEVER_AGAIN,
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=True)
    channel_id: Mapped[int] = mapped_column(
        RowId, ForeignKey("channels.id", ondelete="CASCADE"), index=True
    )
    title: Mapped[str]
    scenario: Mapped[str]
    mode: Mapped[str]
    note: Mapped[str]
    note_depth: Mapped[int]
    is_paused: Mapped[bool]
    started_by: Mapped[str] = mapped_column(index=True)  # "": that person was forgotten
    started_at: Mapped[datetime] = mapped_column(index=True)  # a copy (a fork) has its original's
    ended_at: Mapped[datetime | None]


class SceneCastRow(Base):
    """A persona of a scene's cast, of any home."""

    __tablename__ = "scene_casts"

    scene_id: Mapped[int] = _of_scene()
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    persona_id: Mapped[str] = mapped_column(index=True)


class SceneCharacterRow(Base):
    """Whom a player plays."""

    __tablename__ = "scene_characters"

    scene_id: Mapped[int] = _of_scene()
    speaker_id: Mapped[str] = mapped_column(primary_key=True, index=True)
    position: Mapped[int]
    name: Mapped[str]
    description: Mapped[str]


ORIGINAL = aliased(SceneRow)
_IS_COPY = (ORIGINAL.started_at == SceneRow.started_at) & (ORIGINAL.id < SceneRow.id)


def is_copy_of_others() -> ColumnElement[bool]:
    """Whether a scene is a copy (a fork) of one that somebody else started: it began with it."""
    of_others = ORIGINAL.started_by != SceneRow.started_by
    return exists(select(ORIGINAL.id).where(_IS_COPY, of_others))


def is_of_who_stays_out() -> ColumnElement[bool]:
    """Whether somebody who has opted out started a scene, or the one that it is a copy of."""
    started = select(ORIGINAL.id).join(OptOutRow, OptOutRow.speaker_id == ORIGINAL.started_by)
    return stays_out(SceneRow.started_by) | exists(started.where(_IS_COPY))
