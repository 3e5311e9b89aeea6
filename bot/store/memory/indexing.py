"""Looks at the words of turns that are new or changed, a few at a time, beside all else."""

import asyncio
import logging
from collections.abc import Sequence

from bot.background import Background
from bot.chat.text.search_words import mark, search_words
from bot.errors import StoreError
from bot.store.connecting.binding import OnTransactions, reads, writes
from bot.store.memory import search as searching
from bot.store.memory.search import DueTurn

logger = logging.getLogger(__name__)

TURNS_A_STEP = 25
TURNS_A_REPAIR = 1_000
PAUSE_SECONDS = 0.05  # between steps: whoever comes meanwhile goes first
REST_SECONDS = 2.0  # between looks whether there is anything to do


class SqlSearch(OnTransactions):
    """What was said long ago: :class:`bot.chat.roleplay.memory.recall.TurnSearch`."""

    search = reads(searching.search)
    _due_turns = reads(searching.due_turns)
    _put_marks = writes(searching.put_marks)
    _repair = writes(searching.repair)

    async def index_some(self) -> bool:
        """Look at some turns' words. Whether there may be more."""
        due = await self._due_turns(TURNS_A_STEP)
        if due:
            await self._put_marks(await asyncio.to_thread(_marks_of, due))
        return len(due) == TURNS_A_STEP

    async def repair(self, after: int = 0) -> int | None:
        """Look for some turns that are missing in the index, or gone. Where to go on, or None."""
        return await self._repair(after, TURNS_A_REPAIR)

    async def index_all(self) -> None:
        """Look at all that is due."""
        while await self.index_some():
            pass


class Indexing:
    """A task that looks at the words of turns soon after they were said.

    After its start it looks once whether anything is missing.
    """

    def __init__(self, search: SqlSearch) -> None:
        """Nothing happens until :meth:`begin`."""
        self._search = search
        self._work = Background(
            "indexing words", lost="What is said is not found by words until the next start"
        )

    def begin(self) -> None:
        """Watch for what is due."""
        self._work.begin(self._go_on())

    async def close(self) -> None:
        """Stop; a step that is under way is done whole or not at all."""
        await self._work.end()

    async def _go_on(self) -> None:
        rest = REST_SECONDS
        looked_at: int | None = 0
        while True:
            await asyncio.sleep(rest)
            try:
                if looked_at is not None:
                    looked_at = await self._search.repair(looked_at)
                rest = PAUSE_SECONDS if await self._search.index_some() else REST_SECONDS
            except StoreError as error:  # locked, a full disk: another time
                rest = REST_SECONDS
                logger.debug("the words of what was said are looked at later: %s", error)


def _marks_of(due: Sequence[DueTurn]) -> dict[DueTurn, list[str]]:
    return {turn: [mark(word) for word in search_words(turn.text)] for turn in due}
