"""Copies in forks are found by the time of what they are copies of

Revision ID: 0019
Revises: 0018
"""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(op.f("ix_turns_created_at"), "turns", ["created_at"])
    op.create_index(op.f("ix_scenes_started_at"), "scenes", ["started_at"])


def downgrade() -> None:
    op.drop_index(op.f("ix_scenes_started_at"), table_name="scenes")
    op.drop_index(op.f("ix_turns_created_at"), table_name="turns")
