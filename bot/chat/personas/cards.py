"""Character cards as flat JSON: V1, and the keys of the seed's own card."""

from collections.abc import Mapping

from bot.errors import PersonaError

# Our field: the card's names for it, V1's first. The first one that isn't empty counts.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "name": ("name", "char_name"),
    "description": ("description", "char_persona"),
    "personality": ("personality",),
    "scenario": ("scenario", "world_scenario"),
    "greeting": ("first_mes", "char_greeting"),
    "example_dialogue": ("mes_example", "example_dialogue"),
}


def card_fields(
    file_name: str, card: Mapping[str, object]
) -> tuple[dict[str, object], dict[str, str]]:
    """The card's fields under our names, and which of its keys each came from.

    Keys that V1 doesn't know are passed over: frontends add their own. A V2 or V3 card is refused
    rather than read in part. Raises PersonaError.
    """
    if "spec" in card or isinstance(card.get("data"), Mapping):
        kind = str(card.get("spec", "chara_card_v2"))[:40]
        raise PersonaError(
            f"{file_name} is a card of the kind «{kind}», which this version cannot read whole.",
            "Save it as a V1 card: one object with name, description, personality, scenario, "
            "first_mes and mes_example.",
        )
    fields: dict[str, object] = {}
    keys: dict[str, str] = {}
    for field, names in _NAMES.items():
        present = [name for name in names if card.get(name) is not None]
        if present:
            key = next((name for name in present if card[name] not in ("", " ")), present[0])
            fields[field], keys[field] = card[key], key
    if "name" not in fields:
        raise PersonaError(f"{file_name}: expected the key «name» (or «char_name»).")
    return fields, keys
