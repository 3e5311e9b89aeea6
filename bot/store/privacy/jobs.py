"""Jobs, kept: :class:`bot.chat.privacy.jobs.JobStore` on SQL."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, or_, select, update

from bot.chat.privacy.jobs import Job, JobKind, NewJob
from bot.store.connecting.binding import OnTransactions, reads, writes
from bot.store.connecting.transactions import Transactions
from bot.store.privacy.tables import JobRow
from bot.store.runs import Run
from bot.store.tables import RunRow
from bot.store.turns.rows import AnyRow, batches
from bot.store.upserting import add_row


def add(connection: Connection, job: NewJob, *, run_id: int | None = None) -> Job:
    """Keep a job; of two alike, the one that is there, due as early as either."""
    values = {
        "kind": job.kind.value,
        "platform": job.platform,
        "subject": job.subject,
        "guild_id": job.guild_id,
        "place": job.place,
        "due_at": job.due_at,
        "reached": 0,
    }
    alike = (
        (JobRow.kind == values["kind"])
        & (JobRow.platform == job.platform)
        & (JobRow.subject == job.subject)
        & (JobRow.guild_id == job.guild_id)
    )
    the_one = select(JobRow.id).where(alike).with_for_update()
    while not add_row(connection, JobRow, values) and connection.scalar(the_one) is None:
        pass  # another program was just done with it
    connection.execute(
        update(JobRow).where(alike, JobRow.due_at > job.due_at).values(due_at=job.due_at)
    )
    if job.place:
        connection.execute(update(JobRow).where(alike).values(place=job.place))
    if run_id is not None:
        connection.execute(update(JobRow).where(alike, _nobodys(run_id)).values(run_id=run_id))
    return _job(connection.execute(select(JobRow.__table__).where(alike)).one())


def is_due(connection: Connection, now: datetime) -> bool:
    """Whether :func:`take_due` would find one."""
    chosen = select(JobRow.id).where(JobRow.due_at <= now, _nobodys()).limit(1)
    return connection.scalar(chosen) is not None


def take_due(connection: Connection, now: datetime, run_id: int) -> Job | None:
    """Take the job that has been due longest of those that nobody does."""
    chosen = (
        select(JobRow.id)
        .where(JobRow.due_at <= now, _nobodys())
        .order_by(JobRow.due_at, JobRow.id)
        .limit(1)
    )
    number = connection.scalar(chosen)
    if number is None:
        return None
    # Another program may have taken it since: then its row says so once we may write it.
    mine = update(JobRow).where(JobRow.id == number, _nobodys()).values(run_id=run_id)
    taken = connection.execute(mine.returning(*JobRow.__table__.columns)).first()
    return None if taken is None else _job(taken)


def _nobodys(or_of: int | None = None) -> ColumnElement[bool]:
    """Those that no living program does, or that `or_of` does."""
    free = or_(JobRow.run_id.is_(None), JobRow.run_id.not_in(select(RunRow.id)))
    return free if or_of is None else or_(free, JobRow.run_id == or_of)


def reach(connection: Connection, job_id: int, reached: int, *, run_id: int) -> bool:
    """Note how far a job has come."""
    ours = update(JobRow).where(_is_of(job_id, run_id))
    return connection.execute(ours.values(reached=reached)).rowcount > 0


def put_off(
    connection: Connection, job_id: int, due_at: datetime, *, run_id: int, afresh: bool = False
) -> bool:
    """Let a job of this run wait."""
    values: dict[str, object] = {"due_at": due_at, "run_id": None}
    if afresh:
        values["reached"] = 0
    ours = update(JobRow).where(_is_of(job_id, run_id))
    return connection.execute(ours.values(values)).rowcount > 0


def done(connection: Connection, job_id: int, *, run_id: int) -> bool:
    """Take a job of this run out."""
    return connection.execute(delete(JobRow).where(_is_of(job_id, run_id))).rowcount > 0


def _is_of(job_id: int, run_id: int) -> ColumnElement[bool]:
    """A job that a run does: one that was taken for dead meanwhile has it no more."""
    return (JobRow.id == job_id) & (JobRow.run_id == run_id)


def call_off(
    connection: Connection, kind: JobKind, platform: str, subjects: Sequence[str]
) -> list[str]:
    """Take these out; returns what they were about."""
    gone: list[str] = []
    for piece in batches(list(subjects)):
        alike = (JobRow.kind == kind.value) & (JobRow.platform == platform)
        chosen = delete(JobRow).where(alike, JobRow.subject.in_(piece)).returning(JobRow.subject)
        gone += connection.scalars(chosen)
    return gone


def subjects(connection: Connection, kind: JobKind, platform: str) -> list[str]:
    """What there are jobs of a kind about."""
    alike = (JobRow.kind == kind.value) & (JobRow.platform == platform)
    return list(connection.scalars(select(JobRow.subject).where(alike).order_by(JobRow.id)))


def is_kept(connection: Connection, job_id: int) -> bool:
    """Whether it is there."""
    return connection.scalar(select(JobRow.id).where(JobRow.id == job_id)) is not None


def exported_jobs(connection: Connection) -> Iterator[dict[str, Any]]:
    """Every job that is not done, for `db export`."""
    rows = connection.execute(select(JobRow.__table__).order_by(JobRow.id))
    for row in rows.mappings().all():
        fields = dict(row)
        del fields["run_id"]  # of a program that is at it now
        yield {"job_id": fields.pop("id"), **fields}


def _job(row: AnyRow) -> Job:
    return Job(
        kind=JobKind(row.kind),
        platform=row.platform,
        due_at=row.due_at,
        subject=row.subject,
        guild_id=row.guild_id,
        place=row.place,
        job_id=row.id,
        reached=row.reached,
    )


class SqlJobs(OnTransactions):
    """The jobs of the database; what is taken, this run does."""

    def __init__(self, transactions: Transactions, run: Run) -> None:
        """The database's, and this program's own run."""
        super().__init__(transactions)
        self._run = run

    _add = writes(add)
    _is_due = reads(is_due)
    _take_due = writes(take_due)
    _reach = writes(reach)
    _put_off = writes(put_off)
    _done = writes(done, erases=True)
    call_off = writes(call_off)
    subjects = reads(subjects)
    is_kept = reads(is_kept)

    async def add(self, job: NewJob, *, take: bool = False) -> Job:
        """Keep a job, as this run's where it is to be taken."""
        return await self._add(job, run_id=self._run.id if take else None)

    async def take_due(self, now: datetime) -> Job | None:
        """Take the job that has been due longest."""
        if not await self._is_due(now):  # nobody writes only to look
            return None
        return await self._take_due(now, self._run.id)

    async def reach(self, job_id: int, reached: int) -> bool:
        """Note how far a job of this run has come."""
        return await self._reach(job_id, reached, run_id=self._run.id)

    async def put_off(self, job_id: int, due_at: datetime, *, afresh: bool = False) -> bool:
        """Let a job of this run wait."""
        return await self._put_off(job_id, due_at, run_id=self._run.id, afresh=afresh)

    async def done(self, job_id: int) -> bool:
        """Take a job of this run out."""
        return await self._done(job_id, run_id=self._run.id)

    async def settle(self) -> None:
        """Wait until the files are free of what was erased."""
        await self.transactions.reclaimed()
