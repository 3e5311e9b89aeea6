"""How fast a server has been lately."""

import time

from bot.engine.api import GenerationStatistics

AVERAGE_WEIGHT = 0.3  # of the newest value
WAIT_KNOWN_SECONDS = 60.0  # for so long, what was measured tells what to expect


class Pace:
    """Averages over the newest replies."""

    def __init__(self) -> None:
        self.tokens_per_second = 0.0  # of one reply
        self._first_token_seconds = 0.0
        self._measured_at = 0.0

    def take(self, statistics: GenerationStatistics) -> None:
        """A reply has ended."""
        self._measured_at = time.monotonic()
        self._first_token_seconds = _average(
            self._first_token_seconds, statistics.first_token_seconds
        )
        self.tokens_per_second = _average(self.tokens_per_second, statistics.tokens_per_second)

    @property
    def expected_wait_seconds(self) -> float:
        """Until the first word of a reply that is asked for now; 0 where nothing tells."""
        is_known = time.monotonic() - self._measured_at < WAIT_KNOWN_SECONDS
        return self._first_token_seconds if is_known else 0.0


def _average(old: float, new: float) -> float:
    return old + AVERAGE_WEIGHT * (new - old) if old else new
