"""Personas have an id

Turns and generations of before name a persona by its name alone: their id stays NULL.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("turns", sa.Column("persona_id", sa.Text(), nullable=True))
    op.add_column("generations", sa.Column("persona_id", sa.Text(), nullable=True))
    op.add_column("generations", sa.Column("persona_version", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("generations", "persona_version")
    op.drop_column("generations", "persona_id")
    op.drop_column("turns", "persona_id")
