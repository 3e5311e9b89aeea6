"""What was deleted or replaced is nowhere in the files, not even between the rows."""

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio
from store_samples import ANN, CHANNEL, Talk

from bot.chat.messages import QuotedMessage
from bot.store.database import Database


@pytest_asyncio.fixture
async def database(sqlite_url: str) -> Database:
    """SQLite: PostgreSQL's own vacuum takes its old rows away, later."""
    return await Database.open(sqlite_url)


def bytes_on_disk(file: Path) -> bytes:
    """The database with its log, as a thief of the disk would read them."""
    return b"".join(path.read_bytes() for path in sorted(file.parent.iterdir()))


async def test_deleted_and_edited_text_is_overwritten(
    database: Database, sqlite_file: Path, sqlite_url: str
) -> None:
    history = database.history
    talk = Talk(history)
    words = [f"SECRET{number:04}" for number in range(60)]
    for number, word in enumerate(words):
        await talk.ask(f"{word} " * 40, message_id=f"{number}")
        await talk.mention("kept", reply_to=QuotedMessage(f"{number}", ANN, f"{word} quoted"))
    assert words[0].encode() in bytes_on_disk(sqlite_file)
    dice = random.Random(3)
    lingering = 0
    for number in range(60):
        if dice.random() < 0.5:
            await history.delete_messages(CHANNEL, [f"{number}"])
        else:
            await history.edit_message(CHANNEL, f"{number}", "harmless")
        lingering += words[number].encode() in bytes_on_disk(sqlite_file)
    assert lingering <= 3  # copies that SQLite left when it split a page
    await database.close()
    database = await Database.open(sqlite_url)
    assert b"SECRET" not in bytes_on_disk(sqlite_file)
    assert len(await Talk(database.history).texts()) > 60
    await database.close()


async def test_a_start_after_nothing_was_erased_writes_nothing_anew(
    database: Database, sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "bot.store")
    await database.history.recover()  # nothing to mend, nothing erased
    await database.close()
    await (await Database.open(sqlite_url)).close()
    assert "anew" not in caplog.text


async def test_a_deleted_turn_leaves_nothing_of_its_swipes(
    database: Database, sqlite_file: Path
) -> None:
    talk = Talk(database.history)
    reply = await talk.answer(await talk.ask("hi"), text="SECRET")
    await database.history.begin_swipe(reply.turn_id)
    await database.history.show_reply(reply.turn_id, "SECRET too", ["10"])
    await database.history.delete_turn(reply.turn_id)
    assert b"SECRET" not in bytes_on_disk(sqlite_file)
    await database.close()


async def test_somebody_who_reads_meanwhile_delays_it_to_the_next_write(
    database: Database, sqlite_file: Path
) -> None:
    history = database.history
    talk = Talk(history)
    await talk.ask("SECRET", message_id="1")
    with closing(sqlite3.connect(sqlite_file, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM turns").fetchall()
        assert await history.delete_messages(CHANNEL, ["1"]) == 1  # not held up
        await history.note_seen(CHANNEL, "1")
        reader.execute("COMMIT")
    await history.note_seen(CHANNEL, "2")
    assert b"SECRET" not in bytes_on_disk(sqlite_file)
    await database.close()


async def test_only_its_owner_may_read_the_file(database: Database, sqlite_file: Path) -> None:
    await Talk(database.history).ask("hi")
    for path in sqlite_file.parent.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path
    await database.close()
