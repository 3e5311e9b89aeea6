"""How many tokens a model took for thinking before a reply

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    column = sa.Column("thinking_tokens", sa.Integer(), server_default="0", nullable=False)
    op.add_column("generations", column)


def downgrade() -> None:
    op.drop_column("generations", "thinking_tokens")
