"""Persona files in TOML: our own format, with the keys of :class:`bot.chat.persona.PersonaText`.

One key more, `card`, holds the character card that the persona came from, as JSON: with it, a
persona that goes out as TOML comes back with everything that only its card knows.
"""

import difflib
import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import cast

from pydantic import ValidationError

from bot.chat.persona import NAME_CHARACTERS, SUMMARY_CHARACTERS, TEXT_CHARACTERS, PersonaText
from bot.chat.personas.cards.card import Card
from bot.chat.personas.cards.edits import new_card, with_persona
from bot.chat.personas.cards.fields import CONTROLS, LINE_END, about_name, checked_name
from bot.chat.personas.cards.formats.json_file import Origin, card_of, read_document
from bot.chat.personas.documents import MOST_LEVELS, as_object, fault, shown
from bot.errors import PersonaError

TOML_BYTES = 1024 * 1024
KEY_PARTS = 16  # on one line; `tomllib` takes minutes for keys of thousands
MOST_VALUES = 100_000  # `tomllib` reads about half a million a second
CARD = "card"
# Texts and comments in TOML, up to the end of the file where they have none of their own.
_NO_KEYS = re.compile(
    r'''"""(?:[^"\\]|\\.|"(?!""))*(?:"""|\Z|\\\Z)|'''
    r"'''.*?(?:'''|\Z)|"
    r""""(?:[^"\\\n]|\\.)*|'[^'\n]*|#[^\n]*""",
    re.DOTALL,
)
_LINE = re.compile(r" ?\(at line (\d+), column \d+\)| \(at end of document\)")
_TOO_MUCH = "it is nested too deeply, or a number is too long."


def parse_toml(file_name: str, text: str) -> Card:
    """The persona in a TOML text, as a card. Raises PersonaError, naming file and line."""
    if len(text) > TOML_BYTES or len(text.encode(errors="replace")) > TOML_BYTES:
        raise PersonaError(f"{file_name} is larger than 1 MiB.", "A persona file is text alone.")
    _refuse_what_takes_long(file_name, text)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        where = _LINE.search(str(error))
        line = int(where[1]) if where and where[1] else len(text.splitlines())
        said = _LINE.sub("", str(error))
        raise fault(file_name, line, f"this is not TOML: {said[:1].lower()}{said[1:]}.") from error
    except (RecursionError, ValueError) as error:
        raise fault(file_name, None, _TOO_MUCH) from error
    kept = values.pop(CARD, None)
    base = None if kept is None else _kept_card(file_name, kept)
    persona = _persona(file_name, values, text)
    if base and "lorebook" not in values:
        persona = persona.model_copy(update={"lorebook": base.persona.lorebook})
    card = new_card(persona) if base is None else with_persona(base, persona)
    return replace(card, warnings=tuple({*card.warnings, *about_name(persona.name)}))


def _kept_card(file_name: str, kept: object) -> Card:
    if not isinstance(kept, str):
        raise fault(file_name, None, f"expected a card as JSON in quotes for «{CARD}».")
    document = read_document(f"{file_name}, «{CARD}»", kept.encode(errors="replace"))
    return card_of(f"{file_name}, «{CARD}»", document, Origin.TOML)


def _persona(file_name: str, values: Mapping[str, object], text: str) -> PersonaText:
    for key in values:
        if key not in PersonaText.model_fields:
            raise fault(file_name, _line_in_toml(text, key), _unknown(key))
    fields = {key: _with_plain_ends(value) for key, value in values.items()}
    for key, value in fields.items():
        for part in _leaves(file_name, value):
            if isinstance(part, str) and (bad := CONTROLS.search(part)):
                said = f"«{key}» holds the control character {bad[0]!r}."
                raise fault(file_name, _line_in_toml(text, key), said)
            if not isinstance(part, str | int | float) or part in (math.inf, -math.inf):
                said = f"«{key}» holds a date or a number that is none."
                raise fault(file_name, _line_in_toml(text, key), said)
    if "lorebook" in fields and as_object(fields["lorebook"]) is None:
        raise fault(file_name, _line_in_toml(text, "lorebook"), "expected a table for «lorebook».")
    try:
        persona = PersonaText.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        key = str(first["loc"][0]) if first["loc"] else ""
        path = ".".join(str(part) for part in first["loc"])
        said = _expectation(key, path, first["type"], first["msg"])
        raise fault(file_name, _line_in_toml(text, key), said) from error
    try:
        checked_name(persona.name)
    except PersonaError as error:
        line = _line_in_toml(text, "name")
        raise fault(file_name, line, error.message, error.fix) from error
    return persona


def _with_plain_ends(value: object) -> object:
    if isinstance(value, str):
        return LINE_END.sub("\n", value)
    if isinstance(value, list):
        return [_with_plain_ends(each) for each in cast("list[object]", value)]
    if isinstance(value, dict):
        table = cast("dict[str, object]", value)
        return {key: _with_plain_ends(each) for key, each in table.items()}
    return value


def _leaves(file_name: str, value: object, level: int = 0) -> Iterator[object]:
    """The texts and numbers in a value, keys too."""
    if level > MOST_LEVELS:
        raise fault(file_name, None, _TOO_MUCH)
    if isinstance(value, list):
        for each in cast("list[object]", value):
            yield from _leaves(file_name, each, level + 1)
    elif isinstance(value, dict):
        for key, each in cast("dict[str, object]", value).items():
            yield key
            yield from _leaves(file_name, each, level + 1)
    elif value is not None:
        yield value


def _unknown(key: str) -> str:
    near = difflib.get_close_matches(key[:40], PersonaText.model_fields, 1)
    question = f" Did you mean «{near[0]}»?" if near else ""
    known = ", ".join(PersonaText.model_fields)
    return f"there is no key «{shown(key)}».{question} There are: {known}."


def _expectation(key: str, path: str, kind: str, said: str) -> str:
    match kind:
        case "missing":
            return f"expected the key «{path}», which is missing."
        case "string_too_long":
            limits = {"name": NAME_CHARACTERS, "nickname": NAME_CHARACTERS}
            limits["summary"] = SUMMARY_CHARACTERS
            return f"«{key}» is longer than {limits.get(key, TEXT_CHARACTERS):,} characters."
        case "string_too_short":
            return f"«{key}» is empty."
        case "string_type":
            return f"expected text in quotes for «{path}»."
        case _:
            return f"«{path}»: {said[:1].lower()}{said[1:]}."


def _refuse_what_takes_long(file_name: str, text: str) -> None:
    """Raise PersonaError for very many values, and for keys with very many parts on one line."""
    bare = _NO_KEYS.sub(lambda found: "\n" * found[0].count("\n"), text)
    if sum(bare.count(mark) for mark in ",[{=") > MOST_VALUES:
        raise fault(file_name, None, f"it holds more than {MOST_VALUES:,} values.")
    for number, line in enumerate(bare.split("\n"), 1):
        if line.count(".") > KEY_PARTS:
            raise fault(file_name, number, "this key has too many parts.")


def _line_in_toml(text: str, key: str) -> int | None:
    """The line where a value is given to `key`."""
    # Goes through the text once: a pattern that may try again takes minutes for some texts.
    written = [f"{quote}{key}{quote}" for quote in ("", '"', "'")]
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip(" \t[")
        for one in written:
            after = line[len(one) :].lstrip() if line.startswith(one) else ""
            if after and after[0] in "=.]":
                return number
    return None
