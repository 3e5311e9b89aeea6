"""Runs, and who heard what

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "runs",
        sa.Column("id", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("program", sa.Text(), nullable=False),
        sa.Column("is_locked", sa.Boolean(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
    )
    op.create_table(
        "seen_marks",
        sa.Column("channel_id", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("seen_by", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["channel_id"],
            ["channels.id"],
            name=op.f("fk_seen_marks_channel_id_channels"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("channel_id", "seen_by", name=op.f("pk_seen_marks")),
    )
    op.create_table(
        "reclaiming",
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("after_row", ROW_ID, nullable=False),
        sa.PrimaryKeyConstraint("stage", name=op.f("pk_reclaiming")),
    )
    # Nobody in particular had seen and heard so far: it goes to whoever serves the platform next.
    op.execute(
        "INSERT INTO seen_marks (channel_id, seen_by, message_id) "
        "SELECT id, '', last_seen_message_id FROM channels WHERE last_seen_message_id IS NOT NULL"
    )
    # These three change no row: both databases only note the new shape.
    op.add_column(
        "turns", sa.Column("heard_by", sa.Text(), server_default=sa.text("''"), nullable=False)
    )
    op.add_column("swipes", sa.Column("run_id", ROW_ID, nullable=True))
    op.drop_column("channels", "last_seen_message_id")


def downgrade() -> None:
    op.add_column("channels", sa.Column("last_seen_message_id", sa.Text(), nullable=True))
    op.execute(
        "UPDATE channels SET last_seen_message_id = "
        "(SELECT max(message_id) FROM seen_marks WHERE channel_id = channels.id)"
    )
    op.drop_column("swipes", "run_id")
    op.drop_column("turns", "heard_by")
    op.drop_table("reclaiming")
    op.drop_table("seen_marks")
    op.drop_table("runs")
