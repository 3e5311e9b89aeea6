"""With guesses, right and wrong ones, every reply is the one that single steps write."""

import random
from array import array
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from remembering import WIDTH, Asked, Oracle, Remembering, Written, new_batch, play

from bot.engine.api import Chunk, FinishReason, Sampling
from bot.engine.local.batch import Batch
from bot.engine.local.slots import PACKED_AS

MOST = 7
LOOP = Sampling(temperature=0.0, repetition_penalty=1.0)

samplings = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 0.4, 1.0, 1.7]),
    top_p=st.sampled_from([1.0, 0.9]),
    top_k=st.sampled_from([0, 4]),
    min_p=st.sampled_from([0.0, 0.05]),
    repetition_penalty=st.sampled_from([1.0, 1.15, 0.9]),
    presence_penalty=st.sampled_from([0.0, 0.0, 0.4]),
    frequency_penalty=st.sampled_from([0.0, 0.0, 0.2]),
    dry_multiplier=st.sampled_from([0.0, 0.0, 0.8]),
    xtc_probability=st.sampled_from([0.0, 0.0, 0.5]),
    banned_words=st.sampled_from([(), (), ("aba", "cd")]),
    seed=st.integers(0, 1 << 30),
)
requests = st.builds(
    Asked,
    prompt=st.lists(st.integers(1, WIDTH - 1), min_size=1, max_size=90).map(tuple),
    max_tokens=st.integers(1, 40),
    sampling=samplings,
    stop=st.sampled_from([(), (), ("\na",), ("abab", "c:")]),
)


class Texts(Remembering):
    """Writes down whole texts, for an oracle."""

    def __init__(self, model_seed: int) -> None:
        super().__init__(model_seed)
        self.texts: dict[int, list[int]] = {}

    def of(self, asked: Sequence[Asked]) -> tuple[dict[int, Written], dict[int, Sequence[int]]]:
        """Each alone, by single steps."""
        written: dict[int, Written] = {}
        for number, one in enumerate(asked, 1):
            batch = new_batch(self)
            kept: list[int] = []
            # The newest token is chosen and never held: the slot has all that were before.
            written |= {number: play(batch, [one])[1]}
            (slot,) = self.held
            reply = written[number].key[2]
            kept = self.held.pop(slot)[: len(one.prompt) + reply - 1]
            self.texts[number] = kept
        return written, dict(self.texts)


def assert_slots_are_right(batch: Batch, runner: Remembering) -> None:
    """What is kept for later is what the slots hold."""
    for slot in batch._slots._slots.values():
        kept = array(PACKED_AS, slot.tokens).tolist()
        assert runner.held[slot.index][: len(kept)] == kept


@settings(deadline=None, max_examples=100)
@given(
    st.lists(requests, min_size=1, max_size=6),
    st.integers(0, 99),
    st.integers(0, 99),
    st.just(-1) | st.integers(1, 30),
)
def test_replies_are_those_of_single_steps_even_where_memory_runs_out_amid_them(
    asked: list[Asked], model_seed: int, luck: int, fails_at: int
) -> None:
    expected, texts = Texts(model_seed).of(asked)
    runner = Remembering(model_seed, guessed_tokens=MOST, fails_at=fails_at)
    batch = new_batch(runner, Oracle(texts, random.Random(luck), MOST))
    found = play(batch, asked)
    assert {n: one.key for n, one in found.items()} == {n: one.key for n, one in expected.items()}
    assert_slots_are_right(batch, runner)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(requests, min_size=2, max_size=5),
    st.integers(0, 99),
    st.integers(0, 99),
    st.integers(0, 12),
)
def test_who_is_cancelled_has_a_beginning_of_it_and_the_others_all(
    asked: list[Asked], model_seed: int, luck: int, cancelled_at: int
) -> None:
    expected, texts = Texts(model_seed).of(asked)
    runner = Remembering(model_seed, guessed_tokens=MOST)
    batch = new_batch(runner, Oracle(texts, random.Random(luck), MOST))
    rest: list[Chunk] = []

    def cancel(step: int) -> None:
        if step == cancelled_at:
            rest.extend(chunk for _, chunk in batch.cancel(1) if isinstance(chunk, Chunk))

    found = play(batch, asked, cancel)
    if rest:
        text = found[1].text + rest[0].text
        assert rest[0].finish is FinishReason.CANCELLED
        assert expected[1].text.startswith(text) or asked[0].stop
        del found[1]
    assert all(one.key == expected[n].key for n, one in found.items())
    assert_slots_are_right(batch, runner)


@settings(deadline=None, max_examples=25)
@given(requests, st.lists(st.integers(1, WIDTH - 1), max_size=8), st.integers(0, 99))
def test_the_next_turn_goes_on_from_what_was_kept(
    first: Asked, message: list[int], model_seed: int
) -> None:
    _, texts = Texts(model_seed).of([first])
    prompt = (*texts[1], *message, 1)
    second = Asked(prompt, 20, first.sampling, channel="c1")
    expected = Texts(model_seed).of([second])[0][1]
    runner = Remembering(model_seed, guessed_tokens=MOST)
    batch = new_batch(runner, Oracle(texts, random.Random(1), MOST))
    play(batch, [first])
    (found,) = (play(batch, [second])[1],)
    assert found.key == expected.key


@pytest.mark.parametrize("prompt", range(50, 64))
def test_the_last_token_of_a_full_room_and_context_comes_as_it_does_without(prompt: int) -> None:
    class Short(Remembering):
        context_tokens = 64

    asked = [Asked((1, 2) * (prompt // 2) + (3,) * (prompt % 2), 65 - prompt, LOOP)]
    expected = play(new_batch(Short(prompt)), asked)[1]
    _, texts = Texts(prompt).of(asked)
    oracle = Oracle(texts, random.Random(0), MOST, always=True)
    runner = Short(prompt, guessed_tokens=MOST)
    assert play(new_batch(runner, oracle), asked)[1].key == expected.key
    assert runner.checked or prompt == 63


@pytest.mark.parametrize("seed", range(4))
def test_a_talk_that_repeats_itself_takes_fewer_steps_and_says_the_same(seed: int) -> None:
    class Counting(Remembering):
        steps = 0

        def check(self, pieces: Any) -> list[list[int]]:
            self.steps += 1
            return super().check(pieces)

        def _logits(self, before: Sequence[int]) -> Any:
            return 3 * self._noise(*before[-1:])  # soon goes in a circle

    asked = [Asked((1, 2, 3, 4), 120, LOOP)]
    plain, guessing = Counting(seed), Counting(seed, guessed_tokens=MOST)
    expected = play(new_batch(plain), asked)
    batch = new_batch(guessing)
    assert play(batch, asked)[1].key == expected[1].key
    if expected[1].key[2] == 120:
        assert guessing.steps < 60 < plain.steps
        assert batch.meter.accepted_tokens > 60
        assert batch.meter.guessed_tokens >= batch.meter.accepted_tokens
