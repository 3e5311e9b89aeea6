"""Sliding windows: how often something happened within any minute, for very many at once."""

from bisect import bisect_right
from collections import OrderedDict
from datetime import datetime

WINDOW_SECONDS = 60.0
KEPT_SECONDS = 2 * WINDOW_SECONDS  # what is asked for may come a little late
MOST_KEYS = 50_000


class Windows:
    """Counts by key. What nothing happened to for two minutes is forgotten.

    Of more than `most` keys, those that were counted longest ago go first.
    """

    def __init__(self, most: int = MOST_KEYS) -> None:
        """Nothing was counted yet."""
        self._most = most
        self._times: OrderedDict[str, list[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._times)

    def has_room(self, key: str, limit: int, at: datetime) -> bool:
        """Whether one more at that moment leaves `limit` at most within any minute."""
        if limit < 1:
            return False
        times = self._times.get(key, [])
        moment = at.timestamp()
        place = bisect_right(times, moment)
        # Each run of `limit` + 1 that it would be part of, by its first one's place.
        last = min(place, len(times) - limit)
        for first in range(max(0, place - limit), last + 1):
            start = times[first] if first < place else moment
            end_place = first + limit
            end = moment if end_place == place else times[end_place - (end_place > place)]
            if end - start < WINDOW_SECONDS:
                return False
        return True

    def count(self, key: str, at: datetime) -> None:
        """It happened then."""
        times = self._times.setdefault(key, [])
        moment = at.timestamp()
        times.insert(bisect_right(times, moment), moment)
        forgotten = bisect_right(times, times[-1] - KEPT_SECONDS)
        del times[:forgotten]
        self._times.move_to_end(key)
        self._forget(moment)

    def _forget(self, now: float) -> None:
        while self._times:
            key, times = next(iter(self._times.items()))
            if len(self._times) <= self._most and times[-1] > now - KEPT_SECONDS:
                return
            del self._times[key]
