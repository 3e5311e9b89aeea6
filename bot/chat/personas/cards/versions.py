"""The three versions of a card: where each keeps what, and how one becomes another without loss.

Everything is worked out in the terms of V3's `data`. What a version has no place for goes under our
own key in its `extensions`, and comes back from there:

- V1 (flat): the six fields; all other keys of `data` in `extensions.caduceus.data`.
- V2: `data`; V3's own keys in `data.extensions.caduceus.v3`.
- V3: `data`.

Unknown keys beside `data` are V1's unknown keys, as SillyTavern's mirror of V1 has it. Documents
are never changed: what is changed is copied on the way there.
"""

from collections.abc import Mapping
from enum import Enum

from bot.chat.personas.documents import JsonObject, as_object

OURS = "caduceus"  # our key in `extensions`
MODIFIED = "modification_date"  # said anew whenever a V3 card is written
_EMPTY: tuple[object, ...] = ("", [], {}, None)
_KEPT = ("data", "beside")  # below it in V1: what belongs elsewhere in another version

V1_KEYS = ("name", "description", "personality", "scenario", "first_mes", "mes_example")
V3_KEYS = (
    "nickname", "group_only_greetings", "assets", "creator_notes_multilingual", "source",
    "creation_date", "modification_date",
)  # fmt: skip
# Other names of V1's keys: pygmalion's and those of the seed's own card.
_ALIASES: Mapping[str, tuple[str, ...]] = {
    "name": ("name", "char_name"),
    "description": ("description", "char_persona"),
    "scenario": ("scenario", "world_scenario"),
    "first_mes": ("first_mes", "char_greeting"),
    "mes_example": ("mes_example", "example_dialogue"),
    "creator_notes": ("creator_notes", "creatorcomment"),
}
_V2_DEFAULTS: Mapping[str, object] = {
    **dict.fromkeys(V1_KEYS, ""),
    "creator_notes": "",
    "system_prompt": "",
    "post_history_instructions": "",
    "alternate_greetings": [],
    "tags": [],
    "creator": "",
    "character_version": "",
    "extensions": {},
}
_FRAME = ("spec", "spec_version", "data")  # of a V2 or V3 card
# Flat cards may have V2's keys beside V1's.
_FLAT_KEYS = (*_V2_DEFAULTS, "character_book", *V3_KEYS)


class Version(Enum):
    """A version of the character card specification."""

    V1 = "v1"
    V2 = "v2"
    V3 = "v3"


def data_of(version: Version, document: JsonObject) -> JsonObject:
    """The card's fields under V3's keys, as they came."""
    if version is Version.V1:
        return _data_of_flat(document)
    data = as_object(document.get("data")) or {}
    if version is Version.V2:
        own = as_object(_our_part(data).get("v3")) or {}
        return {**data, **{key: value for key, value in own.items() if key not in data}}
    return data


def convert(version: Version, document: JsonObject, to: Version) -> JsonObject:
    """The card in another version; in its own, the document itself."""
    if version is to:
        return document
    data = data_of(version, document)
    if version is Version.V2:
        data = _without_ours(data, "v3")
    if version is Version.V1:
        consumed = {_flat_key(document, key) for key in _FLAT_KEYS} | {"talkativeness"}
        beside = {key: value for key, value in document.items() if key not in consumed}
        beside.update(as_object(_flat_ours(document).get("beside")) or {})
    else:
        beside = {key: value for key, value in document.items() if key not in _FRAME}
    return _BUILDERS[to](data, beside)


def put(version: Version, document: JsonObject, key: str, value: object) -> JsonObject:
    """The document with another value for one key of `data`, at the place where it keeps it."""
    if version is Version.V1:
        return _put_flat(document, key, value)
    data = as_object(document.get("data")) or {}
    before = data.get(key)
    if version is Version.V2 and key in V3_KEYS and key not in data:
        own = as_object(_our_part(data).get("v3")) or {}
        data = _with_ours(data, "v3", {**own, key: value})
    else:
        data = {**data, key: value}
    document = {**document, "data": data}
    # SillyTavern writes V1's keys beside `data` again; they stay its mirror.
    for mirror in (key, *_ALIASES.get(key, ())):
        if mirror in document and document[mirror] == before and mirror not in _FRAME:
            document = {**document, mirror: value}
    return document


def put_extension(version: Version, document: JsonObject, key: str, value: object) -> JsonObject:
    """The document with another value in the card's `extensions`; None takes it out."""
    if version is Version.V1 and key == "talkativeness" and key in document:
        return {**document, key: value}
    extensions = {**(as_object(data_of(version, document).get("extensions")) or {}), key: value}
    if value is None:
        del extensions[key]
    if version is not Version.V1:
        return put(version, document, "extensions", extensions)
    kept = {name: part for name, part in _flat_ours(document).items() if name in _KEPT}
    rest = as_object(kept.get("data")) or {}
    if "extensions" in rest:
        kept["data"] = {name: part for name, part in rest.items() if name != "extensions"}
    ours = {**(as_object(extensions.get(OURS)) or {}), **kept}
    return {**document, "extensions": {**extensions, **({OURS: ours} if ours else {})}}


def _flat_key(document: JsonObject, key: str) -> str:
    """Which of the names of `key` counts: the first with something in it, else the first."""
    names = [name for name in _ALIASES.get(key, (key,)) if document.get(name) is not None]
    filled = [name for name in names if document[name] not in ("", " ")]
    return (filled or names or [key])[0]


def _data_of_flat(document: JsonObject) -> JsonObject:
    names = {key: _flat_key(document, key) for key in _FLAT_KEYS}
    found = {key: document[name] for key, name in names.items() if name in document}
    ours = _flat_ours(document)
    rest = as_object(ours.get("data")) or {}
    below = as_object(rest.get("extensions")) or {}
    flat = as_object(found.pop("extensions", {})) or {}
    settings = {
        **(as_object(below.get(OURS)) or {}),
        **{key: value for key, value in ours.items() if key not in _KEPT},
    }
    extensions = {**below, **{key: value for key, value in flat.items() if key != OURS}}
    if "talkativeness" in document:
        extensions.setdefault("talkativeness", document["talkativeness"])
    if settings:
        extensions[OURS] = settings
    found.update({key: value for key, value in rest.items() if key not in found})
    return {**found, "extensions": extensions} if extensions else found


def _flat_ours(document: JsonObject) -> JsonObject:
    return as_object((as_object(document.get("extensions")) or {}).get(OURS)) or {}


def _put_flat(document: JsonObject, key: str, value: object) -> JsonObject:
    name = _flat_key(document, key)
    if name in document or key in V1_KEYS:
        return {**document, name: value}
    ours = _flat_ours(document)
    rest = {**(as_object(ours.get("data")) or {}), key: value}
    extensions = as_object(document.get("extensions")) or {}
    return {**document, "extensions": {**extensions, OURS: {**ours, "data": rest}}}


def _build_v1(data: JsonObject, beside: JsonObject) -> JsonObject:
    flat = {key: data.get(key, "") for key in V1_KEYS}
    rest = {
        key: value
        for key, value in data.items()
        if key not in (*V1_KEYS, MODIFIED)
        and not (value in _EMPTY and (key in _V2_DEFAULTS or key in V3_KEYS))
    }
    lost = {
        key: value
        for key, value in beside.items()
        if (key in _FLAT_KEYS or key == "talkativeness") and value != flat.get(key)
    }
    ours = {name: part for name, part in (("data", rest), ("beside", lost)) if part}
    others = {k: value for k, value in beside.items() if k not in lost and k not in flat}
    return {**flat, **others, **({"extensions": {OURS: ours}} if ours else {})}


def _build_v2(data: JsonObject, beside: JsonObject) -> JsonObject:
    own = {key: data[key] for key in V3_KEYS if key != MODIFIED and data.get(key) not in _EMPTY}
    kept = {key: value for key, value in data.items() if key not in V3_KEYS}
    kept = {**kept, **{key: each for key, each in _V2_DEFAULTS.items() if key not in kept}}
    if own:
        kept = _with_ours(kept, "v3", own)
    return _document("chara_card_v2", "2.0", kept, beside)


def _build_v3(data: JsonObject, beside: JsonObject) -> JsonObject:
    defaults = {**_V2_DEFAULTS, "group_only_greetings": list[object]()}
    kept = {**data, **{key: each for key, each in defaults.items() if key not in data}}
    return _document("chara_card_v3", "3.0", kept, beside)


_BUILDERS = {Version.V1: _build_v1, Version.V2: _build_v2, Version.V3: _build_v3}


def _document(spec: str, version: str, data: JsonObject, beside: JsonObject) -> JsonObject:
    return {"spec": spec, "spec_version": version, "data": data, **beside}


def _our_part(data: JsonObject) -> JsonObject:
    return as_object((as_object(data.get("extensions")) or {}).get(OURS)) or {}


def _with_ours(data: JsonObject, key: str, value: object) -> JsonObject:
    extensions = as_object(data.get("extensions")) or {}
    return {**data, "extensions": {**extensions, OURS: {**_our_part(data), key: value}}}


def _without_ours(data: JsonObject, key: str) -> JsonObject:
    extensions, ours = as_object(data.get("extensions")), _our_part(data)
    if extensions is None or key not in ours:
        return data
    ours = {name: value for name, value in ours.items() if name != key}
    rest = {name: value for name, value in extensions.items() if name != OURS}
    return {**data, "extensions": {**rest, **({OURS: ours} if ours else {})}}
