"""A moment in the past as people type it: how long ago, a date, a message."""

import re
from datetime import UTC, datetime, timedelta

from bot.errors import UserError

SAY_IT_SO = (
    "Say how long ago (`2h`, `3d`, `1w2d`), a date (`2026-11-01`, or `2026-11-01 14:30` in UTC), "
    "or give the link to a message."
)
EPOCH_MILLISECONDS = 1_420_070_400_000  # Discord's own
LARGEST_COUNT_DIGITS = 6
TYPED_CHARACTERS = 200

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}  # by their first letters
_COUNTED = (
    rf"(\d{{1,{LARGEST_COUNT_DIGITS}}})\s*"
    r"(s(?:ec(?:ond)?s?)?|m(?:in(?:ute)?s?)?|h(?:(?:ou)?rs?)?|d(?:ays?)?|w(?:(?:ee)?ks?)?)(?![a-z])"
)
_PART = re.compile(_COUNTED, re.ASCII | re.IGNORECASE)
_DURATION = re.compile(rf"(?:{_COUNTED}(?:\s*,|\s+and\b)?\s*)+(?:ago)?", re.ASCII | re.IGNORECASE)
_DATE = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ]+(\d{1,2}):(\d{2})(?::(\d{2}))?)?\s*(?:Z|UTC)?",
    re.ASCII | re.IGNORECASE,
)
_MESSAGE = re.compile(
    r"(?:https?://(?:\w+\.)?discord(?:app)?\.com/channels/(?:\d{15,20}|@me)/\d{15,20}/|"
    r"\d{15,20}-)?(\d{15,20})/?",
    re.ASCII,
)
_TIMESTAMP = re.compile(r"<t:(\d{1,12})(?::[tTdDfFR])?>", re.ASCII)


class MomentError(UserError):
    """What somebody typed names no moment in the past."""


def moment_of(typed: str, now: datetime) -> datetime:
    """The moment that `typed` names, seen from `now`. Raises MomentError."""
    text = typed.strip()
    if len(text) > TYPED_CHARACTERS:
        raise _unknown(text)
    try:
        moment = _read(text, now)
    except (ValueError, OverflowError) as error:
        raise _unknown(text) from error
    if moment is None:
        raise _unknown(text)
    if moment > now:
        raise MomentError(f"«{_cut(text)}» is still to come.", SAY_IT_SO)
    return moment


def _read(text: str, now: datetime) -> datetime | None:
    if found := _MESSAGE.fullmatch(text):
        milliseconds = (int(found[1]) >> 22) + EPOCH_MILLISECONDS
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    if found := _TIMESTAMP.fullmatch(text):
        return datetime.fromtimestamp(int(found[1]), UTC)
    if found := _DATE.fullmatch(text):
        year, month, day, *time = (int(part) if part else 0 for part in found.groups())
        return datetime(year, month, day, *time, tzinfo=UTC)
    if _DURATION.fullmatch(text):
        seconds = sum(int(count) * _UNITS[unit[0].lower()] for count, unit in _PART.findall(text))
        return now - timedelta(seconds=seconds)
    return None


def _unknown(text: str) -> MomentError:
    return MomentError(f"«{_cut(text)}» names no moment that I understand.", SAY_IT_SO)


def _cut(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"
