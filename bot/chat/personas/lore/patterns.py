"""Keys between slashes: JavaScript's regular expressions, translated and bounded.

What an author writes is a program that may never end. Its length, nesting and repeats are bounded
before it is compiled (the `regex` package compiles `a{1000000}` for half a second), and whoever
matches gives a time. The grammar is that of ECMAScript (tc39.es/ecma262, «Patterns»): `\\d`, `\\w`
and `\\b` know ASCII alone, `$` is the very end, a group that took no part matches as nothing. Not
translated: halves of characters (without `u` JavaScript counts an emoji as two).
"""

import re
from dataclasses import dataclass
from functools import lru_cache

import regex

PATTERN_CHARACTERS = 1_000
MOST_LEVELS = 30  # of groups in each other
MOST_GROUPS = 200
MOST_REPEATS = 1_000  # of one quantifier
MOST_STEPS = 2_000  # of the whole, with every repeat written out: 0.3 MB when compiled
_REMEMBERED = 300

_KEY = re.compile(r"/(.+)/([gimsuy]*)", re.DOTALL)
_OPEN_SLASH = re.compile(r"(?:^|[^\\])(?:\\\\)*/")
_QUANTIFIER = re.compile(r"([*+?]|\{(\d{1,9})(,?)(\d{0,9})\})(\??)")
_BRACED = re.compile(r"u\{([0-9a-fA-F]{1,6})\}")
_HEX = re.compile(r"u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})")
_PROPERTY = re.compile(r"([pP])\{(\^?[A-Za-z0-9_]{1,40}(?:=[A-Za-z0-9_]{1,40})?)\}")
_NAME = re.compile(r"<([A-Za-z_$][\w$]{0,40})>")
_OCTAL = re.compile(r"[0-3]?[0-7]{1,2}")  # without `u` and where there is no such group
_NUMBER = re.compile(r"[1-9]\d{0,2}")

_WORD = "0-9A-Za-z_"
_SPACE = r"\t\n\v\f\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_LINE_ENDS = r"\n\r\u2028\u2029"
_IS_EDGE = f"(?:(?<=[{_WORD}])(?![{_WORD}])|(?<![{_WORD}])(?=[{_WORD}]))"
_NO_EDGE = f"(?:(?<=[{_WORD}])(?=[{_WORD}])|(?<![{_WORD}])(?![{_WORD}]))"
_CLASSES = {"d": "0-9", "w": _WORD, "s": _SPACE}
_CONTROLS = {"t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r", "0": "\0"}


class NotAPattern(ValueError):  # noqa: N818 - reads as what it says of a key
    """It is no regular expression: such a key is plain text."""


class TooCostly(ValueError):  # noqa: N818
    """It is over a bound; the message says which."""


@dataclass(frozen=True, slots=True)
class RegexKey:
    """A pattern, and the flags that were behind it."""

    pattern: str
    flags: str = ""


def regex_key(key: str) -> RegexKey | None:
    """The pattern of a key like `/drag(on|ons)/i`; None for a plain one.

    As in SillyTavern a slash inside that is not escaped makes it plain text.
    """
    if not key.startswith("/") or len(key) < 3:
        return None
    found = _KEY.fullmatch(key)
    if found is None or len(set(found[2])) < len(found[2]) or _OPEN_SLASH.search(found[1]):
        return None
    return RegexKey(found[1], found[2])


@lru_cache(_REMEMBERED)
def translate_key(key: RegexKey) -> str:
    """The pattern as `regex` wants it. Raises NotAPattern and TooCostly."""
    if len(key.pattern) > PATTERN_CHARACTERS:
        raise TooCostly(f"the pattern is longer than {PATTERN_CHARACTERS:,} characters")
    return _Translation(key).written()


@lru_cache(_REMEMBERED)
def compile_key(key: RegexKey) -> "regex.Pattern[str]":
    """The compiled pattern: match it with a timeout. Raises NotAPattern and TooCostly."""
    translated = translate_key(key)
    flags = regex.VERSION0 | (regex.IGNORECASE if "i" in key.flags else 0)
    try:
        return regex.compile(translated, flags, cache_pattern=False)
    except (regex.error, OverflowError, RecursionError, ValueError) as error:
        raise NotAPattern(str(error)) from error


def escaped(character: str) -> str:
    """A character that stands for itself, in a pattern and in a set."""
    return character if character.isalnum() or character == "_" else regex.escape(character)


class _Translation:
    """Reads a pattern once, from left to right, and writes what means the same to `regex`."""

    def __init__(self, key: RegexKey) -> None:
        self._text = key.pattern
        self._at = 0
        self._written: list[str] = ["^" if "y" in key.flags else ""]
        self._is_unicode = "u" in key.flags
        self._is_multiline = "m" in key.flags
        self._dot = r"[\s\S]" if "s" in key.flags else f"[^{_LINE_ENDS}]"
        # Of each open group: what is written out of it so far, and whether it may be repeated.
        self._steps = [0]
        self._repeatable: list[bool] = []
        self._groups = 0
        self._closed: set[int] = set()
        self._open: list[int] = []
        self._names: dict[str, int] = {}
        self._all_groups = _count_groups(self._text)

    def written(self) -> str:
        """The translation. Raises NotAPattern and TooCostly."""
        if self._written[0]:
            self._written[0] = r"\A"
        while self._at < len(self._text):
            character = self._take()
            if character == "(":
                self._begin_group()
            elif character == ")":
                self._end_group()
            elif character == "|":
                self._written.append("|")
            elif character == "^":
                self._written.append(f"(?<![^{_LINE_ENDS}])" if self._is_multiline else r"\A")
            elif character == "$":
                self._written.append(f"(?![^{_LINE_ENDS}])" if self._is_multiline else r"\Z")
            elif character in "*+?" or (character == "{" and self._is_quantifier()):
                raise NotAPattern("nothing to repeat")
            else:
                self._atom(self._one(character))
        if self._open:
            raise NotAPattern("a group is not closed")
        return "".join(self._written)

    def _take(self) -> str:
        if self._at >= len(self._text):
            raise NotAPattern("it ends too early")
        self._at += 1
        return self._text[self._at - 1]

    def _is_quantifier(self) -> bool:
        return _QUANTIFIER.match(self._text, self._at - 1) is not None

    def _one(self, character: str) -> tuple[str, bool]:
        """What one atom becomes, and whether it is something that can be repeated."""
        if character == "[":
            return self._set(), True
        if character == ".":
            return self._dot, True
        if character == "\\":
            return self._escape()
        if self._is_unicode and character in "]{}":
            raise NotAPattern(f"«{character}» alone")
        return escaped(character), True

    def _atom(self, one: tuple[str, bool], steps: int = 1) -> None:
        text, can_repeat = one
        self._written.append(text)
        found = _QUANTIFIER.match(self._text, self._at)
        if found is not None:
            if not can_repeat:
                raise NotAPattern("nothing to repeat")
            self._at = found.end()
            least, most = self._repeats(found)
            steps *= max(most, least, 1)
            written = found[1]
            if found[2]:
                written = f"{{{least}}}" if not found[3] else f"{{{least},{found[4] and most}}}"
            self._written.append(written + found[5])
        self._steps[-1] += steps
        if self._steps[-1] > MOST_STEPS:
            raise TooCostly(f"its repeats make more than {MOST_STEPS:,} steps")

    @staticmethod
    def _repeats(found: re.Match[str]) -> tuple[int, int]:
        if not found[2]:
            return 0, 1
        least = int(found[2])
        most = int(found[4]) if found[4] else least
        if most < least:
            raise NotAPattern("numbers of a repeat in the wrong order")
        if most > MOST_REPEATS:
            raise TooCostly(f"it repeats something more than {MOST_REPEATS:,} times")
        return least, most

    def _begin_group(self) -> None:
        if len(self._open) >= MOST_LEVELS:
            raise TooCostly(f"it has more than {MOST_LEVELS} groups in each other")
        number, opening, can_repeat = 0, "(", True
        for lead in ("?:", "?=", "?!", "?<=", "?<!"):
            if self._text.startswith(lead, self._at):
                self._at += len(lead)
                opening, can_repeat = f"({lead}", lead == "?:"
                break
        else:
            name = _NAME.match(self._text, self._at + 1)
            if self._text.startswith("?", self._at):
                if name is None or name[1] in self._names:
                    raise NotAPattern("a group of an unknown kind")
                self._at = name.end()
                self._names[name[1]] = self._groups + 1
            self._groups += 1
            number = self._groups
        if self._groups + len(self._open) > MOST_GROUPS:
            raise TooCostly(f"it has more than {MOST_GROUPS} groups")
        self._open.append(number)
        self._repeatable.append(can_repeat)
        self._steps.append(0)
        self._written.append(opening)

    def _end_group(self) -> None:
        if not self._open:
            raise NotAPattern("a bracket closes nothing")
        self._closed.add(self._open.pop())
        self._atom((")", self._repeatable.pop()), self._steps.pop() + 1)

    def _escape(self) -> tuple[str, bool]:
        number = _NUMBER.match(self._text, self._at)
        if number is not None and (self._is_unicode or int(number[0]) <= self._all_groups):
            self._at = number.end()
            return self._reference(int(number[0])), True
        character = self._take()
        if character == "b":
            return _IS_EDGE, False
        if character == "B":
            return _NO_EDGE, False
        if character == "k" and "(?<" in self._text:
            name = _NAME.match(self._text, self._at)
            if name is None or name[1] not in self._names:
                raise NotAPattern("there is no group of that name")
            self._at = name.end()
            return self._reference(self._names[name[1]]), True
        members = self._class(character)
        return (members if members is not None else escaped(self._character(character))), True

    def _reference(self, group: int) -> str:
        """What a group matched; nothing where it has not taken part, or is not closed yet."""
        if group > self._all_groups:
            raise NotAPattern(f"there is no group {group}")
        return rf"(?:(?({group})\{group}))" if group in self._closed else "(?:)"

    def _class(self, character: str, *, inside: bool = False) -> str | None:
        """`\\d` and its like: as a set of its own, or as members of one; None for others."""
        kind = _CLASSES.get(character.lower())
        if kind is not None:
            if character.isupper():
                return _complement(character) if inside else f"[^{kind}]"
            return kind if inside else f"[{kind}]"
        if character in "pP" and self._is_unicode:
            found = _PROPERTY.match(self._text, self._at - 1)
            if found is None:
                raise NotAPattern("a property of an unknown form")
            self._at = found.end()
            return f"\\{found[1]}{{{found[2]}}}"
        return None

    def _character(self, character: str) -> str:
        """The one character that an escape stands for, after its backslash."""
        at = self._at - 1
        if not self._is_unicode and (octal := _OCTAL.match(self._text, at)):
            self._at = octal.end()
            return chr(int(octal[0], 8))
        if character in _CONTROLS:
            return _CONTROLS[character]
        if self._is_unicode and (braced := _BRACED.match(self._text, at)):
            self._at = braced.end()
            return _from_code(int(braced[1], 16))
        if found := _HEX.match(self._text, at):
            self._at = found.end()
            code = int(found[1] or found[2], 16)
            low = _HEX.match(self._text, self._at + 1)
            if 0xD800 <= code < 0xDC00 and low and low[1] and self._text[self._at] == "\\":
                second = int(low[1], 16)
                if 0xDC00 <= second < 0xE000:
                    self._at = low.end()
                    return chr(0x10000 + ((code - 0xD800) << 10) + second - 0xDC00)
            return _from_code(code)
        if character == "c" and self._text[self._at : self._at + 1].isalpha():
            return chr(ord(self._take().upper()) % 32)
        if self._is_unicode and character.isalnum():
            raise NotAPattern(f"an unknown escape «\\{character}»")
        return character

    def _set(self) -> str:
        """A set in square brackets; `[]` matches nothing and `[^]` anything, as in JavaScript."""
        is_negated = self._text.startswith("^", self._at)
        self._at += is_negated
        members: list[str] = []
        while (character := self._take()) != "]":
            first, is_class = self._member(character)
            if self._text.startswith("-", self._at) and self._text[self._at + 1 :][:1] not in "]":
                self._at += 1
                last, is_class_too = self._member(self._take())
                if is_class or is_class_too:
                    members += [first, r"\-", last]
                    continue
                if _plain(last) < _plain(first):
                    raise NotAPattern("a range in the wrong order")
                first = f"{first}-{last}"
            members.append(first)
        if not members:
            return r"[\s\S]" if is_negated else r"(?!)"
        return f"[{'^' if is_negated else ''}{''.join(members)}]"

    def _member(self, character: str) -> tuple[str, bool]:
        if character != "\\":
            return escaped(character), False
        character = self._take()
        if character == "b":
            return "\b".encode("unicode_escape").decode(), False
        members = self._class(character, inside=True)
        if members is not None:
            return members, True
        return escaped(self._character(character)), False


def _complement(character: str) -> str:
    """`\\D`, `\\W`, `\\S` among a set's members: everything else, as ranges."""
    return {
        "D": r"\x00-/:-\U0010ffff",
        "W": r"\x00-/:-@\[-\^`{-\U0010ffff",
        "S": r"\x00-\x08\x0e-\x1f!-\x9f\xa1-\u167f\u1681-\u1fff\u200b-\u2027\u202a-\u202e"
        r"\u2030-\u205e\u2060-\u2fff\u3001-\ufefe\uff00-\U0010ffff",
    }[character]


def _plain(member: str) -> str:
    if member == r"\x08":
        return "\b"
    return member[1:] if member.startswith("\\") and len(member) > 1 else member


def _from_code(code: int) -> str:
    if code > 0x10FFFF:
        raise NotAPattern("a character that is none")
    return chr(code)


def _count_groups(text: str) -> int:
    """How many groups a pattern has that a number can refer to."""
    bare = re.sub(r"\\.|\[(?:\\.|[^\]\\])*\]", "", text, flags=re.DOTALL)
    return len(re.findall(r"\((?!\?)|\(\?<(?![=!])", bare))
