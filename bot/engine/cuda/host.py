# pyright: basic
"""Pages of keys and values in pinned memory: a stream of its own copies them, both ways.

One stream for all copies: what is asked later is done later, so a page is never given away before
it has been read. It waits for the steps launched before; steps wait for it only where a slot that
is being copied is used or freed.
"""

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from bot.engine.cuda.pages import PagedCache
from bot.engine.local.memory import telling_out_of_memory
from bot.engine.local.meter import running_average
from bot.engine.local.runner import RunnerOutOfMemory
from bot.engine.models.progress import Progress

BLOCK_BYTES = 256 << 20  # taken at a time; torch rounds pinned memory up to a power of two

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Copy:
    begun: torch.cuda.Event
    done: torch.cuda.Event
    bytes: int


class PinnedPages:
    """See :class:`~bot.engine.local.runner.HostMemory`."""

    def __init__(self, cache: PagedCache, room_bytes: int, report: Progress) -> None:
        """Takes `room_bytes`, or what of it can be had: fewer pages, or none."""
        self._cache = cache
        self._parts = [kept[:, 0] for kept in cache.by_page]
        self._part_bytes = [part.numel() * part.element_size() for part in self._parts]
        self.page_bytes = sum(self._part_bytes)
        self._pages_a_block = max(BLOCK_BYTES // self.page_bytes, 1)
        self._blocks = self._take_blocks(room_bytes // self.page_bytes, report)
        self.pages = len(self._blocks) * self._pages_a_block
        self._side = torch.cuda.Stream()
        self._of_slot: dict[int, torch.cuda.Event] = {}  # when its newest copy is done
        self._copies: deque[_Copy] = deque()
        self._rate = 0.0

    @property
    def bytes_per_second(self) -> float:
        """See :class:`~bot.engine.local.runner.HostMemory`."""
        self._look()
        return self._rate

    @property
    def pending_bytes(self) -> int:
        """See :class:`~bot.engine.local.runner.HostMemory`."""
        self._look()
        return sum(copy.bytes for copy in self._copies)

    @telling_out_of_memory()
    @torch.inference_mode()
    def save(self, slot: int, first_page: int, pages: Sequence[int]) -> None:
        """See :class:`~bot.engine.local.runner.HostMemory`."""
        with self._copying(slot, len(pages)):
            for here, page in zip(self._of(slot, first_page, pages), pages, strict=True):
                for kept, held in zip(self._cache.by_page, self._views(page), strict=True):
                    # The layers' parts lie far apart: side by side, they are one copy.
                    held.copy_(kept[:, here].contiguous(), non_blocking=True)

    @telling_out_of_memory()
    @torch.inference_mode()
    def load(self, slot: int, first_page: int, pages: Sequence[int]) -> None:
        """See :class:`~bot.engine.local.runner.HostMemory`."""
        with self._copying(slot, len(pages)):
            for here, page in zip(self._of(slot, first_page, pages), pages, strict=True):
                for kept, held in zip(self._cache.by_page, self._views(page), strict=True):
                    kept[:, here] = held.to(kept.device, non_blocking=True)

    def is_here(self, slot: int) -> bool:
        """See :class:`~bot.engine.local.runner.HostMemory`."""
        done = self._of_slot.get(slot)
        return done is None or done.query()

    @torch.inference_mode()
    def wipe(self, pages: Sequence[int]) -> None:
        """See :class:`~bot.engine.local.runner.HostMemory`."""
        self._side.synchronize()
        for page in pages:
            self._bytes(page).zero_()

    def settle(self, slot: int) -> None:
        """What is launched from now on finds the slot's copies done."""
        done = self._of_slot.pop(slot, None)
        if done is not None:
            torch.cuda.current_stream().wait_event(done)

    def _of(self, slot: int, first_page: int, pages: Sequence[int]) -> list[int]:
        return self._cache.pages_of(slot)[first_page : first_page + len(pages)]

    @contextmanager
    def _copying(self, slot: int, pages: int) -> Iterator[None]:
        """After the steps launched so far. What was begun is noted also where memory runs out.

        Else nobody would wait for it, and it would reach pages that are another slot's by then.
        """
        self._side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._side):
            begun = _recorded()
            measured = 0
            try:
                yield
                measured = pages * self.page_bytes
            finally:
                copy = _Copy(begun, _recorded(), measured)
                self._of_slot[slot] = copy.done
                self._copies.append(copy)

    def _look(self) -> None:
        """Measure the copies that are done by now."""
        while self._copies and self._copies[0].done.query():
            copy = self._copies.popleft()
            seconds = copy.begun.elapsed_time(copy.done) / 1e3
            if copy.bytes and seconds > 0:
                self._rate = running_average(self._rate, copy.bytes / seconds)

    def _bytes(self, page: int) -> torch.Tensor:
        block, place = divmod(page, self._pages_a_block)
        return self._blocks[block][place * self.page_bytes : (place + 1) * self.page_bytes]

    def _views(self, page: int) -> list[torch.Tensor]:
        """A page as the parts of the device's cache: the same shapes and kinds of numbers."""
        pieces = self._bytes(page).split(self._part_bytes)
        return [
            piece.view(part.dtype).view(part.shape)
            for piece, part in zip(pieces, self._parts, strict=True)
        ]

    def _take_blocks(self, pages: int, report: Progress) -> list[torch.Tensor]:
        wanted = pages // self._pages_a_block
        blocks: list[torch.Tensor] = []
        size = self._pages_a_block * self.page_bytes
        try:
            with telling_out_of_memory():
                for number in range(wanted):
                    report("Setting memory aside", number / wanted)
                    blocks.append(torch.empty(size, dtype=torch.uint8, pin_memory=True))
        except RunnerOutOfMemory as error:
            log.warning(
                "only %.1f of %.1f GB of the machine's memory can be had for conversations: %s",
                len(blocks) * size / 1e9,
                wanted * size / 1e9,
                error,
            )
        return blocks


def _recorded() -> torch.cuda.Event:
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event
