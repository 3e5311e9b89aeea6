"""Finds the line with which a reply goes over to somebody else, as people see it.

«Alex: no» is Alex's line, and so are «ALEX : no», «**Alex:** no», «> [Alex] : no» and
«★ alex (laughing): no». Case, width, accents, invisible characters, decoration and blanks don't
count, and any line break begins a line. A format's header counts the same way, with three number
signs or more where it has them, and then also alone on its line, as a name does («### Alex»).
In a list with bullets that a line ending with a colon begins, and in a text that has headings of
its own, names are what it is about: «The score:», «- Alex: 3 points».
"""

import re
import unicodedata
from collections.abc import Iterable
from enum import Enum, auto

from bot.chat.text.fences import FenceTracker
from bot.chat.text.guard import BREAK, fold

DECORATION = 48  # visible signs beside the name: more of them are no label
REMARK = 40  # characters in the brackets after a name: «Alex (laughing): no»
HEADER_SIGNS = 3

LINE_BREAKS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"

_LINE_BREAK = re.compile(f"[{LINE_BREAKS}]")
_HEADER = re.compile(r"\n?(?P<signs>#*)[ ]?(?P<word>\w+):")
_BULLETS = frozenset("-*+\u2022\u2023\u2013\u2014\u00b7\u25aa\u25cf\u25e6")
_AFTER_TEXT = " \t\u200b*_~`\"'"  # what may follow a line's colon
_OPENING = frozenset("([{<\u3010\u300c\u300e\u300a\u2039\u00ab")
_CLOSING = frozenset(")]}>\u3011\u300d\u300f\u300b\u203a\u00bb")
_MARKDOWN = frozenset("*_~`#>-\"'")
_FRAMES = _MARKDOWN | frozenset("<|^+")  # beside punctuation, around a name without letters


class Label(Enum):
    """What the beginning of a line is."""

    UNDECIDED = auto()
    NONE = auto()
    OTHER = auto()  # another speaker's
    OWN = auto()
    HEADER = auto()


def name_key(name: str) -> str:
    """A name as it is compared: letters and digits; of a name without any, all its signs.

    Markdown's own count only where there is nothing else: a name may well be «-».
    """
    folded = fold(name)
    words = "".join(filter(_is_word, folded))
    signs = words or "".join(filter(_is_sign, folded))
    return signs or "".join(sign for sign in folded if not sign.isspace() and sign != ":")


def is_header(stop: str) -> bool:
    """Whether a stop string is the label of a line, as «\\n### Response:» and «USER:» are."""
    return _HEADER.fullmatch(stop) is not None


class Labels:
    """Whom a line may belong to, ready for comparing."""

    def __init__(
        self, others: Iterable[str] = (), own: str = "", headers: Iterable[str] = ()
    ) -> None:
        """`headers` are stop strings; those that are no label («<|im_end|>») are ignored."""
        self.own = name_key(own)
        self.others = frozenset(map(name_key, others)) - {self.own, ""}
        self.named = (self.others | {self.own}) - {""}
        self.wordless = sorted(key for key in self.named if not any(map(_is_word, key)))
        found = [match for header in headers if (match := _HEADER.fullmatch(header))]
        self.marked = frozenset(name_key(match["word"]) for match in found if match["signs"])
        self.plain = frozenset(name_key(match["word"]) for match in found if not match["signs"])
        known = {*self.others, self.own, *self.marked, *self.plain}
        self.beginnings = frozenset(key[:end] for key in known for end in range(len(key) + 1))
        self.hold_colon = any(":" in fold(name) for name in (*others, own))

    def __bool__(self) -> bool:
        return len(self.beginnings) > 1

    def without_names(self) -> "Labels":
        """The headers alone."""
        labels = Labels()  # without anybody, so that no heading is a name either
        labels.marked, labels.plain = self.marked, self.plain
        known = self.marked | self.plain
        labels.beginnings = frozenset(key[:end] for key in known for end in range(len(key) + 1))
        return labels


class LineBeginning:
    """Reads a line from its first character until it is clear whose it is."""

    def __init__(self, labels: Labels) -> None:
        self._labels = labels
        self._key = ""
        self._signs = ""  # all of them: a name may have no letters
        self._number_signs = 0
        self._visible = 0
        self._is_guarded = False  # somebody's words, copied with the guard's character in them
        self._remark: int | None = None  # characters since the bracket after a whole name
        self._remark_is_over = False

    def feed(self, character: str) -> Label:
        """Take the line's next character."""
        if character == BREAK:
            self._is_guarded = True
        for part in fold(character):
            label = self._feed(part)
            if label is not Label.UNDECIDED:
                return label
        return Label.UNDECIDED

    def end(self) -> Label:
        """The line has ended."""
        if not self._marked():
            return Label.NONE
        if self._key in self._labels.marked:
            return Label.HEADER
        name = self._name()
        if name in self._labels.others or self._remark_is_over:
            return Label.OTHER
        return Label.OWN if name and name == self._labels.own else Label.NONE

    @property
    def is_heading(self) -> bool:
        """Whether it begins with number signs."""
        return self._number_signs > 0

    @property
    def may_be_header(self) -> bool:
        """Whether a header has begun, by more than one number sign."""
        if self._is_guarded or not self._number_signs:
            return False
        begins = any(word.startswith(self._key) for word in self._labels.marked)
        begins = begins or self._key in self._labels.named
        return begins and self._number_signs >= (HEADER_SIGNS if self._key else 2)

    def _feed(self, part: str) -> Label:
        if self._remark is not None:
            self._remark += 1
        if part == ":":
            return self._at_colon()
        if _is_word(part):
            self._key += part
            if self._remark_is_over:
                self._remark = None
        elif not part.isspace():
            self._decorate(part)
        return self._go_on()

    def _decorate(self, sign: str) -> None:
        self._visible += 1
        if sign == "#" and not self._key:
            self._number_signs += 1
        self._signs += sign
        if sign in _OPENING and self._remark is None and self._name() in self._labels.others:
            self._remark = 0
        elif sign in _CLOSING and self._remark is not None:
            self._remark_is_over = True

    def _go_on(self) -> Label:
        is_name = self._key in self._labels.beginnings
        is_remark = self._remark is not None and self._remark <= REMARK
        if self._visible > DECORATION or not (is_name or is_remark):
            return Label.NONE
        return Label.UNDECIDED

    def _at_colon(self) -> Label:
        labels = self._labels
        found = self._name()
        if found in labels.others or (self._remark is not None and self._remark_is_over):
            return Label.OTHER
        if found and found == labels.own:
            return Label.OWN
        if not self._is_guarded and (
            self._key in labels.plain or (self._key in labels.marked and self._marked())
        ):
            return Label.HEADER
        if self._remark is not None or labels.hold_colon:
            if self._key:
                self._decorate(":")
            return self._go_on()
        return Label.NONE

    def _name(self) -> str:
        """The key of the name so far; of one without letters, whatever frames it."""
        if self._key:
            return self._key
        for name in self._labels.wordless:
            before, found, after = self._signs.partition(name)
            if found and all(_frames(sign, name) for sign in before + after):
                return name
        return ""

    def _marked(self) -> bool:
        return self._number_signs >= HEADER_SIGNS and not self._is_guarded


class SpeakerLines:
    """Passes text through until a line is another speaker's, or a header.

    A line is held back while that is open: at most a name, a remark and :data:`DECORATION` signs
    (blanks and invisible characters don't count). In code blocks a name is a key of data, in a list
    it is what the list is about: there headers alone count.
    """

    def __init__(self, labels: Labels, *, in_line: bool = False) -> None:
        """`in_line`: the text goes on within a line. The speaker's own lines count as well."""
        self.ended = False
        self._labels = labels
        self._headers_alone = labels.without_names()
        self._fences = FenceTracker()
        self._held = ""  # the line's beginning, with the break before it
        self._line = None if in_line else LineBeginning(labels)
        self._last = ""  # the last sign of the line so far that isn't decoration
        self._is_item = False  # the line is a list's
        self._begins_list = False  # the line before ended with a colon, or was a list's
        self._has_headings = False  # that are nobody's label

    def decode(self, text: str) -> str:
        """Take new text; return what is certain to be the speaker's own."""
        if not self._labels:
            return text
        passed: list[str] = []
        at = 0
        while at < len(text) and not self.ended:
            if self._line is None:
                found = _LINE_BREAK.search(text, at)
                end = found.start() if found else len(text)
                passed.append(self._pass_on(text[at:end]))
                at = end
            if at < len(text):
                passed.append(self._take(text[at]))
                at += 1
        return "".join(passed)

    def flush(self) -> str:
        """The text has ended: the rest of it, less the beginning of a header never completed."""
        held, self._held = self._held, ""
        return "" if self._line is not None and self._line.may_be_header else held

    def _take(self, character: str) -> str:
        is_break = character in LINE_BREAKS
        if self._line is None:
            label = Label.NONE
        elif is_break:
            label = self._end_line(self._line)
        else:
            label = self._feed(self._line, character)
        if label not in (Label.UNDECIDED, Label.NONE):
            self.ended = True
            self._held = ""
            return ""
        if is_break:
            return self._begin_line(character)
        self._held += character
        if label is Label.UNDECIDED:
            return ""
        passed, self._held, self._line = self._held, "", None
        return self._pass_on(passed)

    def _feed(self, line: LineBeginning, character: str) -> Label:
        if self._begins_list and character in " \t" and self._held.strip() in _BULLETS:
            self._is_item = True
            line = self._line = LineBeginning(self._headers_alone)
        label = line.feed(character)
        self._has_headings |= label is Label.NONE and line.is_heading
        return label

    def _end_line(self, line: LineBeginning) -> Label:
        label = line.end()
        if label in (Label.OTHER, Label.OWN) and (self._begins_list or self._has_headings):
            label = Label.NONE
        self._has_headings |= label is Label.NONE and line.is_heading and bool(self._held.strip())
        return label

    def _begin_line(self, line_break: str) -> str:
        passed = self._pass_on(self._held)
        if self._last:  # blank lines change nothing
            self._begins_list = self._is_item or self._last in ":\uff1a"
        self._last, self._is_item = "", False
        self._held = line_break
        self._line = LineBeginning(self._headers_alone if self._fences.is_open else self._labels)
        return passed

    def _pass_on(self, text: str) -> str:
        self._fences.feed(text)
        self._last = text.strip(LINE_BREAKS).rstrip(_AFTER_TEXT)[-1:] or self._last
        return text


def _is_word(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] in "LN" or category == "Mc"  # vowels of the scripts of India


def _frames(sign: str, name: str) -> bool:
    """Whether a sign may stand around a name of other signs."""
    return sign not in name and (sign in _FRAMES or unicodedata.category(sign)[0] == "P")


def _is_sign(character: str) -> bool:
    return not character.isspace() and character not in _MARKDOWN and character != ":"
