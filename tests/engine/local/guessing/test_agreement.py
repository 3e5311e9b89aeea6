"""Guesses are checked where, and as long as, that is faster by what the steps take."""

import pytest

from bot.engine.local.guessing.agreement import COUNTS, GAIN, MOST_STREAMS, Agreement, best_count
from bot.engine.local.guessing.costs import ENOUGH, FORGOTTEN_AFTER, StepCosts
from bot.engine.local.guessing.guessing import Guessing, Stream


def measured(checking: dict[int, float], *, plain: float = 1.0, streams: int = 1) -> StepCosts:
    costs = StepCosts()
    for _ in range(ENOUGH):
        costs.add(streams, streams, plain, ahead=True)
        for rows, seconds in checking.items():
            costs.add(streams, rows, seconds, ahead=False)
    return costs


def test_before_a_plain_step_was_measured_nothing_is_guessed() -> None:
    assert best_count([Agreement(chance=0.9, found=1.0)], StepCosts()) == 0


def test_what_was_not_measured_is_tried() -> None:
    assert best_count([Agreement(chance=0.9, found=1.0)], measured({})) == COUNTS[-1]


def test_what_costs_more_than_it_brings_is_left_alone() -> None:
    dear = measured({1: 1.0, 2: 2.0, 4: 4.0, 8: 8.0})
    assert best_count([Agreement(chance=0.9, found=1.0)], dear) == 0


def test_the_count_that_gains_most_is_taken() -> None:
    costs = measured({1: 1.0, 2: 1.05, 4: 1.1, 8: 3.0})
    assert best_count([Agreement(chance=0.8, found=1.0)], costs) == 3


@pytest.mark.parametrize(("more", "guessed"), [(0.02, True), (-0.02, False)])
def test_less_than_a_tenth_gained_is_not_worth_it(more: float, guessed: bool) -> None:
    costs = measured({1: 1.0, 2: 1.0, 4: 9.0, 8: 9.0})
    found = best_count([Agreement(chance=GAIN - 1 + more, found=1.0)], costs)
    # Below a chance of a tenth it is not even looked at; either way nothing is guessed.
    assert bool(found) == guessed


def test_steps_that_wait_for_guesses_they_do_not_find_count_too() -> None:
    costs = measured({1: 1.4, 2: 1.4, 4: 1.4, 8: 1.4})
    assert best_count([Agreement(chance=0.9, found=0.1)], costs) == 0
    assert best_count([Agreement(chance=0.9, found=1.0)], costs) > 0


def test_among_many_streams_nothing_is_guessed() -> None:
    streams = [Agreement(chance=0.99, found=1.0)] * (MOST_STREAMS + 1)
    assert best_count(streams, measured({}, streams=len(streams))) == 0


def test_one_slow_step_is_no_cost() -> None:
    costs = measured({1: 1.0, 4: 1.1})
    costs.add(1, 4, 50.0, ahead=False)
    assert costs.checking(1, 4) == pytest.approx(1.1)


def test_what_was_measured_long_ago_is_forgotten() -> None:
    costs = measured({1: 1.0, 8: 9.0})
    assert costs.checking(1, 8) == pytest.approx(9.0)
    for _ in range(FORGOTTEN_AFTER + 1):
        costs.add(1, 1, 1.0, ahead=True)
    assert costs.checking(1, 8) == pytest.approx(1.0)


def steps(guessing: Guessing, text: list[int], coming: list[int], seconds: float = 1.0) -> None:
    """Single steps of one stream, whatever is guessed."""
    for token in coming:
        guessing.guesses([Stream(1, text, 100)])
        guessing.done(len(text) * seconds)
        text.append(token)


def test_a_talk_that_begins_to_repeat_itself_is_found_without_a_check() -> None:
    guessing, text = Guessing(7), [*range(100, 130)]
    guessing.begin(1)
    steps(guessing, text, [*range(200, 260)])
    assert not guessing.is_on  # nothing that could be guessed
    steps(guessing, text, [*range(100, 130), *range(200, 260)])
    assert guessing.is_on
    assert guessing.guesses([Stream(1, text, 2)])[1] == (100, 101)  # no more than there is room for


def test_what_never_comes_true_is_soon_given_up() -> None:
    guessing, text = Guessing(7), [1, 2, 9]
    guessing.begin(1)
    steps(guessing, text, [1, 2, 8, 1, 2, 7, 1, 2, 6] * 1)
    for other in range(300, 420):
        steps(guessing, text, [1, 2, other])
    assert guessing.guesses([Stream(1, text, 100)]) == {}


def test_off_it_does_nothing() -> None:
    guessing = Guessing(0)
    guessing.begin(1)
    assert guessing.guesses([Stream(1, [1, 2] * 9, 100)]) == {}
    assert not guessing.is_on
    guessing.done(1.0)
    guessing.forget(1)
