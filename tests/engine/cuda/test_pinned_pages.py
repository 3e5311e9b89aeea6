"""Copies to pinned memory that break off, with stand-ins for streams: no GPU is needed."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch

from bot.engine.cuda import host
from bot.engine.cuda.pages import PAGE_TOKENS, PagedCache
from bot.engine.local.runner import RunnerOutOfMemory


class Stream:
    """Knows what it has waited for."""

    def __init__(self) -> None:
        self.waited: list[Any] = []

    def wait_stream(self, other: "Stream") -> None:
        self.waited.append(other)

    def wait_event(self, event: "Event") -> None:
        self.waited.append(event)


class Event:
    """Done as soon as it is recorded."""

    def __init__(self, **_: bool) -> None:
        self.is_recorded = False

    def record(self) -> None:
        self.is_recorded = True

    def query(self) -> bool:
        return self.is_recorded

    def elapsed_time(self, other: "Event") -> float:
        return 1.0


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Stream:
    """The stream of the steps."""
    current = Stream()
    empty = torch.empty

    def unpinned(*sizes: int, pin_memory: bool = False, **named: Any) -> torch.Tensor:
        return empty(*sizes, **named)

    monkeypatch.setattr(torch, "empty", unpinned)
    monkeypatch.setattr(host, "BLOCK_BYTES", 1)
    for name, stand_in in {
        "Stream": Stream,
        "Event": Event,
        "current_stream": lambda: current,
        "stream": lambda _: nullcontext(),
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    return current


def pinned_pages() -> tuple[PagedCache, host.PinnedPages]:
    cache = PagedCache(
        2,
        1,
        4,
        pages=4,
        slots=2,
        pages_per_slot=2,
        dtype=torch.float16,
        device=torch.device("cpu"),
        bits=16,
    )
    cache.resize(0, 2 * PAGE_TOKENS)
    for kept in cache.by_page:
        kept.copy_(torch.arange(kept.numel()).view(kept.shape) % 97)
    return cache, host.PinnedPages(cache, 1 << 20, lambda *_: None)


@pytest.mark.parametrize("way", ["save", "load"])
def test_steps_wait_for_what_was_begun_before_memory_ran_out(
    way: str, steps: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, pinned = pinned_pages()
    pinned.save(0, 0, [0, 1])
    assert pinned.bytes_per_second > 0
    pinned.settle(0)
    views: Callable[[int], list[torch.Tensor]] = pinned._views

    def fail_at_second(page: int) -> list[torch.Tensor]:
        if page == 1:
            raise torch.OutOfMemoryError("made up")
        return views(page)

    monkeypatch.setattr(pinned, "_views", fail_at_second)
    before = len(steps.waited)
    with pytest.raises(RunnerOutOfMemory):
        getattr(pinned, way)(0, 0, [0, 1])
    pinned.settle(0)
    assert len(steps.waited) == before + 1
    assert pinned.pending_bytes == 0


def test_a_page_comes_back_as_it_was(steps: Stream) -> None:
    cache, pinned = pinned_pages()
    before = [kept[:, cache.pages_of(0)].clone() for kept in cache.by_page]
    pinned.save(0, 0, [3, 0])
    for kept in cache.by_page:
        kept.zero_()
    pinned.load(0, 0, [3, 0])
    for kept, expected in zip(cache.by_page, before, strict=True):
        assert torch.equal(kept[:, cache.pages_of(0)], expected)
