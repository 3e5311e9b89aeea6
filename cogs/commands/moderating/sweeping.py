"""Takes away in Discord what a purge has taken out of the database."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import discord

from bot.chat.moderation.purges import Purge, PurgedMessage
from bot.chat.moderation.purging import Purger
from bot.errors import CaduceusError
from cogs.client import CaduceusBot
from cogs.platform import (
    PLATFORM,
    WRITE_ERRORS,
    Channel,
    is_gone,
    is_passing,
    own_permissions,
    persistently,
)
from cogs.showing.request_budget import Urgency

BULK_MESSAGES = 100  # Discord's most
BULK_LEAST = 2
BULK_AGE = timedelta(days=14)  # Discord takes younger ones alone
CLOCKS_APART = timedelta(minutes=10)
NOTED_AT_ONCE = 25  # messages, so that a restart has little to do again
PAUSES = (1.0, 2.0, 4.0)  # seconds, after failed deletions
FAILURES_IN_A_ROW = 3  # and Discord is left alone until the next start

# Discord's error codes
UNKNOWN_CHANNEL = 10003
THREAD_ARCHIVED = 50083

_log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Told how many messages are gone, of how many."""


@dataclass(slots=True)
class Swept:
    """How a purge ended in Discord."""

    deleted: int = 0
    left: int = 0  # that the bot may not delete
    later: int = 0  # that could not be deleted now

    def add(self, other: "Swept") -> None:
        """Count another one, too."""
        self.deleted += other.deleted
        self.left += other.left
        self.later += other.later


def may_delete_all(channel: Channel) -> bool:
    """Whether the bot may delete other people's messages there, as far as Discord has told us."""
    held = own_permissions(channel)
    return held is not None and held.manage_messages


class Sweeper:
    """Works purges off, also those that a restart has interrupted."""

    def __init__(self, bot: CaduceusBot, purger: Purger) -> None:
        """Call :meth:`resume` when the bot knows its guilds, and :meth:`close` at the end."""
        self._bot = bot
        self._purger = purger
        self._at_work: dict[int, asyncio.Task[Swept]] = {}
        self._resuming: asyncio.Task[None] | None = None

    async def sweep(self, purge: Purge, tell: Progress = lambda _done, _all: None) -> Swept:
        """Delete a purge's messages; goes on where whoever asked is no longer waiting."""
        task = asyncio.create_task(self._sweep(purge, tell), name=f"purge {purge.purge_id}")
        self._at_work[purge.purge_id] = task
        task.add_done_callback(lambda _: self._at_work.pop(purge.purge_id, None))
        return await asyncio.shield(task)

    def resume(self) -> None:
        """Go on with what a restart has interrupted. Returns at once."""
        if self._resuming is None:
            self._resuming = asyncio.create_task(self._resume(), name="interrupted purges")

    async def close(self) -> None:
        """Stop: the next start goes on."""
        tasks = [*self._at_work.values(), *([self._resuming] if self._resuming else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _resume(self) -> None:
        try:
            for purge in await self._purger.purges.unfinished(PLATFORM):
                if purge.purge_id in self._at_work:
                    continue
                swept = await self.sweep(purge)
                if not swept.later:
                    await self._purger.ended(purge, swept.left, was_interrupted=True)
        except CaduceusError as error:
            _log.error("Purges that a restart interrupted cannot be finished: %s", error)

    async def _sweep(self, purge: Purge, tell: Progress) -> Swept:
        work = _Work(self._bot, self._purger, purge, tell)
        with self._bot.budget.at(Urgency.LATER):
            try:
                return await work.do()
            finally:
                await work.note()


class _Work:
    """One purge being worked off."""

    def __init__(self, bot: CaduceusBot, purger: Purger, purge: Purge, tell: Progress) -> None:
        self._bot = bot
        self._purger = purger
        self._purge = purge
        self._tell = tell
        self._swept = Swept()
        self._over: list[str] = []  # not noted yet
        self._failures = 0
        self._reason = f"Purged by {purge.asked_by}"[:400] if purge.asked_by else "Purged"

    async def do(self) -> Swept:
        messages = self._purge.messages
        try:
            channel = await self._channel()
        except discord.NotFound:
            await self._end(messages)
            return self._swept
        except WRITE_ERRORS as error:
            _log.warning("A purge in %s waits: %s", self._purge.channel, error)
            self._swept.later = len(messages)
            return self._swept
        rest: Sequence[PurgedMessage] = messages
        if may_delete_all(channel):
            rest = await self._delete_in_bulk(channel, messages)
        for number, message in enumerate(rest):
            if self._failures >= FAILURES_IN_A_ROW:
                self._swept.later += len(rest) - number
                break
            await self._delete(channel, message)
        return self._swept

    async def note(self) -> None:
        """Keep in mind what is over."""
        over, self._over = self._over, []
        if over:
            await self._purger.purges.gone(self._purge.purge_id, over)

    async def _channel(self) -> Channel:
        key = self._purge.channel
        channel_id = int(key.channel_id)
        found = self._bot.get_channel(channel_id)
        if found is None and key.is_direct:
            found = self._bot.get_partial_messageable(channel_id)
        if found is None:
            found = await self._bot.fetch_channel(channel_id)
        if not isinstance(found, Channel):
            raise OSError("it is no channel that anything can be said in")
        return found

    async def _delete_in_bulk(
        self, channel: Channel, messages: Sequence[PurgedMessage]
    ) -> list[PurgedMessage]:
        """Delete those that are young enough, many at once; returns the others."""
        oldest = discord.utils.time_snowflake(discord.utils.utcnow() - BULK_AGE + CLOCKS_APART)
        young = [each for each in messages if int(each.message_id) > oldest]
        rest = [each for each in messages if int(each.message_id) <= oldest]
        for piece in _pieces(young):
            if len(piece) < BULK_LEAST or self._failures:
                rest = [*piece, *rest]
                continue
            ids: list[Any] = [int(each.message_id) for each in piece]
            delete = partial(self._bot.http.delete_messages, channel.id, ids, reason=self._reason)
            try:
                await self._awake(channel, delete)
            except WRITE_ERRORS as error:
                _log.info("Messages in %s are deleted one by one: %s", channel.id, error)
                self._failures += is_passing(error)
                rest = [*piece, *rest]
            else:
                await self._end(piece)
        self._failures = 0
        return rest

    async def _delete(self, channel: Channel, message: PurgedMessage) -> None:
        number = int(message.message_id)
        may_all = may_delete_all(channel)
        if not may_all and not message.is_own:
            await self._end([message], is_left=True)
            return
        delete = partial(self._bot.voices.delete, channel, number)
        if may_all:
            delete = partial(self._bot.http.delete_message, channel.id, number, reason=self._reason)
        try:
            await self._awake(channel, delete)
        except WRITE_ERRORS as error:
            is_over = is_gone(error) or getattr(error, "code", 0) == UNKNOWN_CHANNEL
            if is_passing(error):
                _log.warning("A purged message in %s is still there: %s", channel.id, error)
                self._failures += 1
                self._swept.later += 1
                return
            if not is_over:
                _log.info("A purged message in %s stays: %s", channel.id, error)
            await self._end([message], is_left=not is_over)
        else:
            await self._end([message])
        self._failures = 0

    async def _awake(self, channel: Channel, delete: Callable[[], Any]) -> None:
        """Delete; in a thread that has gone to sleep, once more after waking it."""
        try:
            await persistently(delete, PAUSES)
        except discord.HTTPException as error:
            if error.code != THREAD_ARCHIVED or not isinstance(channel, discord.Thread):
                raise
            await channel.edit(archived=False)
            await delete()

    async def _end(self, messages: Iterable[PurgedMessage], *, is_left: bool = False) -> None:
        for message in messages:
            self._over.append(message.message_id)
            if is_left:
                self._swept.left += 1
            else:
                self._swept.deleted += 1
        if len(self._over) >= NOTED_AT_ONCE:
            await self.note()
        self._tell(self._swept.deleted + self._swept.left, len(self._purge.messages))


def _pieces(messages: Sequence[PurgedMessage]) -> Iterator[list[PurgedMessage]]:
    for start in range(0, len(messages), BULK_MESSAGES):
        yield list(messages[start : start + BULK_MESSAGES])
