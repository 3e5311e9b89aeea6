"""Personas and lorebooks of a guild, and the casts of channels

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
IS_THERE = sa.text("deleted_at IS NULL")


def _id() -> sa.Column[int]:
    return sa.Column("id", ROW_ID, autoincrement=True, nullable=False)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _belongs_to(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_{column}_{target}")
    return sa.ForeignKeyConstraint([column], [f"{target}.id"], name=name, ondelete="CASCADE")


def _kept(table: str, *columns: sa.Column[object]) -> None:
    """A table of what a guild keeps under a name, and can take back after it was deleted."""
    op.create_table(
        table,
        _id(),
        _text("guild_id"),
        _text("name"),
        _text("name_key"),
        *columns,
        _text("created_by"),
        _time("created_at"),
        _text("edited_by"),
        _time("edited_at"),
        _text("deleted_by", nullable=True),
        _time("deleted_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f(f"ix_{table}_guild_id"), table, ["guild_id"])
    op.create_index(op.f(f"ix_{table}_deleted_at"), table, ["deleted_at"])
    op.create_index(
        f"uq_{table}_name",
        table,
        ["guild_id", "name_key"],
        unique=True,
        sqlite_where=IS_THERE,
        postgresql_where=IS_THERE,
    )


def upgrade() -> None:
    _kept(
        "guild_personas",
        _text("summary"),
        _text("version"),
        sa.Column("revision", sa.Integer(), nullable=False),
        _text("picture_sha256"),
        sa.Column("size_bytes", ROW_ID, nullable=False),
    )
    op.create_table(
        "guild_persona_versions",
        _id(),
        sa.Column("persona_id", ROW_ID, nullable=False),
        _text("version"),
        _text("origin"),
        _text("spec"),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        _text("written_by"),
        _time("written_at"),
        _belongs_to("guild_persona_versions", "persona_id", "guild_personas"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_guild_persona_versions")),
        sa.UniqueConstraint(
            "persona_id", "version", name=op.f("uq_guild_persona_versions_persona_id_version")
        ),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "guild_persona_files",
        _id(),
        sa.Column("persona_id", ROW_ID, nullable=False),
        _text("kind"),
        _text("name"),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        _belongs_to("guild_persona_files", "persona_id", "guild_personas"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_guild_persona_files")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_guild_persona_files_persona_id"), "guild_persona_files", ["persona_id"]
    )
    _kept(
        "lorebooks",
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("size_bytes", ROW_ID, nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "lorebook_places",
        sa.Column("lorebook_id", ROW_ID, autoincrement=False, nullable=False),
        _text("scope"),
        _text("scope_id"),
        _belongs_to("lorebook_places", "lorebook_id", "lorebooks"),
        sa.PrimaryKeyConstraint(
            "lorebook_id", "scope", "scope_id", name=op.f("pk_lorebook_places")
        ),
    )
    op.create_index(op.f("ix_lorebook_places_scope_id"), "lorebook_places", ["scope_id"])
    op.create_table(
        "channel_casts",
        _id(),
        _text("scope_id"),
        _text("guild_id", nullable=True),
        _text("persona_id"),
        _text("added_by"),
        _time("added_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_channel_casts")),
        sa.UniqueConstraint(
            "scope_id", "persona_id", name=op.f("uq_channel_casts_scope_id_persona_id")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_channel_casts_guild_id"), "channel_casts", ["guild_id"])
    op.create_index(op.f("ix_channel_casts_persona_id"), "channel_casts", ["persona_id"])


def downgrade() -> None:
    for table in (
        "channel_casts",
        "lorebook_places",
        "lorebooks",
        "guild_persona_files",
        "guild_persona_versions",
        "guild_personas",
    ):
        op.drop_table(table)
