"""What a reply depended on, as the JSON of one column: seed, moment, lore fired, a second try."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import cast

from bot.chat.messages import Flaw, LoreFiring, RecordedOccasion, Retry
from bot.store.columns import storable, utc

_FLAWS = frozenset(Flaw)


def write_occasion(occasion: RecordedOccasion | None) -> str | None:
    """As the column holds it."""
    if occasion is None:
        return None
    fired = [[each.book_id, each.entry, each.at] for each in occasion.lore]
    kept: dict[str, object] = {
        "seed": occasion.seed,
        "moment": utc(occasion.moment).isoformat(),
        "trigger": occasion.trigger,
        "lore": fired,
        "others": list(occasion.others),
    }
    if occasion.retry is not None:
        kept["retry"] = asdict(occasion.retry)
    return storable(json.dumps(kept, ensure_ascii=False, separators=(",", ":")))


def read_occasion(text: str | None) -> RecordedOccasion | None:
    """What the column holds; None where another hand has written what is none."""
    try:
        kept: object = json.loads(text or "null")
    except ValueError:
        return None
    if not isinstance(kept, dict):
        return None
    values = cast("Mapping[str, object]", kept)
    seed, moment, trigger = values.get("seed"), values.get("moment"), values.get("trigger")
    if not isinstance(seed, int) or not isinstance(moment, str) or not isinstance(trigger, str):
        return None
    try:
        at = utc(datetime.fromisoformat(moment))
    except ValueError:
        return None
    return RecordedOccasion(
        seed,
        at,
        trigger,
        tuple(_firings(values.get("lore"))),
        _names(values.get("others")),
        _retry(values.get("retry")),
    )


def _names(value: object) -> tuple[str, ...]:
    names = cast("Sequence[object]", value) if isinstance(value, list) else ()
    return tuple(name for name in names if isinstance(name, str))


def _retry(value: object) -> Retry | None:
    match value:
        case {"flaw": str(flaw), "tokens": int(tokens), "kept_first": bool(kept)} if flaw in _FLAWS:
            return Retry(Flaw(flaw), tokens, kept)
        case _:
            return None


def _firings(lore: object) -> Iterator[LoreFiring]:
    for each in cast("Sequence[object]", lore) if isinstance(lore, list) else ():
        match each:
            case [str(book_id), str(entry), int(at)]:
                yield LoreFiring(book_id, entry, at)
            case _:
                continue
