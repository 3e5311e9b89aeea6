"""What becomes of guilds that the bot has left and of channels that are gone: a clock, then an end.

Whoever says that one is gone has asked the platform itself: an outage is no leaving.
"""

import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from bot.chat.messages import ChannelKey
from bot.chat.personas.guild.kept import Purged
from bot.chat.privacy.handling import DAYS_AFTER_LEAVING
from bot.chat.privacy.jobs import Job, JobKind, JobStore, NewJob
from bot.chat.privacy.people import Place

KEPT_FOR = timedelta(days=DAYS_AFTER_LEAVING)

OnPictureGone = Callable[[str], Awaitable[None]]

_log = logging.getLogger(__name__)


class PlaceStore(Protocol):
    """Finds and takes out what is kept of guilds and channels. Each method is one transaction."""

    async def places_in_guild(self, platform: str, guild_id: str) -> list[Place]:
        """All channels that are kept of a guild."""
        ...

    async def places_of_channel(self, platform: str, channel_id: str) -> list[Place]:
        """A channel and its threads, as far as they are kept."""
        ...

    async def remove_place(self, place: Place) -> bool:
        """Take out some of all that a channel holds, then itself. Whether there is more."""
        ...

    async def remove_guild(self, platform: str, guild_id: str) -> Purged:
        """Take out what a guild has beside its channels."""
        ...

    async def known_guilds(self, platform: str) -> list[str]:
        """The guilds of which anything is kept."""
        ...

    async def known_channels(self, platform: str) -> list[ChannelKey]:
        """The channels of guilds of which anything is kept."""
        ...

    async def unplaced_channels(self, platform: str) -> list[str]:
        """The channels that have settings, and of which nothing says in which guild they are."""
        ...

    async def place_channels(self, channels: Sequence[ChannelKey]) -> None:
        """Remember in which guilds channels are."""
        ...


class Departures:
    """The clocks of what was left."""

    def __init__(
        self,
        places: PlaceStore,
        jobs: JobStore,
        clock: Callable[[], datetime],
        on_picture_gone: OnPictureGone,
        on_taken_out: Callable[[ChannelKey], None],
    ) -> None:
        """`on_picture_gone` is told the digests of pictures that nobody has any more.

        `on_taken_out` is told of each channel whose turns went.
        """
        self.places = places
        self._jobs = jobs
        self._clock = clock
        self._on_picture_gone = on_picture_gone
        self._on_taken_out = on_taken_out

    async def left(self, platform: str, guild_id: str) -> None:
        """The bot is no longer in a guild: its data goes in thirty days."""
        await self._begin(JobKind.LEFT_GUILD, platform, guild_id)
        _log.info("Guild %s was left: its data goes in %d days", guild_id, KEPT_FOR.days)

    async def lost(self, platform: str, channel_id: str) -> None:
        """A channel or thread was deleted: what was said there goes in thirty days."""
        if await self.places.places_of_channel(platform, channel_id):
            await self._begin(JobKind.LOST_CHANNEL, platform, channel_id)

    async def came_back(self, platform: str, guild_ids: Collection[str]) -> None:
        """The bot is in these guilds: their clocks stop."""
        waiting = set(await self._jobs.subjects(JobKind.LEFT_GUILD, platform))
        if back := sorted(waiting & set(guild_ids)):
            await self._jobs.call_off(JobKind.LEFT_GUILD, platform, back)
            _log.info("Back in guilds %s: their data stays", ", ".join(back))

    async def missing(self, platform: str, present: Collection[str]) -> list[str]:
        """Guilds that are known, not among these, and whose clocks do not run yet."""
        waiting = set(await self._jobs.subjects(JobKind.LEFT_GUILD, platform))
        known = await self.places.known_guilds(platform)
        return [each for each in known if each not in present and each not in waiting]

    async def missing_channels(
        self, platform: str, is_present: Callable[[ChannelKey], bool]
    ) -> list[ChannelKey]:
        """Channels of guilds that are known, not present, and whose clocks do not run yet."""
        waiting = set(await self._jobs.subjects(JobKind.LOST_CHANNEL, platform))
        known = await self.places.known_channels(platform)
        return [each for each in known if each.channel_id not in waiting and not is_present(each)]

    async def work_on_guild(self, job: Job) -> None:
        """The clock of a guild has run out."""
        places = await self.places.places_in_guild(job.platform, job.subject)
        if not await self._remove_all(job, places):
            return
        gone = await self.places.remove_guild(job.platform, job.subject)
        for digest in gone.picture_digests:
            await self._on_picture_gone(digest)
        _log.info("The data of guild %s is erased", job.subject)

    async def work_on_channel(self, job: Job) -> None:
        """The clock of a channel has run out."""
        await self._remove_all(job, await self.places.places_of_channel(job.platform, job.subject))

    async def _remove_all(self, job: Job, places: Sequence[Place]) -> bool:
        """Take channels out. False where it was called off in its midst: the bot came back."""
        for place in places:
            has_more = True
            while has_more:
                if not await self._jobs.reach(job.job_id, place.number):
                    return False
                has_more = await self.places.remove_place(place)
                self._on_taken_out(place.channel)
        return await self._jobs.reach(job.job_id, job.reached)

    async def _begin(self, kind: JobKind, platform: str, subject: str) -> None:
        due_at = self._clock() + KEPT_FOR
        await self._jobs.add(NewJob(kind, platform, due_at, subject=subject))
