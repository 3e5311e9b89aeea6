"""Patterns in texts, within a time: for one match, and for all of an activation together.

The time is the only thing here that depends on the machine, and only on how fast it is: it is
that of the processor, so a busy machine gives nothing up that another one would find. A pattern
that ran out of it is not tried again in the same activation.
"""

import time
import unicodedata
from collections.abc import Callable, Sequence
from itertools import accumulate

from bot.chat.personas.lore.patterns import (
    NotAPattern,
    RegexKey,
    TooCostly,
    compile_key,
    translate_key,
)

# As in SillyTavern, so that a pattern can tell who speaks: `/\x01{{user}}:[^\x01]*cat/`.
BEGINS = "\x01"
TOO_LONG = "it took too long"
NO_TIME = "no time was left for it"


class PatternText:
    """Texts as patterns see them: each begins with `\\x01` on a line of its own."""

    def __init__(self, segments: Sequence[str]) -> None:
        texts = [BEGINS + unicodedata.normalize("NFC", one.replace(BEGINS, "")) for one in segments]
        self.text = "\n".join(texts)
        self._ends = list(accumulate(len(one) + 1 for one in texts))

    def end(self, segments: int) -> int:
        """Where the first so many segments end."""
        if segments <= 0 or not self._ends:
            return 0
        return self._ends[min(segments, len(self._ends)) - 1] - 1


class Patterns:
    """Compiles and matches, and remembers what was given up and why."""

    def __init__(
        self,
        match_seconds: float,
        scan_seconds: float,
        clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self._match_seconds = match_seconds
        # Reading all patterns and matching them have a time each, or the last ones read would
        # leave none for matching the first.
        self._left_to_read = self._left = scan_seconds
        self._clock = clock
        self._taken: set[RegexKey] = set()
        self.given_up: dict[RegexKey, str] = {}

    def take(self, key: RegexKey) -> bool:
        """Read it. False where it is no pattern; one that is given up is noted, and True."""
        if key in self._taken or key in self.given_up:
            return True
        if self._left_to_read <= 0:
            self.given_up[key] = NO_TIME
            return True
        begun = self._clock()
        try:
            translate_key(key)
        except TooCostly as error:
            self.given_up[key] = str(error)
        except NotAPattern:
            return False
        finally:
            self._left_to_read -= self._clock() - begun
        self._taken.add(key)
        return True

    def search(self, key: RegexKey, text: str, end: int | None = None) -> bool:
        """Whether it matches somewhere before `end`. False, and noted, where it is given up."""
        if key in self.given_up:
            return False
        if self._left <= 0:
            self.given_up[key] = NO_TIME
            return False
        begun = self._clock()
        try:
            seconds = min(self._match_seconds, self._left)
            end = len(text) if end is None else end
            return compile_key(key).search(text, 0, end, timeout=seconds) is not None
        except TimeoutError:
            self.given_up[key] = TOO_LONG
        except NotAPattern as error:  # the translation is right, but not for `regex`
            self.given_up[key] = str(error)
        finally:
            self._left -= self._clock() - begun
        return False
