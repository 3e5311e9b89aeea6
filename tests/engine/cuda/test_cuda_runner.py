"""The fast runner on a real GPU: right by a float reference, sparing with memory."""

import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoints import Checkpoint, make_float, make_gptq, write_new_layout

from bot.engine.api import FinishReason, GenerationRequest, Sampling
from bot.engine.building import build_runner, load_model
from bot.engine.local.batch import Batch
from bot.engine.local.request import Submission
from bot.engine.local.runner import Runner, RunnerLimits
from bot.errors import ModelError

pytest.importorskip("triton")  # which the kernels are written in

from bot.engine.cuda.products import FewRows

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
    pytest.mark.timeout(600),  # Marlin is compiled at its first use
]

GREEDY = Sampling(temperature=0.0, repetition_penalty=1.0)
TIE = 0.05  # of logits: float16 sums in another order differ by less
EIGHT_BIT_TIE = 0.15  # the same with keys and values within 0.7%
VARIANTS: dict[str, dict[str, Any]] = {
    "groups-of-32": {"group_size": 32},
    "groups-of-64": {"group_size": 64},
    "groups-of-128": {"group_size": 128},
    "asymmetric": {"sym": False},
    "act-order": {"desc_act": True},
    "v2": {"checkpoint_format": "gptq_v2"},
}


class Words:
    """Tokens as numbers, without an end of sequence."""

    end_tokens: frozenset[int] = frozenset()

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(f"{token} " for token in tokens)


def build(checkpoint: Checkpoint, folder: Path, **limits: int) -> Runner:
    """With a cache of 16 bits, to be compared with floats, unless `limits` say otherwise."""
    path = write_new_layout(checkpoint, folder / "model")
    loaded = load_model(str(path), data_dir=folder / "data")
    assert loaded.model is None, "the fast runner does not take this model"
    return build_runner(loaded, RunnerLimits(**({"cache_bits": 16} | limits)))


def submit(batch: Batch, number: int, prompt: Sequence[int], tokens: int, **fields: Any) -> None:
    request = GenerationRequest(
        "",
        fields.get("channel", f"c{number}"),
        f"u{number}",
        tokens,
        fields.get("sampling", GREEDY),
    )
    batch.add(Submission(number, request, tuple(prompt), 1000 + number, time.monotonic()))


def drain(batch: Batch) -> tuple[dict[int, list[int]], dict[int, Any]]:
    texts: dict[int, str] = {}
    statistics: dict[int, Any] = {}
    while not batch.idle:
        for number, chunk in batch.step():
            assert not isinstance(chunk, Exception)
            texts[number] = texts.get(number, "") + chunk.text
            if chunk.statistics is not None:
                statistics[number] = chunk.statistics
    return {n: [int(word) for word in text.split()] for n, text in texts.items()}, statistics


def prompts(*lengths: int) -> list[list[int]]:
    source = random.Random(5)
    return [[source.randrange(3, 300) for _ in range(length)] for length in lengths]


def assert_greedy(
    checkpoint: Checkpoint, prompt: list[int], reply: list[int], tie: float = TIE
) -> None:
    """Every token is the likeliest by the float reference, but for what is a tie in float16."""
    reference = checkpoint.reference.cuda()
    with torch.no_grad():
        logits = reference(torch.tensor([prompt + reply], device="cuda")).logits[0]
    for step, token in enumerate(reply):
        row = logits[len(prompt) + step - 1]
        assert float(row.max() - row[token]) < tie, f"token {step} of {len(prompt)}"


@pytest.mark.parametrize("unpacked", [True, False], ids=["unpacked", "packed"])
@pytest.mark.parametrize("few", FewRows)
@pytest.mark.parametrize("variant", VARIANTS)
def test_greedy_replies_are_the_float_references(
    variant: str, few: FewRows, unpacked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.engine.cuda.building.KERNELS", (few,))
    if not unpacked:
        monkeypatch.setattr("bot.engine.cuda.building.CONTEXTS_WORTH_UNPACKING", 1 << 40)
    checkpoint = make_gptq(**VARIANTS[variant])
    batch = Batch(build(checkpoint, tmp_path, rows=8), Words(), "m")  # type: ignore[arg-type]
    asked = prompts(5, 64, 63, 100, 300, 17, 1)
    for number, prompt in enumerate(asked):
        submit(batch, number, prompt, 20 + number)
    replies, _ = drain(batch)
    for number, prompt in enumerate(asked):
        assert len(replies[number]) == 20 + number
        assert_greedy(checkpoint, prompt, replies[number])


def test_a_dense_model_is_right_too(tmp_path: Path) -> None:
    checkpoint = make_float()
    batch = Batch(build(checkpoint, tmp_path, rows=4), Words(), "m")  # type: ignore[arg-type]
    asked = prompts(9, 130)
    for number, prompt in enumerate(asked):
        submit(batch, number, prompt, 24)
    replies, _ = drain(batch)
    for number, prompt in enumerate(asked):
        assert_greedy(checkpoint, prompt, replies[number])


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    yield build(make_gptq(group_size=64), tmp_path, rows=8)
    torch.cuda.empty_cache()


def test_joining_and_leaving_changes_nobodys_greedy_reply(runner: Runner) -> None:
    checkpoint = make_gptq(group_size=64)
    batch = Batch(runner, Words(), "m")  # type: ignore[arg-type]
    asked = prompts(40, 41, 42, 43, 44, 45)
    got: dict[int, str] = {}
    for number, prompt in enumerate(asked):
        submit(batch, number, prompt, 10 + 3 * number)
        for _ in range(4):
            for found, chunk in batch.step():
                got[found] = got.get(found, "") + chunk.text  # type: ignore[union-attr]
    rest, _ = drain(batch)
    for number, prompt in enumerate(asked):
        reply = [int(word) for word in got.get(number, "").split()] + rest.get(number, [])
        assert len(reply) == 10 + 3 * number
        assert_greedy(checkpoint, prompt, reply)


def test_the_same_seed_gives_the_same_text(runner: Runner) -> None:
    sampling = Sampling(0.9, 50, 0.9, 0.02, 1.1)
    found = []
    for _ in range(2):
        batch = Batch(runner, Words(), "m")  # type: ignore[arg-type]
        for number, prompt in enumerate(prompts(20, 30, 40)):
            submit(batch, number, prompt, 30, sampling=sampling)
        found.append(drain(batch)[0])
    assert found[0] == found[1]


def test_a_kept_prefix_is_used_and_changes_nothing(runner: Runner) -> None:
    checkpoint = make_gptq(group_size=64)
    (prompt,) = prompts(150)
    batch = Batch(runner, Words(), "m")  # type: ignore[arg-type]
    submit(batch, 0, prompt, 20, channel="c")
    first = drain(batch)[0][0]
    longer = prompt + first + prompts(33)[0]
    submit(batch, 1, longer, 20, channel="c")
    submit(batch, 2, longer, 20, channel="another")  # copies what they share
    replies, statistics = drain(batch)
    assert statistics[1].cached_prompt_tokens >= 150
    assert_greedy(checkpoint, longer, replies[1])
    assert_greedy(checkpoint, longer, replies[2])


def test_a_cancelled_row_is_free_at_once(runner: Runner) -> None:
    batch = Batch(runner, Words(), "m")  # type: ignore[arg-type]
    for number, prompt in enumerate(prompts(20, 20)):
        submit(batch, number, prompt, 100)
    batch.step()
    batch.step()
    ((number, last),) = batch.cancel(0)
    assert (number, last.finish) == (0, FinishReason.CANCELLED)  # type: ignore[union-attr]
    assert 0 not in {found for found, _ in batch.step()}
    assert len(batch.numbers) == 1


def test_sampling_draws_what_hugging_faces_processors_leave(runner: Runner) -> None:
    from transformers import (
        MinPLogitsWarper,
        RepetitionPenaltyLogitsProcessor,
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    from bot.engine.cuda.sampler import SamplerTensors, sample

    vocabulary, draws = 32_001, 4_000
    device = torch.device("cuda")
    generator = torch.Generator(device).manual_seed(3)
    logits = torch.randn(1, vocabulary, device=device, generator=generator) * 3
    said = torch.tensor([[1, 2, 3, int(logits.argmax())]], device=device)
    expected = logits.clone()
    for processor in (
        RepetitionPenaltyLogitsProcessor(1.3),
        TemperatureLogitsWarper(0.8),
        TopKLogitsWarper(40),
        TopPLogitsWarper(0.8),
        MinPLogitsWarper(0.05),
    ):
        expected = processor(said, expected)
    likely = torch.softmax(expected[0].double(), -1)
    state = SamplerTensors(draws + 1, vocabulary, device)
    state.temperatures[:] = 0.8
    state.top_ks[:] = 40
    state.top_ps[:] = 0.8
    state.min_ps[:] = 0.05
    state.penalties[:] = 1.3
    state.seeds[:] = torch.arange(draws + 1, device=device)
    state.seen[:, said[0]] = 1
    slots = torch.arange(draws, dtype=torch.int32, device=device)
    chosen = torch.empty(draws, dtype=torch.int32, device=device)
    sample(logits.expand(draws, -1), slots, state, chosen, vocabulary=vocabulary, idle_slot=draws)
    counts = Counter(chosen.tolist())
    allowed = set(torch.isfinite(expected[0]).nonzero().flatten().tolist())
    assert set(counts) <= allowed
    for token in allowed:
        probability = float(likely[token])
        spread = 5 * (draws * probability * (1 - probability)) ** 0.5 + 1
        assert abs(counts[token] - draws * probability) < spread


def test_a_thousand_requests_leave_no_growth(runner: Runner) -> None:
    source = random.Random(7)
    batch = Batch(runner, Words(), "m")  # type: ignore[arg-type]
    held: list[int] = []
    for round_number in range(10):
        for number in range(100):
            prompt = [source.randrange(3, 300) for _ in range(source.randrange(1, 400))]
            sampling = Sampling(source.random(), 0, 0.95, 0.0, 1.15)
            submit(
                batch,
                round_number * 100 + number,
                prompt,
                source.randrange(1, 40),
                sampling=sampling,
                channel=f"c{source.randrange(40)}-{number}",
            )
        replies, _ = drain(batch)
        assert len(replies) == 100
        held.append(torch.cuda.memory_allocated())
    assert max(held[1:]) - min(held[1:]) < 1 << 20


def test_memory_that_runs_out_loses_nobodys_reply(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = make_gptq(group_size=64)
    launch = runner._launch  # type: ignore[attr-defined]
    steps = iter(range(1000))

    def launch_with_too_little_memory(pieces: Sequence[Any]) -> None:
        launch(pieces)
        if next(steps) in (3, 9):
            torch.empty(1 << 50, dtype=torch.uint8, device="cuda")

    monkeypatch.setattr(runner, "_launch", launch_with_too_little_memory)
    batch = Batch(runner, Words(), "m")  # type: ignore[arg-type]
    asked = prompts(30, 70, 130, 20)
    for number, prompt in enumerate(asked):
        submit(batch, number, prompt, 24)
    replies, _ = drain(batch)
    assert "Memory ran out" in batch.status().shortage
    for number, prompt in enumerate(asked):
        assert len(replies[number]) == 24
        assert_greedy(checkpoint, prompt, replies[number])


def test_a_card_that_is_too_small_says_so(tmp_path: Path) -> None:
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    try:
        torch.cuda.set_per_process_memory_fraction(0.3e9 / total)
        with pytest.raises(ModelError, match=r"card|fit"):
            build(make_gptq(group_size=64), tmp_path)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_a_cache_of_8_bits_holds_twice_as_much_and_says_nearly_the_same(tmp_path: Path) -> None:
    checkpoint = make_gptq(group_size=64)
    runners = [
        build(checkpoint, tmp_path / str(bits), rows=8, room_tokens=8192, cache_bits=bits)
        for bits in (16, 8)
    ]
    kept = [runner._cache for runner in runners]  # type: ignore[attr-defined]
    assert kept[1].keys.nbytes + kept[1].key_scales.nbytes < 0.6 * kept[0].keys.nbytes
    asked = prompts(5, 64, 63, 100, 300, 17, 1)
    for runner in runners:
        batch = Batch(runner, Words(), "m")  # type: ignore[arg-type]
        for number, prompt in enumerate(asked):
            submit(batch, number, prompt, 20 + number)
        submit(batch, 99, asked[4] + prompts(40)[0], 20)  # beside its beginning, then copied
        replies, _ = drain(batch)
        for number, prompt in enumerate(asked):
            assert_greedy(checkpoint, prompt, replies[number], tie=EIGHT_BIT_TIE)


def test_a_copied_prefix_of_8_bits_is_the_same(tmp_path: Path) -> None:
    runner = build(make_gptq(group_size=64), tmp_path, rows=4, cache_bits=8)
    batch = Batch(runner, Words(), "m")  # type: ignore[arg-type]
    (prompt,) = prompts(150)
    submit(batch, 0, prompt, 20, channel="c")
    first = drain(batch)[0][0]
    submit(batch, 1, prompt + first, 20, channel="another")  # copies what they share
    submit(batch, 2, prompt + first, 20, channel="c")
    replies, statistics = drain(batch)
    assert statistics[1].cached_prompt_tokens >= 150
    assert replies[1] == replies[2]
