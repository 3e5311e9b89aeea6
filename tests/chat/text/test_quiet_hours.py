"""Quiet hours, as people write them and as clocks have them."""

from datetime import UTC, datetime, time, timedelta
from importlib.resources import files
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.chat.text.quiet_hours import QuietHours, parse

clocks = st.times().map(lambda t: t.replace(second=0, microsecond=0))
every_zone = st.sampled_from(files("tzdata").joinpath("zones").read_text(encoding="utf-8").split())
changing = ["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]
zones = st.sampled_from(["UTC", *changing]) | every_zone
hours = st.builds(QuietHours, clocks, clocks, zones).filter(lambda h: h.start != h.end)
some_day = datetime(2020, 1, 1, tzinfo=UTC)
moments = st.timedeltas(timedelta(), timedelta(days=3653)).map(lambda past: some_day + past)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("22:00-07:00 Europe/Berlin", "22:00-07:00 Europe/Berlin"),
        (" 22:00 - 07:00 ", "22:00-07:00 UTC"),
        ("22-7 europe/berlin", "22:00-07:00 Europe/Berlin"),
        ("9.30–17.45  america/new york", "09:30-17:45 America/New_York"),  # noqa: RUF001
        ("22:00 to 24:00 utc", "22:00-00:00 UTC"),
    ],
)
def test_what_people_write(text: str, kept: str) -> None:
    assert str(parse(text)) == kept


@pytest.mark.parametrize(
    "text",
    [
        "",
        "at night",
        "22:00",
        "25:00-07:00",
        "22:60-07:00",
        "24:01-07:00",
        "22:00-22:00",
        "00:00-24:00",
        "22:00-07:00 Europe/Atlantis",
        "22:00-07:00 ../../etc/passwd",
        "22:00-07:00 Europe",
        "22:00-07:00 /etc/localtime",
        "22:00-07:00Europe/Berlin",
        "22:00-07:00 " + "x" * 5_000,
        "\u0968\u0968:\u0966\u0966-\u0966\u096d:\u0966\u0966",
    ],
)
def test_what_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(text)


@given(hours)
def test_what_is_shown_can_be_typed_again(quiet: QuietHours) -> None:
    assert parse(str(quiet)) == quiet


@given(st.text() | st.from_regex(r"[0-9:.h\- ]{0,14}[A-Za-z/_ ]{0,10}"))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        quiet = parse(text)
    except ValueError as error:
        assert str(error)
    else:
        assert parse(str(quiet)) == quiet


@given(clocks, clocks, moments)
def test_where_clocks_never_change_the_time_of_day_decides(
    start: time, end: time, moment: datetime
) -> None:
    now = moment.time()
    expected = start <= now < end if start < end else now >= start or now < end
    if start != end:
        assert QuietHours(start, end).covers(moment) is expected


@given(hours, moments)
def test_clocks_of_every_zone_decide_where_they_do_not_change(
    quiet: QuietHours, moment: datetime
) -> None:
    zone = ZoneInfo(quiet.zone)
    around = (moment + timedelta(hours=12 * step) for step in range(-6, 7))
    if len({each.astimezone(zone).utcoffset() for each in around}) > 1:
        return  # they change: see below
    now = moment.astimezone(zone).time()
    start, end = quiet.start, quiet.end
    expected = start <= now < end if start < end else now >= start or now < end
    assert quiet.covers(moment) is expected


@given(hours, moments)
@example(  # an hour that is skipped ends one day's hours within the next day's
    QuietHours(time(3, 10), time(2, 50), "Europe/Berlin"), datetime(2026, 3, 28, 12, tzinfo=UTC)
)
def test_the_next_end_is_the_first_moment_that_is_not_quiet(
    quiet: QuietHours, moment: datetime
) -> None:
    end = quiet.next_end(moment)
    assert moment < end <= moment + timedelta(days=3)
    assert not quiet.covers(end)
    assert quiet.covers(end - timedelta(microseconds=1))
    if quiet.covers(moment):
        steps = (moment + (end - moment) * part / 8 for part in range(8))
        assert all(quiet.covers(step) for step in steps)


def test_they_go_by_the_clocks_of_their_zone() -> None:
    quiet = parse("22:00-07:00 Europe/Berlin")
    assert quiet.covers(datetime(2026, 7, 1, 20, 0, tzinfo=UTC))
    assert not quiet.covers(datetime(2026, 1, 1, 20, 0, tzinfo=UTC))
    assert quiet.covers(datetime(2026, 1, 1, 21, 0, tzinfo=ZoneInfo("UTC")))
    assert quiet.next_end(datetime(2026, 1, 1, 21, tzinfo=UTC)).isoformat() == (
        "2026-01-02T07:00:00+01:00"
    )


async def test_a_zone_may_be_read_while_the_bot_answers() -> None:
    QuietHours(time(22), time(7), "Pacific/Chatham").covers(datetime(2026, 1, 1, tzinfo=UTC))
