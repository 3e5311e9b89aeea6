"""The store's tests run on SQLite, and on PostgreSQL where TEST_POSTGRES_URL names a server."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from blockbuster import BlockBuster
from empty_database import put_empty_database
from sqlalchemy import make_url
from store_samples import Talk

from bot.store.database import Database
from bot.store.history import SqlHistory


async def _run_sql(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(
        make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    )
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(autouse=True)
def _what_may_block(loop_guard: BlockBuster) -> None:
    # asyncpg looks into ~/.postgresql each time it connects; that is its business. A migration
    # reads its own files, on PostgreSQL on a loop that is its thread's alone.
    for function in loop_guard.functions.values():
        function.can_block_in("bot/store/connecting/migrate.py", {"_run_chain"})
        function.can_block_in("asyncpg/connect_utils.py", {"_parse_connect_arguments"})


@pytest.fixture(scope="session")
def postgres_database() -> Iterator[str]:
    """A database for this run (and worker) alone."""
    server = os.environ.get("TEST_POSTGRES_URL")
    if not server:
        pytest.skip("TEST_POSTGRES_URL is not set")
    name = f"caduceus_test_{secrets.token_hex(6)}"
    asyncio.run(_run_sql(server, f"CREATE DATABASE {name}"))
    yield make_url(server).set(database=name).render_as_string(hide_password=False)
    asyncio.run(_run_sql(server, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def postgres_url(postgres_database: str) -> str:
    """A PostgreSQL database without rows (its tables are the first test's: making them is slow)."""
    empty = "DO $$ BEGIN IF to_regclass('channels') IS NOT NULL THEN {} END IF; END $$"
    tables = ("channels", "setting_values", "setting_changes")
    tables += ("guild_personas", "lorebooks", "channel_casts", "scenes", "facts", "tokens_spent")
    tables += ("blocks", "log_channels", "opt_outs", "jobs", "message_removals", "guild_words")
    deletions = " ".join(f"DELETE FROM {table};" for table in tables)
    asyncio.run(_run_sql(postgres_database, empty.format(deletions)))
    return postgres_database


@pytest.fixture
def bare_postgres_url(postgres_database: str) -> Iterator[str]:
    """A PostgreSQL database without tables."""
    empty = ("DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    asyncio.run(_run_sql(postgres_database, *empty))
    yield postgres_database
    asyncio.run(_run_sql(postgres_database, *empty))


@pytest.fixture
def sqlite_file(tmp_path: Path) -> Path:
    """Where a SQLite database will be."""
    return tmp_path / "data" / "caduceus.db"


@pytest.fixture
def sqlite_url(sqlite_file: Path) -> str:
    """A SQLite database that is not there yet."""
    return f"sqlite+aiosqlite:///{sqlite_file}"


@pytest.fixture
def migrated_sqlite_url(sqlite_file: Path, sqlite_url: str) -> str:
    """A SQLite database without rows."""
    put_empty_database(sqlite_file)
    return sqlite_url


@pytest.fixture(params=["migrated_sqlite", "postgres"], ids=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A database of each kind without rows."""
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture(params=["sqlite", "bare_postgres"])
def bare_url(request: pytest.FixtureRequest) -> str:
    """A database of each kind in which nothing is yet."""
    return request.getfixturevalue(f"{request.param}_url")


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open, empty database."""
    opened = await Database.open(database_url)
    yield opened
    await opened.close()


@pytest.fixture
def history(database: Database) -> SqlHistory:
    """Its history."""
    return database.history


@pytest.fixture
def talk(history: SqlHistory) -> Talk:
    """Short ways to fill the history."""
    return Talk(history)
