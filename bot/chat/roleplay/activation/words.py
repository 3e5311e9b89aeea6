"""Plain keys in plain text: found whole, in every script.

A word of a script that is written with spaces ends where its letters do. Where words stand without
spaces between (Chinese, Japanese, Thai and others; Korean, whose particles cling to words), nobody
can tell from the letters: such keys match anywhere. A match never ends inside of what is seen as
one character: «รัก» is not in «รัก์», nor «cafe» in «café». Several words are a plain substring, as
in SillyTavern, so that «dark lord» is in «dark lords».
"""

import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

import regex

KEY_CHARACTERS = 1_000  # a longer key is not looked for
MOST_WORK = 400_000_000  # characters looked through in one activation: about a second
_WORK_A_TRY = 200  # of that, for a place that turned out to be inside of a word
_GRAM = 3
_FEW = 200  # keys that are looked for one by one
_REMEMBERED = 40_000
_REMEMBERED_CHARACTERS = 60
_GAP = "\x01"
# In Turkish, both forms of I have a dot, or neither: «İ» is folded to i and a dot.
_DOTTED, _DOTLESS = ("i\u0307", "i"), ("\u0131", "i")

# Scripts that are written without spaces, and Korean.
_UNSPACED = "".join(
    rf"\p{{{script}}}"
    for script in (
        "Han", "Hiragana", "Katakana", "Bopomofo", "Hangul", "Thai", "Lao", "Khmer", "Myanmar",
        "Tibetan", "Yi", "Tai_Le", "New_Tai_Lue", "Tai_Tham", "Tai_Viet", "Javanese", "Balinese",
    )
)  # fmt: skip
_LETTER = rf"[[\p{{L}}\p{{N}}\p{{M}}\u200c\u200d]--[{_UNSPACED}]]"
_RUN = regex.compile(rf"{_LETTER}+(?:_+{_LETTER}+)*", regex.VERSION1)
_IS_LETTER = regex.compile(_LETTER, regex.VERSION1)
_GOES_ON = regex.compile(r"[\p{M}\u200d]")
# Shown as nothing: soft hyphen, zero width space and joiner, how an emoji is to look.
_UNSEEN = dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff\ufe0e\ufe0f"))


class Needle(NamedTuple):
    """A key as it is looked for. Equal ones are looked for once."""

    text: str
    case_sensitive: bool
    whole: bool
    is_run: bool  # one word of a script with spaces: found among the text's words


def needle(key: str, *, case_sensitive: bool, whole_words: bool) -> Needle | None:
    """What to look for; None for a key that is blank or too long."""
    if len(key) > KEY_CHARACTERS:
        return None
    make = _remembered_needle if len(key) <= _REMEMBERED_CHARACTERS else _needle
    return make(key, case_sensitive, whole_words)


def _needle(key: str, case_sensitive: bool, whole_words: bool) -> Needle | None:
    text = normalized(key, case_sensitive=case_sensitive)
    if not text:
        return None
    whole = whole_words and " " not in text
    return Needle(text, case_sensitive, whole, whole and _RUN.fullmatch(text) is not None)


_remembered_needle = lru_cache(_REMEMBERED)(_needle)  # a book's keys come again with each reply


def normalized(text: str, *, case_sensitive: bool) -> str:
    """`text` as it is compared: composed, blanks as one space, nothing unseen; perhaps folded."""
    text = unicodedata.normalize("NFC", text).translate(_UNSEEN)
    if not case_sensitive:
        text = unicodedata.normalize("NFC", text.casefold()).replace(*_DOTTED).replace(*_DOTLESS)
    return " ".join(text.split()).replace(_GAP, "")


class Haystack:
    """Texts in which keys are looked for. None of them runs over into the next."""

    def __init__(self, segments: Sequence[str]) -> None:
        self._segments = segments
        self._forms: dict[bool, tuple[str, list[int]]] = {}

    def form(self, *, case_sensitive: bool) -> tuple[str, list[int]]:
        """All as one text, and where each segment ends in it."""
        if case_sensitive not in self._forms:
            texts = [normalized(one, case_sensitive=case_sensitive) for one in self._segments]
            ends = list(accumulate(len(text) + len(_GAP) for text in texts))
            self._forms[case_sensitive] = _GAP.join((*texts, "")), ends
        return self._forms[case_sensitive]


class Finder:
    """Looks for many keys at once. Work is bounded over all that one finder does."""

    def __init__(self, needles: Iterable[Needle], most_work: int = MOST_WORK) -> None:
        self._work = most_work
        self._runs: dict[tuple[bool, str], Needle] = {}
        self._others: dict[bool, dict[str, list[Needle]]] = {}
        self._counts: dict[bool, int] = {}
        for one in dict.fromkeys(needles):
            if one.is_run:
                self._runs[one.case_sensitive, one.text] = one
            else:
                grams = self._others.setdefault(one.case_sensitive, {})
                grams.setdefault(one.text[:_GRAM], []).append(one)
                self._counts[one.case_sensitive] = self._counts.get(one.case_sensitive, 0) + 1
        self._run_forms = {case for case, _ in self._runs}
        self.given_up: set[Needle] = set()  # keys that were not looked for any more

    def find(self, haystack: Haystack) -> dict[Needle, int]:
        """The keys that are there, each with the first segment that has it."""
        found: dict[Needle, int] = {}
        for case in self._run_forms:
            text, ends = haystack.form(case_sensitive=case)
            for run in _RUN.finditer(text):
                one = self._runs.get((case, run[0]))
                if one is not None and one not in found:
                    found[one] = bisect_right(ends, run.start())
        for case in self._others:
            text, ends = haystack.form(case_sensitive=case)
            for one in self._likely(case, text):
                at = self._first(one, text)
                if at is not None:
                    found[one] = bisect_right(ends, at)
        return found

    def _likely(self, case: bool, text: str) -> Iterator[Needle]:
        """Those whose beginning is in the text."""
        grams = self._others[case]
        if self._counts[case] <= _FEW:
            for ones in grams.values():
                yield from ones
            return
        there = {text[at : at + _GRAM] for at in range(len(text))}
        short = {gram[:size] for gram in there for size in (1, 2)}
        # In one order: what is left undone when the work is over is then always the same.
        for gram in grams:
            if gram in there or gram in short:
                yield from sorted(grams[gram])

    def _first(self, one: Needle, text: str) -> int | None:
        at = -1
        while True:
            if self._work < 0:
                self.given_up.add(one)
                return None
            begin = at + 1
            at = text.find(one.text, begin)
            self._work -= (len(text) if at < 0 else at) - begin + _WORK_A_TRY
            if at < 0:
                return None
            if not one.whole or is_whole(text, at, at + len(one.text)):
                return at


def is_whole(text: str, start: int, end: int) -> bool:
    """Whether what stands there is neither a part of a word nor of a character."""
    after = text[end : end + 1]
    if after and _GOES_ON.match(after):
        return False
    return not (
        (_letter_before(text, start) and _is_letter(text[start]))
        or (_letter_after(text, end) and _is_letter(text[end - 1]))
    )


def _letter_before(text: str, at: int) -> bool:
    """Whether a letter precedes, perhaps with underscores between: `_dragon_` is a whole word."""
    while at > 0 and text[at - 1] == "_":
        at -= 1
    return at > 0 and _is_letter(text[at - 1])


def _letter_after(text: str, at: int) -> bool:
    while at < len(text) and text[at] == "_":
        at += 1
    return at < len(text) and _is_letter(text[at])


@lru_cache(4096)
def _is_letter(character: str) -> bool:
    return _IS_LETTER.match(character) is not None
