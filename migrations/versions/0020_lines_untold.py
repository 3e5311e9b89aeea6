"""Lines of a guild's log that could not be told

Revision ID: 0020
Revises: 0019
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "log_channels", sa.Column("untold", sa.Integer(), nullable=False, server_default="0")
    )


def downgrade() -> None:
    op.drop_column("log_channels", "untold")
