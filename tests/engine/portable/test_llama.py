"""The forward pass computes what the models' own does."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from bot.engine.api import Sampling
from bot.engine.local.runner import RunnerLimits, Segment
from bot.engine.models.architectures import ARCHITECTURES
from bot.engine.portable.llama import FEW_ROWS, LlamaRunner

GREEDY = Sampling(temperature=0, repetition_penalty=1)
LIMITS = RunnerLimits(rows=4, room_tokens=1024)
TOKENS = [317, 304, 107, 36, 107, 213, 138, 263, 66, 222, 5, 6, 7, 8, 9, 10]


def logits_of(loaded: Any, tokens: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return loaded.model(torch.tensor([tokens], device=loaded.device)).logits[0]  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_logits_equal_the_models_own_however_the_prompt_is_cut(
    tiny_loader: Callable[..., Any], kind: str
) -> None:
    loaded = tiny_loader(kind)
    expected = logits_of(loaded, TOKENS)
    runner = LlamaRunner(loaded, LIMITS)
    for cuts in ([16], [1] * 16, [5, 1, 7, 3], [15, 1]):
        runner.begin(0, 64, 0)
        start = 0
        for count in cuts:
            piece = Segment(0, start, TOKENS[start : start + count], chooses=True)
            found = runner.logits([piece])
            start += count
            torch.testing.assert_close(found[0], expected[start - 1], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_greedy_tokens_equal_generate(tiny_loader: Callable[..., Any], kind: str) -> None:
    loaded = tiny_loader(kind, seed=3)
    ids = torch.tensor([TOKENS], device=loaded.device)
    expected = loaded.model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=60, do_sample=False
    )[0, len(TOKENS) :].tolist()
    runner = LlamaRunner(loaded, LIMITS)
    runner.begin(2, 128, 0)
    runner.sample(2, TOKENS, GREEDY, 0)
    found = runner.step([Segment(2, 0, TOKENS, chooses=True)])
    while len(found) < len(expected):
        start = len(TOKENS) + len(found) - 1
        found += runner.step([Segment(2, start, found[-1:], chooses=True)])
    assert found == expected


def test_rows_of_one_step_do_not_touch_each_other(tiny_loader: Callable[..., Any]) -> None:
    loaded = tiny_loader()
    expected = logits_of(loaded, TOKENS)
    runner = LlamaRunner(loaded, LIMITS)
    for slot in range(4):
        runner.begin(slot, 64, 0)
    # Slot 1 is ahead by a token, slot 2 in the midst of its prompt, slot 3 at its beginning.
    runner.logits(
        [Segment(1, 0, TOKENS[:9], chooses=False), Segment(2, 0, TOKENS[:4], chooses=False)]
    )
    found = runner.logits(
        [
            Segment(3, 0, TOKENS[:6], chooses=True),
            Segment(1, 9, TOKENS[9:10], chooses=True),
            Segment(0, 0, TOKENS[:3], chooses=False),
            Segment(2, 4, TOKENS[4:12], chooses=True),
        ]
    )
    torch.testing.assert_close(found, expected[[5, 9, 11]], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["llama", "qwen2"])  # qwen2's projections have biases
def test_any_number_of_rows_computes_the_same(tiny_loader: Callable[..., Any], kind: str) -> None:
    loaded = tiny_loader(kind)
    expected = logits_of(loaded, TOKENS)[9]
    runner = LlamaRunner(loaded, RunnerLimits(rows=FEW_ROWS + 2, room_tokens=4096))
    for slot in range(FEW_ROWS + 2):
        runner.begin(slot, 64, 0)
        runner.logits([Segment(slot, 0, TOKENS[:9], chooses=False)])
    for rows in (1, 2, 3, FEW_ROWS, FEW_ROWS + 1):
        found = runner.logits(
            [Segment(slot, 9, TOKENS[9:10], chooses=True) for slot in range(rows)]
        )
        torch.testing.assert_close(found, expected.expand(rows, -1), atol=1e-4, rtol=1e-4)


def test_a_step_that_chooses_nothing_returns_nothing(tiny_loader: Callable[..., Any]) -> None:
    runner = LlamaRunner(tiny_loader(), LIMITS)
    runner.begin(0, 64, 0)
    assert runner.step([Segment(0, 0, TOKENS, chooses=False)]) == []


def test_a_copied_or_resized_slot_goes_on_where_it_was(tiny_loader: Callable[..., Any]) -> None:
    loaded = tiny_loader()
    expected = logits_of(loaded, TOKENS)
    runner = LlamaRunner(loaded, LIMITS)
    runner.begin(0, 64, 0)
    runner.logits([Segment(0, 0, TOKENS[:12], chooses=False)])
    runner.begin(1, 128, 0)
    runner.copy(0, 1, 8)
    runner.begin(0, 192, 12)
    for slot, kept in ((0, 12), (1, 8)):
        found = runner.logits([Segment(slot, kept, TOKENS[kept:], chooses=True)])
        torch.testing.assert_close(found[0], expected[-1], atol=1e-4, rtol=1e-4)
    runner.release(0)
    runner.release(0)


def test_merging_the_projections_leaves_the_model_as_it_was(
    tiny_loader: Callable[..., Any],
) -> None:
    loaded = tiny_loader()
    before = logits_of(loaded, TOKENS)
    held = sum(p.untyped_storage().nbytes() for p in loaded.model.parameters())
    LlamaRunner(loaded, LIMITS)
    torch.testing.assert_close(logits_of(loaded, TOKENS), before)
    storages = {
        p.untyped_storage().data_ptr(): p.untyped_storage().nbytes()
        for p in loaded.model.parameters()
    }
    assert sum(storages.values()) == held


def test_foreign_linear_layers_are_called_as_they_are(tiny_loader: Callable[..., Any]) -> None:
    class Quantized(torch.nn.Module):
        """As a quantized layer: no weight to read, only a call."""

        def __init__(self, plain: torch.nn.Linear) -> None:
            super().__init__()
            self._hidden = [plain]

        def forward(self, hidden: torch.Tensor) -> torch.Tensor:
            return self._hidden[0](hidden)  # type: ignore[no-any-return]

    loaded = tiny_loader()
    expected = logits_of(loaded, TOKENS)
    for layer in loaded.model.model.layers:
        for part in (layer.self_attn, layer.mlp):
            for name, module in list(part.named_children()):
                if isinstance(module, torch.nn.Linear):
                    setattr(part, name, Quantized(module))
    runner = LlamaRunner(loaded, LIMITS)
    runner.begin(0, 64, 0)
    found = runner.logits([Segment(0, 0, TOKENS, chooses=True)])
    torch.testing.assert_close(found[0], expected[-1], atol=1e-4, rtol=1e-4)


def test_greedy_tokens_equal_generate_beside_a_prompt_that_comes_in_parts(
    tiny_loader: Callable[..., Any],
) -> None:
    loaded = tiny_loader(seed=3)
    ids = torch.tensor([TOKENS], device=loaded.device)
    expected = loaded.model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=40, do_sample=False
    )[0, len(TOKENS) :].tolist()
    runner = LlamaRunner(loaded, LIMITS)
    for slot in (0, 1):
        runner.begin(slot, 64, 0)
        runner.sample(slot, TOKENS, GREEDY, 0)
    runner.step([Segment(1, 0, TOKENS[:7], chooses=False)])
    found = runner.step([Segment(0, 0, TOKENS, chooses=True)])
    rest = TOKENS[7:]
    while len(found) < len(expected):
        start = len(TOKENS) + len(found) - 1
        pieces = [Segment(0, start, found[-1:], chooses=True)]
        if rest:
            pieces.append(Segment(1, 7, rest, chooses=True))
            rest = []
        found.append(runner.step(pieces)[0])
    assert found == expected
