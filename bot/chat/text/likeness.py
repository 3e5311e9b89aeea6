"""How much alike two replies are, in any script, told while one of them still arrives.

Compared are the letters and digits alone, folded, by the runs of three that both texts hold: what
is moved, added or left out counts for its length, and each letter is looked at once.
"""

import unicodedata
from collections import Counter

from bot.chat.text.guard import fold

READ_UNITS = 600  # of a text: whoever says so much again says it again
NEARLY = 0.85  # shared runs, of all: from here on two texts are nearly equal
APART = 0.7  # below it, a beginning is another text's
SHORT_UNITS = 24  # a shorter text may well come again: «Yes.», «Good night!»
_RUN = 3
_WIDE = 2  # units of a sign that says as much as a syllable


def compared(text: str) -> str:
    """What of a text is compared: its letters and digits, of which each accent is one's own."""
    return "".join(character for character in fold(text) if _counts(character))


def units(text: str) -> int:
    """The length of a compared text: a syllable's sign counts as two letters."""
    return sum(map(_width, text))


def beginning(text: str, most: int = READ_UNITS) -> str:
    """As much of a compared text as has `most` units."""
    if len(text) * _WIDE <= most:
        return text
    length = 0
    for at, character in enumerate(text):
        length += _width(character)
        if length > most:
            return text[:at]
    return text


class Earlier:
    """A text that was there before, for comparing others with."""

    def __init__(self, text: str) -> None:
        """Its first :data:`READ_UNITS` count."""
        self.text = beginning(compared(text))
        self.units = units(self.text)
        self.runs = Counter(_runs(self.text))
        self.numbers = numbers(text)


class Likeness:
    """Compares a text that arrives in pieces with one that was there before."""

    def __init__(self, earlier: Earlier) -> None:
        self.earlier = earlier
        self._left = Counter(earlier.runs)  # what nothing of the new text was found for yet
        self._before = ""  # the last two characters
        self._text: list[str] = []
        self._count = self._shared = 0

    def feed(self, part: str) -> None:
        """Take what comes next, as :func:`compared` gives it."""
        self._text.append(part)
        text = self._before + part
        for run in _runs(text):
            self._count += 1
            if self._left[run] > 0:
                self._left[run] -= 1
                self._shared += 1
        self._before = text[-_RUN + 1 :]

    @property
    def of_beginning(self) -> float:
        """How much of the new text is the earlier one's, 0 to 1."""
        return self._shared / self._count if self._count else 1.0

    @property
    def of_whole(self) -> float:
        """How much of both texts is in both, 0 to 1."""
        total = self._count + self.earlier.runs.total()
        return 2 * self._shared / total if total else 1.0

    @property
    def is_equal(self) -> bool:
        """Whether both are the same but for what isn't compared."""
        return "".join(self._text) == self.earlier.text


def are_nearly_equal(text: str, earlier: str) -> bool:
    """Whether one of two whole texts says nearly the same as the other, figures and all."""
    likeness = Likeness(Earlier(earlier))
    likeness.feed(beginning(compared(text)))
    return likeness.of_whole >= NEARLY and numbers(text) == likeness.earlier.numbers


def numbers(text: str) -> tuple[str, ...]:
    """The figures in a text: one that differs in nothing else still says something else."""
    parts = "".join(sign if sign.isdecimal() else " " for sign in text)
    return tuple(parts.split())


def _counts(character: str) -> bool:
    category = unicodedata.category(character)
    # Signs too (emoji): a reply may well consist of nothing else.
    return category[0] in "LN" or category in ("Mc", "So")


def _width(character: str) -> int:
    return _WIDE if unicodedata.east_asian_width(character) in "WF" else 1


def _runs(text: str) -> list[str]:
    return [text[at : at + _RUN] for at in range(len(text) - _RUN + 1)]
