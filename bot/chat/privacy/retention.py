"""Erases what was said longer ago than `retention_days` allows, every night."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Protocol

from bot.chat.messages import ChannelKey
from bot.chat.privacy.jobs import Job, JobKind, JobStore, NewJob
from bot.chat.privacy.people import Place
from bot.chat.settings import SettingsCascade

NIGHT = time(3, 0, tzinfo=UTC)
CHANNELS_A_STEP = 50
TURNS_A_STEP = 100


class AgedStore(Protocol):
    """Finds and takes out what is old. Each method is one transaction."""

    async def channels_after(self, number: int, limit: int) -> list[Place]:
        """Some channels of every platform, in the order of their numbers."""
        ...

    async def old_turns(self, place: Place, before: datetime, limit: int) -> list[int]:
        """Some turns that were said before, of any conversation of the channel."""
        ...

    async def remove_old(self, place: Place, turn_ids: Sequence[int]) -> None:
        """Take them out, with all that was made of them."""
        ...

    async def has_old_rest(self, place: Place, before: datetime) -> bool:
        """Whether there is anything that is as old and no turn."""
        ...

    async def remove_old_rest(self, place: Place, before: datetime) -> None:
        """Take that out."""
        ...

    async def remove_empty(self, channel: ChannelKey) -> None:
        """Take out conversations that were left and hold nothing any more."""
        ...


class Retention:
    """The nightly job. A night that was missed is made up right after the start."""

    def __init__(
        self,
        aged: AgedStore,
        jobs: JobStore,
        settings: SettingsCascade,
        clock: Callable[[], datetime],
        on_taken_out: Callable[[ChannelKey], None],
    ) -> None:
        """`settings` say how long what is kept where; `on_taken_out` is told where it went."""
        self._aged = aged
        self._jobs = jobs
        self._settings = settings
        self._clock = clock
        self._on_taken_out = on_taken_out

    async def plan(self) -> None:
        """Let it be done every night from now on. Where it is planned already, that stays."""
        await self._jobs.add(NewJob(JobKind.RETENTION, "", next_night(self._clock())))

    async def work(self, job: Job) -> datetime | None:
        """Go through all channels, from where the job was; returns the next night."""
        now, reached = self._clock(), job.reached
        while places := await self._aged.channels_after(reached, CHANNELS_A_STEP):
            for place in places:
                settings = await self._settings.resolve(place.channel)
                if settings.retention_days:
                    await self._clear(place, now - timedelta(days=settings.retention_days))
            reached = places[-1].number
            if not await self._jobs.reach(job.job_id, reached):
                break  # it is no longer ours: this program was taken for dead
        return next_night(self._clock())

    async def _clear(self, place: Place, before: datetime) -> None:
        has_gone = False
        while turn_ids := await self._aged.old_turns(place, before, TURNS_A_STEP):
            await self._aged.remove_old(place, turn_ids)
            has_gone = True
        if await self._aged.has_old_rest(place, before):
            await self._aged.remove_old_rest(place, before)
        if has_gone:
            self._on_taken_out(place.channel)
            await self._aged.remove_empty(place.channel)


def next_night(now: datetime) -> datetime:
    """The next time at which it is night."""
    tonight = datetime.combine(now.astimezone(UTC).date(), NIGHT)
    return tonight if now < tonight else tonight + timedelta(days=1)
