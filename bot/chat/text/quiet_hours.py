"""Quiet hours: a time of every day, as people write it and as clocks in a time zone have it."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

EXAMPLE = "22:00-07:00 Europe/Berlin"
MOST_CHARACTERS = 80
_DEFAULT_ZONE = "UTC"
_CLOCK = r"([0-9]{1,2})(?:[:.h]([0-9]{2}))?"
_FORM = re.compile(rf"{_CLOCK}\s*(?:-|–|—|to)\s*{_CLOCK}(?:\s+(\S.*))?", re.IGNORECASE)  # noqa: RUF001
_DAY = timedelta(days=1)
# By their names in small letters. The list comes from a package, as not every system has one.
_ZONES = {
    name.casefold(): name
    for name in files("tzdata").joinpath("zones").read_text(encoding="utf-8").split()
}


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From one time of day to another, in a time zone; over midnight where the end is earlier."""

    start: time
    end: time
    zone: str = _DEFAULT_ZONE

    def __str__(self) -> str:
        """As people write it, and as it is kept."""
        return f"{self.start:%H:%M}-{self.end:%H:%M} {self.zone}"

    def covers(self, moment: datetime) -> bool:
        """Whether `moment`, which has a time zone, is within the quiet hours."""
        moment = moment.astimezone(UTC)
        return any(start <= moment < end for start, end in self._periods(moment))

    def next_end(self, moment: datetime) -> datetime:
        """When quiet hours next end after `moment`, in their own time zone.

        Where they cover `moment`, that is when the bot answers again.
        """
        ends = [end for start, end in self._periods(moment) if start < end]
        # Where clocks change, one day's hours may end within the next day's.
        ended = next(end for end in sorted(ends) if end > moment and not self.covers(end))
        return ended.astimezone(_zone(self.zone))

    def _periods(self, moment: datetime) -> list[tuple[datetime, datetime]]:
        """The quiet hours of the days around `moment`, as moments in UTC."""
        today = moment.astimezone(_zone(self.zone)).date()
        length = _DAY if self.end <= self.start else timedelta()
        days = (today + _DAY * days for days in range(-2, 4))
        return [(self._at(day, self.start), self._at(day + length, self.end)) for day in days]

    def _at(self, day: date, clock: time) -> datetime:
        # A time that clocks skip counts from before they do; one that they show twice, the first.
        return datetime.combine(day, clock, _zone(self.zone)).astimezone(UTC)


@lru_cache(maxsize=1024)
def parse(text: str) -> QuietHours:
    """What a person wrote. Raises ValueError, which says what is wrong with it."""
    found = _FORM.fullmatch(text.strip()) if len(text) <= MOST_CHARACTERS else None
    if found is None:
        raise ValueError(f"Write the hours as `{EXAMPLE}`.")
    start_hour, start_minute, end_hour, end_minute, zone = found.groups()
    start, end = _clock(start_hour, start_minute), _clock(end_hour, end_minute)
    if start == end:
        raise ValueError("They begin and end at the same time; `trigger` = `off` is silence.")
    return QuietHours(start, end, _zone_named(zone or _DEFAULT_ZONE))


def _clock(hour: str, minute: str | None) -> time:
    hours, minutes = int(hour), int(minute or 0)
    if (hours, minutes) == (24, 0):  # the day's end, as people write it
        return time()
    if hours > 23 or minutes > 59:
        raise ValueError(f"There is no {hours}:{minutes:02} on a clock of 24 hours.")
    return time(hours, minutes)


def _zone_named(text: str) -> str:
    name = _ZONES.get("_".join(text.split()).casefold())
    if name is None:
        raise ValueError(f"There is no time zone of that name; write one as in `{EXAMPLE}`.")
    return name


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
