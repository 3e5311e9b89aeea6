"""Facts, and words that old turns are found by

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _belongs_to(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_{column}_{target}")
    return sa.ForeignKeyConstraint([column], [f"{target}.id"], name=name, ondelete="CASCADE")


def upgrade() -> None:
    op.create_table(
        "facts",
        sa.Column("id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("channel_id", ROW_ID, nullable=True),
        sa.Column("guild_id", sa.Text(), nullable=True),
        sa.Column("persona_id", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("repeats", sa.Boolean(), nullable=False),
        sa.Column("turn_id", ROW_ID, nullable=True),
        sa.Column("message_id", sa.Text(), nullable=True),
        sa.Column("written_by", sa.Text(), nullable=False),
        sa.Column("said_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        _belongs_to("facts", "channel_id", "channels"),
        _belongs_to("facts", "turn_id", "turns"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_facts")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_facts_guild_id_persona_id", "facts", ["guild_id", "persona_id"])
    op.create_index("ix_facts_channel_id_message_id", "facts", ["channel_id", "message_id"])
    for column in ("turn_id", "written_by", "said_by"):
        op.create_index(op.f(f"ix_facts_{column}"), "facts", [column])
    op.create_table(
        "words_due",
        sa.Column("turn_id", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        _belongs_to("words_due", "turn_id", "turns"),
        sa.PrimaryKeyConstraint("turn_id", name=op.f("pk_words_due")),
    )
    # What was said so far is looked at by the running program, a little at a time.
    op.execute("INSERT INTO words_due (turn_id, version) SELECT id, 0 FROM turns")
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE TABLE turn_search (turn_id BIGINT NOT NULL"
            " CONSTRAINT pk_turn_search PRIMARY KEY"
            " CONSTRAINT fk_turn_search_turn_id_turns REFERENCES turns (id) ON DELETE CASCADE,"
            " words TSVECTOR NOT NULL)"
        )
        op.execute("CREATE INDEX ix_turn_search_words ON turn_search USING GIN (words)")
    else:
        # The words are marks of letters and digits, each once: no positions, no counts.
        op.execute(
            "CREATE VIRTUAL TABLE turn_search USING fts5"
            "(words, tokenize = 'unicode61', detail = 'none', columnsize = 0)"
        )


def downgrade() -> None:
    op.execute("DROP TABLE turn_search")
    op.drop_table("words_due")
    op.drop_table("facts")
