"""Lenient reading of JSON values: what programs and people write where a field is expected.

Every reader gives None for what cannot be meant; the field then has its default.
"""

import math
import re
from typing import cast

from bot.chat.personas.documents import as_list
from bot.chat.personas.lore.book import Logic, LoreRole, Number, Position

_PATTERN = re.compile(r"/[^/]+/[a-z]*")
_UNUSABLE = re.compile("[\0\ud800-\udfff]")
_MOST = 1_000_000_000  # of a number that means a count or an order
_ROLES: tuple[LoreRole, ...] = ("system", "user", "bot")


def text(value: object) -> str | None:
    """A text, or a number as one. What no program can show or store of it is U+FFFD here."""
    if isinstance(value, str):
        return value if value.isascii() and "\0" not in value else _UNUSABLE.sub("\ufffd", value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return str(value)


def texts(value: object) -> tuple[str, ...] | None:
    """A list of texts, or one text with commas between (a pattern between slashes is one)."""
    if isinstance(value, str):
        if _PATTERN.fullmatch(value.strip()):
            return (value.strip(),)
        return tuple(part for part in (part.strip() for part in value.split(",")) if part)
    listed = as_list(value)
    if listed is None:
        return None
    return tuple(found for found in map(text, listed) if found is not None)


def flag(value: object) -> bool | None:
    """True or false, also as a number or a word."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return bool(value)
    if isinstance(value, str):
        return {"true": True, "1": True, "false": False, "0": False}.get(value.strip().lower())
    return None


def number(value: object) -> Number | None:
    """A number within reason, also written as a text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            value = float(value[:40])
        except ValueError:
            return None
    if isinstance(value, float) and math.isfinite(value):
        value = int(value) if value.is_integer() and abs(value) < _MOST else value
    elif not isinstance(value, int):
        return None
    return max(-_MOST, min(value, _MOST))


def whole(value: object) -> int | None:
    """A whole number."""
    found = number(value)
    return None if found is None else int(found)


def count(value: object) -> int | None:
    """A whole number from 0 on."""
    found = whole(value)
    return None if found is None else max(found, 0)


def level(value: object) -> int | None:
    """A level of recursion: false is 0, true is 1."""
    return int(value) if isinstance(value, bool) else count(value)


def logic(value: object) -> Logic | None:
    """SillyTavern's number for what secondary keys must do."""
    found = whole(value)
    return Logic(found) if found in Logic.__members__.values() else None


def position(value: object) -> Position | None:
    """SillyTavern's number, or `before_char` and `after_char`, also with more behind it."""
    if isinstance(value, str) and not value.strip().isdecimal():
        word = value.strip().lower()
        if word.startswith("after"):
            return Position.AFTER_PERSONA
        return Position.BEFORE_PERSONA if word.startswith("before") else None
    found = whole(value)
    return Position(found) if found is not None and 0 <= found <= Position.OUTLET else None


def role(value: object) -> LoreRole | None:
    """SillyTavern's number for a role, or its name."""
    if isinstance(value, str) and not value.strip().isdecimal():
        word = value.strip().lower()
        names: dict[str, LoreRole] = {"system": "system", "user": "user", "assistant": "bot"}
        return names.get(word)
    found = whole(value)
    return _ROLES[found] if found is not None and 0 <= found < len(_ROLES) else None


def role_number(value: object) -> object:
    """The number that SillyTavern has for a role."""
    return _ROLES.index(cast("LoreRole", value))
