"""What was measured lately: speed, and how long a new request would wait. Pure; times are given."""

import heapq
from collections import deque
from collections.abc import Sequence

WINDOW_SECONDS = 10.0  # of the speed
WEIGHT = 0.3  # of the newest value in a running average


class Meter:
    """Averages over the last requests, newer ones counting more."""

    def __init__(self) -> None:
        """Nothing is measured yet."""
        self._steps: deque[tuple[float, int]] = deque()
        self._service_seconds = 0.0  # from admission to the end
        self._first_seconds = 0.0  # from admission to the first token
        self.guessed_tokens = 0  # that were checked in a step, since the start
        self.accepted_tokens = 0  # of these, that were right

    def step(self, now: float, tokens: int) -> None:
        """A step has chosen this many tokens."""
        self._steps.append((now, tokens))
        while self._steps and self._steps[0][0] < now - WINDOW_SECONDS:
            self._steps.popleft()

    def guessed(self, tokens: int, accepted: int) -> None:
        """A step has checked so many guessed tokens; `accepted` of them were right."""
        self.guessed_tokens += tokens
        self.accepted_tokens += accepted

    def first_token(self, seconds: float) -> None:
        """A request got its first token, this long after it was admitted."""
        self._first_seconds = running_average(self._first_seconds, seconds)

    def served(self, seconds: float) -> None:
        """A request is done, this long after it was admitted."""
        self._service_seconds = running_average(self._service_seconds, seconds)

    def tokens_per_second(self, now: float) -> float:
        """All rows together, over the last seconds of work. 0 when there was none."""
        recent = [(at, tokens) for at, tokens in self._steps if at >= now - WINDOW_SECONDS]
        if len(recent) < 2 or recent[-1][0] <= recent[0][0]:
            return 0.0
        return sum(tokens for _, tokens in recent[1:]) / (recent[-1][0] - recent[0][0])

    def expected_wait(
        self, now: float, *, running_since: Sequence[float], waiting: int, rows: int
    ) -> float:
        """Seconds until a request made now would show its first text.

        Each request is taken to need what the last ones needed; 0 until one was measured.
        """
        if len(running_since) < rows and not waiting:
            return self._first_seconds
        # Where requests wait although rows are free, it is room that they wait for: then, too, one
        # has to end before the next can begin.
        free_at = [max(0.0, self._service_seconds - (now - since)) for since in running_since]
        free_at = free_at or [0.0]
        heapq.heapify(free_at)
        for _ in range(waiting):
            heapq.heapreplace(free_at, free_at[0] + self._service_seconds)
        return free_at[0] + self._first_seconds


def running_average(known: float, newest: float) -> float:
    """`known` moved towards the newest value; that value itself where nothing, 0, is known yet."""
    return known + WEIGHT * (newest - known) if known else newest
