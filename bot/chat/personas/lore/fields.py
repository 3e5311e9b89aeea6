"""Which key stands for which field, in World Info and in a card's book; both ways.

Keys of SillyTavern's World Info, of its `entry.extensions` in cards (snake case, save
`selectiveLogic` and `useProbability`), and of character-card-spec-v2 and -v3. One table serves
reading and writing, so that they cannot differ.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

from bot.chat.personas.documents import as_object
from bot.chat.personas.lore import values
from bot.chat.personas.lore.book import JsonObject, Lorebook, LoreEntry

Reader = Callable[[object], object]
Writer = Callable[[object], object]

BAG = "caduceus"  # in `extensions`: what the other format has no key for, kept for the way back


def _same(value: object) -> object:
    return list(cast("tuple[object, ...]", value)) if isinstance(value, tuple) else value


def _off(value: object) -> object:
    """A count of 0 is null in SillyTavern."""
    return value or None


def _not(value: object) -> object:
    return not value


def _reads_not(value: object) -> object:
    found = values.flag(value)
    return None if found is None else not found


def _level(value: object) -> object:
    return {0: False, 1: True}.get(cast("int", value), value)


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a file: the record's attribute, and how its values are read and written."""

    attribute: str
    key: str
    read: Reader
    write: Writer = _same
    is_optional: bool = False  # not written where the value is the default


_MATCHES = (
    ("match_persona_description", "matchPersonaDescription"),
    ("match_character_description", "matchCharacterDescription"),
    ("match_character_personality", "matchCharacterPersonality"),
    ("match_character_depth_prompt", "matchCharacterDepthPrompt"),
    ("match_scenario", "matchScenario"),
    ("match_creator_notes", "matchCreatorNotes"),
)
# attribute, World Info's key, the key in a card's extensions, reader, writer.
_BOTH: tuple[tuple[str, str, str, Reader, Writer], ...] = (
    ("position", "position", "position", values.position, lambda value: int(cast("int", value))),
    ("depth", "depth", "depth", values.count, _same),
    ("role", "role", "role", values.role, values.role_number),
    ("outlet", "outletName", "outlet_name", values.text, _same),
    ("logic", "selectiveLogic", "selectiveLogic", values.logic, lambda v: int(cast("int", v))),
    ("probability", "probability", "probability", values.number, _same),
    ("use_probability", "useProbability", "useProbability", values.flag, _same),
    ("group", "group", "group", values.text, _same),
    ("group_override", "groupOverride", "group_override", values.flag, _same),
    ("group_weight", "groupWeight", "group_weight", values.number, _same),
    ("group_scoring", "useGroupScoring", "use_group_scoring", values.flag, _same),
    ("scan_depth", "scanDepth", "scan_depth", values.count, _same),
    ("case_sensitive", "caseSensitive", "case_sensitive", values.flag, _same),
    ("whole_words", "matchWholeWords", "match_whole_words", values.flag, _same),
    ("sticky", "sticky", "sticky", values.count, _off),
    ("cooldown", "cooldown", "cooldown", values.count, _off),
    ("delay", "delay", "delay", values.count, _off),
    ("exclude_recursion", "excludeRecursion", "exclude_recursion", values.flag, _same),
    ("prevent_recursion", "preventRecursion", "prevent_recursion", values.flag, _same),
    (
        "delay_until_recursion",
        "delayUntilRecursion",
        "delay_until_recursion",
        values.level,
        _level,
    ),
    ("ignore_budget", "ignoreBudget", "ignore_budget", values.flag, _same),
    *((snake, camel, snake, values.flag, _same) for snake, camel in _MATCHES),
    ("triggers", "triggers", "triggers", values.texts, _same),
    ("vectorized", "vectorized", "vectorized", values.flag, _same),
    ("automation_id", "automationId", "automation_id", values.text, _same),
    ("display_index", "displayIndex", "display_index", values.whole, _same),
)
WORLD_INFO: tuple[Key, ...] = (
    Key("uid", "uid", values.text, lambda v: int(str(v)) if str(v).isdecimal() else v),
    Key("keys", "key", values.texts),
    Key("secondary_keys", "keysecondary", values.texts),
    Key("comment", "comment", values.text),
    Key("content", "content", values.text),
    Key("constant", "constant", values.flag),
    Key("selective", "selective", values.flag),
    Key("order", "order", values.number),
    Key("enabled", "disable", _reads_not, _not),
    *(Key(attribute, key, read, write) for attribute, key, _, read, write in _BOTH),
)
CARD: tuple[Key, ...] = (
    Key("keys", "keys", values.texts),
    Key("content", "content", values.text),
    Key("enabled", "enabled", values.flag),
    Key("order", "insertion_order", values.number),
    Key("use_regex", "use_regex", values.flag),
    Key("case_sensitive", "case_sensitive", values.flag, is_optional=True),
    Key("constant", "constant", values.flag),
    Key("name", "name", values.text, is_optional=True),
    Key("priority", "priority", values.number, is_optional=True),
    Key("uid", "id", values.text, lambda v: int(str(v)) if str(v).isdecimal() else v),
    Key("comment", "comment", values.text),
    Key("selective", "selective", values.flag),
    Key("secondary_keys", "secondary_keys", values.texts),
    Key(
        "position",
        "position",
        values.position,
        lambda value: "before_char" if value == 0 else "after_char",
    ),
)
CARD_EXTENSIONS: tuple[Key, ...] = tuple(
    Key(attribute, key, read, write) for attribute, _, key, read, write in _BOTH
)
BOOK: tuple[Key, ...] = (
    Key("name", "name", values.text),
    Key("description", "description", values.text, is_optional=True),
    Key("scan_depth", "scan_depth", values.count, is_optional=True),
    Key("token_budget", "token_budget", values.count, is_optional=True),
    Key("recursive", "recursive_scanning", values.flag, is_optional=True),
)
# As some programs write them in World Info.
BOOK_ALIASES: tuple[Key, ...] = (
    Key("scan_depth", "scanDepth", values.count),
    Key("token_budget", "tokenBudget", values.count),
    Key("recursive", "recursiveScanning", values.flag),
)


def read_keys(table: Iterable[Key], source: JsonObject) -> dict[str, Any]:
    """The attributes that the keys of `source` give; later keys of a table win."""
    found: dict[str, Any] = {}
    for key in table:
        if key.key in source and (value := key.read(source[key.key])) is not None:
            found[key.attribute] = value
    return found


def write_keys(
    table: Iterable[Key], record: LoreEntry | Lorebook, *, everything: bool
) -> dict[str, object]:
    """The keys of a table with the record's values; of the optional ones those that say more."""
    written: dict[str, object] = {}
    for key in table:
        value = getattr(record, key.attribute)
        if key.is_optional and not everything and value in (None, ""):
            continue
        written[key.key] = key.write(value)
    return written


def changed_keys(
    table: Iterable[Key], before: LoreEntry | Lorebook, now: LoreEntry | Lorebook
) -> dict[str, object]:
    """The keys of a table whose attributes differ between two records, with the new values."""
    return {
        key.key: key.write(value)
        for key in table
        if (value := getattr(now, key.attribute)) != getattr(before, key.attribute)
    }


def unknown_keys(table: Iterable[Key], source: JsonObject, *known: str) -> dict[str, object]:
    """What of `source` no key of the table stands for."""
    names = {key.key for key in table}.union(known)
    return {key: value for key, value in source.items() if key not in names}


def packed(extensions: JsonObject, name: str, kept: JsonObject) -> JsonObject:
    """`extensions` with `kept` in our bag, under `name`."""
    bag = as_object(extensions.get(BAG)) or {}
    return {**extensions, BAG: {**bag, name: kept}}


def unpacked(extensions: JsonObject, name: str) -> tuple[JsonObject, JsonObject]:
    """What our bag in `extensions` holds under `name`, and the extensions without that."""
    bag = as_object(extensions.get(BAG)) or {}
    if name not in bag:
        return {}, extensions
    rest: dict[str, object] = {key: value for key, value in bag.items() if key != name}
    without = {key: value for key, value in extensions.items() if key != BAG or rest}
    return as_object(bag[name]) or {}, {**without, BAG: rest} if rest else without
