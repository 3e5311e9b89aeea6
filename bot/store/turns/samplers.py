"""Penalties, DRY, XTC and banned words of a generation, as its row keeps them: JSON.

Only what differs from how it comes is kept, and nothing where all of it is off.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, cast

from bot.chat.messages import Sampling

# Those with a column of their own, from the beginning.
COLUMNS = {"temperature", "top_k", "top_p", "min_p", "repetition_penalty", "seed"}

_PLAIN = {f.name: getattr(Sampling(), f.name) for f in fields(Sampling) if f.name not in COLUMNS}


def write_samplers(sampling: Sampling) -> str | None:
    """What the column holds."""
    found = {name: getattr(sampling, name) for name in _PLAIN}
    changed = {name: value for name, value in found.items() if value != _PLAIN[name]}
    return json.dumps(changed, ensure_ascii=False) if changed else None


def read_samplers(text: str | None) -> dict[str, Any]:
    """Arguments of Sampling. What another hand has written and is none is left out."""
    try:
        kept: object = json.loads(text or "null")
    except ValueError:
        return {}
    if not isinstance(kept, dict):
        return {}
    values = cast("Mapping[str, object]", kept)
    found = {name: _value(values[name], _PLAIN[name]) for name in _PLAIN if name in values}
    return {name: value for name, value in found.items() if value is not None}


def _value(value: object, plain: object) -> object:
    """A value of the kind that `plain` is of; None where it is of none."""
    if isinstance(plain, tuple):
        words = cast("Sequence[object]", value) if isinstance(value, list) else ()
        return tuple(word for word in words if isinstance(word, str))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(plain, int):
        return int(value) if value == value // 1 else None
    return float(value)
