"""Positions, and indexes for what grew slower with age

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

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


def downgrade() -> None:
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
