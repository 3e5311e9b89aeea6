"""Decorators: lines like `@@depth 4` in an entry's content, which are rules and no text.

From character-card-spec-v3, «Decorators», with those of Risu that cards have. A line counts
anywhere in the content. A name that is unknown, a value that is none, and what cannot hold in a
chat (`instruct_depth`) is passed over; its fallbacks, lines with three `@`, are tried then, in
order. The first of a name counts, save `additional_keys` and `exclude_keys`, of which each does.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.chat.personas.lore import values
from bot.chat.personas.lore.book import LoreRole, Number, Position

MOST_LINES = 200  # of decorators in one entry
MOST_FALLBACKS = 50  # of one decorator; the spec wants five
# Goes through a line once, whatever it is.
_LINE = re.compile(r"^[ \t]*(@@@?)([A-Za-z]\w*)(?!\S)([^\n]*)", re.MULTILINE | re.ASCII)
_POSITIONS: Mapping[str, Position] = {
    "before_desc": Position.BEFORE_PERSONA,
    "after_desc": Position.AFTER_PERSONA,
    "personality": Position.PERSONALITY,
    "scenario": Position.SCENARIO,
}
_ROLES: Mapping[str, LoreRole] = {"system": "system", "user": "user", "assistant": "bot"}
_PROMPTS = frozenset({"system_prompt", "post_history_instructions"})


def _no_keys() -> list[tuple[str, ...]]:
    return []


@dataclass(slots=True)
class Rules:
    """What an entry's decorators say; None, False or empty where none does."""

    activate: bool = False  # fires in any case
    dont_activate: bool = False  # never, unless `activate`
    activate_only_after: int | None = None  # so many messages of the bot's
    activate_only_every: int | None = None
    keep_activate_after_match: bool = False
    dont_activate_after_match: bool = False
    is_greeting: int | None = None
    additional_keys: list[tuple[str, ...]] = field(default_factory=_no_keys)  # one of each
    exclude_keys: list[tuple[str, ...]] = field(default_factory=_no_keys)  # none of any
    exclude_keys_all: list[tuple[str, ...]] = field(default_factory=_no_keys)  # not all of one
    scan_depth: int | None = None
    match_full_word: bool = False
    match_partial_word: bool = False
    depth: int | None = None
    reverse_depth: int | None = None
    role: LoreRole | None = None
    position: Position | None = None
    ignore_on_max_context: bool = False  # goes first where the context is short
    disable_ui_prompt: str = ""
    probability: Number | None = None
    priority: Number | None = None
    recursive: bool = False  # its content triggers others, whatever the settings say
    unrecursive: bool = False  # its content triggers nothing
    no_recursive_search: bool = False  # content does not trigger it
    ignored: tuple[str, ...] = ()  # lines that say nothing here, for the author


def split_decorators(content: str) -> tuple[str, Rules]:
    """The content without its decorators and the line ends around them, and what they say."""
    rules = Rules()
    if "@@" not in content:
        return content, rules
    pieces: list[str] = []
    ignored: list[str] = []
    seen: set[str] = set()
    at = lines = fallbacks = 0
    is_settled = True  # whether a fallback, if it comes next, is not needed
    for line in _LINE.finditer(content):
        lines += 1
        between = content[at : line.start()]
        pieces.append(between)
        at = line.end()
        is_fallback = line[1] == "@@@"
        if is_fallback:
            fallbacks += 1
            if is_settled or between.strip() or fallbacks > MOST_FALLBACKS:
                continue
        else:
            fallbacks = 0
        name = line[2].lower()
        is_settled = lines <= MOST_LINES and _apply(rules, name, line[3].strip(), seen)
        if not is_settled:
            ignored.append(line[0].strip()[:80])
    pieces.append(content[at:])
    rules.ignored = tuple(ignored)
    return _joined(pieces), rules


def _joined(pieces: list[str]) -> str:
    kept = [piece.strip("\r\n") for piece in pieces]
    return "\n".join(piece for piece in kept if piece.strip())


def _apply(rules: Rules, name: str, value: str, seen: set[str]) -> bool:
    """Take up a decorator. Returns whether it holds; one that came before does already."""
    reader = _READERS.get(name)
    if reader is None:
        return False
    found = reader(value)
    if found is None:
        return False
    if name in _REPEATABLE:
        getattr(rules, name).append(found)
    elif name == "end":
        if "depth" not in seen:
            rules.depth = 0
            seen.add("depth")
    elif name not in seen:
        setattr(rules, name, found)
    seen.add(name)
    return True


def _on(value: str) -> bool | None:
    """A decorator without a value; `false` takes it back."""
    return True if not value else values.flag(value) or None


def _count(value: str) -> int | None:
    found = values.whole(value)
    return found if found is not None and found >= 0 else None


def _at_least_one(value: str) -> int | None:
    return _count(value) or None


def _depth(value: str) -> int | None:
    found = values.whole(value)  # below 1 is after the newest message
    return None if found is None else max(found, 0)


def _keys(value: str) -> tuple[str, ...] | None:
    return values.texts(value) or None


def _prompt(value: str) -> str | None:
    return value if value in _PROMPTS else None


_REPEATABLE = frozenset({"additional_keys", "exclude_keys", "exclude_keys_all"})
_READERS: Mapping[str, Callable[[str], Any]] = {
    "activate": _on,
    "dont_activate": _on,
    "activate_only_after": _count,
    "activate_only_every": _at_least_one,
    "keep_activate_after_match": _on,
    "dont_activate_after_match": _on,
    "is_greeting": _count,
    "additional_keys": _keys,
    "exclude_keys": _keys,
    "exclude_keys_all": _keys,
    "scan_depth": _count,
    "match_full_word": _on,
    "match_partial_word": _on,
    "depth": _depth,
    "reverse_depth": _depth,
    "end": _on,
    "role": _ROLES.get,
    "position": _POSITIONS.get,
    "ignore_on_max_context": _on,
    "disable_ui_prompt": _prompt,
    "probability": values.number,
    "priority": values.number,
    "recursive": _on,
    "unrecursive": _on,
    "no_recursive_search": _on,
}
