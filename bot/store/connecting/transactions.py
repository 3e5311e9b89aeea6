"""Transactions of a running program.

A transaction is a plain function of a connection. On PostgreSQL it runs on the event loop, in a
greenlet that SQLAlchemy switches at every answer of the server. On SQLite it runs whole in a
thread: aiosqlite goes to and fro between loop and thread four times a statement, which took five
times as long, and a transaction that waits for a busy loop holds up every other writer.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, ParamSpec, Protocol, TypeAlias, TypeVar

from sqlalchemy import URL, Connection

from bot.errors import CaduceusError, StoreError
from bot.store.connecting.connection import (
    BUSY_TIMEOUT_SECONDS,
    MAINTENANCE_PRAGMAS,
    READER_PRAGMAS,
    WRITER_PRAGMAS,
    is_sqlite,
    postgres_engine,
    sqlite_engine,
)
from bot.store.connecting.erasure import (
    begin_pass,
    end_pass,
    has_traces,
    is_passing,
    note_traces,
    reclaim_step,
)
from bot.store.connecting.faults import translated

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

READERS = 2
JOBS_A_COMMIT = 64
LOG_PAUSE_SECONDS = 0.1  # between tries to cut the log, while somebody reads


class Transactions(Protocol):
    """Runs functions of a connection, each in a transaction of its own."""

    async def read(self, work: Callable[[Connection], T]) -> T:
        """One consistent view."""
        ...

    async def write(self, work: Callable[[Connection], T], *, erases: bool = False) -> T:
        """Durable when it returns; a cancelled caller's work is done whole or not at all.

        `erases`: what it deletes or replaces must not linger in the files.
        """
        ...

    def quiet_seconds(self) -> float:
        """How long nothing has been written."""
        ...

    async def reclaim(self) -> bool:
        """One small step towards files without traces of what was erased. Whether there is more."""
        ...

    async def reclaim_all(self) -> None:
        """Free the files of such traces at once; writers wait meanwhile."""
        ...

    async def reclaimed(self) -> None:
        """Take all those steps, beside whoever writes: what was erased until now is gone then."""
        ...

    async def close(self) -> None:
        """Finish what was begun and close every connection. Idempotent."""
        ...


Outcome: TypeAlias = tuple[Any, CaduceusError | None]


@dataclass(slots=True)
class _Job:
    """A transaction that somebody waits for."""

    work: Callable[[Connection], Any]
    erases: bool
    queued_at: float = field(default_factory=time.monotonic)
    done: Future[Any] = field(default_factory=Future[Any])


class SqliteTransactions:
    """One thread writes, for which callers queue in order of arrival; others read beside it.

    What queued up while the disk was busy is committed together, each caller's work behind a
    savepoint of its own: one fsync for all of them.
    """

    def __init__(self, url: URL) -> None:
        """Opens nothing yet. Asks for the working directory: not on the event loop."""
        self._url = url
        self._writer = sqlite_engine(url, WRITER_PRAGMAS)
        self._reader = sqlite_engine(url, READER_PRAGMAS, begin="BEGIN", connections=READERS)
        self._write_thread = ThreadPoolExecutor(1, "store-write")
        self._read_threads = ThreadPoolExecutor(READERS, "store-read")
        self._queue: deque[_Job] = deque()
        self._has_begun = False  # the newest transaction came as far as its works
        self._log_holds_traces = False
        self._maintenance = sqlite_engine(url, MAINTENANCE_PRAGMAS)
        self._written_at = time.monotonic()
        self._passes_ended = 0  # of this program's own
        self._under_way: Any = None  # the connection that reclaims: who comes meanwhile goes first

    async def read(self, work: Callable[[Connection], T]) -> T:
        """One consistent view."""
        return await asyncio.wrap_future(_submit(self._read_threads, self._read, work))

    async def write(self, work: Callable[[Connection], T], *, erases: bool = False) -> T:
        """Durable when it returns."""
        job = _Job(work, erases)
        self._written_at = time.monotonic()
        self._queue.append(job)
        if (under_way := self._under_way) is not None:
            under_way.interrupt()
        _submit(self._write_thread, self._write_what_waits)
        return await asyncio.wrap_future(job.done)

    async def _log_is_empty(self) -> bool:
        return await asyncio.wrap_future(_submit(self._write_thread, self._is_log_empty))

    def quiet_seconds(self) -> float:
        """How long nothing has been written."""
        return time.monotonic() - self._written_at

    async def reclaim(self) -> bool:
        """One small step, in the thread that writes: nobody waits for longer than it takes."""
        return await asyncio.wrap_future(_submit(self._write_thread, self._reclaim))

    async def reclaim_all(self) -> None:
        """Write the whole file anew."""
        await asyncio.wrap_future(_submit(self._write_thread, self._reclaim_all))

    async def reclaimed(self) -> None:
        """Step after step until nothing is left, or one whole pass was begun and ended since.

        Where others go on erasing, the passes never end: theirs are not waited for.
        """
        enough = self._passes_ended + 2  # the first may have begun before
        while await self.reclaim() and self._passes_ended < enough:
            pass  # whoever has something to write goes first
        while not await self._log_is_empty():  # noqa: ASYNC110 - readers tell nobody when they end
            await asyncio.sleep(LOG_PAUSE_SECONDS)

    async def close(self) -> None:
        """Finish what was begun and close every connection."""
        await asyncio.to_thread(self._close)

    def _read(self, work: Callable[[Connection], T]) -> T:
        with translated(self._url), self._reader.begin() as connection:
            return work(connection)

    def _write_what_waits(self) -> None:
        jobs: list[_Job] = []
        while self._queue and len(jobs) < JOBS_A_COMMIT:
            job = self._queue.popleft()
            if job.done.set_running_or_notify_cancel():
                jobs.append(job)
        if not jobs:  # an earlier call took them along
            return
        for together in (jobs, *([job] for job in jobs if len(jobs) > 1)):
            began_at = time.monotonic()
            try:
                outcomes = self._commit(together)
            except BaseException as error:  # told to whoever waits: this thread serves them all
                if not self._has_begun:
                    _fail_all([*_open(jobs), *self._take_queued_before(began_at)], error)
                    return
                if len(together) == 1:
                    together[0].done.set_exception(error)
                else:  # some work broke it: each alone
                    logger.debug("a commit for %d callers failed", len(jobs), exc_info=True)
            else:
                for job, outcome in zip(together, outcomes, strict=True):
                    _settle(job, outcome)
                if together is jobs:
                    return

    def _take_queued_before(self, moment: float) -> list[_Job]:
        """Those who have waited for the database as long as who began at `moment`."""
        jobs: list[_Job] = []
        while self._queue and self._queue[0].queued_at <= moment:
            job = self._queue.popleft()
            if job.done.set_running_or_notify_cancel():
                jobs.append(job)
        return jobs

    def _commit(self, jobs: Sequence[_Job]) -> list[Outcome]:
        self._has_begun = False
        with translated(self._url):
            with self._writer.begin() as connection:
                self._has_begun = True
                outcomes: list[Outcome] = []
                erases = False
                for job in jobs:
                    before = _changes(connection)
                    outcomes.append(_attempt(connection, job.work))
                    # What was asked to go is often not there: then there is nothing to reclaim.
                    erases |= job.erases and _changes(connection) > before
                if erases:
                    note_traces(connection)
            self._log_holds_traces |= erases
            if self._log_holds_traces:
                self._empty_the_log()
        return outcomes

    def _reclaim(self) -> bool:
        if self._queue:
            return True
        try:
            with translated(self._url), self._maintenance.begin() as connection:
                self._under_way = connection.connection.dbapi_connection
                if not has_traces(connection):
                    return False
                more = reclaim_step(connection)
                self._passes_ended += not is_passing(connection)
                self._log_holds_traces |= not has_traces(connection)
        except StoreError:
            if self._queue:  # somebody came: the step is taken back, and made another time
                return True
            raise
        finally:
            self._under_way = None
        if self._log_holds_traces:
            self._empty_the_log()
        return more

    def _reclaim_all(self) -> None:
        with translated(self._url):
            with self._maintenance.begin() as connection:
                begin_pass(connection)
            pooled = self._maintenance.raw_connection()
            try:
                pooled.cursor().execute("VACUUM").close()
            finally:
                pooled.close()
            with self._maintenance.begin() as connection:
                end_pass(connection)
            self._empty_the_log()

    def _is_log_empty(self) -> bool:
        if self._log_holds_traces:
            self._empty_the_log()
        return not self._log_holds_traces

    def _empty_the_log(self) -> None:
        """Bring the write-ahead log into the file and cut it to nothing: old pages stand in it.

        Somebody who reads meanwhile (an export) makes SQLite give up at once; then the next write
        tries again.
        """
        pooled = self._writer.raw_connection()
        try:
            cursor = pooled.cursor()
            cursor.execute("PRAGMA busy_timeout = 0")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._log_holds_traces = any(row[0] for row in cursor.fetchall())  # it was busy
            cursor.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_SECONDS * 1000)}")
            cursor.close()
        finally:
            pooled.close()

    def _close(self) -> None:
        self._read_threads.shutdown()
        self._write_thread.shutdown()
        self._maintenance.dispose()
        self._reader.dispose()
        self._writer.dispose()


def _attempt(connection: Connection, work: Callable[[Connection], Any]) -> Outcome:
    """Do a work, or none of it. What it raises on purpose is its caller's alone."""
    try:
        with connection.begin_nested():
            return work(connection), None
    except CaduceusError as error:
        return None, error


def _changes(connection: Connection) -> int:
    """How many rows this connection has ever changed."""
    driver = connection.connection.dbapi_connection
    return 0 if driver is None else driver.total_changes


def _fail_all(jobs: Sequence[_Job], error: BaseException) -> None:
    """No work was tried: the database could not be reached, or was locked for as long as we wait.

    Alone, each would wait as long again, and whoever comes last for minutes.
    """
    for job in jobs:
        own = error
        if isinstance(error, StoreError):  # whoever raises it adds to its traceback
            own = StoreError(error.message, error.fix)
            own.__cause__ = error
        job.done.set_exception(own)


def _open(jobs: Sequence[_Job]) -> list[_Job]:
    return [job for job in jobs if not job.done.done()]


def _settle(job: _Job, outcome: Outcome) -> None:
    result, error = outcome
    if error is None:
        job.done.set_result(result)
    else:
        job.done.set_exception(error)


def _submit(
    threads: ThreadPoolExecutor, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> Future[T]:
    try:
        return threads.submit(job, *args, **kwargs)
    except RuntimeError as error:  # the threads are shut down
        raise StoreError("The database is closed.", "Caduceus is stopping.") from error


class PostgresTransactions:
    """A pool of connections; the server's row locks keep order."""

    def __init__(self, url: URL) -> None:
        """Opens nothing yet."""
        self._url = url
        self._engine = postgres_engine(url)
        self._reader = self._engine.execution_options(isolation_level="REPEATABLE READ")

    async def read(self, work: Callable[[Connection], T]) -> T:
        """One consistent view."""
        with translated(self._url):
            async with self._reader.begin() as connection:
                return await connection.run_sync(work)

    async def write(self, work: Callable[[Connection], T], *, erases: bool = False) -> T:
        """Durable when it returns. Erased rows are overwritten by the server's own vacuum."""
        with translated(self._url):
            async with self._engine.begin() as connection:
                return await connection.run_sync(work)

    def quiet_seconds(self) -> float:
        """Of no interest here: the server has idle moments of its own."""
        return 0.0

    async def reclaim(self) -> bool:
        """Nothing: the server vacuums by itself."""
        return False

    async def reclaim_all(self) -> None:
        """Nothing: the server vacuums by itself."""

    async def reclaimed(self) -> None:
        """Nothing: the server vacuums by itself."""

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()


def open_transactions(url: URL) -> Transactions:
    """For the whole life of the program. Not on the event loop."""
    return SqliteTransactions(url) if is_sqlite(url) else PostgresTransactions(url)
