"""Finds words and phrases, as whole words, however they are disguised.

Whatever the case; look-alike letters count as the letters that they look like; accents, characters
that show nothing and Markdown's signs inside a word don't count; between words of a phrase any
blanks may stand, and what makes a line a quotation, heading or item. In scripts without spaces
between words, and after Korean ones, whose particles cling to them, a word may end anywhere.
"""

import re
from collections.abc import Sequence
from typing import Final

from bot.chat.text.forbidden.finding import Found
from bot.chat.text.forbidden.letters import FILLERS, LINE_MARKS, MARKUP, letters
from bot.chat.text.words import are_apart

_HANGUL = re.compile("[\u1100-\u11ff]")  # taken apart into their letters
_BLANKS = re.compile(" +")
_IN_WORDS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")  # nearly every letter there is


def spelled(word: str) -> str:
    """A word or phrase as it is looked for; "" where nothing of it is seen."""
    compared = _BLANKS.sub(" ", "".join(letters[character] for character in word)).strip()
    return "" if set(compared) <= MARKUP | {" "} else compared


class _Node:
    """A beginning of words: what may come next, and whose words it is itself."""

    __slots__ = ("entries", "following")

    def __init__(self) -> None:
        self.following: dict[str, _Node] = {}
        self.entries: list[int] = []


class PlainWords:
    """What is looked for, made ready once for many texts."""

    def __init__(self, words: Sequence[tuple[int, str]]) -> None:
        """Entries' numbers, and the words or phrases as people wrote them."""
        self.root: Final = _Node()
        for entry, word in words:
            node = self.root
            for letter in spelled(word):
                node = node.following.setdefault(letter, _Node())
            if node is not self.root:
                node.entries.append(entry)

    def __bool__(self) -> bool:
        return bool(self.root.following)


class _Beginning:
    """A place from which on the text may be one of the words."""

    __slots__ = ("end", "node", "start")

    def __init__(self, start: int, node: _Node) -> None:
        self.start = start
        self.node = node
        self.end = start + 1


class PlainFinder:
    """Finds :class:`PlainWords` in one text."""

    def __init__(self, words: PlainWords) -> None:
        """Nothing read yet."""
        self._first = words.root.following
        self._beginnings: list[_Beginning] = []  # in the order of their places
        self._at = 0
        self._last = ""  # the letter before, markup left out
        self._begins_line = True  # blanks and marks alone since then

    @property
    def settled(self) -> int:
        """See :class:`Finder`."""
        return self._beginnings[0].start if self._beginnings else self._at

    def feed(self, text: str) -> Sequence[Found]:
        """See :class:`Finder`."""
        found: list[Found] = []
        first = self._first
        for character in text:
            compared = letters[character]
            if not self._beginnings and compared in _IN_WORDS and self._last in _IN_WORDS:
                self._last = compared
                self._at += 1
                continue
            if not compared:
                if character in FILLERS:
                    found += self._go_on_blank()
                for beginning in self._beginnings:  # an accent belongs to its letter
                    beginning.end += beginning.end == self._at
            is_mark = self._begins_line and character in LINE_MARKS
            for place, letter in enumerate(compared):
                if self._beginnings:
                    self._go_on(letter, is_inside=place > 0, is_mark=is_mark, found=found)
                if letter in first and are_apart(self._last, letter):
                    self._beginnings.append(_Beginning(self._at, first[letter]))
                if letter not in MARKUP and not is_mark:
                    self._last = letter
            if compared and not is_mark:
                self._begins_line = character == "\n" or (self._begins_line and compared == " ")
            self._at += 1
        return found

    def end(self) -> Sequence[Found]:
        """See :class:`Finder`."""
        whole = [
            Found(one.start, one.end, entry)
            for one in self._beginnings
            for entry in one.node.entries
        ]
        self._beginnings.clear()
        return whole

    def _go_on(self, letter: str, *, is_inside: bool, is_mark: bool, found: list[Found]) -> None:
        """`is_inside`: the letter is not the first one that its character is compared as."""
        still: list[_Beginning] = []
        for one in self._beginnings:
            following = one.node.following.get(letter)
            if following is None and letter in MARKUP:
                still.append(one)
                continue
            if one.node.entries and not is_inside and self._may_end_before(letter):
                found += [Found(one.start, one.end, entry) for entry in one.node.entries]
            if following is not None:
                one.node, one.end = following, self._at + 1
                still.append(one)
            elif self._last == " " and (letter == " " or is_mark):  # any number of blanks
                still.append(one)
        self._beginnings = still

    def _go_on_blank(self) -> Sequence[Found]:
        """What may be a blank has come: whatever goes on without it may also go on with it."""
        found = [
            Found(one.start, one.end, entry)
            for one in self._beginnings
            for entry in one.node.entries
        ]
        there = {(one.start, one.node) for one in self._beginnings}  # else a row of blanks piles up
        parted: list[_Beginning] = []
        for one in self._beginnings:
            parted.append(one)
            following = one.node.following.get(" ")
            if following is not None and (one.start, following) not in there:
                parted.append(_Beginning(one.start, following))
                parted[-1].end = self._at + 1
        self._beginnings = parted
        self._last = " "
        return found

    def _may_end_before(self, letter: str) -> bool:
        if self._last in _IN_WORDS and letter in _IN_WORDS:
            return False
        return are_apart(self._last, letter) or _HANGUL.match(self._last) is not None
