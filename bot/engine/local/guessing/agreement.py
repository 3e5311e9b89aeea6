"""How often guesses come true in one talk, and how many tokens it is worth to guess. Pure.

Guesses are judged by the text as it comes, whether they were checked in a step or not: a talk in
which they have begun to come true is found without spending anything on it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.engine.local.guessing.costs import MOST_ROWS, StepCosts

GAIN = 1.10  # below it the steps stay plain
COUNTS = (1, 3, 7)  # how many tokens are guessed for each stream, at most
MOST_STREAMS = MOST_ROWS // (1 + COUNTS[0])
LEAST_CHANCE = 0.1  # of a token to be right, for it to be checked
NEWEST = 0.05  # the newest token's weight in a chance
FIRST_CHANCE = 0.5  # before anything is known
FIRST_FOUND = 0.5


@dataclass(slots=True)
class Agreement:
    """Shares between 0 and 1, newer tokens counting more."""

    chance: float = FIRST_CHANCE  # of a guessed token to be right, if those before it were
    found: float = FIRST_FOUND  # of steps for which there is a guess

    def looked(self, *, found: bool) -> None:
        """A guess was looked for."""
        self.found += NEWEST * (found - self.found)

    def compared(self, *, right: bool) -> None:
        """A guessed token, and what came in its place."""
        self.chance += NEWEST * (right - self.chance)

    def worth(self, count: int) -> int:
        """Of `count` guessed tokens, how many have any chance to be reached."""
        reached, chance = 0, self.chance
        while reached < count and chance >= LEAST_CHANCE:
            reached, chance = reached + 1, chance * self.chance
        return reached

    def accepted(self, count: int) -> float:
        """Tokens that a guess of `count` is expected to bring."""
        return sum(self.chance**n for n in range(1, count + 1))


def best_count(streams: Sequence[Agreement], costs: StepCosts) -> int:
    """How many tokens to guess for each stream; 0 where that gains too little, or is not known."""
    if not streams or len(streams) > MOST_STREAMS:
        return 0
    fitting = [count for count in COUNTS if len(streams) * (1 + count) <= MOST_ROWS]
    gains = {count: _gain(streams, count, costs) for count in fitting}
    best = max(gains, key=lambda count: gains[count])
    return best if gains[best] >= GAIN else 0


def _gain(streams: Sequence[Agreement], count: int, costs: StepCosts) -> float:
    """How many times as fast all streams together are, steps that have no guess among them."""
    running = len(streams)
    plain = costs.plain(running)
    if plain is None:
        return 0.0
    tokens, guessed, none_found = float(running), 0.0, 1.0
    for stream in streams:
        worth = stream.worth(count)
        if worth:
            tokens += stream.found * stream.accepted(worth)
            guessed += stream.found * worth
            none_found *= 1 - stream.found
    some_found = 1 - none_found
    if not some_found:
        return 0.0
    rows = running + round(guessed / some_found)
    checking, without = costs.checking(running, rows), costs.checking(running, running)
    if checking is None or without is None:
        return 0.0
    seconds = some_found * checking + none_found * without
    return tokens / running * (plain / seconds if seconds else 1.0)
