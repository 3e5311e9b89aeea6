"""Long texts in parts that a form's inputs hold, and whole again."""

import re
from collections.abc import Sequence

PART_UNITS = 4_000  # that an input holds: UTF-16 code units, as Discord counts them
INPUTS = 5  # of a form
_GAP = re.compile(r"\s+\Z")
_BREAKS = ("\n\n", "\n", " ")


def parts_of(text: str, units: int = PART_UNITS) -> list[tuple[str, str]]:
    """A text as parts that each fit into an input, and the white space behind each of them.

    Discord takes white space off the ends of an input. A part ends at a paragraph, a line or a
    word, where there is one in its second half. Joined with their gaps, they are the text.
    """
    parts: list[tuple[str, str]] = []
    while text:
        piece = _fitting(text, units)
        if len(piece) < len(text):
            piece = piece[: _break(piece)] or piece
        text = text[len(piece) :]
        leading = text[: len(text) - len(text.lstrip())]
        text = text[len(leading) :]
        gap = _GAP.search(piece)
        bare = piece[: gap.start()] if gap else piece
        parts.append((bare, (gap[0] if gap else "") + leading))
    return parts or [("", "")]


def joined(typed: Sequence[str], gaps: Sequence[str]) -> str:
    """Parts that were typed, each with the gap that stood behind it; new ones follow in lines."""
    text = ""
    for place, part in enumerate(typed):
        if not part:
            continue
        text += part + (gaps[place] if place < len(gaps) else "\n")
    return text


def units_of(text: str) -> int:
    """How long Discord says that a text is."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _fitting(text: str, units: int) -> str:
    piece = text[:units]
    while (excess := units_of(piece) - units) > 0:
        piece = piece[: -((excess + 1) // 2)]
    return piece


def _break(piece: str) -> int:
    for mark in _BREAKS:
        at = piece.rfind(mark, len(piece) // 2)
        if at > 0:
            return at + len(mark)
    return len(piece)
