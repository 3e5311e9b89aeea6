"""Who may write now, and in which slot: the worker's fairness, for requests of the event loop."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from bot.engine.llamacpp.reading import Prompt, ReadingTurns, unread
from bot.engine.llamacpp.slots import SlotTable
from bot.engine.local.meter import Meter
from bot.engine.local.scheduler import Job, Scheduler
from bot.errors import EngineError


class Admission:
    """Lets requests in: users in turn, one a channel, as many as slots and room allow."""

    def __init__(self, slots: int, room_tokens: int, share_tokens: int) -> None:
        """`room_tokens` is what all conversations have together, `share_tokens` a prompt's turn."""
        self.slots = slots
        self._scheduler = Scheduler(rows=slots, room_tokens=room_tokens, chunk_tokens=0)
        self._table = SlotTable(slots)
        self._waiting: dict[int, asyncio.Future[int]] = {}
        self._running_since: dict[int, float] = {}
        self._held: dict[int, tuple[Sequence[int], int]] = {}  # a slot's prompt, and its reply
        self.turns = ReadingTurns(share_tokens)
        self.meter = Meter()

    @property
    def running(self) -> int:
        """How many write."""
        return len(self._running_since)

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._waiting)

    @property
    def expected_wait_seconds(self) -> float:
        """For a request that came now."""
        return self.meter.expected_wait(
            time.monotonic(),
            running_since=list(self._running_since.values()),
            waiting=self.waiting,
            rows=self.slots,
        )

    @asynccontextmanager
    async def place(self, job: Job) -> AsyncGenerator[int, None]:
        """Wait for the job's turn; its slot is its own within the context."""
        turn: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[job.number] = turn
        self._scheduler.add(job)
        self._admit()
        try:
            slot = await turn
            yield slot
        finally:
            self._leave(job.number, turn)

    def forget(self, room_tokens: int) -> None:
        """The slots are new, and empty; this is the room now."""
        self._scheduler.room_tokens = room_tokens
        self._table.forget()
        self._held.clear()

    def prompt(self, slot: int, tokens: Sequence[int]) -> Prompt:
        """A prompt that is to be read into a slot."""
        return Prompt(unread(tokens, *self._held.get(slot, ((), 0))))

    def hold(self, slot: int, tokens: Sequence[int], replied_tokens: int) -> None:
        """A slot has this prompt, or a part of it, and a reply."""
        self._held[slot] = tokens, replied_tokens

    def close(self, error: EngineError) -> None:
        """Whoever waits gets this error."""
        for turn in list(self._waiting.values()):
            if not turn.done():
                turn.set_exception(error)

    def _admit(self) -> None:
        while admitted := self._scheduler.admit():
            for job in admitted:
                turn = self._waiting.pop(job.number)
                if turn.done():  # whoever waited has given up, and is about to leave
                    self._scheduler.remove(job.number)
                    continue
                self._running_since[job.number] = time.monotonic()
                turn.set_result(self._table.take(job.channel))

    def _leave(self, number: int, turn: "asyncio.Future[int]") -> None:
        self._scheduler.remove(number)
        self._waiting.pop(number, None)
        self._running_since.pop(number, None)
        if turn.done() and not turn.cancelled() and turn.exception() is None:
            self._table.give_back(turn.result())
        self._admit()
