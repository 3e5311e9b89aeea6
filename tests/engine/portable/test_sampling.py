"""Sampling equals Hugging Face's processors, for all rows at once."""

import math
from collections import Counter

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers.generation.logits_process import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from bot.engine.api import Sampling
from bot.engine.portable.sampling import (
    RowSettings,
    Sampler,
    draw,
    likeliest,
    penalised,
    remaining,
    uniform,
)


def reference(logits: Tensor, said: list[int], sampling: Sampling) -> Tensor:
    """Probabilities of one row [vocabulary], by Hugging Face's own processors in their order."""
    steps = LogitsProcessorList()
    if sampling.repetition_penalty != 1:
        steps.append(RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty))
    if sampling.temperature != 1:
        steps.append(TemperatureLogitsWarper(sampling.temperature))
    if sampling.top_k:
        steps.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        steps.append(TopPLogitsWarper(sampling.top_p))
    if sampling.min_p:
        steps.append(MinPLogitsWarper(sampling.min_p))
    return steps(torch.tensor([said], device=logits.device), logits[None].clone())[0].softmax(-1)  # type: ignore[no-any-return]


def ours(logits: Tensor, said: list[list[int]], samplings: list[Sampling]) -> tuple[Tensor, Tensor]:
    """Probabilities [rows, vocabulary] as the sampler draws by them, and which were in doubt."""
    rows = RowSettings.of(samplings, logits.device)
    seen = torch.zeros_like(logits, dtype=torch.bool)
    for row, tokens in enumerate(said):
        seen[row, tokens] = True
    scores = penalised(logits, seen, rows.penalty) / rows.temperature
    ids, found, doubt = likeliest(scores, rows)
    probabilities = torch.zeros_like(logits, dtype=torch.float64).scatter(1, ids, found)
    for row in doubt.nonzero().flatten().tolist():
        probabilities[row] = remaining(scores[row], samplings[row]).softmax(-1).double()
    return probabilities / probabilities.sum(-1, keepdim=True), doubt


samplings_ = st.builds(
    Sampling,
    temperature=st.sampled_from([0.3, 0.7, 1.0, 1.5]),
    top_k=st.sampled_from([0, 0, 1, 5, 40, 1000]),
    top_p=st.sampled_from([1.0, 0.05, 0.5, 0.9, 0.95, 0.999]),
    min_p=st.sampled_from([0.0, 0.0, 0.02, 0.1, 0.5, 1.0]),
    repetition_penalty=st.sampled_from([1.0, 0.8, 1.15, 2.0]),
)


@settings(max_examples=150)
@given(
    st.lists(samplings_, min_size=1, max_size=4),
    st.integers(0, 2**32),
    st.sampled_from([20, 300, 3000]),
    st.sampled_from([0.1, 1.0, 4.0]),
    st.booleans(),
)
@example([Sampling(top_p=0.5)], 0, 3000, 0.0, False)  # all the same: nothing is likelier
def test_every_step_equals_hugging_faces_processors(
    device: torch.device,
    samplings: list[Sampling],
    seed: int,
    vocabulary: int,
    spread: float,
    ties: bool,
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = (torch.randn(len(samplings), vocabulary, generator=generator) * spread).to(device)
    if ties:
        logits = logits.mul(2).round().div(2)
    said = torch.randint(vocabulary, (len(samplings), 12), generator=generator).tolist()
    probabilities, _ = ours(logits, said, samplings)
    for row, sampling in enumerate(samplings):
        expected = reference(logits[row], said[row], sampling).double()
        torch.testing.assert_close(probabilities[row], expected, atol=1e-6, rtol=1e-4)
        assert torch.equal(probabilities[row] > 0, expected > 0)


def test_a_peaked_distribution_needs_no_sorting() -> None:
    logits = torch.randn(3, 50_000, generator=torch.Generator().manual_seed(1)) * 4
    samplings = [Sampling(), Sampling(top_k=50), Sampling(top_p=1, min_p=0.05)]
    _, doubt = ours(logits, [[1]] * 3, samplings)
    assert not doubt.any()


def test_the_draw_follows_the_probabilities() -> None:
    probabilities = torch.tensor([[0.1, 0.6, 0.0, 0.3]], dtype=torch.float64)
    ids = torch.tensor([[7, 3, 1, 5]])
    counts = Counter(
        int(draw(ids, probabilities, torch.tensor([[uniform(seed, 0)]], dtype=torch.float64)))
        for seed in range(4000)
    )
    assert set(counts) == {3, 5, 7}
    assert counts[3] == pytest.approx(2400, abs=150)
    assert counts[5] == pytest.approx(1200, abs=130)


def test_the_draw_does_not_depend_on_the_order_of_the_candidates() -> None:
    probabilities = torch.tensor([[0.2, 0.5, 0.3]], dtype=torch.float64)
    ids = torch.tensor([[4, 9, 2]])
    for seed in range(50):
        number = torch.tensor([[uniform(seed, 0)]], dtype=torch.float64)
        order = torch.tensor([1, 2, 0])
        assert draw(ids, probabilities, number) == draw(
            ids[:, order], probabilities[:, order], number
        )


@pytest.mark.parametrize("number", [0.0, 1 - 2**-53])
def test_the_draw_never_takes_what_is_impossible(number: float) -> None:
    probabilities = torch.tensor([[0.0, 0.5, 0.5, 0.0]], dtype=torch.float64)
    ids = torch.tensor([[0, 1, 2, 3]])
    token = int(draw(ids, probabilities, torch.tensor([[number]], dtype=torch.float64)))
    assert token in (1, 2)


def test_uniform_numbers_depend_on_seed_and_step_alone_and_fill_the_interval() -> None:
    numbers = [uniform(seed, step) for seed in range(50) for step in range(50)]
    assert numbers == [uniform(seed, step) for seed in range(50) for step in range(50)]
    assert len(set(numbers)) == len(numbers)
    assert all(0 <= number < 1 for number in numbers)
    assert sum(numbers) / len(numbers) == pytest.approx(0.5, abs=0.02)
    assert uniform(-3, 0) != uniform(3, 0)
    assert math.isfinite(uniform(2**80, 0))


def test_a_row_is_chosen_the_same_whatever_stands_beside_it(device: torch.device) -> None:
    generator = torch.Generator().manual_seed(5)
    samplings = [
        Sampling(temperature=0, repetition_penalty=1.3),
        Sampling(temperature=1.0, top_p=0.8),
        Sampling(temperature=1.4, top_p=1.0),
        Sampling(temperature=0.7, top_k=9, repetition_penalty=1.2),
    ]
    together = Sampler(slots=4, vocabulary=500, device=device)
    alone = [Sampler(slots=4, vocabulary=500, device=device) for _ in samplings]
    for slot, sampling in enumerate(samplings):
        for sampler in (together, alone[slot]):
            sampler.begin(slot, [1, 2, slot], sampling, seed=slot)
    for step in range(12):
        logits = (torch.randn(4, 500, generator=generator) * 3).to(device)
        slots = [3, 1, 0, 2] if step % 2 else [0, 1, 2, 3]
        rows = together.choose(logits[slots], slots)
        for slot, token in zip(slots, rows, strict=True):
            assert alone[slot].choose(logits[slot : slot + 1], [slot]) == [token]


def test_what_was_chosen_counts_as_said(device: torch.device) -> None:
    sampler = Sampler(slots=1, vocabulary=4, device=device)
    sampler.begin(0, [0], Sampling(temperature=0, repetition_penalty=2.0), seed=0)
    logits = torch.tensor([[3.0, 2.9, 2.8, 0.1]], device=device)
    assert [sampler.choose(logits, [0])[0] for _ in range(3)] == [1, 2, 0]


def test_a_slots_next_request_starts_afresh(device: torch.device) -> None:
    sampler = Sampler(slots=1, vocabulary=4, device=device)
    logits = torch.tensor([[3.0, 2.9, 0.0, 0.0]], device=device)
    penalty = Sampling(temperature=0, repetition_penalty=2.0)
    sampler.begin(0, [0], penalty, seed=0)
    assert sampler.choose(logits, [0]) == [1]
    sampler.begin(0, [3], penalty, seed=0)
    assert sampler.choose(logits, [0]) == [0]
    sampler.begin(0, [0], Sampling(temperature=0, repetition_penalty=1.0), seed=0)
    assert sampler.choose(logits, [0]) == [0]


def test_tokens_beyond_the_models_vocabulary_are_no_fault(device: torch.device) -> None:
    sampler = Sampler(slots=1, vocabulary=4, device=device)
    sampler.begin(0, [2, 99], Sampling(temperature=0, repetition_penalty=2.0), seed=0)
    logits = torch.tensor([[0.0, 0.0, 1.0, 0.6]], device=device)
    assert sampler.choose(logits, [0]) == [3]


def test_the_smallest_temperature_is_as_good_as_greedy(device: torch.device) -> None:
    sampler = Sampler(slots=1, vocabulary=300, device=device)
    logits = torch.linspace(-40, 40, 300, device=device)[None]
    sampler.begin(0, [0], Sampling(temperature=1e-300, repetition_penalty=1), seed=4)
    assert [sampler.choose(logits, [0]) for _ in range(5)] == [[299]] * 5
