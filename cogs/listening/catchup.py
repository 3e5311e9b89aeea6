"""What was said while the bot was away: fetched after a start or a lost session, answered once.

Where somebody waits comes first: questions known from before, then channels with news of the last
minutes, then direct messages, of which Discord does not say where there is news. Several are asked
about at once, and a session lost meanwhile makes it begin anew with what is left.

Discord tells nobody afterwards what was edited or deleted meanwhile: that cannot be made good. Nor
does it list direct messages: somebody's very first one is missed when it comes while we are away,
and so is one of somebody who had said nothing for a week.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

import discord
from discord.ext import commands

from bot.chat.messages import ChannelKey
from bot.errors import CaduceusError
from cogs.client import CaduceusBot
from cogs.listening.messages import MessageListener
from cogs.platform import (
    PLATFORM,
    WRITE_ERRORS,
    Channel,
    is_passing,
    key_of,
    own_permissions,
)
from cogs.showing.request_budget import Urgency

MESSAGES_PER_CHANNEL = 100  # one request; the newest ones
NEW_CHANNELS = 100  # looked into after one absence, where nobody had spoken before
ANSWERED_FOR = timedelta(minutes=10)
DIRECT_FOR = timedelta(days=7)  # how long after their last message somebody is asked about
MOST_DIRECT = 1_000  # direct messages asked about after one absence, and
MOST_OTHERS = 1_000  # channels whose news is too old to be answered
AT_ONCE = 8  # requests

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Missed:
    """Where something may have been said after a message."""

    key: ChannelKey
    channel: Channel
    mark: int


@dataclass(slots=True)
class _Plan:
    """What is to be looked into, in this order."""

    fresh: list[_Missed] = field(default_factory=list[_Missed])
    direct: list[_Missed] = field(default_factory=list[_Missed])
    others: list[_Missed] = field(default_factory=list[_Missed])


class CatchUp(commands.Cog):
    """Fetches what was missed in the channels that the bot serves."""

    def __init__(self, bot: CaduceusBot, listener: MessageListener) -> None:
        self._bot = bot
        self._listener = listener
        self._seen: dict[ChannelKey, str] = {}  # not caught up with yet
        self._known: set[int] = set()  # every channel with a mark
        self._away_since = 0  # the newest message of all that was seen before
        self._session = 0  # whoever is at work for an earlier one stops
        self._one_at_a_time = asyncio.Lock()
        self._left_behind: set[asyncio.Task[None]] = set()

    async def cog_load(self) -> None:
        """Once who we are is known: what waits and was seen is this application's own."""
        account = str(self._bot.application_id or "")
        await self._bot.conversations.history.serve(PLATFORM, account, self._answer_soon)

    @commands.Cog.listener()
    async def on_connect(self) -> None:
        """A new session: note how far we had come, before a live message moves the mark."""
        self._session += 1
        self._listener.ready_to_hear = asyncio.create_task(self._note_seen())
        await asyncio.wait([self._listener.ready_to_hear])

    @commands.Cog.listener()
    async def on_ready(self) -> None:
        """All guilds are known. A resumed session does not come here: it has missed nothing."""
        await self._come_back()

    @commands.Cog.listener()
    async def on_guild_available(self, guild: discord.Guild) -> None:
        """A guild that Discord could not give us when the others were ready."""
        if self._bot.is_ready() and any(key.guild_id == str(guild.id) for key in self._seen):
            await self._come_back()

    async def _come_back(self) -> None:
        self._session = session = self._session + 1
        async with self._one_at_a_time:
            if self._listener.ready_to_hear is not None:
                await asyncio.wait([self._listener.ready_to_hear])
            with self._bot.budget.at(Urgency.NORMAL):
                await self._several(self._catch_up_and_answer, await self._waiting(), session)
                plan = self._plan()
                await self._several(self._catch_up, plan.fresh, session)
            with self._bot.budget.at(Urgency.LATER):  # replies are not to wait for it
                await self._several(self._catch_up, plan.direct, session)
                await self._several(self._catch_up, plan.others, session)

    async def _several(
        self, work: Callable[[T, int], Awaitable[None]], items: Iterable[T], session: int
    ) -> None:
        """Do the work for all items, a few at once, unless there is a new session meanwhile."""
        left = iter(items)

        async def work_off() -> None:
            for item in left:
                if session != self._session:
                    return
                await work(item, session)

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(work_off())

    def _plan(self) -> _Plan:
        """Where to look, in each group where somebody spoke last first."""
        now = discord.utils.utcnow()
        young = discord.utils.time_snowflake(now - ANSWERED_FOR)
        recent = discord.utils.time_snowflake(now - DIRECT_FOR)
        plan = _Plan()
        for key, mark in sorted(self._seen.items(), key=lambda item: -int(item[1])):
            if self._is_late(key):
                continue  # until it comes
            missed = self._missed(key, int(mark))
            if missed is None:
                self._seen.pop(key)
            elif not key.is_direct:
                is_fresh = (getattr(missed.channel, "last_message_id", None) or 0) > young
                (plan.fresh if is_fresh else plan.others).append(missed)
            elif missed.mark > recent:
                plan.direct.append(missed)
            else:
                self._seen.pop(key)
        for group, most in ((plan.direct, MOST_DIRECT), (plan.others, MOST_OTHERS)):
            for missed in group[most:]:
                self._seen.pop(missed.key)
            del group[most:]
        for channel, mark in self._new_channels():
            self._known.add(channel.id)
            plan.fresh.append(_Missed(key_of(channel), channel, mark))
        return plan

    def _missed(self, key: ChannelKey, mark: int) -> _Missed | None:
        """What can be asked about without knowing more; None where there is no news.

        A thread that we do not know is asleep or gone: news would have woken it.
        """
        channel = self._at_hand(key)
        if channel is None or _has_nothing_after(channel, mark):
            return None
        return _Missed(key, channel, mark) if key.is_direct or _may_read(channel) else None

    def _is_late(self, key: ChannelKey) -> bool:
        guild = self._bot.get_guild(int(key.guild_id)) if key.guild_id else None
        return guild is not None and guild.unavailable

    async def _note_seen(self) -> None:
        try:
            now = await self._bot.conversations.history.last_seen(PLATFORM)
        except CaduceusError as error:
            _log.error("What was missed cannot be known: %s", error)
            return
        if not self._seen:
            self._away_since = max(map(int, now.values()), default=0)
        self._known = {int(key.channel_id) for key in now}
        # What an earlier session had no time to catch up with, this one does.
        self._seen = {**now, **self._seen}

    def _new_channels(self) -> list[tuple[Channel, int]]:
        """Where nobody had ever spoken until we were away, with the mark to fetch from."""
        if not self._away_since:
            return []  # a bot that has never heard anything was never away
        oldest = discord.utils.time_snowflake(discord.utils.utcnow() - ANSWERED_FOR)
        mark = max(self._away_since, oldest)
        found = [
            channel
            for guild in self._bot.guilds
            for channel in (*guild.channels, *guild.threads)
            if isinstance(channel, Channel)
            and channel.id not in self._known
            and (channel.last_message_id or 0) > mark
            and _may_read(channel)
        ]
        found.sort(key=lambda channel: -(channel.last_message_id or 0))
        return [(channel, mark) for channel in found[:NEW_CHANNELS]]

    async def _catch_up(self, missed: _Missed, session: int) -> None:
        is_done = await self._fetch(missed.channel, missed.mark)
        # What came after this answer, in an absence since, is still to be asked for.
        if is_done and session == self._session:
            self._seen.pop(missed.key, None)

    async def _fetch(self, channel: Channel, mark: int) -> bool:
        """Hear what was missed and have it answered. False when it may succeed another time."""
        try:
            missed = [
                message
                async for message in channel.history(
                    limit=MESSAGES_PER_CHANNEL, after=discord.Object(mark), oldest_first=False
                )
            ]
        except WRITE_ERRORS as error:
            _log.info("What was missed in %s cannot be fetched: %s", key_of(channel), error)
            return not is_passing(error)
        waits = [message for message in reversed(missed) if await self._listener.hear(message)]
        if waits:
            self._listener.serve(waits[-1])
        return True

    async def _waiting(self) -> list[ChannelKey]:
        """Where messages were heard before, but not answered any more."""
        since = discord.utils.utcnow() - ANSWERED_FOR
        try:
            return await self._bot.conversations.history.channels_with_pending(
                PLATFORM, since=since
            )
        except CaduceusError as error:
            _log.error("What still waits for an answer cannot be known: %s", error)
            return []

    async def _catch_up_and_answer(self, key: ChannelKey, session: int) -> None:
        mark = self._seen.get(key)
        missed = None if mark is None or self._is_late(key) else self._missed(key, int(mark))
        if missed is not None:  # all that waits is answered together
            await self._catch_up(missed, session)
        await self._answer_in(key)

    def _answer_soon(self, key: ChannelKey) -> None:
        """Another process has left a question behind. Before we are ready, they are all seen to."""
        if self._bot.is_ready():
            task = asyncio.create_task(self._answer_in(key), name=f"left behind in {key}")
            self._left_behind.add(task)
            task.add_done_callback(self._left_behind.discard)

    async def _answer_in(self, key: ChannelKey) -> None:
        try:
            channel = await self._channel(key)
        except WRITE_ERRORS as error:
            _log.info("Channel %s cannot be answered in: %s", key, error)
            return
        if channel is not None:
            # As the channel is now, not as it was stored: it may be age-restricted.
            now = key if key.is_direct else key_of(channel)
            self._bot.serving.serve(now, channel)

    async def _channel(self, key: ChannelKey) -> Channel | None:
        found = self._at_hand(key)
        if found is None and key.parent_id is not None:  # a thread gone to sleep
            fetched = await self._bot.fetch_channel(int(key.channel_id))
            found = fetched if isinstance(fetched, Channel) else None
        return found

    def _at_hand(self, key: ChannelKey) -> Channel | None:
        found = self._bot.get_channel(int(key.channel_id))
        if found is None and key.is_direct:
            found = self._bot.get_partial_messageable(int(key.channel_id))
        return found if isinstance(found, Channel) else None


def _has_nothing_after(channel: Channel, message_id: int) -> bool:
    last = getattr(channel, "last_message_id", None)
    return isinstance(last, int) and last <= message_id


def _may_read(channel: Channel) -> bool:
    held = own_permissions(channel)
    return held is not None and held.view_channel and held.read_message_history
