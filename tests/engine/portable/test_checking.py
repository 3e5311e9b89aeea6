"""Checking guesses on the portable runner draws what single steps draw."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from bot.engine.api import Sampling
from bot.engine.local.runner import RunnerLimits, Segment
from bot.engine.portable.llama import LlamaRunner

PROMPT = [317, 304, 107, 36, 107, 213, 138, 263, 66, 222]
LIMITS = RunnerLimits(rows=4, room_tokens=1024, guess_ahead="on")
SAMPLINGS = [
    Sampling(temperature=0, repetition_penalty=1),
    Sampling(temperature=0.9, top_p=0.9, repetition_penalty=1.15),
    Sampling(temperature=0.9, presence_penalty=0.3, frequency_penalty=0.2),
]


def begun(loaded: Any, sampling: Sampling) -> tuple[LlamaRunner, dict[int, list[int]]]:
    """Three slots with prompts of their own; what each has said so far."""
    runner, said = LlamaRunner(loaded, LIMITS), dict[int, list[int]]()
    for slot in range(3):
        prompt = PROMPT[slot:]
        runner.begin(slot, 192, 0)
        runner.sample(slot, prompt, sampling, 40 + slot)
        said[slot] = prompt + runner.step([Segment(slot, 0, prompt, chooses=True)])
    return runner, said


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_right_and_wrong_guesses_change_nothing(
    tiny_loader: Callable[..., Any], sampling: Sampling
) -> None:
    loaded, dice, count = tiny_loader(), random.Random(3), 100  # over a border of blocks
    runner, expected = begun(loaded, sampling)
    while len(expected[2]) < count:
        for slot, text in expected.items():
            text += runner.step([Segment(slot, len(text) - 1, text[-1:], chooses=True)])
    runner, said = begun(loaded, sampling)
    accepted = 0
    while any(len(text) < count for text in said.values()):
        pieces: list[Segment] = []
        for slot in dice.sample([0, 1, 2], dice.randint(1, 3)):
            text = said[slot]
            coming = expected[slot][len(text) : len(text) + dice.choice([0, 1, 3, 7])]
            guesses = [token if dice.random() < 0.8 else 9 for token in coming]
            pieces.append(Segment(slot, len(text) - 1, text[-1:], True, guesses))
        for piece, run in zip(pieces, runner.check(pieces), strict=True):
            said[piece.slot] += run
            accepted += len(run) - 1
    assert accepted > count / 2
    for slot, text in said.items():
        shorter = min(len(text), len(expected[slot]))
        assert text[:shorter] == expected[slot][:shorter]


def test_it_is_on_where_it_is_asked_for(tiny_loader: Callable[..., Any]) -> None:
    loaded = tiny_loader()
    on = {
        asked: LlamaRunner(loaded, RunnerLimits(rows=1, room_tokens=64, guess_ahead=asked))
        for asked in ("auto", "on", "off")
    }
    assert on["on"].guessed_tokens > 0
    assert on["auto"].guessed_tokens == on["off"].guessed_tokens == 0  # not measured yet
