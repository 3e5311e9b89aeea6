"""Databases that are damaged, locked, unreachable or misspelt: plain words and a fix."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import make_url
from store_samples import CHANNEL, Talk, said

from bot.errors import CaduceusError, SettingsError, StoreError
from bot.store.checks import check
from bot.store.connecting import connection
from bot.store.database import Database


def write(file: Path, content: bytes) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)


def read(file: Path) -> bytes:
    return file.read_bytes()


def there(file: Path) -> bool:
    return file.exists()


def assert_plain(error: CaduceusError) -> None:
    """Words for a person, without a traceback or a password."""
    assert error.message
    assert error.fix
    assert "Traceback" not in str(error)
    assert "sekret" not in str(error)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "caduceus.db",
        "mysql://user:sekret@host/db",
        "sqlite+aiosqlite://",
        "sqlite+aiosqlite:///:memory:",
        "postgresql+psycopg://user:sekret@host/db",
        "postgresql+asyncpg://user:sekret@host:notaport/db",
    ],
)
async def test_a_bad_address_is_the_users_mistake(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        await Database.open(url)
    assert_plain(caught.value)


def test_postgres_options_are_the_drivers() -> None:
    url = connection.parse_url("postgresql://u@h/d?sslmode=require")
    assert dict(url.query) == {"ssl": "require"}
    with pytest.raises(SettingsError, match="application_name"):
        connection.parse_url("postgresql+asyncpg://u:hidden@h/d?application_name=x")


async def test_short_addresses_mean_our_drivers(tmp_path: Path) -> None:
    database = await Database.open(f"sqlite:///{tmp_path}/a.db")
    await database.close()
    assert connection.parse_url("postgres://u@h/d").drivername == "postgresql+asyncpg"


@pytest.mark.parametrize(
    "content", [b"this is no database " * 500, b"SQLite format 3\0" + b"x" * 99]
)
async def test_a_file_that_is_no_database(
    sqlite_url: str, sqlite_file: Path, content: bytes
) -> None:
    write(sqlite_file, content)
    with pytest.raises(StoreError) as caught:
        await Database.open(sqlite_url)
    assert_plain(caught.value)
    assert sqlite_file.name in str(caught.value)
    assert read(sqlite_file) == content
    (problem,) = await check(sqlite_url)
    assert sqlite_file.name in problem.text
    assert "db check" not in problem.text, "it was this very check"
    assert "Put back a backup" in problem.text


async def test_a_damaged_page_is_found(sqlite_url: str, sqlite_file: Path) -> None:
    database = await Database.open(sqlite_url)
    talk = Talk(database.history)
    for number in range(40):
        await talk.ask(f"{number} " * 100)
    await database.close()
    assert await check(sqlite_url) == []
    content = bytearray(read(sqlite_file))
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 4096] = b"\x55" * 4096
    write(sqlite_file, content)
    problems = await check(sqlite_url)
    assert problems
    assert "backup" in " ".join(map(str, problems))


async def test_check_makes_nothing(sqlite_url: str, sqlite_file: Path) -> None:
    (problem,) = await check(sqlite_url)
    assert "There is no database" in problem.text
    assert not there(sqlite_file)
    write(sqlite_file, b"")
    (problem,) = await check(sqlite_url)
    assert "db upgrade" in problem.text
    assert read(sqlite_file) == b""


async def test_check_finds_what_contradicts_itself(sqlite_url: str, sqlite_file: Path) -> None:
    database = await Database.open(sqlite_url)
    talk = Talk(database.history)
    question = await talk.ask("hi")
    await talk.answer(question)
    await database.close()
    with closing(sqlite3.connect(sqlite_file, isolation_level=None)) as raw:
        raw.execute("UPDATE turns SET active_swipe = 7 WHERE role = 'bot'")
        raw.execute("UPDATE turns SET answered_by = id WHERE role = 'user'")
    assert len(await check(sqlite_url)) == 2
    with closing(sqlite3.connect(sqlite_file, isolation_level=None)) as raw:
        raw.execute("DELETE FROM channels")  # without foreign keys
    problems = await check(sqlite_url)
    assert any("refers to a row" in problem.text for problem in problems)


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Another program that writes."""
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def test_a_lock_that_lasts_is_reported_and_passes(
    sqlite_url: str, sqlite_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await Database.open(sqlite_url)).close()
    monkeypatch.setattr(connection, "BUSY_TIMEOUT_SECONDS", 0.1)
    with locked(sqlite_file), pytest.raises(StoreError, match="locked by another program"):
        await Database.open(sqlite_url)
    database = await Database.open(sqlite_url)
    with locked(sqlite_file):
        with pytest.raises(StoreError, match="locked by another program"):
            await database.history.add_message(said("hi"), addressed=False)
        assert (await database.history.window(CHANNEL, 5)).turns == ()
    assert await database.history.add_message(said("hi"), addressed=False)
    await database.close()


async def test_one_callers_fault_is_not_the_others(sqlite_url: str) -> None:
    """Those who were committed together with a work that fails have theirs done."""
    database = await Database.open(sqlite_url)
    history = database.history
    naive = said("no time zone")
    object.__setattr__(naive, "sent_at", naive.sent_at.replace(tzinfo=None))
    results = await asyncio.gather(
        *(history.add_message(said(f"{number}"), addressed=False) for number in range(10)),
        history.add_message(naive, addressed=False),
        history.delete_turn(2**40),
        *(history.add_message(said(f"{number}"), addressed=False) for number in range(10)),
        return_exceptions=True,
    )
    failed = [result for result in results if isinstance(result, BaseException)]
    assert len(failed) == 2
    assert len((await history.window(CHANNEL, 50)).turns) == 20
    await database.close()


async def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError) as caught:
        await Database.open(f"sqlite+aiosqlite:///{tmp_path}/file/caduceus.db")
    assert_plain(caught.value)


async def test_a_server_that_does_not_answer() -> None:
    url = "postgresql+asyncpg://user:sekret@127.0.0.1:1/db"
    with pytest.raises(StoreError, match="does not answer") as caught:
        await Database.open(url)
    assert_plain(caught.value)
    (problem,) = await check(url)
    assert "does not answer" in problem.text


async def test_a_postgres_database_that_is_not_there(postgres_database: str) -> None:
    url = make_url(postgres_database).set(database="caduceus_nowhere")
    with pytest.raises(StoreError, match="no database") as caught:
        await Database.open(url.render_as_string(hide_password=False))
    assert_plain(caught.value)


async def test_check_of_a_good_database(database: Database, database_url: str) -> None:
    talk = Talk(database.history)
    await talk.answer(await talk.ask("hi"))
    assert await check(database_url) == []


async def test_a_closed_database_says_so(sqlite_url: str) -> None:
    database = await Database.open(sqlite_url)
    await database.close()
    await database.close()
    with pytest.raises(StoreError, match="closed"):
        await database.history.add_message(said("hi"), addressed=False)
    with pytest.raises(StoreError, match="closed"):
        await database.history.window(CHANNEL, 1)
