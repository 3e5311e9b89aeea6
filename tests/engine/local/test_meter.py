"""What was measured lately."""

import pytest

from bot.engine.local.meter import WINDOW_SECONDS, Meter


def measured() -> Meter:
    """Requests take 10 seconds, 1 of them until their first text."""
    meter = Meter()
    meter.first_token(1.0)
    meter.served(10.0)
    return meter


def test_nothing_measured_expects_no_wait() -> None:
    assert Meter().expected_wait(0, running_since=[], waiting=0, rows=2) == 0
    assert Meter().expected_wait(0, running_since=[0.0, 0.0], waiting=5, rows=2) == 0


def test_with_a_free_row_only_the_first_token_is_waited_for() -> None:
    assert measured().expected_wait(100, running_since=[99.0], waiting=0, rows=2) == 1.0


def test_with_all_rows_taken_the_next_to_end_is_waited_for() -> None:
    wait = measured().expected_wait(100, running_since=[94.0, 97.0], waiting=0, rows=2)
    assert wait == pytest.approx(4 + 1)


def test_those_who_wait_already_go_first() -> None:
    wait = measured().expected_wait(100, running_since=[94.0, 97.0], waiting=3, rows=2)
    assert wait == pytest.approx(17 + 1)  # the rows are free at 4, 7 and 14 for those three


def test_who_waits_for_room_waits_although_rows_are_free() -> None:
    wait = measured().expected_wait(100, running_since=[94.0], waiting=1, rows=8)
    assert wait == pytest.approx(14 + 1)


def test_a_request_that_takes_longer_than_usual_may_end_any_moment() -> None:
    assert measured().expected_wait(100, running_since=[10.0], waiting=0, rows=1) == 1.0


def test_newer_requests_count_more() -> None:
    meter = measured()
    for _ in range(20):
        meter.served(2.0)
    wait = meter.expected_wait(100, running_since=[100.0], waiting=0, rows=1)
    assert wait == pytest.approx(2 + 1, abs=0.1)


def test_the_speed_is_that_of_all_rows_over_the_last_seconds() -> None:
    meter = Meter()
    assert meter.tokens_per_second(0) == 0
    for step in range(11):
        meter.step(step * 0.1, tokens=4)
    assert meter.tokens_per_second(1.0) == pytest.approx(40)
    assert meter.tokens_per_second(2.0 + WINDOW_SECONDS) == 0
