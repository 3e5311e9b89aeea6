"""How often one channel's messages may be written."""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

KEPT_PACERS = 256
SOON_SECONDS = 0.001  # less is not worth another sleep


@dataclass(frozen=True, slots=True)
class Pace:
    """The times of a reply on the screen, in seconds."""

    edit_seconds: float = 1.0  # between two edits in a channel
    first_text_seconds: float = 0.3  # gathered before the first message is sent
    busy_seconds: float = 10.0  # of waiting, expected or actual, before a line says so
    typing_seconds: float = 8.0  # Discord shows an indicator for ten
    retry_seconds: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 15.0)  # after failed writes


class EditPacer:
    """Hands out the moments at which a channel's messages may be written.

    Edits are at least `interval` apart, whoever makes them, and as far from the sending of a
    message; new messages are as far from each other. A claimed moment is taken: the content is
    decided when it has come, so that what happened meanwhile goes into one edit.
    """

    def __init__(self, interval: float, clock: Callable[[], float] | None = None) -> None:
        self._interval = interval
        self._clock = clock or (lambda: time.monotonic())
        self._next_edit = 0.0
        self._next_send = 0.0
        self._edited = self._sent = -math.inf  # when the newest of each really began

    def claim_edit(self) -> float:
        """Take the next moment for an edit; returns the seconds until it."""
        now = self._clock()
        moment = max(now, self._next_edit)
        self._next_edit = moment + self._interval
        return moment - now

    def claim_send(self) -> float:
        """Take the next moment for a new message; returns the seconds until it."""
        now = self._clock()
        moment = max(now, self._next_send)
        self._next_send = moment + self._interval
        self._next_edit = max(self._next_edit, moment + self._interval)
        return moment - now

    def wrote(self, *, edit: bool) -> None:
        """The write of a claimed moment begins only now: others had gone first."""
        self._edited = now = self._clock()
        self._next_edit = max(self._next_edit, now + self._interval)
        if not edit:
            self._sent = now
            self._next_send = max(self._next_send, now + self._interval)

    @property
    def is_idle(self) -> bool:
        """Whether forgetting this pacer would change nothing."""
        return max(self._next_edit, self._next_send) <= self._clock()

    async def turn(self, *, edit: bool) -> None:
        """Wait for the next moment; longer where the one before came late to its own."""
        delay = self.claim_edit() if edit else self.claim_send()
        while delay > SOON_SECONDS:
            await asyncio.sleep(delay)
            before = self._edited if edit else self._sent
            delay = before + self._interval - self._clock()
        self.wrote(edit=edit)


class Pacers:
    """One pacer a channel, forgotten when it no longer matters."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._pacers: dict[int, EditPacer] = {}

    def of(self, channel_id: int) -> EditPacer:
        """The pacer of a channel."""
        if len(self._pacers) > KEPT_PACERS:
            self._pacers = {key: p for key, p in self._pacers.items() if not p.is_idle}
        return self._pacers.setdefault(channel_id, EditPacer(self._interval))
