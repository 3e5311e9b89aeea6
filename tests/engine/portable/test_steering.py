"""Penalties, DRY, XTC and banned words equal their plain versions, for all rows at once."""

import codecs
import math
from collections.abc import Sequence
from dataclasses import replace

import plain_samplers
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.engine.api import DRY_TOKENS, PENALTY_TOKENS, Sampling
from bot.engine.local.repetition import penalty, repeated
from bot.engine.local.vocabulary import Vocabulary
from bot.engine.portable.sampling import Sampler, remaining, uniform, without_top_choices
from bot.engine.portable.steering import Steering

TEXTS = ["", "a", "b", " a", "ab", "B", "ä", "\n", ': "', "c", "bc", " cA"]
PIECES = [text.encode() for text in TEXTS] + [b"\xc3", b"\xa4", b"\xa4b", b"\xf0\x9f"]
WIDTH = len(PIECES) + 1  # wider than the tokenizer, as models' heads are
VOCABULARY = Vocabulary(PIECES)

tokens = st.integers(0, WIDTH - 1)
said_ = st.lists(st.sampled_from([1, 2, 3, 4, 7, 9, 10]), max_size=60) | st.lists(tokens)
samplings_ = st.builds(
    Sampling,
    repetition_penalty=st.sampled_from([1.0, 1.2, 0.8]),
    presence_penalty=st.sampled_from([0.0, 0.0, 0.5, -1.0]),
    frequency_penalty=st.sampled_from([0.0, 0.0, 0.3, -0.2]),
    dry_multiplier=st.sampled_from([0.0, 0.8, 2.0]),
    dry_base=st.sampled_from([1.0, 1.75, 4.0]),
    dry_allowed_length=st.sampled_from([1, 2, 3]),
    banned_words=st.lists(st.sampled_from(["ab", "A", "bcab", "äb", " a", "caA", ""])).map(tuple),
)


def whole(said: Sequence[int]) -> str:
    """The text whose characters are certain: half of one at the end is none yet."""
    raw = b"".join(VOCABULARY.piece(token) for token in said)
    return codecs.getincrementaldecoder("utf-8")("replace").decode(raw)


def plain(scores: list[float], said: list[int], sampling: Sampling) -> list[float]:
    texts = [*TEXTS, *[""] * (WIDTH - len(TEXTS))]
    if sampling.counts_tokens:
        scores = plain_samplers.penalised(scores, said, sampling)
    scores = plain_samplers.without_repetition(scores, said, sampling, texts)
    return plain_samplers.without_banned(scores, said, sampling, whole)


def steering_of(rows: Sequence[tuple[list[int], Sampling]], device: torch.device) -> Steering:
    steering = Steering(vocabulary=WIDTH, device=device)
    for slot, (said, sampling) in enumerate(rows):
        steering.begin(slot, said, sampling, VOCABULARY if sampling.reads_texts else None)
    return steering


@settings(max_examples=150)
@given(st.lists(st.tuples(said_, said_, samplings_), min_size=1, max_size=3), st.integers(0, 99))
@example([([], [], Sampling(presence_penalty=1))], 0)
@example([([4, 4, 4], [10, 1, 4], Sampling(banned_words=("bcab",)))], 0)
def test_every_score_equals_the_plain_one(
    device: torch.device, rows: list[tuple[list[int], list[int], Sampling]], seed: int
) -> None:
    steering = steering_of([(prompt, sampling) for prompt, _, sampling in rows], device)
    slots = list(range(len(rows)))
    for slot, (_, reply, _) in enumerate(rows):
        for token in reply:
            steering.take([slot], [token])
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(len(rows), WIDTH, generator=generator) * 3
    before = scores.clone()
    found = steering.steer(scores.to(device), slots).cpu()
    assert torch.equal(scores, before)
    for row, (prompt, reply, sampling) in enumerate(rows):
        expected = plain(scores[row].tolist(), prompt + reply, sampling)
        torch.testing.assert_close(found[row], torch.tensor(expected), atol=1e-4, rtol=1e-5)


@given(st.lists(st.integers(0, 3), max_size=40), st.sets(st.integers(0, 3), max_size=1))
def test_how_far_an_end_is_repeated(said: list[int], breakers: set[int]) -> None:
    found = repeated(said, breakers)
    assert len(found) == len(said)
    for k in range(1, len(said)):
        length = 0
        while (
            length + k < len(said)
            and said[-1 - length] == said[-1 - length - k]
            and said[-1 - length] not in breakers
        ):
            length += 1
        assert found[k] == length


def test_what_is_out_of_the_windows_counts_no_more(device: torch.device) -> None:
    counting, dry = Sampling(presence_penalty=1), Sampling(dry_multiplier=1, dry_allowed_length=2)
    filler = [2] * (DRY_TOKENS - 3)
    for prompt, sampling, token, expected in (
        ([1, *[2] * (PENALTY_TOKENS - 1)], counting, 1, -1.0),
        ([1, *[2] * PENALTY_TOKENS], counting, 1, 0.0),
        ([1, 3, 4, 5, *filler[5:], 1, 3], dry, 4, -1.0),
        ([1, 3, 4, *filler, 1, 3], dry, 4, 0.0),
    ):
        at_once = steering_of([(prompt, sampling)], device)
        one_by_one = steering_of([([], sampling)], device)
        for said in prompt:
            one_by_one.take([0], [said])
        for steering in (at_once, one_by_one):
            scores = steering.steer(torch.zeros(1, WIDTH, device=device), [0])
            assert float(scores[0, token]) == expected


def test_a_repetition_of_any_length_has_a_finite_price() -> None:
    price = penalty(2000, multiplier=5, base=4, allowed_length=1)
    assert math.isfinite(price)
    assert penalty(2, multiplier=0.8, base=1.75, allowed_length=2) == pytest.approx(0.8)
    assert penalty(4, multiplier=0.8, base=1.75, allowed_length=2) == pytest.approx(0.8 * 1.75**2)
    assert penalty(1, multiplier=0.8, base=1.75, allowed_length=2) == 0


@given(
    st.lists(st.sampled_from([0.0, 1.0, 2.0, 2.0, 5.0, 9.0, 30.0]), min_size=1, max_size=9),
    st.sampled_from([0.0, 0.05, 0.13, 0.3, 0.5]),
    st.booleans(),
)
@example([1.0, 1.0], 0.1, True)
def test_top_choices_are_left_out_as_in_plain(
    weights: list[float], threshold: float, applies: bool
) -> None:
    weights = [*weights, 1.0]
    given_ = [each / sum(weights) for each in weights]
    expected = plain_samplers.without_top_choices(given_, threshold, applies=applies)
    found, _ = without_top_choices(
        torch.tensor([given_], dtype=torch.float64) / 2,  # need not sum to 1
        torch.tensor([[threshold]], dtype=torch.float64),
        torch.tensor([[applies]]),
    )
    torch.testing.assert_close(found[0] / found.sum(), torch.tensor(expected, dtype=torch.float64))
    scores = torch.tensor(given_).log()
    left = remaining(scores, Sampling(top_p=1, xtc_threshold=threshold), excludes=applies)
    assert torch.equal(left.exp() > 0, torch.tensor(expected) > 0)


def test_top_choices_are_left_out_as_often_as_was_asked_for() -> None:
    sampling = Sampling(temperature=1, top_p=1, repetition_penalty=1, xtc_probability=0.3)
    sampler = Sampler(slots=1, vocabulary=300, device=torch.device("cpu"))
    logits = torch.full((1, 300), -60.0)
    logits[0, :2] = torch.tensor([6.0, 4.0])
    chosen = 0
    for seed in range(600):
        sampler.begin(0, [0], sampling, seed)
        chosen += sampler.choose(logits, [0])[0]
    usual = 1 / (1 + math.e**2)
    assert chosen / 600 == pytest.approx(0.3 + 0.7 * usual, abs=0.06)


def test_greedy_choice_heeds_penalties_and_bans_but_not_xtc(device: torch.device) -> None:
    sampler = Sampler(slots=1, vocabulary=WIDTH, device=device)
    logits = torch.zeros(1, WIDTH, device=device)
    logits[0, :4] = torch.tensor([0.0, 3.0, 2.9, 2.8], device=device)
    greedy = Sampling(temperature=0, repetition_penalty=1)
    for changes, expected in (
        ({"xtc_probability": 1.0}, [1, 1]),
        ({"frequency_penalty": 0.2}, [1, 2]),
        ({"banned_words": ("A",)}, [2, 2]),
    ):
        sampler.begin(0, [0], replace(greedy, **changes), 0, 0, VOCABULARY)
        assert [sampler.choose(logits, [0])[0] for _ in range(2)] == expected


ALL_ON = Sampling(
    presence_penalty=0.4,
    frequency_penalty=0.2,
    dry_multiplier=0.8,
    xtc_probability=0.5,
    banned_words=("ab", "c"),
)


def test_a_steered_row_is_chosen_the_same_whatever_stands_beside_it(device: torch.device) -> None:
    generator = torch.Generator().manual_seed(5)
    samplings = [
        ALL_ON,
        Sampling(),
        Sampling(temperature=0, banned_words=("a",)),
        Sampling(dry_multiplier=0.8, dry_allowed_length=1, repetition_penalty=1.0),
        Sampling(xtc_probability=0.5, xtc_threshold=0.05, top_p=1, min_p=0.02),
    ]
    together = Sampler(slots=5, vocabulary=WIDTH, device=device)
    alone = [Sampler(slots=5, vocabulary=WIDTH, device=device) for _ in samplings]
    for slot, sampling in enumerate(samplings):
        for sampler in (together, alone[slot]):
            sampler.begin(slot, [1, 2, 1, slot], sampling, slot, 0, VOCABULARY)
    for step in range(30):
        logits = (torch.randn(5, WIDTH, generator=generator) * 2).to(device)
        slots = [3, 1, 0, 4, 2] if step % 2 else [0, 1, 2, 3, 4]
        rows = together.choose(logits[slots], slots)
        for slot, token in zip(slots, rows, strict=True):
            assert alone[slot].choose(logits[slot : slot + 1], [slot]) == [token]


def test_a_request_that_is_put_back_goes_on_as_it_would_have(device: torch.device) -> None:
    generator = torch.Generator().manual_seed(8)
    rows = [torch.randn(1, WIDTH, generator=generator).to(device) for _ in range(20)]
    whole_, cut = (Sampler(slots=2, vocabulary=WIDTH, device=device) for _ in range(2))
    for sampler in (whole_, cut):
        sampler.begin(0, [4, 2], ALL_ON, 3, 0, VOCABULARY)
    expected = [whole_.choose(row, [0])[0] for row in rows]
    found = [cut.choose(row, [0])[0] for row in rows[:9]]
    cut.begin(1, [4, 2, *found], ALL_ON, 3, 9, VOCABULARY)
    assert found + [cut.choose(row, [1])[0] for row in rows[9:]] == expected


def test_xtcs_chance_is_not_that_of_the_draw() -> None:
    assert uniform(7, 0) != uniform(7 ^ 0x5EED, 0)
