"""Positions of turns, indexes by age and person, and texts derived from turns

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
# SQLite uses a partial index only for a condition that says the same in the same words, and it
# writes `is_pending = 1` where PostgreSQL writes `is_pending`.
NUMBERED = """
    UPDATE turns SET position = numbered.position
    FROM (
        SELECT id, row_number() OVER (PARTITION BY conversation_id ORDER BY id) - 1 AS position
        FROM turns
    ) AS numbered
    WHERE numbered.id = turns.id
"""


def upgrade() -> None:
    op.add_column("turns", sa.Column("position", sa.Integer(), server_default="0", nullable=False))
    op.execute(NUMBERED)
    op.drop_index("ix_turns_pending", "turns")
    op.create_index(
        "ix_turns_pending",
        "turns",
        ["conversation_id", "id"],
        sqlite_where=sa.text("is_pending = 1"),
        postgresql_where=sa.text("is_pending"),
    )
    op.create_index(
        "ix_turns_replies",
        "turns",
        ["conversation_id", "id"],
        sqlite_where=sa.text("role = 'bot'"),
        postgresql_where=sa.text("role = 'bot'"),
    )

    op.create_index(op.f("ix_turns_speaker_id"), "turns", ["speaker_id"])
    op.create_index(op.f("ix_turns_quoted_speaker_id"), "turns", ["quoted_speaker_id"])
    op.create_index(op.f("ix_turn_askers_speaker_id"), "turn_askers", ["speaker_id"])
    op.create_table(
        "derived",
        sa.Column("id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("channel_id", ROW_ID, nullable=False),
        sa.Column("conversation_id", ROW_ID, nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_stale", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["channel_id"],
            ["channels.id"],
            name=op.f("fk_derived_channel_id_channels"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversations.id"],
            name=op.f("fk_derived_conversation_id_conversations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_derived")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_derived_channel_id"), "derived", ["channel_id"])
    op.create_index(op.f("ix_derived_conversation_id"), "derived", ["conversation_id"])
    op.create_table(
        "derived_from",
        sa.Column("derived_id", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("turn_id", ROW_ID, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["derived_id"],
            ["derived.id"],
            name=op.f("fk_derived_from_derived_id_derived"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["turn_id"],
            ["turns.id"],
            name=op.f("fk_derived_from_turn_id_turns"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("derived_id", "turn_id", name=op.f("pk_derived_from")),
    )
    op.create_index(op.f("ix_derived_from_turn_id"), "derived_from", ["turn_id"])


def downgrade() -> None:
    op.drop_table("derived_from")
    op.drop_table("derived")
    op.drop_index("ix_turn_askers_speaker_id", "turn_askers")
    op.drop_index("ix_turns_quoted_speaker_id", "turns")
    op.drop_index("ix_turns_speaker_id", "turns")
    op.drop_index("ix_turns_replies", "turns")
    op.drop_index("ix_turns_pending", "turns")
    op.create_index(
        "ix_turns_pending",
        "turns",
        ["conversation_id"],
        sqlite_where=sa.text("is_pending"),
        postgresql_where=sa.text("is_pending"),
    )
    op.drop_column("turns", "position")
