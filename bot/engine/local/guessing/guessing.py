"""Guessing ahead for the running batch: what to guess in a step, and whether it is worth it. Pure.

A position's token depends on its logits, the seed and the position. So a step may compute some
positions at once, the tokens between them guessed, draw at each as always, and keep what agrees:
the reply is the one that single steps would have written.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bot.engine.local.guessing.agreement import COUNTS, MOST_STREAMS, Agreement, best_count
from bot.engine.local.guessing.costs import StepCosts
from bot.engine.local.guessing.lookup import Lookup

OTHERS = 0.2  # a talk's weight, once it is over, in what the next ones begin with


@dataclass(frozen=True, slots=True)
class Stream:
    """A reply that is to get its next token. `tokens` are prompt and reply, and only grow."""

    number: int
    tokens: Sequence[int]
    most: int  # tokens that may be guessed: more would go beyond its end


@dataclass(slots=True)
class _Followed:
    agreement: Agreement
    earlier: Sequence[int] = ()
    lookup: Lookup | None = None  # made when it is first needed, after the reply's first token
    known: int = 0  # tokens that it has
    guess: tuple[int, ...] = ()
    right: int = 0  # tokens of the guess that have come


@dataclass(slots=True)
class Guessing:
    """Follows the replies that run. `most` is what the runner takes for a slot; 0: it is off."""

    most: int
    costs: StepCosts = field(default_factory=StepCosts)
    is_on: bool = False  # whether the next steps may have guesses
    checks: bool = False  # whether this one may: there are no prompts in it
    _followed: dict[int, _Followed] = field(default_factory=dict[int, _Followed])
    _usual: Agreement = field(default_factory=Agreement)
    _rows: int = 0
    _running: tuple[int, ...] = ()
    _last: tuple[tuple[int, ...], bool, float] | None = None  # who ran, plainly or not, until when

    def begin(self, number: int, earlier: Sequence[int] = ()) -> None:
        """A request was admitted (perhaps again); `earlier` is text that it may repeat."""
        if self.most and number not in self._followed:
            usual = Agreement(self._usual.chance, self._usual.found)
            self._followed[number] = _Followed(usual, earlier)

    def forget(self, number: int) -> None:
        """A request is over. Unknown numbers are no error."""
        followed = self._followed.pop(number, None)
        if followed is not None and followed.lookup is not None:
            usual, mine = self._usual, followed.agreement
            usual.chance += OTHERS * (mine.chance - usual.chance)
            usual.found += OTHERS * (mine.found - usual.found)

    def guesses(self, streams: Sequence[Stream]) -> dict[int, tuple[int, ...]]:
        """What to check for the streams of a step that has no prompts; see `is_on` after it.

        The steps before this one told, for each stream, how guesses fare. Beyond some streams there
        is nothing to gain, and nothing is looked at.
        """
        was_on, self.is_on, self.checks = self.is_on, False, False
        self._running, self._rows = tuple(stream.number for stream in streams), len(streams)
        if not self.most or not streams or len(streams) > MOST_STREAMS:
            return {}
        followed = [self._follow(stream, anew=was_on) for stream in streams]
        count = best_count([one.agreement for one in followed], self.costs)
        if not count:
            return {}
        self.is_on = self.checks = True
        found: dict[int, tuple[int, ...]] = {}
        for stream, one in zip(streams, followed, strict=True):
            worth = one.agreement.worth(min(count, stream.most, self.most))
            # A guess that is half over is looked up anew with the next step.
            if tokens := one.guess[one.right :][:worth]:
                found[stream.number] = tokens
                self._rows += len(tokens)
        return found

    def interrupt(self) -> None:
        """A step has prompts in it, and is not measured; those that write go on as they did."""
        self._running, self._last, self.checks = (), None, False

    def done(self, now: float) -> None:
        """The step is over. It took as long as it is since the same streams' last one was over."""
        if not self._running:
            return
        if self._last is not None and self._last[:2] == (self._running, self.is_on):
            seconds = now - self._last[2]
            self.costs.add(len(self._running), self._rows, seconds, ahead=not self.is_on)
        self._last = self._running, self.is_on, now

    def _follow(self, stream: Stream, *, anew: bool) -> _Followed:
        followed = self._followed[stream.number]
        if followed.lookup is None:
            followed.lookup = Lookup(stream.tokens, followed.earlier)
            followed.earlier, followed.known = (), len(stream.tokens)
        for at in range(followed.known, len(stream.tokens)):
            token = stream.tokens[at]
            followed.lookup.add(token)
            if followed.right < len(followed.guess):
                right = token == followed.guess[followed.right]
                followed.agreement.compared(right=right)
                followed.right += 1
                if not right:
                    followed.guess, followed.right = (), 0
        followed.known = len(stream.tokens)
        if anew or followed.right == len(followed.guess):
            followed.guess = followed.lookup.guess(min(self.most, COUNTS[-1])).tokens
            followed.right = 0
            followed.agreement.looked(found=bool(followed.guess))
        return followed
