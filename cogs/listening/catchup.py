"""What was said while the bot was away: fetched after a start or a lost session, answered once.

Discord tells nobody afterwards what was edited or deleted meanwhile: that cannot be made good. Nor
does it list direct messages: somebody's very first one is missed when it comes while we are away.
"""

import asyncio
import logging
from collections.abc import Mapping
from datetime import timedelta

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
    key_of,
)
from cogs.showing.request_budget import Priority

MESSAGES_PER_CHANNEL = 100  # one request; the newest ones
NEW_CHANNELS = 100  # looked into after one absence, where nobody had spoken before
ANSWERED_FOR = timedelta(minutes=10)

_log = logging.getLogger(__name__)


class CatchUp(commands.Cog):
    """Fetches what was missed in the channels that the bot serves."""

    def __init__(self, bot: CaduceusBot, listener: MessageListener) -> None:
        self._bot = bot
        self._listener = listener
        self._seen: Mapping[ChannelKey, str] = {}  # not caught up with yet
        self._known: set[int] = set()  # every channel with a mark
        self._away_since = 0  # the newest message of all that was seen before
        self._one_at_a_time = asyncio.Lock()
        self._left_behind: set[asyncio.Task[None]] = set()

    async def cog_load(self) -> None:
        """Once who we are is known: what waits and was seen is this application's own."""
        account = str(self._bot.application_id or "")
        await self._bot.conversations.history.serve(PLATFORM, account, self._answer_soon)

    @commands.Cog.listener()
    async def on_connect(self) -> None:
        """A new session: note how far we had come, before a live message moves the mark."""
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
        async with self._one_at_a_time:
            if self._listener.ready_to_hear is not None:
                await asyncio.wait([self._listener.ready_to_hear])
            seen = dict(self._seen)
            self._seen = {}
            late = {key: mark for key, mark in seen.items() if self._is_late(key)}
            with self._bot.budget.at(Priority.NORMAL):
                # Where somebody spoke last, somebody most likely waits.
                for key, mark in sorted(seen.items(), key=lambda item: -int(item[1])):
                    if key not in late:
                        await self._catch_up(key, int(mark))
                for channel, mark in self._new_channels():
                    self._known.add(channel.id)
                    await self._fetch(channel, mark)
                await self._answer_what_waits()
            self._seen = {**late, **self._seen}

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

    async def _catch_up(self, key: ChannelKey, mark: int) -> None:
        try:
            channel = await self._channel(key)
        except WRITE_ERRORS as error:
            _log.info("What was missed in %s cannot be fetched: %s", key, error)
            return
        if channel is not None and not _has_nothing_after(channel, mark):
            await self._fetch(channel, mark)

    async def _fetch(self, channel: Channel, mark: int) -> None:
        try:
            missed = [
                message
                async for message in channel.history(
                    limit=MESSAGES_PER_CHANNEL, after=discord.Object(mark), oldest_first=False
                )
            ]
        except WRITE_ERRORS as error:
            _log.info("What was missed in %s cannot be fetched: %s", key_of(channel), error)
            return
        waits = [message for message in reversed(missed) if await self._listener.hear(message)]
        if waits:
            self._listener.serve(waits[-1])

    async def _answer_what_waits(self) -> None:
        """Messages that were heard before a restart, but not answered any more."""
        since = discord.utils.utcnow() - ANSWERED_FOR
        try:
            keys = await self._bot.conversations.history.channels_with_pending(
                PLATFORM, since=since
            )
        except CaduceusError as error:
            _log.error("What still waits for an answer cannot be known: %s", error)
            return
        for key in keys:
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
            self._bot.serving.serve(key, channel)

    async def _channel(self, key: ChannelKey) -> Channel | None:
        channel_id = int(key.channel_id)
        found = self._bot.get_channel(channel_id)
        if found is None and key.is_direct:
            found = self._bot.get_partial_messageable(channel_id)
        if found is None and key.parent_id is not None:  # a thread gone to sleep
            found = await self._bot.fetch_channel(channel_id)
        return found if isinstance(found, Channel) else None


def _has_nothing_after(channel: Channel, message_id: int) -> bool:
    last = getattr(channel, "last_message_id", None)
    return isinstance(last, int) and last <= message_id


def _may_read(channel: Channel) -> bool:
    guild = getattr(channel, "guild", None)
    if not isinstance(guild, discord.Guild) or isinstance(channel, discord.PartialMessageable):
        return False
    try:
        held = channel.permissions_for(guild.me)
    except discord.ClientException:  # a thread whose channel we do not know
        return False
    return held.view_channel and held.read_message_history
