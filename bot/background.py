"""Work that goes on beside all else, for as long as its owner lives."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

_log = logging.getLogger(__name__)


class Background:
    """One task of somebody's: they begin it and end it. It never ends in silence.

    Nobody awaits it, so a fault of ours in it is told in the log; what is expected to fail now and
    then is the work's own to handle.
    """

    def __init__(self, name: str, *, lost: str) -> None:
        """`lost` says in the log what nobody does any more where it fails."""
        self._name = name
        self._lost = lost
        self._task: asyncio.Task[None] | None = None

    @property
    def is_on(self) -> bool:
        """Whether it was begun, and has neither come to its end nor been ended."""
        return self._task is not None and not self._task.done()

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Do `work` from now on; once at a time."""
        if self.is_on:
            work.close()
            raise RuntimeError(f"{self._name} goes on already")
        self._task = asyncio.create_task(work, name=self._name)
        self._task.add_done_callback(self._tell_of_fault)

    async def end(self) -> None:
        """Break it off where it waits, and return once it is over. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            await end(task)

    def _tell_of_fault(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (fault := task.exception()) is not None:
            _log.error("%s", self._lost, exc_info=fault)


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for its end; what it raises was for whoever awaited it."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()
