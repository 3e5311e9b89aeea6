"""Frees the files of what was erased, bit by bit, while nobody wants anything of the database."""

import asyncio
import logging
import time

from bot.background import Background
from bot.errors import StoreError
from bot.store.connecting.transactions import Transactions
from bot.store.runs import Run

logger = logging.getLogger(__name__)

IDLE_SECONDS = 2.0  # without a write, before a step is made
PAUSE_SECONDS = 0.05  # between steps: whoever comes meanwhile goes first
REST_SECONDS = 1.0  # between looks whether there is anything to do


class Reclaiming:
    """A task that goes on from where the last run came to. Never before the first answer."""

    def __init__(self, transactions: Transactions, run: Run) -> None:
        """Nothing happens until :meth:`begin`."""
        self._transactions = transactions
        self._run = run
        self._work = Background(
            "reclaiming", lost="What is deleted stays in the files until the next start"
        )

    def begin(self) -> None:
        """Watch for idle moments."""
        self._work.begin(self._go_on())

    async def close(self) -> None:
        """Stop; a step that is under way is done whole."""
        await self._work.end()

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(REST_SECONDS)
            if not self._is_idle():
                continue
            try:
                await self._reclaim()
            except StoreError as error:  # locked, a full disk: another time
                logger.debug("traces of what was deleted stay for now: %s", error)

    async def _reclaim(self) -> None:
        began = time.monotonic()
        steps = 0
        while self._is_idle() and await self._transactions.reclaim():
            steps += 1
            await asyncio.sleep(PAUSE_SECONDS)
        if steps:
            seconds = time.monotonic() - began
            logger.debug("%d steps in %.1f s against traces of what was deleted", steps, seconds)

    def _is_idle(self) -> bool:
        run = self._run
        is_quiet = self._transactions.quiet_seconds() >= IDLE_SECONDS
        return run.has_answered and not run.writing and is_quiet
