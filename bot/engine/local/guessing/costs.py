"""What a step takes, by its rows: measured as it runs, since no two machines are alike. Pure.

Rows are streams, and the guessed tokens that are checked beside them.
"""

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from statistics import median

SIZES = (1, 2, 3, 4, 6, 8, 12, 16)  # rows are told apart no finer than this
MOST_ROWS = SIZES[-1]
ENOUGH = 3  # steps, to believe what they took
KEPT = 9  # newest steps; their median is what counts
FORGOTTEN_AFTER = 2048  # steps of whatever size: talks grow, other programs come and go


@dataclass(slots=True)
class _Measured:
    seconds: deque[float] = field(default_factory=lambda: deque[float](maxlen=KEPT))
    at: int = 0  # in steps


class StepCosts:
    """Steps that only write, no prompts among them."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._steps = 0
        self._by_size: dict[tuple[int, int, bool], _Measured] = {}

    def add(self, streams: int, rows: int, seconds: float, *, ahead: bool) -> None:
        """A step took so long; `ahead`: the next one could be computed before it was asked for."""
        if rows > MOST_ROWS:
            return
        self._steps += 1
        key = streams, _size(rows), ahead
        measured = self._by_size.get(key)
        if measured is None or self._is_old(measured):
            measured = self._by_size[key] = _Measured()
        measured.seconds.append(seconds)
        measured.at = self._steps

    def plain(self, streams: int) -> float | None:
        """A step of one row a stream, with nothing in its way; None until it is known."""
        return self._seconds(streams, streams, ahead=True)

    def checking(self, streams: int, rows: int) -> float | None:
        """A step that may check guesses, `rows` in all.

        What was not measured is taken to cost no more than fewer rows do: so it is tried, and then
        it is known. None where not even the plain step is known.
        """
        known = self.plain(streams)
        if known is None:
            return None
        sizes = [size for size in SIZES if _size(streams) <= size <= _size(min(rows, MOST_ROWS))]
        for size in reversed(sizes):
            found = self._seconds(streams, size, ahead=False)
            if found is not None:
                return max(found, known)
        return known

    def _seconds(self, streams: int, rows: int, *, ahead: bool) -> float | None:
        measured = self._by_size.get((streams, _size(rows), ahead))
        if measured is None or len(measured.seconds) < ENOUGH or self._is_old(measured):
            return None
        return median(measured.seconds)

    def _is_old(self, measured: _Measured) -> bool:
        return self._steps - measured.at > FORGOTTEN_AFTER


def _size(rows: int) -> int:
    return SIZES[bisect_left(SIZES, rows)]
