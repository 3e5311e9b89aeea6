"""JSON documents of lorebooks: bounded before anything is built, written out as they came."""

import json
import math
import re
from collections import Counter

from bot.errors import LorebookError

FILE_BYTES = 8 * 1024 * 1024
MOST_LEVELS = 100  # of objects and lists in each other
MOST_VALUES = 600_000  # in a document

_TEXTS = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_NO_BRACKETS = re.compile(r"[^\[\]{}]+")


def parse_json(file_name: str, content: bytes) -> object:
    """The values of a JSON file in UTF-8, with keys in their order. Raises LorebookError.

    A key that stands twice, NaN, and numbers that no program keeps are refused: they could not go
    out as they came.
    """
    if len(content) > FILE_BYTES:
        raise LorebookError(f"{file_name} is larger than 8 MiB.", "Use a smaller lorebook.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _fault(file_name, line, "this is not UTF-8.", "Save the file as UTF-8.") from error
    _refuse_too_much(file_name, text)
    try:
        return json.loads(
            text,
            object_pairs_hook=lambda pairs: _no_twins(file_name, pairs),
            parse_float=_finite,
            parse_constant=_no_constant,
        )
    except json.JSONDecodeError as error:
        said = error.msg.replace("Expecting", "expected")
        said = f"this is not JSON: {said[:1].lower()}{said[1:]}."
        raise _fault(file_name, error.lineno, said) from error
    except (RecursionError, ValueError) as error:
        raise _fault(file_name, None, "a number in it is too long, or is none.") from error


def dump_json(document: object, indent: int | None = 4) -> bytes:
    """A document as JSON in UTF-8; halves of characters, which UTF-8 has not, are escaped."""
    text = json.dumps(document, ensure_ascii=False, indent=indent)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(document, indent=indent).encode()


def _refuse_too_much(file_name: str, text: str) -> None:
    bare = _TEXTS.sub("", text)
    if sum(map(bare.count, ",[{")) > MOST_VALUES:
        raise _fault(file_name, None, f"it holds more than {MOST_VALUES:,} values.")
    level = 0
    for mark in _NO_BRACKETS.sub("", bare):
        level += 1 if mark in "[{" else -1
        if level > MOST_LEVELS:
            raise _fault(file_name, None, f"it is nested deeper than {MOST_LEVELS} levels.")


def _finite(written: str) -> float:
    value = float(written)
    if math.isinf(value):
        raise ValueError(written[:40])
    return value


def _no_constant(written: str) -> float:
    raise ValueError(written)


def _no_twins(file_name: str, pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twin, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        shown = " ".join(twin[:80].split())[:40].encode(errors="backslashreplace").decode()
        raise LorebookError(f"{file_name}: the key «{shown}» stands there twice.", "Keep one.")
    return found


def _fault(file_name: str, line: int | None, said: str, fix: str = "") -> LorebookError:
    where = f"{file_name}, line {line}" if line else file_name
    return LorebookError(f"{where}: {said}", fix)
