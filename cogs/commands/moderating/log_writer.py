"""Writes what happens into the log channels of guilds: few messages, whatever happens."""

import asyncio
import logging
from dataclasses import replace
from enum import Enum, auto
from functools import partial

import discord
from discord.ext import commands

from bot.chat.moderation.journal import Event
from bot.chat.moderation.log_channels import LogChannel
from bot.errors import CaduceusError
from cogs.client import CaduceusBot
from cogs.commands.moderating.waiting_lines import Batch, WaitingLines
from cogs.commands.personas.looks import plain
from cogs.platform import (
    NOBODY,
    PLATFORM,
    WRITE_ERRORS,
    Channel,
    bare_key,
    is_passing,
    may_send_in,
    persistently,
)
from cogs.showing.request_budget import Urgency

TEXT_CHARACTERS = 300  # of one event
GATHERED_SECONDS = 1.5  # before a message, so that what happens together is told together
APART_SECONDS = 5.0  # messages in one log channel
LAST_SECONDS = 5.0  # for what still waits when the bot goes
PAUSES = (2.0, 5.0, 15.0)  # after failed writes
LATER_SECONDS, MOST_LATER_SECONDS = 60.0, 3600.0  # then it is tried again, less and less often
GONE = "It is gone, or hidden from me."
FORBIDDEN = "I may not write there."

_log = logging.getLogger(__name__)


class _Outcome(Enum):
    """What became of a try to write."""

    SENT = auto()
    DONE = auto()  # there is nothing to tell, or nobody
    OFF = auto()  # nothing may be written there
    FAILED = auto()  # this time


class LogWriter(commands.Cog):
    """Listens to the journal. Where nobody has set a log channel, nothing is written.

    A line leaves only once it is sent. What cannot be sent now is kept up to a bound, counted
    beyond it, and tried again later; what still waits when the bot goes is counted in the store.
    """

    def __init__(self, bot: CaduceusBot) -> None:
        self._bot = bot
        self._logs = bot.moderation.log_channels
        self._lines: dict[str, WaitingLines] = {}
        self._writers: dict[str, asyncio.Task[None]] = {}
        self._hurries: dict[str, asyncio.Event] = {}  # by which a writer's pause ends
        self._is_closing = False  # no pauses any more
        self._is_closed = False
        bot.moderation.journal.on_event(self._noted)

    @commands.Cog.listener()
    async def on_ready(self) -> None:
        """Tell how many lines a restart came before."""
        try:
            for guild_id in await self._logs.with_untold(PLATFORM):
                self._see_to(guild_id)
        except CaduceusError as error:
            _log.warning("What moderators were not told of before is told later: %s", error)

    async def cog_unload(self) -> None:
        """Write what still waits, without its pauses, and count the rest."""
        self._is_closing = True
        for hurry in self._hurries.values():
            hurry.set()
        writers = set(self._writers.values())
        if writers:
            _, late = await asyncio.wait(writers, timeout=LAST_SECONDS)
            for writer in late:
                writer.cancel()
            if late:
                await asyncio.wait(late)
        self._is_closed = True
        waiting, self._lines = self._lines, {}
        for guild_id, lines in waiting.items():
            if lines.number:
                await self._count(guild_id, lines.number)

    def channel_changed(self, guild_id: str) -> None:
        """What waits in a guild goes to its log channel of now, or to nobody."""
        self._see_to(guild_id)
        if hurry := self._hurries.get(guild_id):
            hurry.set()

    def _see_to(self, guild_id: str) -> None:
        """Have what waits in a guild written."""
        if guild_id in self._writers or self._is_closing:
            return
        hurry = self._hurries[guild_id] = asyncio.Event()
        writer = asyncio.create_task(self._write(guild_id, hurry), name=f"log of {guild_id}")
        self._writers[guild_id] = writer
        writer.add_done_callback(partial(_ended, guild_id))

    async def _noted(self, guild_id: str, event: Event) -> None:
        if self._is_closed:
            await self._count(guild_id, 1)
            return
        self._lines.setdefault(guild_id, WaitingLines()).add(line_of(event))
        self._see_to(guild_id)

    async def _count(self, guild_id: str, lines: int) -> None:
        """Keep a number of lines for the next start, or take it away (below 0)."""
        try:
            await self._logs.count_untold(PLATFORM, guild_id, lines)
        except CaduceusError as error:
            _log.error("%d lines of the log of guild %s are miscounted: %s", lines, guild_id, error)

    async def _write(self, guild_id: str, hurry: asyncio.Event) -> None:
        """Write until nothing waits, or nothing may be written."""
        lines = self._lines.setdefault(guild_id, WaitingLines())
        pause, later = GATHERED_SECONDS, LATER_SECONDS
        try:
            while True:
                await _wait(hurry, 0.0 if self._is_closing else pause)
                hurry.clear()
                outcome = await self._write_some(guild_id, lines)
                if outcome is _Outcome.SENT:
                    pause, later = APART_SECONDS, LATER_SECONDS
                elif outcome is _Outcome.FAILED and not self._is_closing:
                    pause, later = later, min(2 * later, MOST_LATER_SECONDS)
                else:
                    return
        finally:  # at once: what is noted from now on has another writer
            del self._writers[guild_id], self._hurries[guild_id]
            if not lines.number:
                self._lines.pop(guild_id, None)

    async def _write_some(self, guild_id: str, lines: WaitingLines) -> _Outcome:
        try:
            log = await self._logs.find(PLATFORM, guild_id)
            if log is None:
                lines.clear()
                return _Outcome.DONE
            batch = lines.batch(log.untold)
            if not batch.text:
                return _Outcome.DONE
            if log.problem and not self._may_write_again(log):
                return _Outcome.OFF
            censor = self._bot.conversations.censor
            text = await censor.shown(bare_key(0, int(guild_id)), batch.text)
        except CaduceusError as error:
            _log.warning("The log of guild %s is written later: %s", guild_id, error)
            return _Outcome.FAILED
        return await self._send(log, lines, replace(batch, text=text))

    def _may_write_again(self, log: LogChannel) -> bool:
        """Whether what kept the bot from writing there is over, as far as it knows unasked."""
        guild = self._bot.get_guild(int(log.guild_id))
        channel = guild.get_channel_or_thread(int(log.channel_id)) if guild is not None else None
        return isinstance(channel, Channel) and may_send_in(channel)

    async def _send(self, log: LogChannel, lines: WaitingLines, batch: Batch) -> _Outcome:
        guild = self._bot.get_guild(int(log.guild_id))
        if guild is None or guild.unavailable:
            _log.warning("The log of guild %s is written later: it is not there now", log.guild_id)
            return _Outcome.FAILED
        try:
            channel = await find_channel(guild, int(log.channel_id))
            if channel is None:
                return await self._fail(log, GONE)
            if not may_send_in(channel):
                return await self._fail(log, FORBIDDEN)
            with self._bot.budget.at(Urgency.LATER):
                pauses = () if self._is_closing else PAUSES
                await persistently(partial(send_in, channel, batch.text), pauses)
        except (discord.Forbidden, discord.NotFound) as error:
            is_lost = isinstance(error, discord.NotFound)
            return await self._fail(log, GONE if is_lost else FORBIDDEN)
        except WRITE_ERRORS as error:
            if is_passing(error) or not batch.is_lines:
                _log.warning("The log of guild %s is written later: %s", log.guild_id, error)
                return _Outcome.FAILED
            _log.warning("Lines of the log of guild %s are refused: %s", log.guild_id, error)
            lines.refused(batch)
            return _Outcome.SENT
        lines.told(batch)
        if log.untold:
            await self._count(log.guild_id, -log.untold)
        if log.problem:
            await self._note(log, "")
        return _Outcome.SENT

    async def _fail(self, log: LogChannel, problem: str) -> _Outcome:
        """Write there no more; `/moderation log` says so."""
        channel = f"the log channel {log.channel_id} of guild {log.guild_id}"
        _log.warning("Nothing is written to %s any more: %s", channel, problem)
        await self._note(log, problem)
        return _Outcome.OFF

    async def _note(self, log: LogChannel, problem: str) -> None:
        try:
            await self._logs.note_problem(log, problem)
        except CaduceusError as error:
            _log.error("What becomes of a log channel cannot be kept in mind: %s", error)


def _ended(guild_id: str, writer: asyncio.Task[None]) -> None:
    if not writer.cancelled() and (fault := writer.exception()) is not None:
        _log.error("The log of guild %s broke down", guild_id, exc_info=fault)


async def _wait(hurry: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await hurry.wait()
    except TimeoutError:
        return


async def find_channel(guild: discord.Guild, channel_id: int) -> Channel | None:
    """A channel or thread of a guild, asked of Discord where it is not known: it may be asleep."""
    found = guild.get_channel_or_thread(channel_id)
    if found is None:
        try:
            found = await guild.fetch_channel(channel_id)
        except (discord.NotFound, discord.Forbidden, discord.InvalidData):
            return None
    return found if isinstance(found, Channel) else None


async def send_in(channel: Channel, text: str) -> None:
    """Write a line of the log. It mentions nobody and shows no links' contents."""
    await channel.send(text, allowed_mentions=NOBODY, suppress_embeds=True)


def line_of(event: Event) -> str:
    """An event as a line. Whatever people have written in it is plain text."""
    said = plain(" ".join(event.text.split()), TEXT_CHARACTERS)
    said = discord.utils.escape_mentions(said).replace("<", "\\<")
    parts = [f"**{event.kind.value}** {said}"]
    if event.about:
        parts[0] += f" {_person(event.about)}"
    if event.channel_id.isdecimal():
        parts.append(f"in <#{event.channel_id}>")
    if event.by:
        parts.append(f"by {_person(event.by)}")
    return " · ".join(parts)


def _person(speaker_id: str) -> str:
    return f"<@{speaker_id}>" if speaker_id.isdecimal() else plain(speaker_id, 100)
