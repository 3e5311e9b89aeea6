"""Does jobs when they are due, and goes on with what a run before did not bring to an end."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta

from bot.background import Background
from bot.chat.privacy.jobs import Job, JobKind, JobStore, NewJob
from bot.errors import CaduceusError

LOOK_SECONDS = 60.0  # how often it looks whether a job is due
AGAIN_AFTER = timedelta(minutes=1)  # a job that failed
FRONT_END_SECONDS = 60.0  # how long it waits at the start for somebody who shows things
WATCH_SECONDS = 1.0  # how often it looks whether another program has done a job

Work = Callable[[Job], Awaitable[datetime | None]]
"""Does a job, from where it was; returns when it is due again, if ever."""

_log = logging.getLogger(__name__)


class Worker:
    """Works off jobs one after another; what somebody waits for goes beside them.

    Every kind's work can be begun anew at any moment, and be done twice without harm.
    """

    def __init__(
        self, store: JobStore, work: Mapping[JobKind, Work], clock: Callable[[], datetime]
    ) -> None:
        """Nothing happens until :meth:`start`."""
        self._store = store
        self._work = work
        self._clock = clock
        self._wake = asyncio.Event()
        self._is_shown = asyncio.Event()
        self._working = Background("jobs", lost="Jobs are done no more until the next start")

    def start(self) -> None:
        """Begin, once a front end says that it is ready, or after a minute without one."""
        self._working.begin(self._go_on())

    def ready(self) -> None:
        """A front end can show what comes of jobs."""
        self._is_shown.set()
        self._wake.set()

    def wake(self) -> None:
        """Look now whether anything is due."""
        self._wake.set()

    async def close(self) -> None:
        """End; what is being done goes on at the next start."""
        await self._working.end()

    async def do(self, job: NewJob) -> None:
        """Keep a job, do it now, and return when it is done. Raises StoreError where it cannot.

        Whoever stops waiting leaves it for the next look.
        """
        kept = await self._store.add(job, take=True)
        if await self._store.reach(kept.job_id, kept.reached):
            await self._do(kept)
            return
        while await self._store.is_kept(kept.job_id):  # noqa: ASYNC110 - another program is at it
            await asyncio.sleep(WATCH_SECONDS)

    async def work_off(self) -> int:
        """Do all that is due; returns how many jobs that were."""
        count = 0
        while (job := await self._store.take_due(self._clock())) is not None:
            try:
                await self._do(job)
            except CaduceusError as error:
                _log.warning("The job «%s» is tried again in a minute: %s", job.kind, error)
            count += 1
        return count

    async def _do(self, job: Job) -> None:
        """Do one that is ours. Where it does not come to its end, it is due again.

        Where another program has taken it meanwhile, it stays with that one.
        """
        try:
            again = await self._work[job.kind](job)
        except CaduceusError:
            await self._store.put_off(job.job_id, self._clock() + AGAIN_AFTER)
            raise
        except asyncio.CancelledError:
            await asyncio.shield(self._store.put_off(job.job_id, self._clock()))
            raise
        if again is None:
            is_ours = await self._store.done(job.job_id)
        else:
            is_ours = await self._store.put_off(job.job_id, again, afresh=True)
        if not is_ours:  # this one was taken for dead: whoever has it now brings it to its end
            _log.info("The job «%s» is another program's by now", job.kind)

    async def _go_on(self) -> None:
        try:
            async with asyncio.timeout(FRONT_END_SECONDS):
                await self._is_shown.wait()
        except TimeoutError:
            pass
        while True:
            self._wake.clear()
            try:
                await self.work_off()
            except CaduceusError as error:  # locked or unreachable for now
                _log.warning("Jobs are looked for again in a minute: %s", error)
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                continue
