"""Folds summaries while nobody asks for anything: one step at a time, channel after channel."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from bot.background import Background
from bot.chat.messages import ChannelKey
from bot.chat.roleplay.memory.folder import Folded
from bot.errors import CaduceusError

QUIET_SECONDS = 10.0  # since something went on in a channel
FIRST_WAIT_SECONDS = 30.0  # after a failure; each further one in a row waits twice as long
LONGEST_WAIT_SECONDS = 1_800.0
LOOK_SECONDS = 600.0  # how often every channel is looked at: some changes are told to nobody
LOST = "Summaries are folded no more until the next start"

_log = logging.getLogger(__name__)


def wait_after(failures: int) -> float:
    """Seconds until the next try, after so many failures in a row."""
    return min(FIRST_WAIT_SECONDS * 2 ** min(failures - 1, 30), LONGEST_WAIT_SECONDS)


class IdleFolding:
    """Waits until a channel is quiet, and has its summary folded as far as there is anything.

    `stir` costs next to nothing, and may be called for every message.
    """

    def __init__(
        self,
        fold: Callable[[ChannelKey], Awaitable[Folded]],
        unfinished: Callable[[], Awaitable[list[ChannelKey]]],
        *,
        quiet_seconds: float = QUIET_SECONDS,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        """`fold` does one step; `unfinished` tells where there is something left, as at a start."""
        self._fold = fold
        self._unfinished = unfinished
        self._quiet_seconds = quiet_seconds
        self._look_seconds = look_seconds
        self._waits: dict[ChannelKey, asyncio.TimerHandle] = {}
        self._ready: asyncio.Queue[ChannelKey] = asyncio.Queue()
        self._queued: set[ChannelKey] = set()  # each stands there once
        self._failures: dict[ChannelKey, int] = {}
        self._working = Background("summaries", lost=LOST)
        self._looking = Background("unfinished summaries", lost=LOST)

    def start(self) -> None:
        """Begin, with what was left of the last run."""
        self._working.begin(self._work())
        self._looking.begin(self._look())

    async def close(self) -> None:
        """End; a step that is being done is broken off, and begun anew by the next run."""
        for wait in self._waits.values():
            wait.cancel()
        self._waits.clear()
        await asyncio.gather(self._working.end(), self._looking.end())

    def stir(self, channel: ChannelKey) -> None:
        """Something goes on in a channel: it is looked at once it has been quiet for a while."""
        self._wait(channel, self._quiet_seconds)

    def _wait(self, channel: ChannelKey, seconds: float) -> None:
        if not self._working.is_on:
            return
        if (before := self._waits.pop(channel, None)) is not None:
            before.cancel()
        loop = asyncio.get_running_loop()
        self._waits[channel] = loop.call_later(seconds, self._is_quiet, channel)

    def _is_quiet(self, channel: ChannelKey) -> None:
        del self._waits[channel]
        self._queue(channel)

    def _queue(self, channel: ChannelKey) -> None:
        if channel not in self._queued:
            self._queued.add(channel)
            self._ready.put_nowait(channel)

    async def _work(self) -> None:
        while True:
            channel = await self._ready.get()
            self._queued.discard(channel)
            if channel in self._waits:
                continue  # it was stirred meanwhile, and its turn comes
            try:
                folded = await self._fold(channel)
            except CaduceusError as error:
                seconds = self._wait_after_failure(channel)
                _log.warning(
                    "The summary in %s is tried again in %g s: %s", channel, seconds, error,
                    exc_info=error,
                )  # fmt: skip
                self._put_off(channel, seconds)
                continue
            if folded is Folded.CHANGED:  # where that goes on and on, not at the model's cost
                self._put_off(channel, self._wait_after_failure(channel))
                continue
            self._failures.pop(channel, None)
            if folded is Folded.DONE and channel not in self._waits:
                self._queue(channel)  # after the others
            elif folded is Folded.GAVE_WAY:
                self._put_off(channel, self._quiet_seconds)

    def _wait_after_failure(self, channel: ChannelKey) -> float:
        self._failures[channel] = self._failures.get(channel, 0) + 1
        return wait_after(self._failures[channel])

    def _put_off(self, channel: ChannelKey, seconds: float) -> None:
        if channel not in self._waits:
            self._wait(channel, seconds)

    async def _look(self) -> None:
        while True:
            try:
                for channel in await self._unfinished():
                    self._put_off(channel, self._quiet_seconds)
            except CaduceusError as error:
                _log.warning("Unfinished summaries are looked for again later: %s", error)
            await asyncio.sleep(self._look_seconds)
