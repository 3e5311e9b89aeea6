"""Locks that end with the process that holds them: how others know at once that a run is dead.

SQLite: a locked file beside the database. The operating system frees it however the process ends,
and the database itself works between processes of one machine only. PostgreSQL: an advisory lock,
held by a connection of its own.
"""

import asyncio
import fcntl
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Protocol

from sqlalchemy import URL, bindparam, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.store.connecting.connection import is_sqlite, postgres_engine, sqlite_file
from bot.store.connecting.faults import DRIVER_ERRORS, translated

logger = logging.getLogger(__name__)

RECONNECT_SECONDS = 1.0


class RunLocks(Protocol):
    """This run's lock, and a look at those of others."""

    @property
    def proves_life(self) -> bool:
        """Whether a run whose lock is held lives for certain, however long it is silent."""
        ...

    async def keep(self, run_id: int) -> bool:
        """Hold this run's lock, taking it again where it was lost.

        False where there are no such locks: then the heartbeat alone counts.
        """
        ...

    async def freed(self, runs: Mapping[int, datetime]) -> set[int]:
        """Those of `runs`, each with its last heartbeat, whose lock nobody holds: they are dead."""
        ...

    async def release(self) -> None:
        """Let go of this run's lock. Idempotent."""
        ...


class FileLocks:
    """A locked file for each run, beside the SQLite file."""

    proves_life = True

    def __init__(self, database: Path) -> None:
        """Makes nothing yet."""
        self._database = database
        self._file: int | None = None
        self._path: Path | None = None

    async def keep(self, run_id: int) -> bool:
        """Hold this run's lock; False on a file system without locks."""
        return await asyncio.to_thread(self._keep, run_id)

    async def freed(self, runs: Mapping[int, datetime]) -> set[int]:
        """Those whose file is gone or not locked. Their files are removed."""
        return await asyncio.to_thread(lambda: {one for one in runs if self._is_freed(one)})

    async def release(self) -> None:
        """Remove the file."""
        await asyncio.to_thread(self._release)

    def _keep(self, run_id: int) -> bool:
        if self._is_kept():
            return True
        self._release()
        path = self._path_of(run_id)
        try:
            file = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            logger.debug("no lock at %s: %s", path, error)
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            logger.debug("no lock at %s: %s", path, error)
            os.close(file)
            path.unlink(missing_ok=True)
            return False
        self._file, self._path = file, path
        return True

    def _is_kept(self) -> bool:
        """Whether our file is still the one that others find under its name."""
        if self._file is None or self._path is None:
            return False
        try:
            return os.path.samestat(os.fstat(self._file), self._path.stat())
        except OSError:
            return False

    def _is_freed(self, run_id: int) -> bool:
        path = self._path_of(run_id)
        try:
            file = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        else:
            path.unlink(missing_ok=True)
            return True
        finally:
            os.close(file)

    def _release(self) -> None:
        if self._file is None or self._path is None:
            return
        with suppress(OSError):
            if self._is_kept():
                self._path.unlink()
        os.close(self._file)
        self._file = None

    def _path_of(self, run_id: int) -> Path:
        return self._database.with_name(f"{self._database.name}-run-{run_id:016x}")


# A bigint key stands in two halves in `pg_locks`, with a 1 behind it.
_HELD = """
    SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_HELD_BY_US = text(f"{_HELD} AND pid = pg_backend_pid()")
_HELD_BY_ANYONE = text(_HELD)
_SERVER_START = text("SELECT pg_postmaster_start_time()")
_TAKE = text("SELECT pg_try_advisory_lock(:run_id)").bindparams(bindparam("run_id"))


class ServerLocks:
    """An advisory lock for each run, held by a connection that does nothing else."""

    # A server keeps the connection of a machine that fell silent for hours.
    proves_life = False

    def __init__(self, url: URL, on_lost: Callable[[], None]) -> None:
        """Connects at the first use. `on_lost` is called when the connection breaks."""
        self._url = url
        self._engine = postgres_engine(url).execution_options(isolation_level="AUTOCOMMIT")
        self._connection: AsyncConnection | None = None
        self._on_lost = on_lost
        self._is_broken = False

    async def keep(self, run_id: int) -> bool:
        """Hold this run's lock. Raises StoreError where the server cannot be reached."""
        with translated(self._url):
            try:
                connection = await self._connect()
                if run_id not in set(await connection.scalars(_HELD_BY_US)):
                    return bool(await connection.scalar(_TAKE, {"run_id": run_id}))
            except BaseException:  # also cancelled: what the connection is amid, nobody knows
                await self._disconnect()
                raise
        return True

    async def freed(self, runs: Mapping[int, datetime]) -> set[int]:
        """Those that no connection holds.

        A restart of the server frees the locks of the living too. They take theirs again before
        their next heartbeat, so only a heartbeat since then says that the lock was held.
        """
        freed = await self._freed(runs)
        if freed:
            # A living run whose connection broke takes its lock again at once: give it that moment.
            await asyncio.sleep(RECONNECT_SECONDS)
            freed &= await self._freed(runs)
        return freed

    async def _freed(self, runs: Mapping[int, datetime]) -> set[int]:
        with translated(self._url):
            try:
                connection = await self._connect()
                held = set(await connection.scalars(_HELD_BY_ANYONE))
                server_start = await connection.scalar(_SERVER_START)
            except BaseException:  # also cancelled: what the connection is amid, nobody knows
                await self._disconnect()
                raise
        return {one for one, seen_at in runs.items() if one not in held and seen_at > server_start}

    async def release(self) -> None:
        """Close the connection, which frees the lock."""
        await self._disconnect()
        await self._engine.dispose()

    async def _connect(self) -> AsyncConnection:
        if self._is_broken:
            await self._disconnect()
        if self._connection is None:
            self._is_broken = False
            self._connection = await self._engine.connect()
            raw = await self._connection.get_raw_connection()
            driver = raw.driver_connection
            if driver is not None:
                driver.add_termination_listener(self._lost)
        return self._connection

    def _lost(self, _connection: object) -> None:
        if self._connection is not None:  # nobody closed it on purpose
            self._is_broken = True
            self._on_lost()

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        with suppress(SQLAlchemyError, OSError, *DRIVER_ERRORS):  # it may be broken
            await connection.invalidate()
            await connection.close()


def locks_for(url: URL, on_lost: Callable[[], None]) -> RunLocks:
    """The kind that goes with the database. Not on the event loop."""
    return FileLocks(sqlite_file(url).resolve()) if is_sqlite(url) else ServerLocks(url, on_lost)
