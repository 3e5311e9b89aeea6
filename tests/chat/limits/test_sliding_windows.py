"""Sliding windows: never more than the limit in any minute, whatever comes when."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from bot.chat.limits.windows import KEPT_SECONDS, WINDOW_SECONDS, Windows

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@given(
    limit=st.integers(1, 6),
    steps=st.lists(st.integers(0, 40), max_size=60),
    late=st.lists(st.integers(0, 59), max_size=60),
)
def test_no_minute_has_more_and_nothing_is_refused_for_nothing(
    limit: int, steps: list[int], late: list[int]
) -> None:
    windows, taken, now = Windows(), list[int](), 0
    for at, step in enumerate(steps):
        now += step
        moment = now - (late[at] if at < len(late) else 0)  # what is asked for may come late
        nearby = sorted([*taken, moment])
        most = max(sum(start <= one < start + WINDOW_SECONDS for one in nearby) for start in nearby)
        has_room = windows.has_room("ann", limit, after(moment))
        assert has_room == (most <= limit)
        if has_room:
            windows.count("ann", after(moment))
            taken.append(moment)


def test_a_minute_later_there_is_room_again() -> None:
    windows = Windows()
    windows.count("ann", after(0))
    assert not windows.has_room("ann", 1, after(WINDOW_SECONDS - 0.001))
    assert windows.has_room("ann", 1, after(WINDOW_SECONDS))
    assert windows.has_room("ben", 1, after(0))


def test_a_limit_that_is_lowered_holds_at_once() -> None:
    windows = Windows()
    for number in range(10):
        windows.count("ann", after(number))
    assert not windows.has_room("ann", 5, after(20))
    assert windows.has_room("ann", 11, after(20))
    assert not windows.has_room("ann", 0, after(500))


def test_of_very_many_those_of_long_ago_are_forgotten() -> None:
    windows = Windows(most=1_000)
    for number in range(100_000):
        windows.count(f"user {number}", after(number / 10_000))
    assert len(windows) == 1_000
    assert not windows.has_room("user 99999", 1, after(10))
    windows.count("late", after(10 + KEPT_SECONDS))
    assert len(windows) == 1
