"""Cuts a reply that has begun to say the same thing over and over, in its second round.

A loop is one stretch of text repeated at once and without a change but case and blanks. How often
it must come depends on its length, so that a song's refrain, «no no no» and laughter stay:

| repeated stretch | it is a loop when it has come |
|---|---|
| under 12 characters | for 1,000 characters; then 100 of them stay |
| 12 to 59 | 6 times, and for 160 characters |
| 60 to 199 | 4 times |
| 200 and more | twice, and 100 characters of a third time |
| under 60, of words without any mark | for 3,000 characters, or 1,500 at the text's end |
| in code, tables, lists and pictures made of signs | 12 times, and for 1,200 characters |

From its third round on it is held back until that is decided, so that people see two rounds of it.
"""

from bot.chat.text.fences import FenceTracker

LONGEST_ROUND = 4_000  # characters: longer ones are no loop
_SEEN = 12  # characters that have to come again before anything is taken for a round
_CANDIDATES = 8
_SHORT = 12
_LONG = 60
_WORDS_ALONE = 3_000
_WORDS_AT_END = 1_500
_KEPT = 100  # of «hahaha…» more than two rounds stay
_MARKS = frozenset("|>#`")
_BULLETS = frozenset("-*+")  # with a blank after them: «*smiles*» is a line like others


class LoopFilter:
    """Passes text through until it loops."""

    def __init__(self) -> None:
        self.ended = False
        self._text: list[str] = []  # as it is compared: without case, each run of blanks as one
        self._raw_ends: list[int] = []  # where in the raw text each of these characters ends
        self._last_seen: dict[str, int] = {}  # the last few characters -> where they ended last
        self._starts: dict[int, int] = {}  # a round's length -> where the first round begins
        self._raw = 0  # characters read, of which so many may be shown, and were
        self._allowed = 0
        self._passed = 0
        self._held = ""
        self._line_mark = ""
        self._last_line_end = -1  # in the compared text
        self._is_at_line_start = True
        self._fences = FenceTracker()

    @property
    def may_loop(self) -> bool:
        """Whether a stretch comes again just now, of which more would be a loop."""
        return any(
            length >= _SHORT and not self._is_structured(start, length)
            for length, start in self._starts.items()
        )

    def decode(self, text: str) -> str:
        """Take new text; return what is certain to be no loop."""
        if self.ended:
            return ""
        first = self._raw
        for character in text:
            self._raw += 1
            self._fences.feed(character)
            self._note_line(character)
            if self._compare(character) and self._is_loop():
                self.ended = True
                break
            self._allowed = max(self._allowed, self._limit())
        text = self._held + text[: self._raw - first]
        passed = text[: self._allowed - self._passed]
        self._passed += len(passed)
        self._held = "" if self.ended else text[len(passed) :]
        return passed

    def flush(self) -> str:
        """The text has ended: what was held back came too seldom for a loop, or is its rest."""
        self.ended = self.ended or self._is_loop(at_end=True)
        held, self._held = self._held, ""
        return "" if self.ended else held

    def _note_line(self, character: str) -> None:
        if character == "\n":
            self._is_at_line_start = True
            self._last_line_end = len(self._text)
        elif self._is_at_line_start and not character.isspace():
            self._is_at_line_start = False
            self._line_mark = character
        elif len(self._line_mark) == 1:
            self._line_mark += character

    def _is_structured(self, start: int, length: int) -> bool:
        """Whether this is code, a line of a table or a list, or a picture of signs alone."""
        mark = self._line_mark
        return (
            self._fences.is_open
            or mark[:1] in _MARKS
            or mark[:1].isdigit()
            or (mark[:1] in _BULLETS and not mark[1:].strip())
            or (length >= _SHORT and not any(map(str.isalnum, self._text[start : start + length])))
        )

    def _compare(self, character: str) -> bool:
        """Add a character to what is compared. False for one that doesn't count."""
        text = self._text
        character = " " if character.isspace() else character.casefold()
        if character == " " and (not text or text[-1] == " "):
            return False
        text.append(character)
        self._raw_ends.append(self._raw)
        at = len(text) - 1
        for length in [length for length in self._starts if text[at - length] != character]:
            del self._starts[length]
        seen = "".join(text[-_SEEN:])
        before = self._last_seen.get(seen)
        self._last_seen[seen] = at
        if len(text) >= _SEEN and before is not None and at - before <= LONGEST_ROUND:
            self._begin(at - before, at)
        return True

    def _begin(self, length: int, at: int) -> None:
        if length in self._starts or len(self._starts) >= _CANDIDATES:
            return
        text = self._text
        start = at - _SEEN + 1
        earliest = max(length, start - length)
        while start > earliest and text[start - 1] == text[start - 1 - length]:
            start -= 1
        self._starts[length] = start - length

    def _is_loop(self, *, at_end: bool = False) -> bool:
        return any(
            _is_loop(
                length,
                total := len(self._text) - start,
                is_structured=self._is_structured(start, length),
            )
            and (
                total >= (_WORDS_AT_END if at_end else _WORDS_ALONE)
                or not self._is_of_words(start, length)
            )
            for length, start in self._starts.items()
        )

    def _is_of_words(self, start: int, length: int) -> bool:
        """Whether a round has no marks and no line ends: filling, often before something else."""
        if length >= _LONG or self._last_line_end >= len(self._text) - length:
            return False
        round_ = self._text[start : start + length]
        return all(map(_is_of_word, round_)) and " " in round_

    def _limit(self) -> int:
        """How much of the raw text may be shown."""
        limit = self._raw
        for length, start in self._starts.items():
            end = start + (2 * length if length >= _SHORT else _KEPT)
            if len(self._text) > end:
                limit = min(limit, self._raw_ends[end - 1])
        return limit


def _is_of_word(character: str) -> bool:
    return character == " " or character.isalnum()


def _is_loop(length: int, total: int, *, is_structured: bool) -> bool:
    if is_structured:
        return total >= max(12 * length, 1_200)
    if length < _SHORT:
        return total >= 1_000
    if length < _LONG:
        return total >= max(6 * length, 160)
    return total >= (4 * length if length < 200 else 2 * length + 100)
