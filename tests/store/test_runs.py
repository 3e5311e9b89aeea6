"""Several programs on one database at once: each keeps what is its own."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import make_url, update
from store_samples import ANN, BOT, CHANNEL, OTHER_CHANNEL, Talk, record

from bot.chat.messages import ChannelKey, IncomingMessage, Turn, TurnState
from bot.errors import NotAllowed, NotFound, StoreError
from bot.store import runs
from bot.store.database import Database
from bot.store.tables import RunRow

PAGE = ChannelKey("workbench", "1", is_direct=True)

# Serves an account, asks itself, begins to answer, says so, and does nothing more.
CHILD = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from store_samples import BOT, CHANNEL, Talk
from bot.store.database import Database

async def main(url, account, text):
    database = await Database.open(url)
    await database.history.serve("discord", account, lambda key: None)
    if text != "-":
        question = await Talk(database.history).ask("hello?")
        reply = await database.history.begin_reply(
            CHANNEL, BOT, persona="", answers=[question.turn_id]
        )
        if text:
            await database.history.show_reply(reply.turn_id, text, ["900"])
        print(question.turn_id, reply.turn_id, flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await database.close()

asyncio.run(main(*sys.argv[2:]))
"""


@contextmanager
def another(url: str, account: str, text: str) -> Iterator[tuple[subprocess.Popen[str], int, int]]:
    """Another process with a reply under way: its question's turn and the reply's."""
    folder = Path(__file__).parent
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder), url, account, text],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder.parents[1],
    )
    assert child.stdout is not None
    assert child.stdin is not None
    with child.stdout, child.stdin:
        try:
            question, reply = child.stdout.readline().split()
            yield child, int(question), int(reply)
        finally:
            child.kill()
            child.wait()


def kill(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.wait()


Programs = Callable[..., Awaitable[Database]]


@pytest_asyncio.fixture
async def programs(database_url: str) -> AsyncIterator[Programs]:
    """Open the database once more; `account` is whom it serves in Discord."""
    async with AsyncExitStack() as stack:

        async def open_it(account: str = "1", told: list[ChannelKey] | None = None) -> Database:
            database = await Database.open(database_url)
            stack.push_async_callback(database.close)
            told = [] if told is None else told
            await database.history.serve("discord", account, told.append)
            return database

        yield open_it


def fresh(text: str, channel: ChannelKey = CHANNEL, message_id: str = "") -> IncomingMessage:
    """A message of this moment."""
    now = datetime.now(UTC)
    return IncomingMessage(message_id or f"{now.timestamp()}", channel, ANN, text, now)


async def ask(database: Database, channel: ChannelKey = CHANNEL, message_id: str = "") -> Turn:
    message = fresh("hello?", channel, message_id)
    turn = await database.history.add_message(message, addressed=True)
    assert turn is not None
    return turn


async def begin(database: Database, *questions: Turn) -> Turn:
    channel = questions[0].channel
    ids = [question.turn_id for question in questions]
    return await database.history.begin_reply(channel, BOT, persona="", answers=ids)


async def waiting(database: Database, channel: ChannelKey = CHANNEL) -> list[int]:
    return [turn.turn_id for turn in await database.history.pending(channel)]


async def take_for_dead(database: Database, by: Database) -> None:
    """Let `by` think that a living program is dead, as after its machine was suspended."""
    assert database.run._locks is not None
    await database.run._locks.release()
    assert await by.run.recover() >= 0


@asynccontextmanager
async def left_without_a_word(database: Database) -> AsyncIterator[None]:
    """The end of a program in this process that signs nothing off."""
    run = database.run
    assert run._locks is not None
    await run._looking.end()
    await run._locks.release()
    yield


@pytest.mark.slow
@pytest.mark.parametrize("text", ["", "Half a reply"])
async def test_a_second_program_leaves_the_replies_of_the_first_alone(
    database_url: str, text: str
) -> None:
    with another(database_url, "1", text) as (child, question, reply):
        database = await Database.open(database_url)
        await database.history.serve("discord", "1", lambda _: None)
        await database.run.look()
        assert (await database.history.turn(reply)).state is TurnState.RUNNING
        assert await waiting(database) == []
        await asyncio.to_thread(kill, child)
        # Known at once, without waiting for a heartbeat that does not come.
        assert await database.run.recover() == 1
        if text:
            cut = await database.history.turn(reply)
            assert (cut.text, cut.state) == (text, TurnState.CUT)
            assert await waiting(database) == []
        else:
            with pytest.raises(NotFound):
                await database.history.turn(reply)
            assert await waiting(database) == [question]
        await database.close()


@pytest.mark.slow
async def test_a_start_puts_right_what_a_killed_program_left(database_url: str) -> None:
    with another(database_url, "1", "Half a reply") as (child, _question, reply):
        await asyncio.to_thread(kill, child)
        database = await Database.open(database_url)
        assert (await database.history.turn(reply)).state is TurnState.CUT
        await database.close()


async def test_recovery_puts_right_all_kinds_of_replies(programs: Programs) -> None:
    first, second = await programs(), await programs()
    history = first.history
    talk, elsewhere = Talk(history), Talk(history, OTHER_CHANNEL)
    shown = await begin(first, await ask(first))
    await history.show_reply(shown.turn_id, "As far as", ["10"])
    question = await ask(first, OTHER_CHANNEL)
    empty = await begin(first, question)
    swiped = await elsewhere.answer(await elsewhere.ask("swiped?"), text="zero")
    await history.begin_swipe(swiped.turn_id)
    kept = await talk.answer(await talk.ask("whole?"))

    async with left_without_a_word(first):
        assert await second.run.recover() == 3
    cut = await second.history.turn(shown.turn_id)
    assert (cut.text, cut.state) == ("As far as", TurnState.CUT)
    with pytest.raises(NotFound):
        await second.history.turn(empty.turn_id)
    assert await waiting(second, OTHER_CHANNEL) == [question.turn_id]
    assert await second.history.turn(swiped.turn_id) == swiped
    assert await second.history.turn(kept.turn_id) == kept
    assert await second.run.recover() == 0


async def test_what_a_dead_program_left_is_offered_once_to_who_serves_there(
    programs: Programs,
) -> None:
    here: list[ChannelKey] = []
    there: list[ChannelKey] = []
    page: list[ChannelKey] = []
    old = await programs("1")
    new = await programs("1", here)
    other_bot = await programs("2", there)
    await other_bot.history.serve("workbench", "", page.append)
    await begin(old, await ask(old))
    async with left_without_a_word(old):
        await other_bot.run.look()  # whoever finds it
        for _ in range(4):
            await asyncio.gather(new.run.look(), other_bot.run.look())
    assert (here, there, page) == ([CHANNEL], [], [])
    assert len(await waiting(new)) == 1
    assert await waiting(other_bot) == []


async def test_what_waits_behind_another_programs_reply_is_offered_after_it(
    programs: Programs,
) -> None:
    told: list[ChannelKey] = []
    old = await programs("1")
    new = await programs("1", told)
    reply = await begin(old, await ask(old, message_id="1"))
    late = await ask(new, message_id="2")
    with pytest.raises(NotFound, match="Another program is writing"):
        await begin(new, late)
    for _ in range(3):
        await new.run.look()
    assert told == []
    await old.history.show_reply(reply.turn_id, "One.", ["10"])
    await old.history.finish_reply(reply.turn_id, TurnState.WHOLE, record())
    for _ in range(3):
        await new.run.look()
    assert told == [CHANNEL]
    await begin(new, late)


async def test_what_its_own_program_takes_up_is_offered_to_nobody(
    programs: Programs,
) -> None:
    told: list[ChannelKey] = []
    one = await programs("1", told)
    two = await programs("1", told)
    for number in range(3):
        question = await ask(one, message_id=f"{number}")
        await two.run.look()
        reply = await begin(one, question)
        await two.run.look()
        await one.history.finish_reply(reply.turn_id, TurnState.WHOLE, None)
    assert told == []


async def test_what_has_waited_too_long_is_not_offered(programs: Programs) -> None:
    told: list[ChannelKey] = []
    database = await programs("1", told)
    await Talk(database.history).ask("long ago")
    for _ in range(3):
        await database.run.look()
    assert told == []


async def test_two_processes_of_one_bot_answer_a_message_once(
    programs: Programs,
) -> None:
    one, two = await programs("1"), await programs("1")
    message = fresh("hello?")
    turns = await asyncio.gather(
        one.history.add_message(message, addressed=True),
        two.history.add_message(message, addressed=True),
    )
    (question,) = [turn for turn in turns if turn is not None]
    assert await waiting(one) == await waiting(two) == [question.turn_id]
    replies = await asyncio.gather(
        begin(one, question), begin(two, question), return_exceptions=True
    )
    (reply,) = [turn for turn in replies if isinstance(turn, Turn)]
    assert sum(isinstance(turn, NotFound) for turn in replies) == 1
    assert (await one.history.turn(question.turn_id)).answered_by == reply.turn_id
    # Nor is it answered again when the answer is there, with or without another question.
    await one.history.finish_reply(reply.turn_id, TurnState.WHOLE, None)
    await two.history.finish_reply(reply.turn_id, TurnState.WHOLE, None)
    late = await ask(two)
    with pytest.raises(NotFound, match="has an answer"):
        await begin(two, question, late)
    assert await waiting(one) == [late.turn_id]


async def test_a_reply_is_written_again_by_one_program_at_a_time(
    programs: Programs,
) -> None:
    one, two = await programs("1"), await programs("1")
    talk = Talk(one.history)
    reply = await talk.answer(await talk.ask("hi"))
    await one.history.begin_swipe(reply.turn_id)
    with pytest.raises(NotAllowed, match="being written"):
        await two.history.begin_swipe(reply.turn_id)
    await one.history.finish_reply(reply.turn_id, TurnState.WHOLE, None)
    await two.history.begin_swipe(reply.turn_id)


async def test_two_bots_share_a_channel_but_not_what_is_asked_of_them(
    programs: Programs,
) -> None:
    one, two = await programs("1"), await programs("2")
    of_one = await ask(one, message_id="11")
    of_two = await ask(two, message_id="22")
    await one.history.note_seen(CHANNEL, "11")
    await two.history.note_seen(CHANNEL, "22")
    since = datetime.now(UTC) - timedelta(minutes=5)
    for database, turn, seen in ((one, of_one, "11"), (two, of_two, "22")):
        assert await waiting(database) == [turn.turn_id]
        assert await database.history.channels_with_pending("discord", since=since) == [CHANNEL]
        assert await database.history.last_seen("discord") == {CHANNEL: seen}
        assert len((await database.history.window(CHANNEL, 10)).turns) == 2
    await begin(one, of_one)
    assert await one.history.channels_with_pending("discord", since=since) == []
    assert await waiting(two) == [of_two.turn_id]


async def test_a_message_that_one_bot_only_overheard_is_answered_by_the_other(
    programs: Programs,
) -> None:
    one, two = await programs("1"), await programs("2")
    message = fresh("hello, Two")
    overheard = await one.history.add_message(message, addressed=False)
    assert overheard is not None
    assert await two.history.add_message(message, addressed=True) is None
    assert await waiting(one) == []
    assert await waiting(two) == [overheard.turn_id]
    # The same bot hearing it a second time decides nothing anew.
    again = fresh("by chance")
    await one.history.add_message(again, addressed=False)
    assert await one.history.add_message(again, addressed=True) is None
    assert await waiting(one) == []


async def test_what_nobody_in_particular_heard_goes_to_who_serves_first(
    database: Database, programs: Programs
) -> None:
    turn = await ask(database)
    page = await ask(database, PAGE)
    await database.history.note_seen(CHANNEL, "5")
    one = await programs("1")
    two = await programs("2")
    assert await waiting(one) == [turn.turn_id]
    assert await one.history.last_seen("discord") == {CHANNEL: "5"}
    assert await waiting(two) == []
    assert await two.history.last_seen("discord") == {}
    assert await waiting(database, PAGE) == [page.turn_id]


async def test_a_program_taken_for_dead_goes_on_where_nothing_has_happened(
    programs: Programs, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = await programs("1"), await programs("1")
    reply = await begin(one, await ask(one))
    await one.history.show_reply(reply.turn_id, "Half", ["10"])
    await take_for_dead(one, by=two)
    assert (await two.history.turn(reply.turn_id)).state is TurnState.CUT
    await one.history.show_reply(reply.turn_id, "Half and more", ["10"])
    assert (await two.history.turn(reply.turn_id)).state is TurnState.RUNNING
    one.run.wake()
    await one.run.look()
    assert "took this one for dead" in caplog.text
    await two.run.look()
    whole = await one.history.finish_reply(reply.turn_id, TurnState.WHOLE, record())
    assert (whole.text, whole.state) == ("Half and more", TurnState.WHOLE)


async def test_a_program_taken_for_dead_is_told_that_its_reply_is_gone(
    programs: Programs,
) -> None:
    one, two = await programs("1"), await programs("1")
    question = await ask(one)
    reply = await begin(one, question)
    await take_for_dead(one, by=two)
    answer = await begin(two, question)
    with pytest.raises(NotFound):
        await one.history.show_reply(reply.turn_id, "Half", ["10"])
    with pytest.raises(NotFound):
        await one.history.abandon_reply(reply.turn_id, requeue=True)
    assert (await two.history.turn(question.turn_id)).answered_by == answer.turn_id


@pytest.mark.parametrize("is_finished", [False, True])
async def test_a_program_taken_for_dead_writes_into_nobody_elses_swipe(
    programs: Programs, is_finished: bool
) -> None:
    one, two = await programs("1"), await programs("1")
    reply = await begin(one, await ask(one))
    await one.history.show_reply(reply.turn_id, "Half", ["10"])
    await take_for_dead(one, by=two)
    await two.history.begin_swipe(reply.turn_id)
    await two.history.show_reply(reply.turn_id, "Anew", ["10"])
    if is_finished:
        await two.history.finish_reply(reply.turn_id, TurnState.WHOLE, None)
    with pytest.raises(NotFound, match="no longer this program's"):
        await one.history.show_reply(reply.turn_id, "Half and more", ["10", "11"])
    with pytest.raises(NotFound, match="no longer this program's"):
        await one.history.finish_reply(reply.turn_id, TurnState.WHOLE, record())
    turn = await two.history.turn(reply.turn_id)
    assert [swipe.text for swipe in turn.swipes] == ["Half", "Anew"]
    assert turn.message_ids == ("10",)


async def test_without_locks_a_silent_program_is_dead_once_we_were_awake_for_a_while(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await programs("1"), await programs("1")
    question = await ask(one)
    await begin(one, question)
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    silent = update(RunRow).where(RunRow.id == one.run.id)
    await two._transactions.write(
        lambda connection: connection.execute(silent.values(is_locked=False, seen_at=long_ago))
    )
    # All were silent while the machine was suspended: nobody is dead for that alone.
    assert await two.run.recover() == 0
    assert await two.run.recover() == 0
    monkeypatch.setattr(runs, "WITNESS_SECONDS", 0.0)
    one.run.wake()
    await one.run.look()  # it beats: all is well again
    assert await two.run.recover() == 0
    await two._transactions.write(
        lambda connection: connection.execute(silent.values(is_locked=False, seen_at=long_ago))
    )
    assert await two.run.recover() == 1
    assert await waiting(two) == [question.turn_id]


async def test_a_clean_end_leaves_nothing_behind(database_url: str, database: Database) -> None:
    second = await Database.open(database_url)
    await second.history.serve("discord", "1", lambda _: None)
    question = await ask(second)
    await begin(second, question)  # and its end could not be kept
    await second.close()
    await database.history.serve("discord", "1", lambda _: None)
    assert await waiting(database) == [question.turn_id]
    _, others = await database._transactions.read(database.run._others)
    assert others == []


async def test_it_goes_on_when_the_database_could_not_be_reached(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    outcomes = iter([StoreError("locked"), StoreError("still locked"), None])
    looked = asyncio.Event()

    async def look() -> None:
        outcome = next(outcomes, None)
        if outcome is None:
            looked.set()
            return
        database.run.wake()
        raise outcome

    monkeypatch.setattr(database.run, "look", look)
    database.run.wake()
    await asyncio.wait_for(looked.wait(), 20)
    assert caplog.text.count("cannot be looked after") == 1  # said once


async def test_a_file_for_each_run_and_no_longer(sqlite_url: str, sqlite_file: Path) -> None:
    def files() -> list[str]:
        return [path.name for path in sqlite_file.parent.glob("*-run-*")]

    first = await Database.open(sqlite_url)
    second = await Database.open(sqlite_url)
    assert len(files()) == 2
    # Somebody tidies up: the file is made again before anybody could miss it for good.
    for name in files():
        (sqlite_file.parent / name).unlink()
    first.run.wake()
    await first.run.look()
    assert len(files()) == 1
    await second.close()
    async with left_without_a_word(first):
        third = await Database.open(sqlite_url)
        assert len(files()) == 1
        await third.close()
    assert files() == []
    await first.close()


async def test_a_lost_connection_takes_its_lock_again(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = await Database.open(postgres_url)
    second = await Database.open(postgres_url)
    await database.history.serve("discord", "1", lambda _: None)
    reply = await begin(database, await ask(database))
    kept = asyncio.Event()
    keep = database.run._locks.keep  # type: ignore[union-attr]

    async def watched(run_id: int) -> bool:
        found = await keep(run_id)
        kept.set()
        return found

    monkeypatch.setattr(database.run._locks, "keep", watched)
    server = await asyncpg.connect(
        make_url(postgres_url).set(drivername="postgresql").render_as_string(hide_password=False)
    )
    await server.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
        " AND objsubid = 1 AND ((classid::bigint << 32) | objid::bigint) = $1",
        database.run.id,
    )
    await server.close()
    assert await second.run.recover() == 0  # looked for at once, before it is taken again
    await asyncio.wait_for(kept.wait(), 20)
    assert await second.run.recover() == 0
    assert (await second.history.turn(reply.turn_id)).state is TurnState.RUNNING
    await database.close()
    await second.close()


async def test_a_restarted_server_says_nothing_of_who_was_there_before(postgres_url: str) -> None:
    database = await Database.open(postgres_url)
    locks = database.run._locks
    assert locks is not None
    before = datetime.now(UTC) - timedelta(days=365)
    assert await locks.freed({7: before, 8: datetime.now(UTC)}) == {8}
    assert await locks.freed({database.run.id: datetime.now(UTC)}) == set()
    await database.close()


async def test_a_round_waits_for_its_next_reply_also_after_a_death(programs: Programs) -> None:
    one, two = await programs(), await programs()
    since = datetime.now(UTC) - timedelta(minutes=5)
    question = await ask(one)
    left: list[list[int]] = []

    async def note() -> None:
        turns = await two.history.unended_round(CHANNEL, since=since)
        left.append([turn.turn_id for turn in turns])

    first = await speak(one, question, is_awaited=True)
    with pytest.raises(NotFound, match="Another program is writing"):
        await speak(two, follows=first)
    await one.history.finish_reply(first, TurnState.WHOLE, None)
    await note()
    assert await waiting(two) == []  # no message does
    assert await two.history.channels_with_pending("discord", since=since) == [CHANNEL]
    second = await speak(one, follows=first, is_awaited=True)
    with pytest.raises(NotFound, match="spoken already"):
        await speak(two, follows=first)
    await note()
    await one.history.abandon_reply(second, requeue=True)
    await note()
    third = await speak(two, follows=first)
    await two.history.finish_reply(third, TurnState.WHOLE, None)
    await note()
    asked = question.turn_id
    assert left == [[asked, first], [asked, first, second], [asked, first], []]
    other = await programs("2")
    assert await other.history.channels_with_pending("discord", since=since) == []


async def speak(
    database: Database, *questions: Turn, follows: int | None = None, is_awaited: bool = False
) -> int:
    begun = await database.history.take_up(
        CHANNEL,
        BOT,
        persona="",
        answers=[question.turn_id for question in questions],
        limit=1,
        follows=follows,
        is_awaited=is_awaited,
    )
    return begun.turn.turn_id
