"""Jobs in the database: one of a kind, done by one program, gone on with by the next."""

import asyncio
import io
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, delete
from store_samples import CHANNEL, Talk, forget

from bot.chat.privacy.jobs import Job, JobKind, NewJob
from bot.chat.privacy.working import Worker
from bot.store.database import Database
from bot.store.export import export_json
from bot.store.privacy.tables import Base, JobRow
from bot.store.tables import RunRow
from bot.store.upserting import add_row

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
FORGET = NewJob(JobKind.FORGET, "discord", NOON, subject="ann")


async def test_of_jobs_alike_there_is_one_due_as_early_as_either(database: Database) -> None:
    jobs = database.jobs
    first = await jobs.add(NewJob(JobKind.LEFT_GUILD, "discord", NOON, subject="1"))
    later = NewJob(JobKind.LEFT_GUILD, "discord", NOON + timedelta(days=1), subject="1")
    assert await jobs.add(later) == first
    sooner = NewJob(JobKind.LEFT_GUILD, "discord", NOON - timedelta(days=1), subject="1")
    assert (await jobs.add(sooner)).due_at == sooner.due_at
    other = await jobs.add(NewJob(JobKind.LEFT_GUILD, "discord", NOON, subject="2"))
    assert await jobs.subjects(JobKind.LEFT_GUILD, "discord") == ["1", "2"]
    assert await jobs.call_off(JobKind.LEFT_GUILD, "discord", ["1", "3"]) == ["1"]
    assert not await jobs.is_kept(first.job_id)
    assert await jobs.is_kept(other.job_id)


async def test_one_that_another_program_is_just_done_with_is_kept_anew(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = NewJob(JobKind.FORGET, "discord", NOON, subject="ann")
    first = await database.jobs.add(job)
    tried: list[bool] = []

    def and_then_it_goes(
        connection: Connection, rows: type[Base], values: Mapping[str, Any]
    ) -> bool:
        tried.append(add_row(connection, rows, values))
        if not tried[-1]:
            connection.execute(delete(JobRow))
        return tried[-1]

    monkeypatch.setattr("bot.store.privacy.jobs.add_row", and_then_it_goes)
    assert (await database.jobs.add(job)).job_id != first.job_id
    assert tried == [False, True]
    assert await database.jobs.subjects(JobKind.FORGET, "discord") == ["ann"]


async def test_only_what_is_due_is_taken_and_only_once(database: Database) -> None:
    jobs = database.jobs
    kept = await jobs.add(FORGET)
    assert await jobs.take_due(NOON - timedelta(seconds=1)) is None
    assert await jobs.take_due(NOON) == kept
    assert await jobs.take_due(NOON) is None
    await jobs.put_off(kept.job_id, NOON + timedelta(hours=1))
    assert await jobs.take_due(NOON) is None
    assert not await jobs.done(kept.job_id), "nobody does it"
    assert await jobs.take_due(NOON + timedelta(hours=1)) is not None
    assert await jobs.done(kept.job_id)
    assert not await jobs.is_kept(kept.job_id)


async def test_two_programs_do_not_do_the_same(database: Database, database_url: str) -> None:
    other = await Database.open(database_url)
    try:
        for number in range(8):
            await database.jobs.add(NewJob(JobKind.FORGET, "discord", NOON, subject=f"{number}"))
        taken = await asyncio.gather(
            *(each.jobs.take_due(NOON) for each in (database, other) for _ in range(8))
        )
        numbers = [job.job_id for job in taken if job is not None]
        assert len(numbers) == len(set(numbers)), "each is taken once"
        while (job := await other.jobs.take_due(NOON)) is not None:
            numbers.append(job.job_id)
        assert len(set(numbers)) == 8
        mine = await database.jobs.add(NewJob(JobKind.FORGET, "discord", NOON, subject="9"))
        assert await database.jobs.take_due(NOON) is not None
        assert await database.jobs.reach(mine.job_id, 5)
        assert not await other.jobs.reach(mine.job_id, 6), "it is another program's"
        await other.jobs.add(NewJob(JobKind.FORGET, "discord", NOON, subject="9"), take=True)
        assert not await other.jobs.reach(mine.job_id, 6)
    finally:
        await other.close()


async def test_what_a_program_that_ended_was_at_is_taken_by_the_next(
    database: Database, database_url: str
) -> None:
    other = await Database.open(database_url)
    job = await other.jobs.add(FORGET, take=True)
    assert await other.jobs.reach(job.job_id, 7)
    assert await database.jobs.take_due(NOON) is None
    await other.close()
    taken = await database.jobs.take_due(NOON)
    assert taken is not None
    assert taken.reached == 7


async def _takes_over(other: Database, dead: Database) -> Job:
    """`other` takes `dead` for dead, as after a long pause of its machine, and its job."""

    def forget_run(connection: Connection) -> None:
        connection.execute(delete(RunRow).where(RunRow.id == dead.run.id))

    await other.history.transactions.write(forget_run)
    taken = await other.jobs.take_due(NOON)
    assert taken is not None
    return taken


async def test_what_another_program_has_taken_is_neither_closed_nor_put_off(
    database: Database, database_url: str
) -> None:
    other = await Database.open(database_url)
    try:
        mine = await database.jobs.add(FORGET, take=True)
        theirs = await _takes_over(other, database)
        assert await other.jobs.reach(theirs.job_id, 7)

        assert not await database.jobs.done(mine.job_id)
        assert not await database.jobs.put_off(mine.job_id, NOON + timedelta(days=1), afresh=True)

        assert await other.jobs.reach(theirs.job_id, 8), "it is still theirs"
        assert await other.jobs.done(theirs.job_id)
        assert not await other.jobs.is_kept(theirs.job_id)
    finally:
        await other.close()


@pytest.mark.parametrize("again", [None, NOON + timedelta(days=1)])
async def test_who_comes_to_an_end_after_another_began_anew_leaves_it_to_them(
    database: Database, database_url: str, again: datetime | None
) -> None:
    other = await Database.open(database_url)
    taken: list[Job] = []

    async def work(job: Job) -> datetime | None:
        taken.append(await _takes_over(other, database))
        return again

    try:
        worker = Worker(database.jobs, {JobKind.FORGET: work}, lambda: NOON)
        await worker.do(FORGET)

        (theirs,) = taken
        assert await other.jobs.reach(theirs.job_id, 8)
        assert await other.jobs.put_off(theirs.job_id, NOON)
        assert await other.jobs.take_due(NOON) == replace(theirs, reached=8)
    finally:
        await other.close()


async def test_jobs_and_messages_to_take_away_are_exported(
    database: Database, database_url: str
) -> None:
    talk = Talk(database.history)
    await talk.answer(await talk.ask("hello"), ids=("501",))
    await forget(database.history, "ann")
    job = await database.jobs.add(FORGET)
    stream = io.StringIO()
    await export_json(database_url, stream)
    kept = json.loads(stream.getvalue())
    assert [each["job_id"] for each in kept["jobs"]] == [job.job_id]
    assert kept["message_removals"] == [
        {"platform": "discord", "channel_id": CHANNEL.channel_id, "parent_id": "",
         "message_id": "501"}
    ]  # fmt: skip
