"""Addresses, engines, and one-off transactions: what the kinds of database differ in."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from bot.errors import SettingsError, WrongDatabase
from bot.invocation import setup
from bot.store.connecting.faults import explain, translated
from bot.store.connecting.statements import STATEMENTS

T = TypeVar("T")

BUSY_TIMEOUT_SECONDS = 10.0  # how long we wait for another process that writes
CONNECT_TIMEOUT_SECONDS = 10.0
POSTGRES_CONNECTIONS = 8
START_LOCK = 0x_CAD0CE05  # PostgreSQL's advisory lock that starts of the program contend for

WRITER_PRAGMAS = (
    "foreign_keys = ON",
    "journal_mode = WAL",
    # FULL: a commit survives a power cut too, not only a killed process. A method of the history
    # is durable when it returns; what that costs is one fsync of the log.
    "synchronous = FULL",
    "secure_delete = ON",  # what is deleted is overwritten
    "temp_store = MEMORY",
)
# SQLite rebuilds a table by dropping the old one, and we take rows out to put them back: with
# foreign keys on, that would take with it everything that refers to them. A step that a power cut
# takes back is made again.
MAINTENANCE_PRAGMAS = (
    "foreign_keys = OFF",
    WRITER_PRAGMAS[1],
    "synchronous = NORMAL",
    *WRITER_PRAGMAS[3:],
)
READER_PRAGMAS = ("query_only = ON", "temp_store = MEMORY")
OPTIONS = {"compiled_cache": STATEMENTS}

DRIVERS = {
    "sqlite": "sqlite+pysqlite",
    "sqlite+aiosqlite": "sqlite+pysqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}
# What an address may say behind its question mark; SQLAlchemy hands all of it to the driver.
POSTGRES_OPTIONS = frozenset(
    {"host", "port", "ssl", "passfile", "service", "servicefile", "target_session_attrs"}
    | {"prepared_statement_cache_size"}
)
URL_MEND = (
    "Set DATABASE_URL to sqlite+aiosqlite:///path/to/caduceus.db or "
    "postgresql+asyncpg://user:password@host/name."
)


def parse_url(url: str) -> URL:
    """A checked URL with our driver. Raises SettingsError; never repeats a password."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise SettingsError("DATABASE_URL is not a database's address.", URL_MEND) from error
    driver = DRIVERS.get(parsed.drivername)
    if driver is None:
        raise SettingsError(f"DATABASE_URL names a driver «{parsed.drivername}».", URL_MEND)
    if driver.startswith("sqlite") and parsed.database in (None, "", ":memory:"):
        raise SettingsError("DATABASE_URL names no file: history must outlive the bot.", URL_MEND)
    parsed = parsed.set(drivername=driver)
    return parsed if is_sqlite(parsed) else _with_known_options(parsed)


def _with_known_options(url: URL) -> URL:
    """The address as asyncpg takes it, which calls `ssl` what all others call `sslmode`."""
    if "sslmode" in url.query:
        mode = url.query["sslmode"]
        url = url.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})
    if unknown := sorted(url.query.keys() - POSTGRES_OPTIONS):
        raise SettingsError(
            f"DATABASE_URL has the option «{unknown[0][:40]}», which the driver does not know.",
            f"It knows {', '.join(sorted(POSTGRES_OPTIONS))}, and sslmode.",
        )
    return url


def is_sqlite(url: URL) -> bool:
    """Whether it is a file of ours."""
    return url.get_backend_name() == "sqlite"


def is_postgres(connection: Connection) -> bool:
    """Whether several programs write at once: rows have to be locked."""
    return connection.dialect.name == "postgresql"


def sqlite_file(url: URL) -> Path:
    """The file of a SQLite URL."""
    return Path(url.database or "")


def prepare_file(url: URL) -> None:
    """Make the SQLite file and its folder; only its owner may read what people said."""
    if not is_sqlite(url):
        return
    file = sqlite_file(url)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        explained = explain(url, error)
        raise WrongDatabase(explained.message, explained.fix) from error


def sqlite_engine(
    url: URL, pragmas: tuple[str, ...], *, begin: str = "BEGIN IMMEDIATE", connections: int = 1
) -> Engine:
    """An engine for a SQLite file. `begin` starts a transaction, which Python leaves to us."""
    engine = create_engine(
        url,
        pool_size=connections,
        max_overflow=0,
        connect_args={
            "timeout": BUSY_TIMEOUT_SECONDS,
            "isolation_level": None,
            "check_same_thread": False,
        },
        execution_options=OPTIONS,
    )

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, _record: object) -> None:  # pyright: ignore[reportUnusedFunction]
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def begin_transaction(connection: Any) -> None:  # pyright: ignore[reportUnusedFunction]
        connection.exec_driver_sql(begin)

    return engine


def postgres_engine(url: URL) -> AsyncEngine:
    """An engine for a PostgreSQL server."""
    try:
        return create_async_engine(
            url,
            pool_size=POSTGRES_CONNECTIONS,
            max_overflow=POSTGRES_CONNECTIONS,
            pool_pre_ping=True,
            connect_args={"timeout": CONNECT_TIMEOUT_SECONDS},
            execution_options=OPTIONS,
        )
    except ModuleNotFoundError as error:
        raise SettingsError(
            "DATABASE_URL names PostgreSQL, but its driver is not installed.",
            f"Run {setup('postgres')}.",
        ) from error


def run_once(
    url: URL,
    work: Callable[[Connection], T],
    *,
    pragmas: tuple[str, ...] = READER_PRAGMAS,
    alone: bool = False,
) -> T:
    """Do `work` in one transaction with a connection of its own. Blocks: for a thread.

    `alone`: no other start of the program does the like meanwhile.
    """
    if is_sqlite(url):
        engine = sqlite_engine(url, pragmas, begin="BEGIN IMMEDIATE" if alone else "BEGIN")
        try:
            with translated(url), engine.begin() as connection:
                return work(connection)
        finally:
            engine.dispose()
    return asyncio.run(_run_once_on_postgres(postgres_engine(url), work, alone))


async def _run_once_on_postgres(
    engine: AsyncEngine, work: Callable[[Connection], T], alone: bool
) -> T:
    try:
        with translated(engine.url):
            # One view for all statements, as SQLite's transactions have anyway; a migration that
            # waited for another's must see what that one made.
            level = "READ COMMITTED" if alone else "REPEATABLE READ"
            async with engine.execution_options(isolation_level=level).begin() as connection:
                if alone:
                    await connection.execute(select(func.pg_advisory_xact_lock(START_LOCK)))
                return await connection.run_sync(work)
    finally:
        await engine.dispose()
