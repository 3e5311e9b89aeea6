"""Rows as JSON can say them, a page at a time."""

import math
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import Any, cast

from bot.chat.privacy.ports import Field, Page
from bot.store.turns.rows import AnyRow

PAGE_ROWS = 200
REPLY_ROWS = 100  # with all their alternatives
LARGE_ROWS = 10  # where one may be a whole file


def page_of(
    rows: Sequence[AnyRow],
    item: Callable[[AnyRow], Mapping[str, Field]],
    limit: int = PAGE_ROWS,
) -> Page:
    """A page of rows with an `id`; there may be more where it is full."""
    return Page([item(row) for row in rows], rows[-1].id if len(rows) == limit else None)


def plain(value: object) -> Field:
    """A value as JSON says it; moments as ISO 8601 in UTC."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # of a card: Python reads it, JSON has no word for it
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return plain_fields(cast("Mapping[str, Any]", value))
    if isinstance(value, Sequence | AbstractSet):
        return [plain(each) for each in cast("Sequence[Any]", value)]
    raise TypeError(f"{type(value).__name__} has no place in an export")


def plain_fields(fields: Mapping[str, Any]) -> dict[str, Field]:
    """The same for each value."""
    return {key: plain(value) for key, value in fields.items()}
