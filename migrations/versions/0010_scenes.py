"""Scenes, their casts and the characters of their players

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
RUNS = sa.text("ended_at IS NULL")


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _of_scene(table: str) -> tuple[sa.Column[int], sa.ForeignKeyConstraint]:
    name = op.f(f"fk_{table}_scene_id_scenes")
    return (
        sa.Column("scene_id", ROW_ID, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["scene_id"], ["scenes.id"], name=name, ondelete="CASCADE"),
    )


def upgrade() -> None:
    op.create_table(
        "scenes",
        sa.Column("id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("channel_id", ROW_ID, nullable=False),
        _text("title"),
        _text("scenario"),
        _text("mode"),
        _text("note"),
        sa.Column("note_depth", sa.Integer(), nullable=False),
        sa.Column("is_paused", sa.Boolean(), nullable=False),
        _text("started_by"),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["channel_id"],
            ["channels.id"],
            name=op.f("fk_scenes_channel_id_channels"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scenes")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_scenes_channel_id"), "scenes", ["channel_id"])
    op.create_index(op.f("ix_scenes_started_by"), "scenes", ["started_by"])
    op.create_index(
        "uq_scenes_running",
        "scenes",
        ["channel_id"],
        unique=True,
        sqlite_where=RUNS,
        postgresql_where=RUNS,
    )
    op.create_table(
        "scene_casts",
        *_of_scene("scene_casts"),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        _text("persona_id"),
        sa.PrimaryKeyConstraint("scene_id", "position", name=op.f("pk_scene_casts")),
    )
    op.create_index(op.f("ix_scene_casts_persona_id"), "scene_casts", ["persona_id"])
    op.create_table(
        "scene_characters",
        *_of_scene("scene_characters"),
        _text("speaker_id"),
        sa.Column("position", sa.Integer(), nullable=False),
        _text("name"),
        _text("description"),
        sa.PrimaryKeyConstraint("scene_id", "speaker_id", name=op.f("pk_scene_characters")),
    )
    op.create_index(op.f("ix_scene_characters_speaker_id"), "scene_characters", ["speaker_id"])


def downgrade() -> None:
    for table in ("scene_characters", "scene_casts", "scenes"):
        op.drop_table(table)
