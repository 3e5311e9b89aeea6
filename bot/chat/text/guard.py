"""What people write can't forge a turn.

Headers, speaker lines and special tokens are broken up by an invisible character: people see the
same text, the model and its tokenizer no longer see a boundary. Texts are compared folded (full
width, case, accents, invisible characters and the letters' alphabet don't count), so that
look-alikes don't get round.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from copy import copy

BREAK = "\u200b"  # zero width space: invisible, and no letter or blank to any pattern

_LINE_ENDS = re.compile("\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
# Control characters that show nothing, halves of characters (tokenizers refuse them), and the
# invisible tag characters, with which texts are hidden from people but not from models.
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\U000e0000-\U000e007f]")
_SURROGATES = re.compile("[\ud800-\udfff]")
# Blank, but not of class Cf.
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_REMEMBERED_CHARACTERS = 20_000
_SEAM_CHARACTERS = 200  # of each side of a seam: no boundary is longer
_COLONS = frozenset("\ua789\u2236\u0589\u05c3\u02d0\u02f8\ufe55\uff1a")  # seen as a colon
# Cyrillic and Greek letters seen as Latin ones, in either case, small capitals, letters in dark
# circles and squares, and what is seen as a number sign.
_LOOK_ALIKES = str.maketrans(
    "\u0430\u0432\u0435\u043a\u043c\u043d\u043e\u0440\u0441\u0442\u0443\u0445\u0455\u0456\u0458"
    "\u0501\u051b\u051d\u04bb\u04cf\u0131\u0251\u0261"
    "\u03b1\u03b2\u03b5\u03b6\u03b7\u03b9\u03ba\u03bc\u03bd\u03bf\u03c1\u03c4\u03c5\u03c7"
    "\u266f\u2317\u22d5"
    "\u1d00\u0299\u1d04\u1d05\u1d07\ua730\u0262\u029c\u026a\u1d0a\u1d0b\u029f\u1d0d\u0274\u1d0f"
    "\u1d18\ua7af\u0280\ua731\u1d1b\u1d1c\u1d20\u1d21\u028f\u1d22",
    "abekmhopctyxsijdqwhiiagabezhikmnoptyx###abcdefghijklmnopqrstuvwyz",
) | {first + at: chr(ord("a") + at) for first in (0x1F150, 0x1F170) for at in range(26)}
_ANY_TOKEN = (r"<\|[^<>|\n]{1,64}\|>", r"</?s>", r"\[/?inst\]", r"<</?sys>>")
# Blanks and decoration before and after a speaker's name. No line ends: each line is read once.
_LINE_START = r"(?:^|\n)(?:[^\S\n]|[>*_~`#\-\"'(\[])*"
_NAME_END = r"(?:[^\S\n]|[*_~`\"')\]]){0,32}"


def plain_lines(text: str) -> str:
    """`text` with one kind of line end and without control characters: looks the same."""
    text = _LINE_ENDS.sub("\n", text)
    return _SURROGATES.sub("\ufffd", _CONTROLS.sub("", text))


class _Folding(dict[int, str]):
    """What each character folds to, worked out when it is first met."""

    def __missing__(self, code: int) -> str:
        if len(self) > _REMEMBERED_CHARACTERS:
            self.clear()
        self[code] = folded = _fold_character(chr(code))
        return folded


_folding = _Folding()


def _fold_character(character: str) -> str:
    if character in _COLONS:
        return ":"
    plain = unicodedata.normalize("NFKD", character).casefold().translate(_LOOK_ALIKES)
    return "".join(
        part
        for part in plain
        if unicodedata.category(part) not in ("Cf", "Mn", "Me") and part not in _INVISIBLE
    )


def fold(text: str) -> str:
    """`text` as the comparison sees it. Character by character, so parts fold like the whole."""
    return text.lower() if text.isascii() else text.translate(_folding)


class Guard:
    """Breaks up whatever could be taken for a boundary in one prompt."""

    def __init__(
        self,
        headers: Iterable[str] = (),
        special_tokens: Iterable[str] = (),
        names: Sequence[str] = (),
    ) -> None:
        """`headers` as in PromptFormat, `special_tokens` spelled out, `names` as displayed."""
        folded = {fold(token) for token in special_tokens}
        tokens = [re.escape(token) for token in folded if len(token.strip()) > 1]
        # Looked for at every place, so that tokens which overlap are both found.
        pattern = "|".join((*_ANY_TOKEN, *sorted(tokens, key=_longest_first)))
        self._tokens = re.compile(f"(?=(?P<inside>{pattern}))")
        self._headers = tuple(re.compile(header) for header in headers)
        self._lines = _speaker_lines(names)

    def with_names(self, names: Sequence[str]) -> "Guard":
        """The same guard, which knows who speaks."""
        guard = copy(self)
        guard._lines = _speaker_lines(names)
        return guard

    def text(self, text: str) -> str:
        """For the persona's and the moderators' texts: no headers, no special tokens."""
        return _break_up(plain_lines(text), (self._tokens, *self._headers))

    def name(self, name: str) -> str:
        """For a display name, which a colon will follow: "user" and that may be a header."""
        return self.text(f"{name}:").removesuffix(":")

    def message(self, text: str) -> str:
        """For what people write and the model wrote: no speaker lines either."""
        patterns = (self._tokens, *self._headers, *self._lines)
        return _break_up(plain_lines(text), patterns)

    def forms_boundary(self, before: str, after: str, *, is_line: bool = False) -> bool:
        """Whether two guarded texts make a boundary where one follows the other.

        `is_line`: the second one begins with a speaker's name, and is to be their line.
        """
        # What is broken up stays so: a control character stands for the break, and for no letter.
        before, after = (
            fold(text.replace(BREAK, "\0"))
            for text in (before[-_SEAM_CHARACTERS:], after[:_SEAM_CHARACTERS])
        )
        return any(
            match.start() < len(before) < max(map(match.end, (0, *match.groupdict())))
            for pattern in (self._tokens, *self._headers, *(() if is_line else self._lines))
            for match in pattern.finditer(before + after)
        )


def _longest_first(text: str) -> tuple[int, str]:
    return -len(text), text


def _speaker_lines(names: Sequence[str]) -> tuple[re.Pattern[str], ...]:
    """One for the names without a colon, and one for those of each number: a line may be both's."""
    spelled: dict[int, list[str]] = {}
    for parts in {tuple(fold(name).split()) for name in names}:
        if parts:
            colons = sum(part.count(":") for part in parts)
            spelled.setdefault(colons, []).append(r"\s{1,4}".join(map(re.escape, parts)))
    return tuple(
        re.compile(
            # In one order: `re` keeps it.
            rf"{_LINE_START}(?:{'|'.join(sorted(spelled[colons], key=_longest_first))})"
            rf"{_NAME_END}(?P<before>:)"
        )
        for colons in sorted(spelled)
    )


def _break_up(text: str, patterns: Iterable[re.Pattern[str]]) -> str:
    folded = fold(text)
    places: set[int] = set()
    for pattern in patterns:
        for match in pattern.finditer(folded):
            groups = match.groupdict()
            places.add(match.start("before") if "before" in groups else match.start("inside") + 1)
    if not places:
        return text
    pieces: list[str] = []
    at = 0  # in the folded text
    for character in text:
        if at in places:
            places.discard(at)
            pieces.append(BREAK)
        pieces.append(character)
        # A character may fold to several, or to none: a place inside it is taken after it.
        end = at + (1 if character.isascii() else len(_folding[ord(character)]))
        if end - at > 1 and not places.isdisjoint(range(at + 1, end)):
            places.difference_update(range(at + 1, end))
            places.add(end)
        at = end
    if at in places:
        pieces.append(BREAK)
    return "".join(pieces)
