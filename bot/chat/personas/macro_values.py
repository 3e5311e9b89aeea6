"""What macros of chance and time stand for: the same for the same seed and moment."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256

MOST_DICE = 1_000
MOST_SIDES = 1_000_000
MOST_PLUS = 1_000_000
ZONE_HOURS = 14  # the farthest from UTC

_DICE = re.compile(r"\s*(?:(\d{0,4})d)?(\d{1,7})\s*(?:([+-])\s*(\d{1,7}))?\s*", re.IGNORECASE)
_ZONE = re.compile(r"\s*:{0,2}\s*(?:UTC)?\s*([+-]\d{1,2})(?::?(\d\d))?\s*", re.IGNORECASE)
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SECOND, _MINUTE, _HOUR, _DAY, _MONTH, _YEAR = 1, 60, 3600, 86_400, 2_629_800, 31_557_600
# As moment.js says durations: up to so many seconds, in units of so many, these words.
_DURATIONS = (
    (45 * _SECOND, 0, "a few seconds"),
    (90 * _SECOND, 0, "a minute"),
    (45 * _MINUTE, _MINUTE, "minutes"),
    (90 * _MINUTE, 0, "an hour"),
    (22 * _HOUR, _HOUR, "hours"),
    (36 * _HOUR, 0, "a day"),
    (26 * _DAY, _DAY, "days"),
    (45 * _DAY, 0, "a month"),
    (320 * _DAY, _MONTH, "months"),
    (548 * _DAY, 0, "a year"),
)


def choose(options: Sequence[str], *seed: str) -> str:
    """One of the options; "" where there is none."""
    return options[_number(*seed) % len(options)] if options else ""


def rolled(text: str, *seed: str) -> str:
    """The sum of `2d6+1`, `d6` or `6` rolled; "" for what is no dice or too many."""
    match = _DICE.fullmatch(text.removeprefix(":"))
    if match is None:
        return ""
    dice, sides = int(match[1] or 1), int(match[2])
    plus = int(match[4] or 0) * (-1 if match[3] == "-" else 1)
    if not (0 < dice <= MOST_DICE and 0 < sides <= MOST_SIDES and abs(plus) <= MOST_PLUS):
        return ""
    return str(sum(_number(*seed, str(die)) % sides + 1 for die in range(dice)) + plus)


def now_in(moment: datetime, zone: str) -> datetime:
    """The moment as clocks show it at `UTC+2` and the like; as it is where that is no zone."""
    match = _ZONE.fullmatch(zone)
    if match is None or abs(int(match[1])) > ZONE_HOURS or int(match[2] or 0) >= _MINUTE:
        return moment
    minutes = int(match[2] or 0) * (-1 if match[1].startswith("-") else 1)
    return moment.astimezone(timezone(timedelta(hours=int(match[1]), minutes=minutes)))


def said_as_time(moment: datetime) -> str:
    """«9:05 PM», in English whatever the machine speaks."""
    return f"{moment.hour % 12 or 12}:{moment:%M} {'AM' if moment.hour < 12 else 'PM'}"


def said_as_date(moment: datetime) -> str:
    """«May 1, 2026»."""
    return f"{_MONTHS[moment.month - 1]} {moment.day}, {moment.year}"


def weekday(moment: datetime) -> str:
    """«Friday»."""
    return _WEEKDAYS[moment.weekday()]


def humanized(duration: timedelta | None) -> str:
    """«a few seconds», «5 minutes», «a day»; «just now» where there is none."""
    if duration is None:
        return "just now"
    seconds = max(duration.total_seconds(), 0)
    for below, unit, words in _DURATIONS:
        if seconds < below:
            return f"{max(round(seconds / unit), 2)} {words}" if unit else words
    return f"{max(round(seconds / _YEAR), 2)} years"


def local(moment: datetime) -> datetime:
    """As clocks show it where the bot runs."""
    return moment.astimezone() if moment.tzinfo else moment.replace(tzinfo=UTC).astimezone()


def _number(*words: str) -> int:
    digest = sha256("\0".join(words).encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:8])
