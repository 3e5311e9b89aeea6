"""Persona files: read with a bound, TOML or JSON, every fault named with its file and line."""

import difflib
import json
import os
import re
import stat
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

from pydantic import ValidationError

from bot.chat.persona import NAME_CHARACTERS, TEXT_CHARACTERS, PersonaText
from bot.chat.personas.cards import card_fields
from bot.chat.text.names import clean_name
from bot.errors import PersonaError

FILE_BYTES = 1024 * 1024
KEY_PARTS = 16  # on one line; `tomllib` takes minutes for keys of thousands
KEY_CHARACTERS = 40  # of a key that is told of
# Texts and comments in TOML, up to the end of the file where they have none of their own.
_NO_KEYS = re.compile(
    r'''"""(?:[^"\\]|\\.|"(?!""))*(?:"""|\Z|\\\Z)|'''
    r"'''.*?(?:'''|\Z)|"
    r""""(?:[^"\\\n]|\\.)*|'[^'\n]*|#[^\n]*""",
    re.DOTALL,
)
_COLON = re.compile(r"\s*:")
_TOO_MUCH = "it is nested too deeply, or a number is too long."
_LINE = re.compile(r" ?\(at line (\d+), column \d+\)| \(at end of document\)")
_LINE_END = re.compile("\r\n?")  # Windows' cards have them
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def read_persona(path: Path) -> PersonaText:
    """The persona in a TOML file or a JSON card. Blocking. Raises PersonaError."""
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise PersonaError(
            f"{path.name or path} is not a persona file.",
            f"Use a file ending in {' or '.join(_READERS)}.",
        )
    return reader(path.name, _read_text(path))


def is_persona_file(path: Path) -> bool:
    """Whether the name says so."""
    return path.suffix.lower() in _READERS and not path.name.startswith((".", "~", "#"))


def parse_toml(file_name: str, text: str) -> PersonaText:
    """A persona as TOML, with exactly the keys of :class:`PersonaText`. Raises PersonaError."""
    _refuse_long_keys(file_name, text)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        where = _LINE.search(str(error))
        line = int(where[1]) if where and where[1] else len(text.splitlines())
        said = _LINE.sub("", str(error))
        raise _fault(file_name, line, f"this is not TOML: {said[:1].lower()}{said[1:]}.") from error
    except (RecursionError, ValueError) as error:
        raise _fault(file_name, None, _TOO_MUCH) from error
    return _persona(file_name, values, lambda key: _line_in_toml(text, key))


def parse_json(file_name: str, text: str) -> PersonaText:
    """A persona as JSON: a flat card (V1, or the seed's keys). Raises PersonaError."""
    try:
        values: object = json.loads(
            text, object_pairs_hook=lambda pairs: _no_twins(file_name, pairs)
        )
    except json.JSONDecodeError as error:
        raise _fault(file_name, error.lineno, _json_expectation(error)) from error
    except (RecursionError, ValueError) as error:
        raise _fault(file_name, None, _TOO_MUCH) from error
    if not isinstance(values, dict):
        raise _fault(file_name, 1, "expected an object in braces, with a name and a description.")
    fields, keys = card_fields(file_name, cast("dict[str, object]", values))
    return _persona(file_name, fields, lambda key: _line_in_json(text, keys.get(key, key)))


_READERS: Mapping[str, Callable[[str, str], PersonaText]] = {
    ".toml": parse_toml,
    ".json": parse_json,
}


def _read_text(path: Path) -> str:
    content = _read_bytes(path)
    if len(content) > FILE_BYTES:
        raise PersonaError(f"{path.name} is larger than 1 MiB.", "A persona file is text alone.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _fault(path.name, line, "this is not UTF-8.", "Save the file as UTF-8.") from error


def _read_bytes(path: Path) -> bytes:
    """The file's first MiB, and a byte more where there is one."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a device may do something already
            raise PersonaError(f"{path.name} is not a plain file.")
        # The file may be another one by now. Opening a pipe so does not wait for who writes to it.
        with open(path, "rb", opener=_open_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise PersonaError(f"{path.name} is not a plain file.")
            return file.read(FILE_BYTES + 1)
    except OSError as error:
        raise PersonaError(
            f"{path.name} cannot be read: {error.strerror}.", "Check that it is there and readable."
        ) from error


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _persona(
    file_name: str, values: Mapping[str, object], line_of: Callable[[str], int | None]
) -> PersonaText:
    for key in values:
        if key not in PersonaText.model_fields:
            raise _fault(file_name, line_of(key), _unknown(key))
    fields = {
        key: _LINE_END.sub("\n", value) if isinstance(value, str) else value
        for key, value in values.items()
    }
    for key, value in fields.items():
        if isinstance(value, str) and (bad := _CONTROLS.search(value)):
            said = f"«{key}» holds the control character {bad[0]!r}."
            raise _fault(file_name, line_of(key), said)
    try:
        persona = PersonaText.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        key = str(first["loc"][0]) if first["loc"] else ""
        raise _fault(file_name, line_of(key), _expectation(key, first["type"])) from error
    if "\n" in persona.name:
        raise _fault(file_name, line_of("name"), "a name has only one line.")
    if not clean_name(persona.name, default=""):
        raise _fault(file_name, line_of("name"), "«name» shows nothing.")
    return persona


def _unknown(key: str) -> str:
    shown = key[:KEY_CHARACTERS]
    known = ", ".join(PersonaText.model_fields)
    near = difflib.get_close_matches(shown, PersonaText.model_fields, 1)
    question = f" Did you mean «{near[0]}»?" if near else ""
    return f"there is no key «{shown}».{question} There are: {known}."


def _expectation(key: str, kind: str) -> str:
    if kind == "missing":
        return f"expected the key «{key}», which is missing."
    if kind == "string_too_long":
        limits = {"name": NAME_CHARACTERS, "summary": 200}
        return f"«{key}» is longer than {limits.get(key, TEXT_CHARACTERS):,} characters."
    if kind == "string_too_short":
        return f"«{key}» is empty."
    return f"expected text in quotes for «{key}»."


def _json_expectation(error: json.JSONDecodeError) -> str:
    before = error.doc[: error.pos].rstrip()[-1:]
    if error.msg.startswith("Expecting ',' delimiter"):
        return "expected a comma before this (perhaps at the end of the line above)."
    if error.msg.startswith("Expecting property name") or before == ",":
        return "expected a key in double quotes; the last entry has no comma after it."
    said = error.msg.replace("Expecting", "expected")
    return f"this is not JSON: {said[:1].lower()}{said[1:]}."


def _no_twins(file_name: str, pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twin, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise PersonaError(f"{file_name}: the key «{twin[:40]}» stands there twice.", "Keep one.")
    return found


def _refuse_long_keys(file_name: str, text: str) -> None:
    """Raise PersonaError for a line whose key, or keys, have very many parts."""
    bare = _NO_KEYS.sub(lambda found: "\n" * found[0].count("\n"), text)
    for number, line in enumerate(bare.split("\n"), 1):
        if line.count(".") > KEY_PARTS:
            raise _fault(file_name, number, "this key has too many parts.")


# Both go through a text once, whatever it is: a pattern that may try again takes minutes for some.


def _line_in_toml(text: str, key: str) -> int | None:
    """The line where a value is given to `key`."""
    written = [f"{quote}{key}{quote}" for quote in ("", '"', "'")]
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip(" \t[")
        for one in written:
            after = line[len(one) :].lstrip() if line.startswith(one) else ""
            if after and after[0] in "=.]":
                return number
    return None


def _line_in_json(text: str, key: str) -> int | None:
    written, at = json.dumps(key, ensure_ascii=False), 0
    while (at := text.find(written, at)) >= 0:
        after = at + len(written)
        if _COLON.match(text, after):
            return text.count("\n", 0, at) + 1
        at = after
    return None


def _fault(file_name: str, line: int | None, said: str, fix: str = "") -> PersonaError:
    where = f"{file_name}, line {line}" if line else file_name
    return PersonaError(f"{where}: {said}", fix)
