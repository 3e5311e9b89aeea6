"""What the sections of rolling summaries stand for

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "summary_sections",
        sa.Column("derived_id", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("first_turn_id", ROW_ID, nullable=False),
        sa.Column("last_turn_id", ROW_ID, nullable=False),
        sa.Column("by_hand", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["derived_id"],
            ["derived.id"],
            name=op.f("fk_summary_sections_derived_id_derived"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("derived_id", name=op.f("pk_summary_sections")),
    )


def downgrade() -> None:
    op.execute("DELETE FROM derived WHERE kind = 'summary'")
    op.drop_table("summary_sections")
