"""Listens to what people say, change and delete."""

import asyncio
import logging
from collections import deque
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from weakref import WeakValueDictionary

import discord
from discord.ext import commands

from bot.chat.definitions import ChannelSettings
from bot.chat.messages import ChannelKey, IncomingMessage, TurnState
from bot.chat.privacy.people import Person
from bot.chat.talk.conversations import Heard
from bot.chat.talk.faults import line_for
from bot.errors import CaduceusError, NotFound
from cogs.client import CaduceusBot
from cogs.listening.incoming import Reader, is_conversation, is_other_bot, may_matter, mentions
from cogs.listening.proxies import Originals, is_proxied
from cogs.platform import (
    PLATFORM,
    WAIT,
    Channel,
    bare_key,
    clock_time,
    is_persona_message,
    key_of,
    speaker_of,
)

DELETED_KEPT = 1_000
TOLD_AGAIN = timedelta(minutes=1)
TOLD_FOR = timedelta(minutes=10)  # nobody waits any longer for an answer

_log = logging.getLogger(__name__)


class MessageListener(commands.Cog):
    """Hands every message to the core, in the order of its channel, and has it answered."""

    def __init__(self, bot: CaduceusBot) -> None:
        self._bot = bot
        self._reader = Reader(bot.conversations, lambda: bot.application_id, self._among)
        self._originals = Originals()
        self._orders: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        self._deleted_lately: deque[int] = deque(maxlen=DELETED_KEPT)
        self._left_out_lately: deque[int] = deque(maxlen=DELETED_KEPT)  # a proxy may edit its copy
        self._told: dict[int, datetime] = {}  # channels told of a message that could not be kept
        self.ready_to_hear: asyncio.Task[None] | None = None  # what goes before live messages

    async def cog_load(self) -> None:
        """Whose data is erased is remembered by nobody here, either."""
        self._bot.erasure.forgetting.on_forgotten(self._forget)

    async def _forget(self, person: Person) -> None:
        if person.platform == PLATFORM:
            guild_id = int(person.guild_id) if person.guild_id else None
            self._reader.names.forget(int(person.speaker_id), guild_id)
            self._originals.forget(int(person.speaker_id))

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
        if me is None or not isinstance(message.channel, Channel):
            return False
        if not (is_conversation(message) or is_other_bot(message, me)):
            return False
        async with self._order(message.channel.id):
            if message.id in self._deleted_lately:
                return False  # fetched before it was deleted, and heard only now
            try:
                heard = await self._read_and_heard(message, me)
            except CaduceusError as error:
                _log.error("A message in channel %s is lost: %s", message.channel.id, error)
                if is_conversation(message):
                    self._say_so(message, me, error)
                return False
        if heard is None:
            return False
        self._tell(heard, message)
        return heard.addressed

    async def _read_and_heard(
        self, message: discord.Message, me: discord.ClientUser
    ) -> Heard | None:
        """What becomes of a message; None where it is not even read."""
        conversations, key = self._bot.conversations, key_of(message.channel, message.guild)
        if is_conversation(message) and await self._stays_out(message):
            return None
        settings = await conversations.settings.resolve(key)
        if not is_conversation(message) and settings.answer_bots != "on":
            return None
        if not await self._is_heard(message, me, settings):
            await conversations.history.note_seen(key, str(message.id))
            return None
        incoming = await self._reader.read(message, me, settings)
        if not is_proxied(message):
            self._originals.remember(message, incoming.author)
        return await self._heard(message, incoming, settings)

    async def _is_heard(
        self, message: discord.Message, me: discord.ClientUser, settings: ChannelSettings
    ) -> bool:
        """Whether who sent a message is heard: asked before it is read, which may cost requests."""
        if not may_matter(message, me, settings):
            return True  # nothing is done for it that costs any
        author = await self._reader.author(message, settings)
        account = self._originals.author_of(message) if is_proxied(message) else None
        key = key_of(message.channel, message.guild)
        if await self._bot.conversations.hears(key, account or author, settings):
            return True
        if not is_proxied(message):  # so that its copy is known to be theirs
            self._originals.remember(message, author)
        return False

    def _tell(self, heard: Heard, message: discord.Message) -> None:
        """Why somebody is not answered, in a line that replies to them."""
        if heard.refusal is not None and isinstance(message.channel, Channel):
            line = heard.refusal.line(clock_time)
            self._bot.serving.say(message.channel, line, mark=WAIT, answers=message.id)

    async def _among(self, people: Collection[str]) -> frozenset[str]:
        return await self._bot.privacy.staying_out.among(PLATFORM, people)

    async def _stays_out(self, message: discord.Message) -> bool:
        """Whether a message is not even read, since who sent it has opted out."""
        account = self._originals.author_of(message) if is_proxied(message) else None
        if not await self._reader.stays_out(message, account and int(account.speaker_id)):
            return False
        key = key_of(message.channel, message.guild)
        await self._bot.conversations.history.note_seen(key, str(message.id))
        self._left_out_lately.append(message.id)
        if not is_proxied(message):  # so that its copy is known to be theirs
            author = speaker_of(message.author, message.author.display_name)
            self._originals.remember(message, author)
        return True

    def _say_so(
        self, message: discord.Message, me: discord.ClientUser, error: CaduceusError
    ) -> None:
        """Tell whoever waits for an answer that none will come; once a minute in a channel."""
        replied = message.reference.resolved if message.reference else None
        to_bot = isinstance(replied, discord.Message) and (
            replied.author.id == me.id or is_persona_message(replied, self._bot.application_id)
        )
        if not (to_bot or message.guild is None or mentions(message, me)):
            return
        now = discord.utils.utcnow()
        if message.created_at < now - TOLD_FOR or not isinstance(message.channel, Channel):
            return
        self._told = {number: at for number, at in self._told.items() if at > now - TOLD_AGAIN}
        if message.channel.id not in self._told:
            self._told[message.channel.id] = now
            self._bot.serving.say(message.channel, line_for(error))

    async def _heard(
        self, message: discord.Message, incoming: IncomingMessage, settings: ChannelSettings
    ) -> Heard:
        conversations = self._bot.conversations
        if original := self._originals.take(message) if is_proxied(message) else None:
            original_id, reply, account = original
            incoming = replace(incoming, account=account)
            if reply is not None and await self._stands(reply):
                # The original is gone: nothing is left whose place the copy could take.
                return Heard(kept=False, addressed=False)
            heard = await conversations.took_place(incoming, str(original_id), settings)
            if heard is not None:
                return heard
        return await conversations.hear(incoming, settings)

    def serve(self, message: discord.Message) -> None:
        """Answer in a message's channel."""
        if isinstance(message.channel, Channel):
            self._bot.serving.serve(key_of(message.channel, message.guild), message.channel)

    @commands.Cog.listener()
    async def on_raw_message_edit(self, payload: discord.RawMessageUpdateEvent) -> None:
        """Somebody changed what they said, or Discord has added what a link leads to."""
        me, message = self._bot.user, payload.message
        ours = (me.id, self._bot.application_id) if me else ()
        if me is None or message.author.id in ours or message.application_id in ours:
            return  # a reply being written: the core knows its text
        is_answered = False
        try:
            if message.id in self._left_out_lately or await self._reader.stays_out(message):
                return  # what they had said stays as it was: nothing new of theirs is kept
            if isinstance(message.channel, Channel) and (
                is_conversation(message) or is_other_bot(message, me)
            ):
                async with self._order(payload.channel_id):
                    heard = await self._heard_edit(message, me)
                if heard is not None:
                    is_answered = heard.addressed
                    self._tell(heard, message)
            await self._edit_quotes(payload, me)
        except CaduceusError as error:
            _log.error("An edit in channel %s is lost: %s", payload.channel_id, error)
        if is_answered:
            self.serve(message)

    async def _heard_edit(self, message: discord.Message, me: discord.ClientUser) -> Heard | None:
        """What becomes of an edit; None where it is not even read.

        What is kept of somebody reads as they want it to, whether or not they are still heard.
        """
        conversations, key = self._bot.conversations, key_of(message.channel, message.guild)
        settings = await conversations.settings.resolve(key)
        if not is_conversation(message) and settings.answer_bots != "on":
            return None
        known = await conversations.history.turn_of_message(key, str(message.id))
        if known is None and not await self._is_heard(message, me, settings):
            return None
        incoming = await self._reader.read_edit(message, me, settings, known)
        return await conversations.edited_message(incoming, settings)

    async def _edit_quotes(
        self, payload: discord.RawMessageUpdateEvent, me: discord.ClientUser
    ) -> None:
        """What other channels, or replies to other bots, quote of a message reads anew."""
        message_id = str(payload.message_id)
        keys = await self._bot.conversations.history.channels_quoting(PLATFORM, [message_id])
        for key in keys:
            if int(key.channel_id) != payload.channel_id or not is_conversation(payload.message):
                async with self._order(int(key.channel_id)):
                    text = await self._reader.text(payload.message, me)
                    await self._bot.conversations.edited(key, message_id, text)

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
        here = bare_key(channel_id, guild_id)
        names = [str(number) for number in ids]
        conversations = self._bot.conversations
        self._deleted_lately.extend(ids)
        try:
            async with self._order(channel_id):
                for number in ids:
                    if self._originals.is_recent(channel_id, number):
                        await self._note_answered(here, channel_id, number)
                await conversations.deleted(here, names)
            for key in await conversations.history.channels_quoting(PLATFORM, names):
                async with self._order(int(key.channel_id)):
                    await conversations.deleted(key, names)
        except CaduceusError as error:
            _log.error("A deletion in channel %s is lost: %s", channel_id, error)

    async def _note_answered(self, key: ChannelKey, channel_id: int, message_id: int) -> None:
        """A proxy's copy of a message that comes after its deletion is not answered once more."""
        turn = await self._bot.conversations.history.turn_of_message(key, str(message_id))
        if turn is not None and turn.answered_by is not None:
            self._originals.answered(channel_id, message_id, turn.answered_by)

    async def _stands(self, turn_id: int) -> bool:
        """Whether a reply is whole or on its way."""
        try:
            reply = await self._bot.conversations.history.turn(turn_id)
        except NotFound:
            return False
        return reply.state is not TurnState.CUT

    def _order(self, channel_id: int) -> asyncio.Lock:
        """Events of a channel are taken one after the other: an edit never before its message."""
        return self._orders.setdefault(channel_id, asyncio.Lock())
