"""Writes what happens into the log channels of guilds: few messages, whatever happens."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import discord
from discord.ext import commands

from bot.chat.moderation.journal import Event
from bot.chat.moderation.log_channels import LogChannel
from bot.errors import CaduceusError
from cogs.client import CaduceusBot
from cogs.commands.personas.looks import plain
from cogs.platform import (
    NOBODY,
    PLATFORM,
    WRITE_ERRORS,
    Channel,
    is_passing,
    may_send_in,
    persistently,
)
from cogs.showing.request_budget import Urgency

MESSAGE_CHARACTERS = 2000
TEXT_CHARACTERS = 300  # of one event
GATHERED_SECONDS = 1.5  # before a message, so that what happens together is told together
APART_SECONDS = 5.0  # messages in one log channel
MOST_LINES = 100  # that wait in a guild; of more, only their number is told
LAST_SECONDS = 5.0  # for what still waits when the bot goes
PAUSES = (2.0, 5.0, 15.0)  # after failed writes
GONE = "It is gone, or hidden from me."
FORBIDDEN = "I may not write there."

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Lines:
    """What is to be told in a guild."""

    waiting: deque[str] = field(default_factory=deque[str])
    untold: int = 0  # more than there is room for
    is_pressing: asyncio.Event = field(default_factory=asyncio.Event)


class LogWriter(commands.Cog):
    """Listens to the journal. Where nobody has set a log channel, nothing is written."""

    def __init__(self, bot: CaduceusBot) -> None:
        self._bot = bot
        self._logs = bot.moderation.log_channels
        self._lines: dict[str, _Lines] = {}
        self._writers: dict[str, asyncio.Task[None]] = {}
        self._is_closing = False
        bot.moderation.journal.on_event(self._noted)

    async def cog_unload(self) -> None:
        """Write what still waits, without its pauses."""
        self._is_closing = True
        for lines in self._lines.values():
            lines.is_pressing.set()
        writers = set(self._writers.values())
        if not writers:
            return
        _, late = await asyncio.wait(writers, timeout=LAST_SECONDS)
        for writer in late:
            writer.cancel()
        if late:
            await asyncio.wait(late)

    async def _noted(self, guild_id: str, event: Event) -> None:
        if self._is_closing:
            return
        lines = self._lines.setdefault(guild_id, _Lines())
        if len(lines.waiting) >= MOST_LINES:
            lines.untold += 1
        else:
            lines.waiting.append(line_of(event))
        if guild_id not in self._writers:
            writer = asyncio.create_task(self._write(guild_id, lines), name=f"log of {guild_id}")
            self._writers[guild_id] = writer
            writer.add_done_callback(lambda done: self._ended(guild_id, done))

    def _ended(self, guild_id: str, writer: asyncio.Task[None]) -> None:
        del self._writers[guild_id]
        self._lines.pop(guild_id, None)
        if not writer.cancelled() and (fault := writer.exception()) is not None:
            _log.error("The log of guild %s broke down", guild_id, exc_info=fault)

    async def _write(self, guild_id: str, lines: _Lines) -> None:
        pause = GATHERED_SECONDS
        while lines.waiting or lines.untold:
            await _wait(lines.is_pressing, pause)
            try:
                log = await self._logs.find(PLATFORM, guild_id)
            except CaduceusError as error:
                _log.warning("The log of guild %s is not written: %s", guild_id, error)
                log = None
            if log is None or log.problem:
                lines.waiting.clear()
                lines.untold = 0
                return
            await self._send(log, _message(lines))
            pause = APART_SECONDS

    async def _send(self, log: LogChannel, text: str) -> None:
        guild = self._bot.get_guild(int(log.guild_id))
        if guild is None or guild.unavailable:
            _log.warning("The log of guild %s is not written: it is not there now", log.guild_id)
            return
        try:
            channel = await find_channel(guild, int(log.channel_id))
            if channel is None:
                await self._fail(log, GONE)
            elif not may_send_in(channel):
                await self._fail(log, FORBIDDEN)
            else:
                with self._bot.budget.at(Urgency.LATER):
                    await persistently(partial(send_in, channel, text), PAUSES)
        except WRITE_ERRORS as error:
            if is_passing(error) or not isinstance(error, discord.Forbidden | discord.NotFound):
                _log.warning("The log of guild %s is not written: %s", log.guild_id, error)
            else:
                lost = isinstance(error, discord.NotFound)
                await self._fail(log, GONE if lost else FORBIDDEN)

    async def _fail(self, log: LogChannel, problem: str) -> None:
        """Write there no more; `/moderation log` says so."""
        channel = f"the log channel {log.channel_id} of guild {log.guild_id}"
        _log.warning("Nothing is written to %s any more: %s", channel, problem)
        try:
            await self._logs.fail(log, problem)
        except CaduceusError as error:
            _log.error("That cannot be kept in mind: %s", error)


async def _wait(pressing: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await pressing.wait()
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


def _message(lines: _Lines) -> str:
    """As many of the lines as one message has room for, each once."""
    said: list[str] = []
    length = 0
    while lines.waiting:
        line, times = lines.waiting[0], _repeated(lines.waiting)
        if times > 1:
            line = f"{line} ({times} times)"
        if length + len(line) + 1 > MESSAGE_CHARACTERS - len(_more(lines.untold)) - 1:
            break
        for _ in range(times):
            lines.waiting.popleft()
        said.append(line)
        length += len(line) + 1
    if not lines.waiting and lines.untold:
        said.append(_more(lines.untold))
        lines.untold = 0
    return "\n".join(said)


def _repeated(waiting: Sequence[str]) -> int:
    """How often the first line stands there in a row."""
    times = 0
    for line in waiting:
        if line != waiting[0]:
            break
        times += 1
    return times


def _more(untold: int) -> str:
    return f"… and {untold} more." if untold else ""
