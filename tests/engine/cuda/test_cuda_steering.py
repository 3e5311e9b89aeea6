"""Penalties, DRY, XTC and bans on the GPU equal their plain versions.

Without a GPU, Triton's interpreter runs them too: TRITON_INTERPRET=1, where triton is installed.
"""

import os
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import plain_samplers
import pytest
import torch
from checkpoints import Checkpoint, make_gptq, write_new_layout

from bot.engine.api import DRY_TOKENS, GenerationRequest, Sampling
from bot.engine.building import build_runner, load_model
from bot.engine.local.batch import Batch
from bot.engine.local.request import Submission
from bot.engine.local.runner import Runner, RunnerLimits
from bot.engine.local.vocabulary import Vocabulary

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.timeout(600),  # Marlin is compiled at its first use
    pytest.mark.skipif(
        not (torch.cuda.is_available() or INTERPRETED), reason="there is no CUDA device"
    ),
]

WIDTH = 40
TEXTS = [":" if token % 13 == 5 else f"t{token}" for token in range(WIDTH)]
VOCABULARY = Vocabulary([text.encode() for text in TEXTS])
ROWS: list[Sampling] = [
    Sampling(),
    Sampling(presence_penalty=0.5, repetition_penalty=1.3),
    Sampling(dry_multiplier=0.8, dry_allowed_length=1, repetition_penalty=1.0),
    Sampling(dry_multiplier=2.0, dry_base=1.0, frequency_penalty=-0.1, repetition_penalty=0.9),
    Sampling(dry_multiplier=1.0, dry_base=4.0, frequency_penalty=0.25, repetition_penalty=1.0),
]


def device() -> torch.device:
    return torch.device("cpu" if INTERPRETED else "cuda")


def expected(scores: list[float], said: list[int], sampling: Sampling) -> list[float]:
    if sampling.counts_tokens:
        scores = plain_samplers.penalised(scores, said, sampling)
    return plain_samplers.without_repetition(scores, said, sampling, TEXTS)


@pytest.mark.parametrize(("prompt", "words"), [(0, 4), (1, 4), (30, 4), (300, 40), (DRY_TOKENS, 3)])
def test_every_score_equals_the_plain_one_step_by_step(prompt: int, words: int) -> None:
    from bot.engine.cuda.steering import SteeringTensors, note, steer

    dice, on = random.Random(prompt), device()
    state = SteeringTensors(len(ROWS) + 1, WIDTH, on, rows=len(ROWS))
    said = [[dice.randrange(words) for _ in range(prompt)] for _ in ROWS]
    for slot, sampling in enumerate(ROWS):
        state.begin(slot, said[slot], sampling, VOCABULARY if sampling.reads_texts else None)
    order = list(range(len(ROWS)))
    for _ in range(12):
        dice.shuffle(order)
        slots = torch.tensor(order, dtype=torch.int32, device=on)
        logits = torch.randn(len(order), WIDTH, device=on)
        before = logits.clone()
        steer(logits, slots, state)
        for row, slot in enumerate(order):
            plain = expected(before[row].tolist(), said[slot], ROWS[slot])
            torch.testing.assert_close(logits[row].cpu(), torch.tensor(plain), atol=1e-4, rtol=1e-4)
        assert not state.longest.any()
        chosen = [dice.randrange(words + 3) for _ in order]
        for slot, token in zip(order, chosen, strict=True):
            said[slot].append(token)
        tokens = torch.tensor(chosen, dtype=torch.int32, device=on)
        note(tokens, slots, state, idle_slot=len(ROWS))


def test_what_is_banned_is_never_chosen_and_another_slots_ban_does_not_matter() -> None:
    from bot.engine.cuda.steering import SteeringTensors, steer

    state = SteeringTensors(3, WIDTH, device(), rows=2)
    state.ban(1, [3, 7, 999])
    logits = torch.zeros(2, WIDTH, device=device(), dtype=torch.float16)
    slots = torch.tensor([0, 1], dtype=torch.int32, device=device())
    steer(logits, slots, state)
    assert torch.isfinite(logits[0]).all()
    assert torch.isinf(logits[1]).nonzero().flatten().tolist() == [3, 7]
    state.begin(1, [1], Sampling(), None)
    logits.zero_()
    steer(logits, slots, state)
    assert torch.isfinite(logits).all()


@pytest.mark.skipif(INTERPRETED, reason="whole steps need a GPU")
def test_rows_with_samplers_share_a_batch_and_a_word_that_came_is_chosen_again(
    tmp_path: Path,
) -> None:
    """Three rows the same but for what is on: two of them as long as they would be alone."""
    runner = build(make_gptq(group_size=64), tmp_path, rows=4)
    greedy = Sampling(temperature=0.0, repetition_penalty=1.0)
    prompt = [random.Random(5).randrange(3, 300) for _ in range(70)]

    def replies(samplings: Sequence[Sampling]) -> list[list[int]]:
        batch = Batch(runner, Numbers(), "m")  # type: ignore[arg-type]
        for number, sampling in enumerate(samplings):
            request = GenerationRequest("", f"c{number}", "u", 40, sampling)
            batch.add(Submission(number, request, tuple(prompt), 7, 0.0))
        texts: dict[int, str] = {}
        while not batch.idle:
            for number, chunk in batch.step():
                assert not isinstance(chunk, Exception)
                texts[number] = texts.get(number, "") + chunk.text
        return [[int(word) for word in texts[n].split()] for n in range(len(samplings))]

    (plain,) = replies([greedy])
    pair = f" {plain[10]} {plain[11]} "
    banned = replace(greedy, banned_words=(pair,))
    dry = replace(greedy, dry_multiplier=3.0, frequency_penalty=0.3)
    together = replies([greedy, banned, dry])
    assert together[0] == plain
    assert together[1][:11] == plain[:11]
    assert len(together[1]) == 40
    assert pair not in " " + "".join(f"{token} " for token in together[1])
    assert together[2] == replies([dry])[0] != plain


class Numbers:
    """Tokens as numbers, without an end of sequence."""

    end_tokens: frozenset[int] = frozenset()
    vocabulary = Vocabulary([f"{token} ".encode() for token in range(400)])

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(f"{token} " for token in tokens)


def build(checkpoint: Checkpoint, folder: Path, **limits: int) -> Runner:
    path = write_new_layout(checkpoint, folder / "model")
    return build_runner(load_model(str(path), data_dir=folder / "data"), RunnerLimits(**limits))


def drawn(draws: int, weights: Sequence[float], **fields: float) -> Counter[int]:
    from bot.engine.cuda.sampler import SamplerTensors, sample

    on = device()
    state = SamplerTensors(draws + 1, len(weights), on)
    state.temperatures[:] = 1.0
    state.seeds[:] = torch.arange(draws + 1, device=on)
    for name, value in fields.items():
        getattr(state, name)[:] = value
    logits = torch.tensor(weights, device=on).log().expand(draws, -1).contiguous()
    slots = torch.arange(draws, dtype=torch.int32, device=on)
    chosen = torch.empty(draws, dtype=torch.int32, device=on)
    sample(logits, slots, state, chosen, vocabulary=len(weights), idle_slot=draws)
    return Counter(chosen.tolist())


def test_xtc_leaves_the_least_likely_of_the_likely_ones() -> None:
    draws = 60 if INTERPRETED else 4_000
    weights = [0.5, 0.25, 0.15, 0.06, 0.04]
    found = drawn(draws, weights, xtc_probabilities=1.0, xtc_thresholds=0.1)
    assert set(found) <= {2, 3, 4}
    assert found[2] > found[3]
    found = drawn(draws, weights, xtc_probabilities=0.5, xtc_thresholds=0.1)
    assert 0 < found[0] < draws / 2
    # What min-p cuts off does not count among what is left.
    found = drawn(draws, weights, xtc_probabilities=1.0, xtc_thresholds=0.3, min_ps=0.4)
    assert set(found) == {1}
    assert drawn(draws, weights, xtc_probabilities=1.0, xtc_thresholds=0.5, min_ps=0.4)[0] > 0
