"""Finds regular expressions in a text that arrives in pieces, within bounds.

From each place, a pattern is matched with the text of a window and nothing beyond it. What is
found depends on the text alone, not on its cuts, and no text has to be held back for longer than
that. Whether more text may change the outcome, `regex` tells: a twin of the pattern that can never
match whole matches in part exactly where it has run into the end of what there is.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import regex

from bot.chat.text.forbidden.finding import Found
from bot.chat.text.forbidden.letters import MARKUP, letters

WINDOW_CHARACTERS = 200
# Of the processor, for one piece of text. What runs out of it counts as found: whoever makes a
# pattern slow must not get round it.
PIECE_SECONDS = 0.05
LEAST_SECONDS = 1e-6
SPARE = 1.2

MatchOrNone: TypeAlias = "regex.Match[str] | None"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern, made ready once for many texts."""

    entry: int
    whole: "regex.Pattern[str]"
    never: "regex.Pattern[str]"

    @classmethod
    def of(cls, entry: int, source: str, flags: int = regex.IGNORECASE) -> "Pattern":
        """From what `regex` reads. Raises what that raises."""
        flags |= regex.VERSION0
        return cls(
            entry,
            regex.compile(source, flags, cache_pattern=False),
            regex.compile(f"(?:{source})(?!)", flags, cache_pattern=False),
        )


class PatternFinder:
    """Finds some patterns in one text."""

    def __init__(
        self,
        patterns: Sequence[Pattern],
        *,
        window: int = WINDOW_CHARACTERS,
        seconds: float = PIECE_SECONDS,
        clock: Callable[[], float] = time.thread_time,
    ) -> None:
        """Nothing read yet."""
        self._patterns = patterns
        self._window = window
        self._seconds = seconds
        self._clock = clock
        self._text = ""
        self._settled = [0] * len(patterns)
        self.out_of_time = False  # a pattern was given up on, and counts as found

    @property
    def settled(self) -> int:
        """See :class:`Finder`."""
        return min(self._settled, default=len(self._text))

    def feed(self, text: str) -> Sequence[Found]:
        """See :class:`Finder`."""
        self._text += text
        return self._scan(is_end=False)

    def end(self) -> Sequence[Found]:
        """See :class:`Finder`."""
        return self._scan(is_end=True)

    def _scan(self, *, is_end: bool) -> list[Found]:
        found: list[Found] = []
        until = self._clock() + self._seconds
        for place, pattern in enumerate(self._patterns):
            try:
                self._scan_for(place, pattern, found, until, is_end=is_end)
            except TimeoutError:
                self.out_of_time = True
                size = len(self._text)
                found.append(Found(self._settled[place], size, pattern.entry))
                self._settled[place] = size
        return found

    def _scan_for(
        self, place: int, pattern: Pattern, found: list[Found], until: float, *, is_end: bool
    ) -> None:
        text, size, start = self._text, len(self._text), self._settled[place]
        while start < size:
            self._settled[place] = start
            limit = min(start + self._window, size)
            open_from = limit
            if not (is_end and limit == size):
                never = partial(pattern.never.search, text, start, limit, partial=True)
                ran_out = self._in_time(never, until)
                open_from = limit if ran_out is None else ran_out.start()
            match = self._in_time(partial(pattern.whole.search, text, start, limit), until)
            if match is not None and match.start() >= open_from:
                match = None
            if match is not None and match.end() == limit == size and not is_end:
                match, open_from = None, match.start()  # `$` holds at any end, for the twin too
            if match is None and open_from == start:
                if limit < start + self._window:
                    break  # more text may tell
                match = self._in_time(partial(pattern.whole.match, text, start, limit), until)
                open_from = start + 1
            if match is None:
                start = open_from
            elif match.end() == match.start():
                start = match.start() + 1
            else:
                found.append(Found(match.start(), match.end(), pattern.entry))
                start = match.end()
        self._settled[place] = start

    def _in_time(self, search: Callable[..., MatchOrNone], until: float) -> MatchOrNone:
        """Search, for so long as there is time. Raises TimeoutError.

        `regex` counts what every thread of the process takes, as of an engine beside it; here only
        this one's counts.
        """
        share = 1.0
        while (left := until - self._clock()) > 0:
            own, all_threads = self._clock(), time.process_time()
            try:
                return search(timeout=left * share)
            except TimeoutError:
                spent = max(self._clock() - own, LEAST_SECONDS)
                share = SPARE * max(1.0, (time.process_time() - all_threads) / spent)
        raise TimeoutError


class FoldedPatternFinder:
    """Finds patterns in a text as it looks: see :mod:`bot.chat.text.forbidden.letters`."""

    def __init__(self, patterns: Sequence[Pattern], *, window: int = WINDOW_CHARACTERS) -> None:
        """`window` counts the letters that the text is compared as, backslashes among them."""
        self._finder = PatternFinder(patterns, window=window)
        self._places: list[int] = []  # of each letter
        self._at = 0

    @property
    def settled(self) -> int:
        """See :class:`Finder`."""
        settled = self._finder.settled
        return self._places[settled] if settled < len(self._places) else self._at

    def feed(self, text: str) -> Sequence[Found]:
        """See :class:`Finder`."""
        seen: list[str] = []
        for character in text:
            if character == "\\" or character not in MARKUP:
                compared = letters[character]
                seen.append(compared)
                self._places += [self._at] * len(compared)
            self._at += 1
        return self._placed(self._finder.feed("".join(seen)))

    def end(self) -> Sequence[Found]:
        """See :class:`Finder`."""
        return self._placed(self._finder.end())

    def _placed(self, found: Sequence[Found]) -> list[Found]:
        return [
            Found(self._places[one.start], self._places[one.end - 1] + 1, one.entry)
            for one in found
        ]
