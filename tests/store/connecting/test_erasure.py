"""What was deleted or replaced is nowhere in the files, not even between the rows."""

import asyncio
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import Connection, update
from store_samples import ANN, CHANNEL, Talk, said

from bot.chat.messages import QuotedMessage
from bot.errors import NotFound
from bot.store.checks import check
from bot.store.connecting import reclaiming, transactions
from bot.store.database import Database
from bot.store.tables import TurnRow
from bot.store.turns.incoming import add_message


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
    texts = await talk.texts()
    steps = 0
    while await database._transactions.reclaim():
        steps += 1
        if steps % 7 == 0:  # a restart at any point goes on
            await database.close()
            database = await Database.open(sqlite_url)
    assert steps > 7
    assert b"SECRET" not in bytes_on_disk(sqlite_file)
    assert await Talk(database.history).texts() == texts
    await database.close()
    assert await check(sqlite_url) == []


def state_of(file: Path) -> int:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("PRAGMA user_version").fetchone()[0]


async def test_what_was_never_kept_leaves_nothing_to_reclaim(
    database: Database, sqlite_file: Path
) -> None:
    await Talk(database.history).ask("hi", message_id="1")
    assert await database.history.delete_messages(CHANNEL, ["unknown"]) == 0
    assert not await database.history.edit_message(CHANNEL, "unknown", "new")
    with pytest.raises(NotFound):
        await database.history.delete_turn(2**40)
    assert state_of(sqlite_file) == 0
    assert not await database._transactions.reclaim()
    await database.history.edit_message(CHANNEL, "1", "hello")
    assert state_of(sqlite_file) != 0
    await database.close()


async def test_what_is_erased_during_a_pass_gets_one_of_its_own(
    database: Database, sqlite_file: Path
) -> None:
    talk = Talk(database.history)
    for number in range(5):
        await talk.ask("hi", message_id=f"{number}")
    await database.search.index_all()  # which would else go on meanwhile
    await database.history.delete_messages(CHANNEL, ["0"])
    assert await database._transactions.reclaim()
    await database.history.delete_messages(CHANNEL, ["1"])
    steps = 1
    while await database._transactions.reclaim():
        steps += 1
        if state_of(sqlite_file) == 1:  # the first pass is through
            break
    again = 0
    while await database._transactions.reclaim():
        again += 1
    # The last one says that nothing is left; merging what turns are found by takes more or less.
    assert abs(again + 1 - steps) <= 2
    assert state_of(sqlite_file) == 0
    await database.close()


async def test_all_at_once_on_demand(database: Database, sqlite_file: Path) -> None:
    talk = Talk(database.history)
    for number in range(200):
        await talk.ask("SECRET " * number, message_id=f"{number}")
    for number in range(200):
        await database.history.delete_messages(CHANNEL, [f"{number}"])
    await talk.ask("kept")
    size = len(bytes_on_disk(sqlite_file))
    await database.reclaim()
    assert b"SECRET" not in bytes_on_disk(sqlite_file)
    assert len(bytes_on_disk(sqlite_file)) < size
    assert state_of(sqlite_file) == 0
    assert await talk.texts() == ["kept"]
    await database.close()


async def test_it_is_done_when_idle_and_not_before_the_first_answer(
    database: Database, sqlite_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reclaiming, "IDLE_SECONDS", 0.0)
    monkeypatch.setattr(reclaiming, "REST_SECONDS", 0.01)
    monkeypatch.setattr(reclaiming, "PAUSE_SECONDS", 0.0)
    steps: list[str] = []
    done = asyncio.Event()
    reclaim = database._transactions.reclaim

    async def counted() -> bool:
        more = await reclaim()
        steps.append("answered" if answered else "before")
        if not more:
            done.set()
        return more

    monkeypatch.setattr(database._transactions, "reclaim", counted)
    answered = False
    talk = Talk(database.history)
    question = await talk.ask("SECRET", message_id="1")
    await talk.ask("and another")
    await database.history.delete_messages(CHANNEL, ["1"])
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(done.wait(), 0.2)
    answered = True
    await talk.answer(await talk.ask("hello?"))
    await asyncio.wait_for(done.wait(), 20)
    assert set(steps) == {"answered"}
    assert state_of(sqlite_file) == 0
    with pytest.raises(NotFound):
        await database.history.turn(question.turn_id)
    await database.close()


async def test_a_writer_does_not_wait_for_a_step_to_end(
    database: Database, sqlite_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = Talk(database.history)
    await talk.ask("hi", message_id="1")
    await database.history.delete_messages(CHANNEL, ["1"])
    loop, begun = asyncio.get_running_loop(), asyncio.Event()

    def endless(connection: Connection) -> bool:
        loop.call_soon_threadsafe(begun.set)
        connection.exec_driver_sql(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
        )
        return False

    with monkeypatch.context() as patch:
        patch.setattr(transactions, "reclaim_step", endless)
        step = asyncio.create_task(database._transactions.reclaim())
        await begun.wait()
        await asyncio.wait_for(talk.ask("me first"), 20)
        assert await step  # it is not done
    assert state_of(sqlite_file) == 1
    while await database._transactions.reclaim():
        pass
    assert state_of(sqlite_file) == 0
    assert await talk.texts() == ["me first"]
    await database.close()


@pytest.mark.parametrize("seed", (2, 3, 4, 5))
async def test_a_pass_removes_every_copy_and_changes_nothing_else(
    database: Database, sqlite_file: Path, sqlite_url: str, seed: int
) -> None:
    """Rows that grow, as a streamed reply does, leave copies of their neighbours behind."""
    dice = random.Random(seed)
    talk = Talk(database.history)
    words = {number: f"SECRET{number:05}X" for number in range(400)}

    def fill(connection: Connection) -> None:
        for number, word in words.items():
            message = said(f"{word} " * dice.randrange(1, 8), message_id=f"{number}")
            add_message(connection, message, addressed=False)
            for _ in range(4):
                grown = dice.randrange(max(0, number - 15), number + 1)
                connection.execute(
                    update(TurnRow)
                    .where(TurnRow.text.startswith(words[grown]))
                    .values(text=TurnRow.text + f"{words[grown]} " * dice.randrange(1, 20))
                )

    await database._transactions.write(fill)
    gone = dice.sample(sorted(words), 150)
    for number in gone:
        await database.history.delete_messages(CHANNEL, [f"{number}"])

    def lingering() -> int:
        found = bytes_on_disk(sqlite_file)
        return sum(words[number].encode() in found for number in gone)

    before = await talk.texts()
    assert lingering() > 0  # or this test shows nothing
    while await database._transactions.reclaim():
        pass
    assert lingering() == 0
    assert await talk.texts() == before
    await database.close()
    assert await check(sqlite_url) == []


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
