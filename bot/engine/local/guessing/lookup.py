"""How a text may go on: as it did the last time that its end stood in it. Pure.

Prompt lookup decoding: the longest stretch at the text's end that stands somewhere before it, too,
is looked up, and what followed there is the guess (https://github.com/apoorvumang/prompt-lookup-decoding).
Names, quotations, lists and turns of phrase come back in a talk; a guess costs no second model.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

SHORTEST = 2  # tokens that must agree; one alone says too little
LONGEST = 16  # more than these are not compared
PLACES = 16  # the newest places looked at: a bound on the time that a guess takes
NEWEST_TOKENS = 16_384  # of a longer text, what is looked at
NOTHING = -1  # no token: parts texts, and ends a chain of places


@dataclass(frozen=True, slots=True)
class Guess:
    """What may follow, and how many tokens before it agree with the place that it is from."""

    tokens: tuple[int, ...]
    agreeing: int


NO_GUESS = Guess((), 0)


class Lookup:
    """A text that grows, with its pairs of tokens indexed: some 150 bytes a token at most."""

    def __init__(self, text: Sequence[int], earlier: Sequence[int] = ()) -> None:
        """`earlier` is another text that may be repeated, such as a reply that was discarded."""
        self._tokens = array("i")
        self._before = array("i")  # by place: where the same pair ended before
        self._newest: dict[int, int] = {}  # by pair: where it ended last
        for part in (earlier, (NOTHING,) if earlier else (), text):
            for token in part[-NEWEST_TOKENS:]:
                self.add(token)

    def add(self, token: int) -> None:
        """The text goes on. In constant time."""
        tokens, place = self._tokens, len(self._tokens)
        tokens.append(token)
        if place < SHORTEST - 1 or token == NOTHING or tokens[-SHORTEST] == NOTHING:
            self._before.append(NOTHING)
            return
        pair = tokens[-SHORTEST] << 32 | token
        self._before.append(self._newest.get(pair, NOTHING))
        self._newest[pair] = place

    def guess(self, most: int) -> Guess:
        """Up to `most` tokens that may follow.

        From where the most tokens agree, of several such places the newest. A guess that reaches
        the text's end goes on with itself: what comes around comes around again. In time that is
        bounded by `PLACES`, `LONGEST` and `most`.
        """
        if most < 1 or not self._tokens:
            return NO_GUESS
        place, best, agreeing = self._before[-1], NOTHING, 0
        for _ in range(PLACES):
            if place == NOTHING:
                break
            length = self._agreeing(place)
            if length > agreeing:
                best, agreeing = place, length
            if agreeing == LONGEST:
                break
            place = self._before[place]
        if best == NOTHING:
            return NO_GUESS
        end, found = len(self._tokens), list[int]()
        for at in range(best + 1, best + 1 + most):
            token = self._tokens[at] if at < end else found[at - end]
            if token == NOTHING:
                break
            found.append(token)
        return Guess(tuple(found), agreeing) if found else NO_GUESS

    def _agreeing(self, place: int) -> int:
        """How many tokens up to `place` are those at the text's end."""
        tokens, last = self._tokens, len(self._tokens) - 1
        most = min(LONGEST, place + 1)
        length = SHORTEST  # by the index
        while length < most and tokens[place - length] == tokens[last - length]:
            length += 1
        return length
