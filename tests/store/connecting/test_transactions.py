"""Transactions: whole or not at all, together or alone, and again after the server went away."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import Connection, func, insert, make_url, select
from store_samples import Talk

from bot.errors import NotFound, StoreError
from bot.store.connecting.connection import parse_url
from bot.store.connecting.migrate import upgrade
from bot.store.connecting.transactions import Transactions, open_transactions
from bot.store.database import Database
from bot.store.tables import ChannelRow


@pytest_asyncio.fixture
async def transactions(database_url: str) -> AsyncIterator[Transactions]:
    """On an empty database."""
    await upgrade(database_url)
    opened = await asyncio.to_thread(open_transactions, parse_url(database_url))
    yield opened
    await opened.close()


def make_channel(connection: Connection, name: str) -> None:
    """A write."""
    connection.execute(
        insert(ChannelRow).values(platform="test", platform_channel_id=name, is_direct=False)
    )


def count(connection: Connection) -> int:
    """A read."""
    return connection.scalar(select(func.count(ChannelRow.id))) or 0


def fail_after_writing(connection: Connection) -> None:
    """What is raised on purpose takes back what was written."""
    make_channel(connection, "never")
    raise NotFound("Not here.")


def break_after_writing(connection: Connection) -> None:
    """So does what was not foreseen."""
    make_channel(connection, "never")
    raise ZeroDivisionError


@pytest.mark.parametrize("work", [fail_after_writing, break_after_writing])
async def test_a_work_that_fails_leaves_nothing(transactions: Transactions, work) -> None:
    with pytest.raises((NotFound, ZeroDivisionError)):
        await transactions.write(work)
    assert await transactions.read(count) == 0


@pytest.mark.parametrize("work", [fail_after_writing, break_after_writing])
async def test_those_who_are_committed_together_fail_alone(
    transactions: Transactions,
    work,
) -> None:
    def good(name: str):
        return transactions.write(lambda connection: make_channel(connection, name))

    results = await asyncio.gather(
        *(good(f"before {n}") for n in range(10)),
        transactions.write(work),
        *(good(f"after {n}") for n in range(10)),
        return_exceptions=True,
    )
    assert sum(result is not None for result in results) == 1
    assert await transactions.read(count) == 20


async def test_callers_kept_out_by_another_program_are_told_together(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.store.connecting.connection.BUSY_TIMEOUT_SECONDS", 0.5)
    monkeypatch.setattr("bot.store.connecting.transactions.BUSY_TIMEOUT_SECONDS", 0.5)
    await upgrade(sqlite_url)
    transactions = await asyncio.to_thread(open_transactions, parse_url(sqlite_url))
    await transactions.write(lambda connection: make_channel(connection, "before"))
    file = parse_url(sqlite_url).database or ""
    other = await asyncio.to_thread(
        sqlite3.connect, file, isolation_level=None, check_same_thread=False
    )
    await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")
    began = time.monotonic()
    results = await asyncio.gather(
        *(transactions.write(lambda c, n=n: make_channel(c, f"{n}")) for n in range(200)),
        return_exceptions=True,
    )
    seconds = time.monotonic() - began
    assert all(isinstance(result, StoreError) for result in results)
    assert len({id(result) for result in results}) == len(results)
    assert seconds < 0.5 * 6  # not 200 times half a second
    await asyncio.to_thread(other.execute, "ROLLBACK")
    await asyncio.to_thread(other.close)
    await transactions.write(lambda connection: make_channel(connection, "after"))
    assert await transactions.read(count) == 2
    await transactions.close()


async def test_a_caller_who_left_before_its_turn_is_not_served(sqlite_url: str) -> None:
    await upgrade(sqlite_url)
    transactions = await asyncio.to_thread(open_transactions, parse_url(sqlite_url))
    gate = threading.Event()
    first = asyncio.create_task(transactions.write(lambda _connection: gate.wait(30)))
    late = asyncio.create_task(
        transactions.write(lambda connection: make_channel(connection, "late"))
    )
    await asyncio.sleep(0)
    late.cancel()
    await asyncio.wait([late])
    gate.set()
    await first
    assert await transactions.read(count) == 0
    await transactions.close()


async def test_closing_finishes_what_waits(sqlite_url: str) -> None:
    await upgrade(sqlite_url)
    transactions = await asyncio.to_thread(open_transactions, parse_url(sqlite_url))
    waiting = [
        asyncio.create_task(
            transactions.write(lambda connection, name=f"{n}": make_channel(connection, name))
        )
        for n in range(100)
    ]
    await asyncio.sleep(0)
    await transactions.close()
    await asyncio.gather(*waiting)


async def test_a_server_that_was_restarted_is_found_again(
    database: Database, database_url: str
) -> None:
    talk = Talk(database.history)
    await talk.ask("before")
    url = make_url(database_url)
    if url.get_backend_name() == "postgresql":
        server = await asyncpg.connect(
            url.set(drivername="postgresql").render_as_string(hide_password=False)
        )
        await server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await server.close()
    await talk.ask("after")
    assert await talk.texts() == ["before", "after"]


async def test_a_sqlite_reader_sees_one_moment(sqlite_url: str) -> None:
    await upgrade(sqlite_url)
    transactions = await asyncio.to_thread(open_transactions, parse_url(sqlite_url))
    seen: list[int] = []
    loop = asyncio.get_running_loop()

    def look_twice(connection: Connection) -> None:
        seen.append(count(connection))
        writing = asyncio.run_coroutine_threadsafe(
            transactions.write(lambda other: make_channel(other, "meanwhile")), loop
        )
        writing.result(30)
        seen.append(count(connection))

    await transactions.read(look_twice)
    assert seen == [0, 0]
    assert await transactions.read(count) == 1
    await transactions.close()


async def test_a_postgres_reader_sees_one_moment(postgres_url: str) -> None:
    await upgrade(postgres_url)
    transactions = await asyncio.to_thread(open_transactions, parse_url(postgres_url))
    level = await transactions.read(
        lambda connection: connection.exec_driver_sql("SHOW transaction_isolation").scalar()
    )
    assert level == "repeatable read"
    await transactions.close()
