"""The migration chain: complete, atomic, once, and never backwards."""

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from store_samples import Talk

from bot.errors import StoreError
from bot.store import migrate
from bot.store.database import Database
from bot.store.migrate import check_migrations, compare, newest_revision, read_chain, upgrade

BROKEN = '''
"""Fails half way"""
import sqlalchemy as sa
from alembic import op
revision = "9999"
down_revision = "{head}"
branch_labels = None
depends_on = None
def upgrade():
    op.create_table("half", sa.Column("id", sa.Integer(), primary_key=True))
    op.execute("DELETE FROM channels")
    op.execute("THIS IS NO SQL")
def downgrade():
    pass
'''
REBUILDS = '''
"""Rebuilds turns"""
import sqlalchemy as sa
from alembic import op
revision = "9999"
down_revision = "{head}"
branch_labels = None
depends_on = None
def upgrade():
    with op.batch_alter_table("turns", recreate="auto") as turns:
        turns.alter_column("persona", existing_type=sa.Text(), nullable=True)
def downgrade():
    pass
'''


def head() -> str:
    return newest_revision(read_chain())


def add_migration(monkeypatch: pytest.MonkeyPatch, folder: Path, source: str) -> None:
    """Let the program have one migration more than it has."""
    copy = folder / "migrations"
    shutil.copytree(migrate.MIGRATIONS, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "versions" / "9999_more.py").write_text(source.format(head=head()))
    monkeypatch.setattr(migrate, "MIGRATIONS", copy)


async def test_the_chain_makes_exactly_the_tables(bare_url: str) -> None:
    assert await upgrade(bare_url) == ["0001"]
    assert await compare(bare_url) == []
    assert await upgrade(bare_url) == []
    assert await check_migrations() == []


async def test_a_difference_is_found(sqlite_url: str, sqlite_file: Path) -> None:
    await upgrade(sqlite_url)
    with closing(sqlite3.connect(sqlite_file)) as connection:
        connection.execute("ALTER TABLE turns DROP COLUMN persona")
    (difference,) = await compare(sqlite_url)
    assert "persona" in difference


async def test_starts_at_once_migrate_once(bare_url: str) -> None:
    done = await asyncio.gather(*(upgrade(bare_url) for _ in range(5)))
    assert sorted(done) == [[], [], [], [], ["0001"]]


async def test_a_migration_that_fails_leaves_all_as_it_was(
    bare_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = await Database.open(bare_url)
    await Talk(database.history).ask("keep me")
    await database.close()
    with monkeypatch.context() as patch:
        await asyncio.to_thread(add_migration, patch, tmp_path, BROKEN)
        with pytest.raises(StoreError):
            await upgrade(bare_url)
    assert await compare(bare_url) == []
    database = await Database.open(bare_url)
    assert await Talk(database.history).texts() == ["keep me"]
    await database.close()


async def test_rebuilding_a_table_keeps_what_refers_to_it(
    bare_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = await Database.open(bare_url)
    talk = Talk(database.history)
    reply = await talk.answer(await talk.ask("keep me"))
    await database.close()
    await asyncio.to_thread(add_migration, monkeypatch, tmp_path, REBUILDS)
    assert await upgrade(bare_url) == ["9999"]
    database = await Database.open(bare_url)
    assert await database.history.turn(reply.turn_id) == reply
    await database.close()


async def test_a_database_newer_than_the_program_is_refused_and_left_alone(
    bare_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        await asyncio.to_thread(add_migration, patch, tmp_path, REBUILDS)
        await upgrade(bare_url)
    with pytest.raises(StoreError, match=r"newer than this program.*Update"):
        await Database.open(bare_url)


async def test_somebody_elses_tables_are_left_alone(sqlite_url: str, sqlite_file: Path) -> None:
    sqlite_file.parent.mkdir()
    with closing(sqlite3.connect(sqlite_file)) as connection:
        connection.execute("CREATE TABLE messages (id)")
    with pytest.raises(StoreError, match="not Caduceus's own"):
        await Database.open(sqlite_url)


async def test_progress_is_logged(sqlite_url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "bot.store")
    await upgrade(sqlite_url)
    assert "database migration 1 of 1" in caplog.text
