"""kill -9 while somebody's data is erased: the next start goes on, and nothing is left."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from killing import run_and_kill
from store_samples import ANN, BEN, CHANNEL, OTHER_CHANNEL, Talk

from bot.chat.messages import QuotedMessage
from bot.chat.privacy.forgetting import Forgetting
from bot.chat.privacy.jobs import JobKind
from bot.chat.privacy.people import Person, Preview
from bot.chat.privacy.working import Worker
from bot.store.checks import check
from bot.store.database import Database

pytestmark = pytest.mark.slow

KILLED_AFTER = (3, 4, 6)  # transactions of each program: before anything went, and in its midst
TURNS = 200
WORDS = "the very words that have to go"

CHILD = """
import asyncio, os, signal, sys
sys.path.insert(0, sys.argv[3])
sys.path.insert(0, sys.argv[3] + "/privacy")
from bot.chat.privacy.people import Person
from bot.store.database import Database
from test_forgetting_and_kills import working

async def main():
    database = await Database.open(sys.argv[1])
    transactions = database.people.transactions
    write, left = transactions.write, int(sys.argv[2])

    async def counted(work, *, erases=False):
        nonlocal left
        result = await write(work, erases=erases)
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    async with working(database) as (forgetting, worker):
        print("open", flush=True)
        transactions.write = counted
        await forgetting.forget(Person("discord", "ann"))

asyncio.run(main())
"""


@asynccontextmanager
async def working(database: Database) -> AsyncGenerator[tuple[Forgetting, Worker]]:
    """What does the job, without people who talk meanwhile."""

    @asynccontextmanager
    async def nobody(_channel: object) -> AsyncGenerator[None]:
        yield

    def clock() -> datetime:
        return datetime.now(UTC)

    forgetting = Forgetting(database.people, database.jobs, nobody, clock, lambda _channel: None)
    worker = Worker(database.jobs, {JobKind.FORGET: forgetting.work}, clock)
    forgetting.work_with(worker)
    yield forgetting, worker


async def fill(database: Database) -> None:
    for channel in (CHANNEL, OTHER_CHANNEL):
        talk = Talk(database.history, channel)
        for number in range(TURNS // 4):
            hers = await talk.mention(f"{number}: {WORDS}", author=ANN)
            quote = QuotedMessage(hers.message_ids[0], ANN, WORDS)
            his = await talk.ask(f"his {number}", author=BEN, reply_to=quote)
            await talk.answer(his, text=f"So {WORDS}." if number % 2 else "Fine.")


async def left(url: str) -> list[str]:
    database = await Database.open(url)
    texts = [
        turn.text
        for channel in (CHANNEL, OTHER_CHANNEL)
        for turn in await database.history.export(channel)
    ]
    await database.close()
    return texts


def traces(file: Path) -> list[str]:
    files = list(file.parent.iterdir())
    return [each.name for each in files if WORDS.encode() in each.read_bytes()]


async def test_a_kill_at_any_moment(bare_url: str, sqlite_file: Path) -> None:
    database = await Database.open(bare_url)
    await fill(database)
    await database.close()
    counts = [len(await left(bare_url))]
    for writes in KILLED_AFTER:
        await asyncio.to_thread(
            run_and_kill, CHILD, bare_url, writes, 60.0, Path(__file__).parents[1]
        )
        assert await check(bare_url) == []
        counts.append(len(await left(bare_url)))
    assert counts[0] > counts[-1] > TURNS // 2, "it was killed in the midst of it"
    database = await Database.open(bare_url)
    async with working(database) as (_, worker):
        assert await database.jobs.subjects(JobKind.FORGET, "discord") == ["ann"]
        await worker.work_off()
    await database.jobs.settle()
    assert await database.jobs.subjects(JobKind.FORGET, "discord") == []
    assert await database.people.preview(Person("discord", "ann")) == Preview()
    for channel in (CHANNEL, OTHER_CHANNEL):
        texts = [turn.text for turn in await database.history.export(channel)]
        his = [text for text in texts if text.startswith("his ")]
        assert len(his) == TURNS // 4
        assert sorted(set(texts) - set(his)) == ["Fine."]
    if bare_url.startswith("sqlite"):
        assert await asyncio.to_thread(traces, sqlite_file) == []
    await database.close()
    assert await check(bare_url) == []
