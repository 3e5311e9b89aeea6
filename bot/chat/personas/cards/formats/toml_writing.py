"""Writes persona files in TOML (toml.io, v1.0), as a person would."""

import re
from collections.abc import Iterable
from typing import cast

from bot.chat.persona import PersonaText
from bot.chat.personas.cards.card import Card
from bot.chat.personas.cards.edits import new_card
from bot.chat.personas.cards.formats.toml_file import CARD, TOML_BYTES, parse_toml
from bot.chat.personas.documents import JsonObject, as_list, as_object, dump_json
from bot.errors import PersonaError

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPED = re.compile('[\x00-\x08\x0a-\x1f\x7f\\\\"]')
_ESCAPED_IN_BLOCK = re.compile('[\x00-\x08\x0b-\x1f\x7f\\\\]|"(?="")|"(?="?\\Z)')
_ESCAPES = {"\n": "\\n", "\t": "\\t", '"': '\\"', "\\": "\\\\"}


def dump_toml(card: Card) -> bytes:
    """The card as a persona file.

    What only its card knows goes along under the key `card`. Raises PersonaError where that gets
    longer than a persona file may be.
    """
    values = card.persona.model_dump(exclude_defaults=True, exclude_none=True)
    plain = _document(values)
    is_whole = new_card(card.persona).document == card.document and _reads_as(plain, card.persona)
    if not is_whole:
        values.pop("lorebook", None)
        values[CARD] = dump_json(card.document).decode()
        plain = _document(values)
    content = plain.encode()
    if len(content) > TOML_BYTES:
        raise PersonaError(
            f"«{card.persona.name}» is too long for a TOML file.", "Export it as v3 or charx."
        )
    return content


def _reads_as(text: str, persona: PersonaText) -> bool:
    try:
        return parse_toml("it", text).persona == persona
    except PersonaError:
        return False  # TOML has no null, and we refuse lines with many dots


def _document(values: JsonObject) -> str:
    """Keys first, then tables, as TOML wants it."""
    tables = {
        key: found for key, value in values.items() if (found := as_object(value)) is not None
    }
    lines = [_pair(key, value) for key, value in values.items() if key not in tables]
    for key, value in tables.items():
        lines += _table([key], value)
    return "\n".join(lines) + "\n"


def _table(path: list[str], values: JsonObject) -> list[str]:
    """A table; a list of tables directly below it is written as such."""
    lists = {key: found for key, value in values.items() if (found := _tables_in(value))}
    lines = [f"\n[{'.'.join(map(_key, path))}]"]
    lines += [_pair(key, value) for key, value in values.items() if key not in lists]
    for key, found in lists.items():
        for each in found:
            lines.append(f"\n[[{'.'.join(map(_key, [*path, key]))}]]")
            lines += [_pair(name, value) for name, value in each.items()]
    return lines


def _tables_in(value: object) -> list[JsonObject]:
    items = [as_object(each) for each in as_list(value) or []]
    found = [each for each in items if each is not None]
    return found if len(found) == len(items) else []


def _pair(key: str, value: object) -> str:
    return f"{_key(key)} = {_value(value, in_block=True)}"


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _text(key)


def _value(value: object, *, in_block: bool = False) -> str:
    if isinstance(value, str):
        return _block(value) if in_block and "\n" in value else _text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    table = as_object(value)
    if table is not None:
        pairs = [f"{_key(key)} = {_value(each)}" for key, each in table.items()]
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list | tuple):
        parts = cast("Iterable[object]", value)
        items = [_value(each, in_block=in_block) for each in parts]
        if in_block and sum(map(len, items)) > 80:
            return "[\n" + "".join(f"    {item},\n" for item in items) + "]"
        return f"[{', '.join(items)}]"
    return '"null"'  # there is no such thing in TOML: found out by reading it again


def _text(text: str) -> str:
    return f'"{_ESCAPED.sub(_escape, text)}"'


def _block(text: str) -> str:
    return f'"""\n{_ESCAPED_IN_BLOCK.sub(_escape, text)}"""'


def _escape(found: re.Match[str]) -> str:
    return _ESCAPES.get(found[0], f"\\u{ord(found[0]):04x}")
