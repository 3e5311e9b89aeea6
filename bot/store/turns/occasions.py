"""What a reply hung on, as the JSON of one column: seed, moment, trigger, lore that fired."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import cast

from bot.chat.messages import LoreFiring, RecordedOccasion
from bot.store.columns import storable, utc


def write_occasion(occasion: RecordedOccasion | None) -> str | None:
    """As the column holds it."""
    if occasion is None:
        return None
    fired = [[each.book_id, each.entry, each.at] for each in occasion.lore]
    kept = {
        "seed": occasion.seed,
        "moment": utc(occasion.moment).isoformat(),
        "trigger": occasion.trigger,
        "lore": fired,
        "others": list(occasion.others),
    }
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
    others = values.get("others")
    names = cast("Sequence[object]", others) if isinstance(others, list) else ()
    return RecordedOccasion(
        seed,
        at,
        trigger,
        tuple(_firings(values.get("lore"))),
        tuple(name for name in names if isinstance(name, str)),
    )


def _firings(lore: object) -> Iterator[LoreFiring]:
    for each in cast("Sequence[object]", lore) if isinstance(lore, list) else ():
        match each:
            case [str(book_id), str(entry), int(at)]:
                yield LoreFiring(book_id, entry, at)
            case _:
                continue
