"""All that erases, in one hand: what a front end needs, and what is done at due times."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from bot.chat.messages import ChannelKey
from bot.chat.privacy.forgetting import Forgetting, TakingOut
from bot.chat.privacy.jobs import Job, JobKind, JobStore
from bot.chat.privacy.leaving import Departures, OnPictureGone, PlaceStore
from bot.chat.privacy.people import PeopleStore
from bot.chat.privacy.removals import RemovalStore
from bot.chat.privacy.retention import AgedStore, Retention
from bot.chat.privacy.working import Work, Worker
from bot.chat.settings import SettingsCascade


@dataclass(frozen=True, slots=True)
class Erasure:
    """Forgetting people, what grows old, and what is left behind."""

    forgetting: Forgetting
    departures: Departures
    removals: RemovalStore
    retention: Retention
    worker: Worker

    async def start(self) -> None:
        """Plan the nights, and go on with what an earlier run left. Raises StoreError."""
        await self.retention.plan()
        self.worker.start()

    async def close(self) -> None:
        """End; what is being done goes on at the next start."""
        await self.worker.close()


def make_erasure(
    *,
    people: PeopleStore,
    aged: AgedStore,
    places: PlaceStore,
    removals: RemovalStore,
    jobs: JobStore,
    settings: SettingsCascade,
    taking_out: TakingOut,
    on_picture_gone: OnPictureGone,
    on_taken_out: Callable[[ChannelKey], None],
    clock: Callable[[], datetime],
) -> Erasure:
    """Put it together. Nothing happens before :meth:`Erasure.start`.

    `on_taken_out` is told of each channel from which something goes without `taking_out`.
    """
    forgetting = Forgetting(people, jobs, taking_out, clock, on_taken_out)
    retention = Retention(aged, jobs, settings, clock, on_taken_out)
    departures = Departures(places, jobs, clock, on_picture_gone, on_taken_out)
    work = {
        JobKind.FORGET: _once(forgetting.work),
        JobKind.RETENTION: retention.work,
        JobKind.LEFT_GUILD: _once(departures.work_on_guild),
        JobKind.LOST_CHANNEL: _once(departures.work_on_channel),
    }
    worker = Worker(jobs, work, clock)
    forgetting.work_with(worker)
    return Erasure(forgetting, departures, removals, retention, worker)


def _once(work: Callable[[Job], Awaitable[None]]) -> Work:
    async def do(job: Job) -> None:
        await work(job)

    return do
