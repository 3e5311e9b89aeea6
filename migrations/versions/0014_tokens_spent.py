"""What was written for each member in a day

Revision ID: 0014
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tokens_spent",
        sa.Column("home", sa.Text(), nullable=False),
        sa.Column("speaker_id", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("home", "speaker_id", "day", name=op.f("pk_tokens_spent")),
    )
    op.create_index(op.f("ix_tokens_spent_day"), "tokens_spent", ["day"])


def downgrade() -> None:
    op.drop_table("tokens_spent")
