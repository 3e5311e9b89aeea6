"""Listens to what people say, change and delete."""

import asyncio
import logging
from collections import deque
from datetime import datetime, timedelta
from weakref import WeakValueDictionary

import discord
from discord.ext import commands

from bot.chat.talk.faults import line_for
from bot.errors import CaduceusError
from cogs.client import CaduceusBot
from cogs.listening.incoming import is_conversation, mentions, text_of, to_incoming
from cogs.platform import (
    Channel,
    bare_key,
    key_of,
)

DELETED_KEPT = 1_000
TOLD_AGAIN = timedelta(minutes=1)
TOLD_FOR = timedelta(minutes=10)  # nobody waits any longer for an answer

_log = logging.getLogger(__name__)


class MessageListener(commands.Cog):
    """Hands every message to the core, in the order of its channel, and has it answered."""

    def __init__(self, bot: CaduceusBot) -> None:
        self._bot = bot
        self._orders: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        self._deleted_lately: deque[int] = deque(maxlen=DELETED_KEPT)
        self._told: dict[int, datetime] = {}  # channels told of a message that could not be kept
        self.ready_to_hear: asyncio.Task[None] | None = None  # what goes before live messages

    @commands.Cog.listener()
    async def on_message(self, message: discord.Message) -> None:
        """Somebody said something."""
        if self.ready_to_hear is not None and not self.ready_to_hear.done():
            await asyncio.wait([self.ready_to_hear])
        if await self.hear(message):
            self.serve(message)

    async def hear(self, message: discord.Message) -> bool:
        """Hand a message to the core; True when it is to be answered."""
        me = self._bot.user
        if me is None or not is_conversation(message) or not isinstance(message.channel, Channel):
            return False
        async with self._order(message.channel.id):
            if message.id in self._deleted_lately:
                return False  # fetched before it was deleted, and heard only now
            try:
                incoming = await to_incoming(message, me, self._bot.conversations.history)
                heard = await self._bot.conversations.hear(incoming)
            except CaduceusError as error:
                _log.error("A message in channel %s is lost: %s", message.channel.id, error)
                self._say_so(message, me, error)
                return False
        return heard.addressed

    def _say_so(
        self, message: discord.Message, me: discord.ClientUser, error: CaduceusError
    ) -> None:
        """Tell whoever waits for an answer that none will come; once a minute in a channel."""
        replied = message.reference.resolved if message.reference else None
        to_bot = isinstance(replied, discord.Message) and replied.author.id == me.id
        if not (to_bot or message.guild is None or mentions(message, me)):
            return
        now = discord.utils.utcnow()
        if message.created_at < now - TOLD_FOR or not isinstance(message.channel, Channel):
            return
        self._told = {number: at for number, at in self._told.items() if at > now - TOLD_AGAIN}
        if message.channel.id not in self._told:
            self._told[message.channel.id] = now
            self._bot.serving.say(message.channel, line_for(error))

    def serve(self, message: discord.Message) -> None:
        """Answer in a message's channel."""
        if isinstance(message.channel, Channel):
            self._bot.serving.serve(key_of(message.channel, message.guild), message.channel)

    @commands.Cog.listener()
    async def on_raw_message_edit(self, payload: discord.RawMessageUpdateEvent) -> None:
        """Somebody changed what they said."""
        me = self._bot.user
        if me is None or not is_conversation(payload.message):
            return
        key = bare_key(payload.channel_id, payload.guild_id)
        async with self._order(payload.channel_id):
            try:
                text = text_of(payload.message, me)
                await self._bot.conversations.edited(key, str(payload.message_id), text)
            except CaduceusError as error:
                _log.error("An edit in channel %s is lost: %s", payload.channel_id, error)

    @commands.Cog.listener()
    async def on_raw_message_delete(self, payload: discord.RawMessageDeleteEvent) -> None:
        """A message is gone."""
        await self._deleted(payload.channel_id, payload.guild_id, [payload.message_id])

    @commands.Cog.listener()
    async def on_raw_bulk_message_delete(self, payload: discord.RawBulkMessageDeleteEvent) -> None:
        """Many messages are gone."""
        await self._deleted(payload.channel_id, payload.guild_id, sorted(payload.message_ids))

    @commands.Cog.listener()
    async def on_guild_channel_delete(self, channel: discord.abc.GuildChannel) -> None:
        """A channel is gone: its reply ends quietly."""
        self._bot.serving.drop(bare_key(channel.id, channel.guild.id))

    @commands.Cog.listener()
    async def on_raw_thread_delete(self, payload: discord.RawThreadDeleteEvent) -> None:
        """A thread is gone."""
        self._bot.serving.drop(bare_key(payload.thread_id, payload.guild_id))

    async def _deleted(self, channel_id: int, guild_id: int | None, ids: list[int]) -> None:
        key = bare_key(channel_id, guild_id)
        self._deleted_lately.extend(ids)
        async with self._order(channel_id):
            try:
                await self._bot.conversations.deleted(key, [str(number) for number in ids])
            except CaduceusError as error:
                _log.error("A deletion in channel %s is lost: %s", channel_id, error)

    def _order(self, channel_id: int) -> asyncio.Lock:
        """Events of a channel are taken one after the other: an edit never before its message."""
        return self._orders.setdefault(channel_id, asyncio.Lock())
