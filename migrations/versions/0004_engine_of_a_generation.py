"""The engine of a generation

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("generations", sa.Column("engine", sa.Text(), server_default="", nullable=False))


def downgrade() -> None:
    op.drop_column("generations", "engine")
