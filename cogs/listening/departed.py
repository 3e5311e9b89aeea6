"""Notices that the bot has left a guild or that a channel is gone, also while it was away.

An outage is neither: a guild that is unavailable is still among ours, and what is missing at a
start is asked of Discord itself before its clock begins.
"""

import logging
from collections.abc import Sequence

import discord
from discord.ext import commands

from bot.chat.messages import ChannelKey
from bot.errors import CaduceusError
from cogs.client import CaduceusBot
from cogs.platform import PLATFORM, WRITE_ERRORS, key_of
from cogs.showing.request_budget import Urgency

MOST_ASKED = 100  # of each kind, after one start: the others after the next one
# Discord's error codes
UNKNOWN_CHANNEL = 10003
UNKNOWN_GUILD = 10004
NO_ACCESS = 50001  # to a guild: the bot is no member

_log = logging.getLogger(__name__)


class Departed(commands.Cog):
    """Starts and stops the clocks of what is left behind."""

    def __init__(self, bot: CaduceusBot) -> None:
        self._bot = bot
        self._departures = bot.erasure.departures

    @commands.Cog.listener()
    async def on_guild_remove(self, guild: discord.Guild) -> None:
        """Left, kicked, banned, or the guild was deleted. An outage does not come here."""
        try:
            await self._remember_channels([guild])
            await self._departures.left(PLATFORM, str(guild.id))
        except CaduceusError as error:  # the next start notices it
            _log.error("That guild %s was left is not kept: %s", guild.id, error)

    @commands.Cog.listener()
    async def on_guild_join(self, guild: discord.Guild) -> None:
        """Back, or for the first time."""
        try:
            await self._departures.came_back(PLATFORM, [str(guild.id)])
        except CaduceusError as error:
            _log.error("That guild %s is joined again is not kept: %s", guild.id, error)

    @commands.Cog.listener()
    async def on_guild_channel_delete(self, channel: discord.abc.GuildChannel) -> None:
        """A channel was deleted, with all its threads."""
        await self._lost(channel.id)

    @commands.Cog.listener()
    async def on_raw_thread_delete(self, payload: discord.RawThreadDeleteEvent) -> None:
        """A thread was deleted."""
        await self._lost(payload.thread_id)

    async def _lost(self, channel_id: int) -> None:
        try:
            await self._departures.lost(PLATFORM, str(channel_id))
        except CaduceusError as error:
            _log.error("That channel %s was deleted is not kept: %s", channel_id, error)

    @commands.Cog.listener()
    async def on_ready(self) -> None:
        """All guilds are known: what was left or deleted meanwhile is noticed now."""
        try:
            await self._compare()
        except CaduceusError as error:
            _log.error("What was left while the bot was away is not known: %s", error)
        self._bot.erasure.worker.ready()

    async def _compare(self) -> None:
        present = {str(guild.id) for guild in self._bot.guilds}  # unavailable ones, too
        await self._departures.came_back(PLATFORM, present)
        await self._remember_channels(self._bot.guilds)
        missing = await self._departures.missing(PLATFORM, present)
        with self._bot.budget.at(Urgency.LATER):
            for guild_id in missing[:MOST_ASKED]:
                if guild_id.isdecimal() and await self._is_left(int(guild_id)):
                    await self._departures.left(PLATFORM, guild_id)
            lost = await self._departures.missing_channels(PLATFORM, self._may_be_there)
            for key in lost[:MOST_ASKED]:
                if await self._is_gone(int(key.channel_id)):
                    await self._departures.lost(PLATFORM, key.channel_id)

    def _may_be_there(self, key: ChannelKey) -> bool:
        """Whether a channel is there, or nobody can know it: a thread may be asleep."""
        if key.parent_id is not None or key.guild_id is None or not key.channel_id.isdecimal():
            return True
        guild = self._bot.get_guild(int(key.guild_id))
        if guild is None or guild.unavailable:
            return True
        return guild.get_channel_or_thread(int(key.channel_id)) is not None

    async def _is_left(self, guild_id: int) -> bool:
        """Whether Discord says that we are no member. Anything else says nothing."""
        try:
            await self._bot.fetch_guild(guild_id, with_counts=False)
        except discord.HTTPException as error:
            return error.code in (UNKNOWN_GUILD, NO_ACCESS)
        except WRITE_ERRORS:
            return False
        return False

    async def _is_gone(self, channel_id: int) -> bool:
        try:
            await self._bot.http.get_channel(channel_id)
        except discord.HTTPException as error:
            return error.code == UNKNOWN_CHANNEL
        except WRITE_ERRORS:
            return False
        return False

    async def _remember_channels(self, guilds: Sequence[discord.Guild]) -> None:
        """Channels in which nothing was said may have settings, too: they go with their guild."""
        places = self._departures.places
        unplaced = set(await places.unplaced_channels(PLATFORM))
        found = [
            key_of(channel)
            for guild in guilds
            for channel in guild.channels
            if str(channel.id) in unplaced
        ]
        if found:
            await places.place_channels(found)
