"""Texts by a runner: perplexity and greedy replies are those of the model's own forward pass."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from checkpoints import Checkpoint, make_gptq, write_new_layout

from bot.bench.texts.measuring import (
    Computing,
    Found,
    Texts,
    examine,
    greedy,
    perplexity,
    read_texts,
)
from bot.bench.texts.results import TextResults
from bot.bench.texts.runners import REFERENCE, Variant, build, variants

EXACT = 1e-4  # float32 against float32, in another order
ROOT = Path(__file__).parents[2]


def numbers(count: int, length: int) -> tuple[tuple[int, ...], ...]:
    generator = torch.Generator().manual_seed(7)
    found = torch.randint(3, 300, (count, length), generator=generator)
    return tuple(tuple(row) for row in found.tolist())


TEXTS = Texts(numbers(3, 150), numbers(2, 20), (*numbers(4, 70), *numbers(1, 1)))


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return make_gptq(group_size=64)


@pytest.fixture
def runner(checkpoint: Checkpoint, tmp_path: Path) -> Computing:
    folder = write_new_layout(checkpoint, tmp_path / "model")
    return build(Variant(True, REFERENCE, 32), folder, TEXTS)


def reference_logits(checkpoint: Checkpoint, tokens: tuple[int, ...]) -> torch.Tensor:
    with torch.no_grad():
        return checkpoint.reference(torch.tensor([tokens])).logits[0]


def test_perplexity_is_of_the_second_halves(checkpoint: Checkpoint, runner: Computing) -> None:
    surprises = []
    for text in TEXTS.pages:
        chances = reference_logits(checkpoint, text).log_softmax(-1)
        surprises += [-chances[at - 1, text[at]] for at in range(75, 150)]
    expected = torch.stack(surprises).mean().exp()
    assert perplexity(runner, TEXTS.pages) == pytest.approx(float(expected), rel=EXACT)


def test_greedy_replies_are_the_likeliest_tokens(checkpoint: Checkpoint, runner: Computing) -> None:
    replies = greedy(runner, TEXTS.prompts, 6)
    for prompt, reply in zip(TEXTS.prompts, replies, strict=True):
        logits = reference_logits(checkpoint, prompt + reply)
        for at, token in enumerate(reply, len(prompt) - 1):
            assert logits[at].max() - logits[at, token] < EXACT


def test_replies_are_compared_token_by_token() -> None:
    one = Found(1.0, 1.0, ((1, 2, 3, 4), (1, 2, 3, 4)))
    other = Found(1.0, 1.0, ((1, 2, 3, 4), (1, 9, 3, 4)))
    assert one.same_replies(other) == 1
    assert one.same_tokens(other) == 5 / 8
    assert one.same_tokens(one) == 1.0


class Letters:
    """A tokenizer of letters, with the plainest template."""

    def __call__(self, text: str, **_options: Any) -> Any:
        return SimpleNamespace(input_ids=[ord(letter) for letter in text])

    def apply_chat_template(self, messages: list[dict[str, str]], **_options: Any) -> str:
        return "".join(f"<{message['role']}>{message['content']}" for message in messages)


def test_texts_are_pages_and_the_talks_that_ship() -> None:
    pages = "".join(chr(300 + number) for number in range(100))
    texts = read_texts(
        Letters(), pages, ROOT / "tests" / "talks", count=5, page_tokens=30, talk_tokens=200
    )
    assert [text[0] for text in texts.pages] == [300, 333, 366]
    assert {len(text) for text in texts.pages} == {30}
    assert (len(texts.talks), {len(text) for text in texts.talks}) == (5, {200})
    assert len(set(texts.prompts)) == 5
    assert all(bytes(prompt[:8]) == b"<system>" for prompt in texts.prompts)
    assert (texts.longest_tokens >= 200, texts.most_rows) == (True, 5)
    with pytest.raises(ValueError, match="too few"):
        read_texts(
            Letters(), "abc", ROOT / "tests" / "talks", count=5, page_tokens=2, talk_tokens=2
        )


def test_only_the_references_run_without_a_gpu() -> None:
    assert [(v.is_gptq, v.kernel) for v in variants(on_gpu=False)] == [
        (False, REFERENCE),
        (True, REFERENCE),
    ]


def test_the_page_tells_changes_and_what_did_not_run(runner: Computing) -> None:
    machine: dict[str, object] = {"processor": "A processor"}
    results = TextResults("m", "GPTQ 4 bits", "cmd", "2026-01-01", machine, {"pages": 2})
    gptq = examine(runner, TEXTS, 4, lambda _text: None)
    plain = Found(gptq.pages_perplexity / 1.1, gptq.talks_perplexity, gptq.replies)
    results.found[Variant(False, REFERENCE, 32)] = plain
    results.found[Variant(True, REFERENCE, 32)] = gptq
    results.found[Variant(True, "Marlin", 8)] = replace(gptq)
    results.failed[Variant(True, "Triton", 8)] = "no such card"
    rows = [row[:3] + row[4:5] + row[6:] for row in results.table().rows]
    assert rows == [
        ("16 bits", REFERENCE, "32 bits", "", "", "", ""),
        ("GPTQ", REFERENCE, "32 bits", "+10.00%", "+0.00%", "5 of 5", "100%"),
        ("GPTQ", "Marlin", "8 bits", "+10.00%", "+0.00%", "5 of 5", "100%"),
    ]
    assert "did not run: GPTQ, Triton, 8-bit cache: no such card" in results.as_markdown()
    plain_json = json.loads(json.dumps(results.as_json()))
    assert [variant["kernel"] for variant in plain_json["variants"]] == [REFERENCE] * 2 + ["Marlin"]
