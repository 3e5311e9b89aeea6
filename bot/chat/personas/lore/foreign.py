"""Books of NovelAI, Agnai and Risu: in. They go out as V3 or World Info.

What they have that no field stands for is kept in the extensions, under `caduceus`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bot.chat.personas.documents import as_list, as_object
from bot.chat.personas.lore import values
from bot.chat.personas.lore.book import BookKind, JsonObject, Lorebook, LoreEntry
from bot.chat.personas.lore.fields import BAG
from bot.chat.personas.lore.uids import Uids

# Where a word begins and ends, for a key with wildcards: the same in JavaScript.
_WORD = r"[\p{L}\p{N}\p{M}]"
_SPECIAL = frozenset("\\^$.|?*+()[]{}/")


def read_novelai(document: JsonObject) -> Lorebook:
    """`{lorebookVersion, entries: [{text, keys, displayName, enabled, ...}], categories}`.

    A higher `budgetPriority` is the higher order, as SillyTavern takes it. The entries of a
    category that is off are off.
    """
    closed = {
        values.text(category.get("id"))
        for category in _objects(document.get("categories"))
        if values.flag(category.get("enabled")) is False
    }

    def fields(raw: JsonObject) -> dict[str, object]:
        context = as_object(raw.get("contextConfig")) or {}
        category = values.text(raw.get("category"))
        return {
            "keys": values.texts(raw.get("keys")),
            "content": values.text(raw.get("text")),
            "name": values.text(raw.get("displayName")),
            "enabled": values.flag(raw.get("enabled")) is not False
            and (not category or category not in closed),
            "constant": values.flag(raw.get("forceActivation")),
            "order": values.number(context.get("budgetPriority")),
        }

    return _book(document, BookKind.NOVELAI, "entries", "id", fields)


def read_agnai(document: JsonObject) -> Lorebook:
    """`{kind: "memory", entries: [{keywords, entry, weight, priority, name, enabled}]}`.

    `*` and `?` in keywords are wildcards: such a key becomes a pattern.
    """

    def fields(raw: JsonObject) -> dict[str, object]:
        keys = values.texts(raw.get("keywords")) or ()
        return {
            "keys": tuple(_without_wildcards(key) for key in keys),
            "content": values.text(raw.get("entry")),
            "name": values.text(raw.get("name")),
            "enabled": values.flag(raw.get("enabled")),
            "order": values.number(raw.get("weight")),
            "priority": values.number(raw.get("priority")),
        }

    return _book(document, BookKind.AGNAI, "entries", "", fields)


def read_risu(document: JsonObject) -> Lorebook:
    """`{type: "risu", data: [{key: "a, b", secondkey, content, ...}]}`; folders are no entries."""

    def fields(raw: JsonObject) -> dict[str, object] | None:
        if raw.get("mode") == "folder":
            return None
        is_regex = values.flag(raw.get("useRegex")) or False
        key = values.text(raw.get("key")) or ""
        chance = values.number(raw.get("activationPercent"))
        return {
            "keys": (key,) if is_regex and key.strip() else values.texts(key),
            "secondary_keys": values.texts(raw.get("secondkey")),
            "selective": values.flag(raw.get("selective")),
            "content": values.text(raw.get("content")),
            "comment": values.text(raw.get("comment")),
            "constant": values.flag(raw.get("alwaysActive")),
            "order": values.number(raw.get("insertorder")),
            "probability": chance,
            "use_probability": None if chance is not None else False,
            "use_regex": is_regex,
        }

    return _book(document, BookKind.RISU, "data", "id", fields)


def _book(
    document: JsonObject,
    kind: BookKind,
    where: str,
    uid: str,
    fields: Any,  # (raw) -> the attributes, None where it is no entry; a value None is the default
) -> Lorebook:
    uids = Uids()
    entries: list[LoreEntry] = []
    for at, raw in enumerate(_objects(document.get(where))):
        found: Mapping[str, object] | None = fields(raw)
        if found is None:
            continue
        given: dict[str, Any] = {key: value for key, value in found.items() if value is not None}
        extensions = {BAG: {kind.name.lower(): raw}}
        entries.append(
            LoreEntry(uids.unique(raw.get(uid), str(at)), **given, extensions=extensions, raw=raw)
        )
    rest = {key: value for key, value in document.items() if key not in (where, "name")}
    return Lorebook(
        kind,
        name=values.text(document.get("name")) or "",
        description=values.text(document.get("description")) or "",
        entries=tuple(entries),
        extensions={BAG: {kind.name.lower(): rest}},
        raw=document,
    )


def _objects(value: object) -> Sequence[JsonObject]:
    listed = as_list(value)
    if listed is None:
        listed = list((as_object(value) or {}).values())
    return [found for found in map(as_object, listed) if found is not None]


def _without_wildcards(key: str) -> str:
    if "*" not in key and "?" not in key:
        return key
    spelled = {"*": f"{_WORD}*", "?": f"{_WORD}?"}
    body = "".join(
        spelled.get(one) or (f"\\{one}" if one in _SPECIAL else one) for one in key.strip()
    )
    return f"/(?<!{_WORD}){body}(?!{_WORD})/iu"
