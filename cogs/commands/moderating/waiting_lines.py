"""Lines that wait to be written in order: kept up to a bound, and counted beyond it."""

from collections import deque
from dataclasses import dataclass
from itertools import groupby

MESSAGE_CHARACTERS = 2000
MOST_LINES = 100  # of more, only their number is told


@dataclass(frozen=True, slots=True)
class Batch:
    """A message of lines, the first ones that wait."""

    text: str
    entries: int
    is_lines: bool  # else there are only numbers in it
    last: int = 0  # its last entry as told, where that is a number: it may grow meanwhile


class WaitingLines:
    """What is to be told, oldest first. A number stands for so many lines that are not kept."""

    def __init__(self) -> None:
        """Nothing waits at first."""
        self._entries: deque[str | int] = deque()

    @property
    def number(self) -> int:
        """How many lines wait, those that are only counted too."""
        return sum(entry if isinstance(entry, int) else 1 for entry in self._entries)

    @property
    def _kept(self) -> int:
        return sum(isinstance(entry, str) for entry in self._entries)

    def add(self, line: str) -> None:
        """One more."""
        if self._kept < MOST_LINES:
            self._entries.append(line)
        elif isinstance(last := self._entries[-1], int):
            self._entries[-1] = last + 1
        else:
            self._entries.append(1)

    def batch(self, before_restart: int = 0) -> Batch:
        """As many as one message has room for; a line that comes several times in a row, once.

        `before_restart` is a number of lines from before all of these.
        """
        said = [f"{_more(before_restart)} before a restart."] if before_restart else []
        length = sum(map(len, said))
        taken, is_lines, last = 0, False, 0
        for entry, run in groupby(self._entries):
            times = sum(1 for _ in run)
            line = entry if isinstance(entry, str) else f"{_more(entry)}."
            if times > 1:
                line = f"{line} ({times} times)"
            if said and length + 1 + len(line) > MESSAGE_CHARACTERS:
                break
            said.append(line)
            length += 1 + len(line)
            taken += times
            is_lines = is_lines or isinstance(entry, str)
            last = entry if isinstance(entry, int) else 0
        return Batch("\n".join(said)[:MESSAGE_CHARACTERS], taken, is_lines, last)

    def told(self, batch: Batch) -> None:
        """The newest batch is written. What was added to its last number since then waits on."""
        newest: str | int = 0
        for _ in range(batch.entries):
            newest = self._entries.popleft()
        if isinstance(newest, int) and newest > batch.last:
            self._entries.appendleft(newest - batch.last)

    def refused(self, batch: Batch) -> None:
        """The newest batch can never be written: only the number of its lines is told."""
        whole = self.number
        self.told(batch)
        number = whole - self.number
        if self._entries and isinstance(first := self._entries[0], int):
            self._entries[0] = first + number
        elif number:
            self._entries.appendleft(number)

    def clear(self) -> None:
        """Nobody is to be told any more."""
        self._entries.clear()


def _more(number: int) -> str:
    return f"… and {number:,} more line{'' if number == 1 else 's'}"
