"""What was said while the bot was away: fetched after a start or a lost session, answered once.

Discord tells nobody afterwards what was edited or deleted meanwhile: that cannot be made good.
"""

import asyncio
import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

import discord
from discord.ext import commands

from bot.chat.messages import ChannelKey
from bot.errors import CaduceusError
from cogs.budget import Priority
from cogs.chat import Chat
from cogs.incoming import PLATFORM
from cogs.screen import WRITE_ERRORS, Channel

if TYPE_CHECKING:
    from cogs.bot import CaduceusBot

MESSAGES_PER_CHANNEL = 100  # one request; the newest ones
ANSWERED_FOR = timedelta(minutes=10)

_log = logging.getLogger(__name__)


class CatchUp(commands.Cog):
    """Fetches what was missed in the channels that the bot serves."""

    def __init__(self, bot: "CaduceusBot", chat: Chat) -> None:
        self._bot = bot
        self._chat = chat
        self._seen: Mapping[ChannelKey, str] = {}
        self._one_at_a_time = asyncio.Lock()

    @commands.Cog.listener()
    async def on_connect(self) -> None:
        """A new session: note how far we had come, before a live message moves the mark."""
        self._chat.ready_to_hear = asyncio.create_task(self._note_seen())
        await asyncio.wait([self._chat.ready_to_hear])

    @commands.Cog.listener()
    async def on_ready(self) -> None:
        """All guilds are known. A resumed session does not come here: it has missed nothing."""
        async with self._one_at_a_time:
            if self._chat.ready_to_hear is not None:
                await asyncio.wait([self._chat.ready_to_hear])
            seen, self._seen = self._seen, {}
            with self._bot.budget.at(Priority.NORMAL):
                for key, message_id in seen.items():
                    await self._catch_up(key, int(message_id))
                await self._answer_what_waits()

    async def _note_seen(self) -> None:
        try:
            now = await self._bot.conversations.history.last_seen(PLATFORM)
            # What an earlier session had no time to catch up with, this one does.
            self._seen = {**now, **self._seen}
        except CaduceusError as error:
            _log.error("What was missed cannot be known: %s", error)

    async def _catch_up(self, key: ChannelKey, message_id: int) -> None:
        try:
            channel = await self._channel(key)
            if channel is None or _has_nothing_after(channel, message_id):
                return
            missed = [
                message
                async for message in channel.history(
                    limit=MESSAGES_PER_CHANNEL,
                    after=discord.Object(message_id),
                    oldest_first=False,
                )
            ]
        except WRITE_ERRORS as error:
            _log.info("What was missed in %s cannot be fetched: %s", key, error)
            return
        waits = [message for message in reversed(missed) if await self._chat.hear(message)]
        if waits:
            self._chat.serve(waits[-1])

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
            try:
                channel = await self._channel(key)
            except WRITE_ERRORS as error:
                _log.info("Channel %s cannot be answered in: %s", key, error)
                continue
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
