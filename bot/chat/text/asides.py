"""What people say past the bot: out of character, never part of a prompt."""

import re

# Parentheses that are eyes' mouths: they open and close nothing. Not of «((: hello))».
_SMILEY = re.compile(r"(?<=[:;=])['\u2019]?-?[)(](?!\)\)?\Z)|(?<!\()\((?=-?[:;=])")
_FULL_WIDTH = str.maketrans("\uff08\uff09", "()")  # as Chinese and Japanese keyboards write them


def is_out_of_character(text: str) -> bool:
    """Whether people talk past the bot: ``((all of it in double parentheses))``, or ``// so``.

    Several asides in a row count, as long as nothing else stands between them. In a formula or in
    code, as ``((2+3)*(4+5))``, the double parentheses are not closed together: it is none.
    """
    text = text.strip().translate(_FULL_WIDTH)
    if text.startswith("//"):
        return True
    if len(text) < 4 or not (text.startswith("((") and text.endswith("))")):
        return False
    plain = _SMILEY.sub("x", text)
    for candidate in (plain, text):
        pairs = _pairs(candidate)
        if pairs is not None:
            return _are_asides(candidate, pairs)
    asides = text.split("((")[1:-1]
    return not any(aside.rpartition("))")[2].strip() for aside in asides if "))" in aside)


def _pairs(text: str) -> dict[int, int] | None:
    """Where each parenthesis closes; None when they don't go together."""
    opened: list[int] = []
    pairs: dict[int, int] = {}
    for at, character in enumerate(text):
        if character == "(":
            opened.append(at)
        elif character == ")":
            if not opened:
                return None
            pairs[opened.pop()] = at
    return None if opened else pairs


def _are_asides(text: str, pairs: dict[int, int]) -> bool:
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        end = pairs.get(at)
        if end is None or pairs.get(at + 1) != end - 1:
            return False
        at = end + 1
    return True
