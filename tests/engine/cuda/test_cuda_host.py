"""Talks that a real GPU has no room for come back from pinned memory."""

import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoints import make_gptq, write_new_layout

from bot.engine.api import Chunk, GenerationRequest, Sampling
from bot.engine.building import build_runner, load_model
from bot.engine.local.batch import Batch
from bot.engine.local.request import Submission
from bot.engine.local.runner import RunnerLimits

pytest.importorskip("triton")  # which the kernels are written in

from bot.engine.cuda.host import PinnedPages
from bot.engine.cuda.pages import PAGE_TOKENS, PagedCache

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
    pytest.mark.timeout(600),
]

GREEDY = Sampling(temperature=0.0, repetition_penalty=1.0)


class Words:
    """Tokens as numbers, without an end of sequence."""

    end_tokens: frozenset[int] = frozenset()

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(f"{token} " for token in tokens)


def paged(bits: int) -> PagedCache:
    cache = PagedCache(
        3,
        2,
        64,
        pages=12,
        slots=3,
        pages_per_slot=4,
        dtype=torch.float16,
        device=torch.device("cuda", 0),
        bits=bits,
    )
    for kept in cache.by_page:
        random_bytes = torch.randint(0, 100, kept.shape, device="cuda")
        kept.copy_(random_bytes.to(kept.dtype))
    return cache


@pytest.mark.parametrize("bits", [8, 16])
def test_what_is_copied_out_comes_back_byte_for_byte(bits: int) -> None:
    cache = paged(bits)
    pinned = PinnedPages(cache, 300 << 20, lambda *_: None)
    assert pinned.pages * pinned.page_bytes <= 300 << 20
    cache.resize(0, 4 * PAGE_TOKENS)
    cache.resize(1, 4 * PAGE_TOKENS)
    pinned.save(0, 1, [7, 0, 3])
    expected = [kept[:, cache.pages_of(0)[1:]].clone() for kept in cache.by_page]
    pinned.settle(0)
    for kept in cache.by_page:  # whoever has the pages next
        kept[:, cache.pages_of(0)] = 1
    pinned.load(1, 1, [7, 0, 3])
    pinned.settle(1)
    for kept, there in zip(cache.by_page, expected, strict=True):
        assert torch.equal(kept[:, cache.pages_of(1)[1:]], there)
    torch.cuda.synchronize()
    assert pinned.is_here(1)
    assert pinned.pending_bytes == 0
    assert pinned.bytes_per_second > 0
    pinned.wipe([7, 0, 3])
    assert all(not pinned._bytes(page).any() for page in (7, 0, 3))


def test_where_none_can_be_pinned_there_is_none_and_the_log_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache = paged(16)
    taken: list[int] = []
    plain = torch.empty

    def empty(*arguments: Any, **named: Any) -> Any:
        if named.get("pin_memory"):
            if taken:
                raise RuntimeError("CUDA error: out of memory")
            taken.append(1)
        return plain(*arguments, **named)

    monkeypatch.setattr(torch, "empty", empty)
    pinned = PinnedPages(cache, 1 << 30, lambda *_: None)
    assert 0 < pinned.pages * pinned.page_bytes <= 256 << 20
    assert "can be had for conversations" in caplog.text


def play(folder: Path, **limits: Any) -> tuple[dict[str, list[int]], list[int]]:
    """What three talks say, in their second round, and how much of each prompt was there."""
    path = write_new_layout(make_gptq(group_size=64), folder / "model")
    loaded = load_model(str(path), data_dir=folder / "data")
    runner = build_runner(loaded, RunnerLimits(rows=2, **limits))
    batch = Batch(runner, Words(), "m")  # type: ignore[arg-type]
    batch.probe()
    if runner.host is not None:  # a tiny model computes faster than anything is copied
        batch._host._pays = lambda *_: True  # type: ignore[method-assign]
    source = random.Random(3)
    said: dict[str, list[int]] = {channel: [] for channel in "abc"}
    cached: list[int] = []
    for number, channel in enumerate("abcabcabc"):
        said[channel] += [source.randrange(3, 300) for _ in range(100)]
        request = GenerationRequest("", channel, channel, 20, GREEDY)
        batch.add(Submission(number, request, tuple(said[channel]), 1, time.monotonic()))
        while not batch.idle:
            for _, event in batch.step():
                assert isinstance(event, Chunk)
                said[channel] += [int(word) for word in event.text.split()]
                if event.statistics is not None:
                    cached.append(event.statistics.cached_prompt_tokens)
    return said, cached[3:]


@pytest.mark.parametrize("bits", [8, 16])
def test_a_greedy_reply_is_the_same_copied_back_or_kept(bits: int, tmp_path: Path) -> None:
    room = 8 * PAGE_TOKENS  # of two talks or one
    copied = play(tmp_path / "a", room_tokens=room, host_bytes=512 << 20, cache_bits=bits)
    kept = play(tmp_path / "b", room_tokens=64 * PAGE_TOKENS, cache_bits=bits)
    assert copied == kept
    assert all(copied[1])
