"""JSON documents of cards and lorebooks: bounded, kept in order, written out as they came."""

import json
import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import cast

from bot.errors import LorebookError, PersonaError, UserError

FILE_BYTES = 8 * 1024 * 1024  # of a card's file and of a lorebook's
MOST_LEVELS = 100  # of objects and lists in each other; real cards have about eight

JsonObject = dict[str, object]


@dataclass(frozen=True, slots=True)
class DocumentKind:
    """What documents of a kind may hold, and the error that is raised where one cannot be read."""

    error: type[UserError]
    most_values: int  # 300,000 are about 60 MB of memory
    most_marks: int  # brackets and commas, also those in texts


CARD = DocumentKind(PersonaError, 300_000, 600_000)
# A book is mostly prose: its texts may be full of any mark, as far as its file goes.
BOOK = DocumentKind(LorebookError, 600_000, FILE_BYTES)

_TOO_MUCH = "it is nested too deeply, or a number is too long."
_TEXTS = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_NO_BRACKETS = re.compile(r"[^\[\]{}]+")
_BOMS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


def as_object(value: object) -> JsonObject | None:
    """`value` if it is a JSON object."""
    return cast("JsonObject", value) if isinstance(value, dict) else None


def as_list(value: object) -> list[object] | None:
    """`value` if it is a JSON list."""
    return cast("list[object]", value) if isinstance(value, list) else None


def shown(text: str, characters: int = 40) -> str:
    """The beginning of a hostile text, on one line and as it can be printed and sent."""
    line = " ".join(text[: characters * 2].split())[:characters]
    return line.encode(errors="backslashreplace").decode()


def fault(
    file_name: str, line: int | None, said: str, fix: str = "", *, kind: DocumentKind = CARD
) -> UserError:
    """An error of the kind's that names the file and, if known, the line."""
    where = f"{file_name}, line {line}" if line else file_name
    return kind.error(f"{where}: {said}", fix)


def decode(file_name: str, content: bytes, *, kind: DocumentKind = CARD) -> str:
    """A text file's text: UTF-8, or UTF-16 as Windows saves it. Raises the kind's error."""
    encoding = next((name for bom, name in _BOMS if content.startswith(bom)), "utf-8-sig")
    if content[1:2] == b"\x00" and content[:1].isascii() and content[:1] != b"\x00":
        encoding = "utf-16-le"  # as it is saved without a mark
    elif content[:1] == b"\x00" and content[1:2].isascii():
        encoding = "utf-16-be"
    if encoding == "utf-8-sig":
        return decode_utf8(file_name, content, kind=kind)
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        said, fix = "this is not UTF-16, as it begins like.", "Save it as UTF-8."
        raise fault(file_name, None, said, fix, kind=kind) from error


def decode_utf8(file_name: str, content: bytes, *, kind: DocumentKind = CARD) -> str:
    """The text of a file in UTF-8. Raises the kind's error, which names the line."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        said, fix = "this is not UTF-8.", "Save the file as UTF-8."
        raise fault(file_name, line, said, fix, kind=kind) from error


def parse_json(file_name: str, text: str, *, kind: DocumentKind = CARD) -> object:
    """The values of a JSON text, objects in the order in which they came.

    Bounded before anything is built. A key that stands twice, NaN and numbers that no program
    keeps are refused, since they could not go out as they came. Raises the kind's error.
    """
    _refuse_too_much(file_name, text, kind)
    try:
        return json.loads(
            text,
            object_pairs_hook=lambda pairs: _no_twins(file_name, pairs, kind),
            parse_float=_finite,
            parse_constant=_no_constant,
        )
    except json.JSONDecodeError as error:
        raise fault(file_name, error.lineno, _json_expectation(error), kind=kind) from error
    except _NoNumberError as error:
        written = shown(str(error))
        line = _line_of_number(text, str(error))
        said = f"«{written}» is no number that JSON has."
        raise fault(file_name, line, said, "Write a number or null there.", kind=kind) from error
    except (RecursionError, ValueError) as error:
        raise fault(file_name, None, _TOO_MUCH, kind=kind) from error


def dump_json(document: JsonObject, indent: int | None = None) -> bytes:
    """A document as JSON in UTF-8; halves of characters, which UTF-8 has not, are escaped."""
    separators = (",", ": ") if indent else (",", ":")
    text = json.dumps(document, ensure_ascii=False, indent=indent, separators=separators)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(document, indent=indent, separators=separators).encode()


def line_in_json(text: str, key: str) -> int | None:
    """The first line where `key` stands as a key."""
    # Goes through the text once: a pattern that may try again takes minutes for some texts.
    written, at = json.dumps(key, ensure_ascii=False), 0
    while (at := text.find(written, at)) >= 0:
        after = at + len(written)
        if text[after : after + 100].lstrip().startswith(":"):
            return text.count("\n", 0, at) + 1
        at = after
    return None


def _refuse_too_much(file_name: str, text: str, kind: DocumentKind) -> None:
    marks = sum(text.count(mark) for mark in ",[{")
    if marks > kind.most_marks or text.count('"') > 4 * kind.most_marks:
        raise fault(file_name, None, "it holds too many values.", kind=kind)
    bare = _TEXTS.sub("", text)
    if sum(bare.count(mark) for mark in ",[{") > kind.most_values:
        raise fault(file_name, None, f"it holds more than {kind.most_values:,} values.", kind=kind)
    level = 0
    for mark in _NO_BRACKETS.sub("", bare):
        level += 1 if mark in "[{" else -1
        if level > MOST_LEVELS:
            said = f"it is nested too deeply: {MOST_LEVELS} levels at most."
            raise fault(file_name, None, said, kind=kind)


class _NoNumberError(Exception):
    """A number that is none, or is larger than programs can keep; the message is as it stands."""


def _line_of_number(text: str, written: str) -> int | None:
    """The first line where it stands outside of a text."""
    for found in re.finditer(rf"[:,\[]\s*+({re.escape(written)})(?![\w.])", text):
        return text.count("\n", 0, found.start(1)) + 1
    return None


def _finite(written: str) -> float:
    value = float(written)
    if math.isinf(value):
        raise _NoNumberError(written[:40])
    return value


def _no_constant(written: str) -> float:
    raise _NoNumberError(written)


def _no_twins(file_name: str, pairs: list[tuple[str, object]], kind: DocumentKind) -> JsonObject:
    found = dict(pairs)
    if len(found) < len(pairs):
        twin, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        said = f"the key «{shown(twin)}» stands there twice."
        raise fault(file_name, None, said, "Keep one.", kind=kind)
    return found


def _json_expectation(error: json.JSONDecodeError) -> str:
    before = error.doc[max(0, error.pos - 1000) : error.pos].rstrip()[-1:]
    if error.msg.startswith("Expecting ',' delimiter"):
        return "expected a comma before this (perhaps at the end of the line above)."
    if error.msg.startswith("Illegal trailing comma") or before == ",":
        return "expected a key in double quotes; the last entry has no comma after it."
    if error.msg.startswith("Expecting property name"):
        return "this is not JSON: expected a key in double quotes."
    said = error.msg.replace("Expecting", "expected")
    return f"this is not JSON: {said[:1].lower()}{said[1:]}."
