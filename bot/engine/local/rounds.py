"""When a channel will be asked for next, told from how it was asked before. Pure.

Talks go round: when several people write in turn, the one who wrote longest ago is the next to
write, and giving up its prefix first is the worst that can be done. So a channel that has come
back before is expected back after as many requests as it took then; one that has not, after as
many as the others take. Who is long overdue has probably gone.
"""

from collections import OrderedDict
from dataclasses import dataclass

REMEMBERED = 4096  # channels
OVERDUE = 2.0  # times its usual pause
SHARE_OF_NEW = 0.5  # of the newest pause, in what counts as usual


@dataclass(slots=True)
class _Visits:
    last: int
    pause: float | None = None  # in requests, usually


class Rounds:
    """Counts requests, and expects each channel after its usual number of them."""

    def __init__(self) -> None:
        """Nobody has come yet."""
        self._now = 0
        self._visits: OrderedDict[str, _Visits] = OrderedDict()
        self._pause_of_all: float | None = None

    def come(self, channel: str) -> None:
        """A channel asks."""
        visits = self._visits.get(channel)
        if visits is None:
            return
        pause = float(self._now - visits.last + 1)
        visits.pause = _mixed(visits.pause, pause)
        self._pause_of_all = _mixed(self._pause_of_all, pause)

    def go(self, channel: str) -> None:
        """A channel has its answer."""
        self._now += 1
        visits = self._visits.setdefault(channel, _Visits(self._now))
        visits.last = self._now
        self._visits.move_to_end(channel)
        while len(self._visits) > REMEMBERED:
            self._visits.popitem(last=False)

    def expected_after(self, channel: str) -> float:
        """In how many requests it is expected: more where it is long overdue or unknown."""
        visits = self._visits.get(channel)
        if visits is None:
            return float(self._now + 1)
        waited = float(self._now - visits.last + 1)
        pause = visits.pause or self._pause_of_all
        if pause is None or waited > OVERDUE * pause:
            return waited  # who has stayed away so long may stay away as long again
        return max(pause - waited, 0.0)


def _mixed(usual: float | None, newest: float) -> float:
    return newest if usual is None else usual + SHARE_OF_NEW * (newest - usual)
