"""Moments in the past, as people type them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.chat.moderation.moments import MomentError, moment_of

LINK = "https://discord.com/channels/175928847299117061/175928847299117062/175928847299117063"
NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("typed", "moment"),
    [
        ("2h", NOW - timedelta(hours=2)),
        (" 3 D ", NOW - timedelta(days=3)),
        ("1w2d", NOW - timedelta(days=9)),
        ("90m", NOW - timedelta(minutes=90)),
        ("45s", NOW - timedelta(seconds=45)),
        ("2 hours ago", NOW - timedelta(hours=2)),
        ("1 day, 2 hrs and 5 Minutes", NOW - timedelta(days=1, hours=2, minutes=5)),
        ("1h30min", NOW - timedelta(minutes=90)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01 14:30", datetime(2026, 11, 1, 14, 30, tzinfo=UTC)),
        ("2026-11-01T14:30:05Z", datetime(2026, 11, 1, 14, 30, 5, tzinfo=UTC)),
        ("<t:1700000000:R>", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ("175928847299117063", datetime(2016, 4, 30, 11, 18, 25, 796000, tzinfo=UTC)),
        (
            LINK,
            datetime(2016, 4, 30, 11, 18, 25, 796000, tzinfo=UTC),
        ),
    ],
)
def test_what_is_understood(typed: str, moment: datetime) -> None:
    assert moment_of(typed, NOW) == moment


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "soon",
        "2",
        "h",
        "2x",
        "-2h",
        "2h and a bit",
        "9999999h",
        "999999w",
        "2026-13-01",
        "2026-02-30",
        "01.11.2026",
        "2026-11-01 25:00",
        "٢h",
        "https://evil.example/channels/1/2/3",
        "<t:999999999999:R>",
        "2h" * 500,
    ],
)
def test_what_is_not(typed: str) -> None:
    with pytest.raises(MomentError, match="names no moment that I understand") as caught:
        moment_of(typed, NOW)
    assert len(caught.value.message) < 120
    assert "2h" in caught.value.fix


@pytest.mark.parametrize("typed", ["2026-11-27", "2026-11-26 12:01", "<t:1900000000>"])
def test_what_is_still_to_come(typed: str) -> None:
    with pytest.raises(MomentError, match="is still to come"):
        moment_of(typed, NOW)


@given(st.text(max_size=80) | st.from_regex(r"[0-9<t:>a-z\- ]{0,40}"))
def test_anything_is_a_moment_in_the_past_or_an_error(typed: str) -> None:
    try:
        assert moment_of(typed, NOW) <= NOW
    except MomentError:
        return


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 999))
def test_parts_of_a_duration_add_up(weeks: int, days: int, hours: int) -> None:
    moment = moment_of(f"{weeks}w {days}d{hours}h", NOW)
    assert NOW - moment == timedelta(weeks=weeks, days=days, hours=hours)
