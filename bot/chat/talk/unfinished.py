"""Ends of replies that could not be stored: kept in mind, and stored once that works again."""

import asyncio
import logging
from dataclasses import dataclass

from bot.background import Background
from bot.chat.messages import ChannelKey, GenerationRecord, Turn, TurnState
from bot.chat.ports import History
from bot.errors import CaduceusError, StoreError

MOST_KEPT = 1_000  # replies; what is forgotten, the next start cuts as far as it was stored
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shown:
    """What people saw of a reply last, where that was not stored yet."""

    text: str
    message_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """A reply of which something was shown has ended."""

    turn: Turn
    state: TurnState
    record: GenerationRecord | None
    shown: Shown | None = None

    async def keep(self, history: History) -> Turn:
        """Store it."""
        shown = None if self.shown is None else (self.shown.text, self.shown.message_ids)
        return await history.finish_reply(self.turn.turn_id, self.state, self.record, shown=shown)


@dataclass(frozen=True, slots=True)
class Abandoned:
    """A reply of which nothing was shown has ended."""

    turn: Turn
    requeue: bool

    async def keep(self, history: History) -> None:
        """Store it."""
        await history.abandon_reply(self.turn.turn_id, requeue=self.requeue)


class Unfinished:
    """Tries again and again, for as long as anything is left."""

    def __init__(self, history: History) -> None:
        """The history in which the replies stand as running."""
        self._history = history
        self._ends: dict[int, Finished | Abandoned] = {}  # by turn, oldest first
        self._one_at_a_time = asyncio.Lock()
        self._storing = Background(
            "unfinished replies", lost="Ends of replies are no longer stored"
        )

    def __len__(self) -> int:
        return len(self._ends)

    def add(self, end: Finished | Abandoned) -> None:
        """Keep an end in mind until it is stored."""
        self._ends[end.turn.turn_id] = end
        if len(self._ends) > MOST_KEPT:
            forgotten = self._ends.pop(next(iter(self._ends)))
            _log.error("The end of turn %d is not stored: too many wait", forgotten.turn.turn_id)
        if not self._storing.is_on:
            self._storing.begin(self._try_again_and_again())

    async def store(self, channel: ChannelKey | None = None) -> bool:
        """Store what is left, of one channel alone if it is named. Whether nothing is left of it.

        Stops at the first one that cannot be stored.
        """
        if not self._of(channel):
            return True
        async with self._one_at_a_time:
            for end in self._of(channel):
                turn_id = end.turn.turn_id
                try:
                    await end.keep(self._history)
                except StoreError as error:
                    _log.debug("The end of turn %d still cannot be stored: %s", turn_id, error)
                    return False
                except CaduceusError as error:  # deleted meanwhile, as a rule
                    _log.info("The end of turn %d is not stored any more: %s", turn_id, error)
                else:
                    _log.info("The end of turn %d is stored now", turn_id)
                self._ends.pop(turn_id, None)
        return True

    def _of(self, channel: ChannelKey | None) -> list[Finished | Abandoned]:
        return [end for end in self._ends.values() if channel in (None, end.turn.channel)]

    async def close(self) -> None:
        """One last time."""
        await self._storing.end()
        if not await self.store():
            _log.error("The ends of %d replies could not be stored", len(self._ends))

    async def _try_again_and_again(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while self._ends:
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            await self.store()
