"""Characters as they are compared: look-alikes are one letter, what shows nothing is none."""

import re
import unicodedata

import regex

from bot.chat.text.guard import fold

# Shown by Discord as how the letters look, if at all: they part no word.
MARKUP = frozenset("*_~|`\\")
# At the beginning of a line they make quotations, headings and lists: they part no phrase.
LINE_MARKS = frozenset(">#-")
# Shown as a blank, or not at all: that hangs on the font. They count as either.
FILLERS = frozenset("\u2800\u3164\u115f\u1160\uffa0")
# Signs that make another letter of the one before, where others are only accents: of Indian
# scripts, Thai to Khmer, kana.
_LETTER_MARKS = re.compile("[\u0900-\u0fff\u1000-\u109f\u1780-\u17ff\u3099\u309a]")
# What no font is to show, be it a letter by its other properties, or not assigned yet.
_IGNORABLE = regex.compile(r"\p{Default_Ignorable_Code_Point}")
# Control characters that are no blanks.
_CONTROL = re.compile("[\0-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
_IOTA_BELOW = "\u0345"  # the accent that stands for a letter in capitals
# Letters with a stroke, hook or tail, which Unicode does not take apart, and small capitals.
_LATIN = re.compile(
    r"LATIN (?:(?:SMALL|CAPITAL) LETTER (?:SCRIPT )?|LETTER SMALL CAPITAL )([A-Z])(?: WITH .*)?"
)
_REGIONAL_A, _REGIONAL_Z = 0x1F1E6, 0x1F1FF  # the letters of flags
_PARENTHESIZED = re.compile(r"\(([A-Za-z])\)")  # one character, such as ⒜, taken apart
# Of scripts that the guard's own table leaves out: no prompt has headers in them.
_LOOKALIKES = str.maketrans(
    "\u13a0\u13a1\u13a2\u13a5\u13a9\u13aa\u13ab\u13ac\u13b3\u13b7\u13bb\u13c0\u13c3\u13cf\u13d2\u13d4\u13d5"
    "\u13d9\u13da\u13de\u13df\u13e2\u13e6\u13f3\u13f4"  # Cherokee
    "\u0585\u057d\u0570\u0578\u0581\u0563\u0566\u0575\u056c"  # Armenian
    "\ua4d0\ua4d1\ua4d3\ua4d4\ua4d6\ua4d7\ua4d9\ua4da\ua4dc\ua4dd\ua4df\ua4e0\ua4e1\ua4e2\ua4e3\ua4e6"
    "\ua4e7\ua4ea\ua4eb\ua4ec\ua4ee\ua4f0\ua4f2\ua4f3\ua4f4"  # Lisu
    "\u2c83\u2c89\u2c93\u2c95\u2c99\u2c9b\u2c9f\u2ca3\u2ca5\u2ca7\u2cad",  # Coptic
    "drtiyajewmhgzbrwsvslcpkgbouhngqqjlbpdtgkjczfmnlsrvhwxyaeioubeikmnopctx",
)
_REMEMBERED_CHARACTERS = 20_000


class Letters(dict[str, str]):
    """What each character is compared as: letters, a blank, or "" for what shows nothing."""

    def __missing__(self, character: str) -> str:
        """Work it out when it is first met."""
        if len(self) > _REMEMBERED_CHARACTERS:
            self.clear()
        self[character] = compared = _compared(character)
        return compared


def _compared(character: str) -> str:
    if _CONTROL.match(character):
        return ""
    if character.isspace():
        return " "
    if _IGNORABLE.match(character):
        return ""
    if _REGIONAL_A <= ord(character) <= _REGIONAL_Z:
        return chr(ord("a") + ord(character) - _REGIONAL_A)
    parts = unicodedata.normalize("NFKD", character).replace(_IOTA_BELOW, "")
    if found := _PARENTHESIZED.fullmatch(parts) or _LATIN.fullmatch(
        unicodedata.name(character, "")
    ):
        return found[1].lower()
    if (likeness := parts.casefold().translate(_LOOKALIKES)).isascii() and likeness.isalpha():
        return likeness
    compared = "".join(part if _LETTER_MARKS.match(part) else fold(part) for part in parts)
    return " " if compared.isspace() else compared


letters = Letters()
