"""Display names for the prompt: clean, short and unique."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache

from bot.chat.text.guard import fold

NAME_CHARACTERS = 80  # a persona's limit; Discord's members have 32
MARKS_IN_A_ROW = 2  # accents piled up higher are noise
_READ_CHARACTERS = 512  # of a raw name: more is hostile
_REMEMBERED = 2048  # names
NOBODY = "Someone"
COLON = "\ua789"  # looks like one and ends no speaker's name

_COLONS = re.compile("[:\uff1a\ufe55\u2236\u0589\u05c3]")
_HEADING = re.compile(r"^[#>\s]+")
# What turns the direction of writing, for the letters after it or until it is taken back.
_TURNS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_ISOLATES = "\u2068"
ISOLATED = "\u2069"  # the end of what is set apart for its direction
_ID = re.compile(r"\s*(?:(?:file|guild|persona)\s*:|built-in\s*$)")


def clean_name(name: str, default: str = NOBODY) -> str:
    """`name` on one line, without control, invisible and direction characters, never empty."""
    return _cleaned(name[:_READ_CHARACTERS], default)


def is_like_an_id(name: str) -> bool:
    """Whether a persona of this name could be taken for another one, by that one's id."""
    return _ID.match(fold(name[:_READ_CHARACTERS])) is not None


@lru_cache(_REMEMBERED)  # a reply asks for everybody who speaks in it, the next one again
def _cleaned(name: str, default: str) -> str:
    kept: list[str] = []
    marks = 0
    for character in name:
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if category in ("Cc", "Zl", "Zp", "Zs"):
            kept.append(" ")
        elif category not in ("Cf", "Cs", "Co") and marks <= MARKS_IN_A_ROW:
            kept.append(character)
    text = _COLONS.sub(COLON, _HEADING.sub("", "".join(kept)))
    text = " ".join(text.split())[:NAME_CHARACTERS].rstrip()
    return text if fold(text).strip(f" {COLON}:") else default


def in_its_own_order(text: str) -> str:
    """`text` as a part of a line of ours, whose other words stay where they are.

    Characters that turn the direction of writing are taken out; a text in a script that is written
    from right to left is set apart.
    """
    text = _TURNS.sub("", text)
    turns = not text.isascii() and any(map(_is_from_the_right, text))
    return f"{_ISOLATES}{text}{ISOLATED}" if turns else text


def _is_from_the_right(character: str) -> bool:
    return unicodedata.bidirectional(character) in ("R", "AL", "AN")


def assign_names(
    speakers: Iterable[tuple[str, str]], taken: Iterable[str] = ()
) -> Mapping[str, str]:
    """Speaker id to display name, unique whatever case, width or accents.

    `speakers` are (id, raw name) in order of appearance; the newest name of an id counts. Who came
    first keeps the plain name, the next becomes "Alex (2)". `taken` are the bot's names and words
    that no one may be called.
    """
    newest = dict(speakers)  # keeps the order of first appearance
    used = {_key(name) for name in taken}
    names: dict[str, str] = {}
    numbers: dict[str, int] = {}  # the last one that each plain name was given
    for speaker_id, raw in newest.items():
        name = plain = clean_name(raw)
        number = numbers.get(_key(plain), 1)
        while _key(name) in used:
            number += 1
            name = f"{plain} ({number})"
        numbers[_key(plain)] = number
        used.add(_key(name))
        names[speaker_id] = name
    return names


def _key(name: str) -> str:
    return "".join(fold(name).split())
