"""Copies of kept prefixes in the machine's memory: made before they are pushed out, and used again.

What may be pushed out next is copied a few pages after each step, so that nobody waits when it
happens. A prefix is copied back only where that is measured to be faster than computing it anew;
its request joins the steps when it is here, and the others go on meanwhile.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bot.engine.api import Sampling
from bot.engine.local.host.pool import HostPool, HostPrefix
from bot.engine.local.meter import running_average
from bot.engine.local.runner import HostMemory, Runner, RunnerOutOfMemory, Segment
from bot.engine.local.slots import BLOCK_TOKENS, COPY_TOKENS, KeptPrefix, SlotTable, packed

log = logging.getLogger(__name__)

HOLD_SECONDS = 0.01  # of copies under way at most, for which a step may have to wait
MARGIN = 1.25  # so much faster than computing has copying to be
LEAST_PROMPT_TOKENS = 64  # of a step, to tell the speed of prompts by
PROBED_TOKENS = 512
POLL_SECONDS = 0.001
PROBE_SECONDS = 10.0  # a copy that takes longer is no use to anybody

_PLAIN = Sampling(temperature=0.0, repetition_penalty=1.0)


@dataclass(frozen=True, slots=True)
class Found:
    """A prefix that is worth copying back."""

    prefix: HostPrefix
    first_page: int
    tokens: int  # of the prompt that stand in a slot afterwards


class HostCache:
    """What the running batch asks of the machine's memory. Without any, it does nothing."""

    def __init__(
        self,
        memory: HostMemory | None,
        slots: SlotTable,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`memory` is empty, and this is its only user."""
        self._memory = memory
        self._slots = slots
        self._clock = clock
        self._pool = HostPool(memory.pages if memory else 0)
        self._prompt_rate = 0.0  # tokens a second
        self._tended = -1  # the version of the slots for which all is saved
        self.restored_tokens = 0  # since the start

    @property
    def used_tokens(self) -> int:
        """Tokens that are held."""
        return self._pool.used_pages * BLOCK_TOKENS

    @property
    def total_tokens(self) -> int:
        """Tokens that can be held."""
        return self._pool.pages * BLOCK_TOKENS

    def probe(self, runner: Runner) -> None:
        """Measure both speeds once, on a runner that does nothing else. Raises what it raises.

        But where the device has no memory for a copy, replies go on without any.
        """
        memory = self._memory
        if memory is None:
            return
        tokens = min(PROBED_TOKENS, runner.chunk_tokens, runner.room_tokens, runner.context_tokens)
        tokens -= 1  # room for the one that is chosen
        runner.begin(0, tokens + 1, 0)
        runner.sample(0, [0], _PLAIN, 0)
        began = self._clock()
        runner.step([Segment(0, 0, [0] * tokens, chooses=True)])
        self.computed(tokens, self._clock() - began)
        pages = tuple(range(min(memory.pages, -(-tokens // BLOCK_TOKENS))))
        try:
            memory.save(0, 0, pages)
            memory.load(0, 0, pages)
        except RunnerOutOfMemory as error:
            log.warning("there is no memory on the device to copy to the machine's: %s", error)
            self._memory, self._pool = None, HostPool(0)
            runner.release(0)
            return
        began = self._clock()
        while not memory.is_here(0) and self._clock() - began < PROBE_SECONDS:
            time.sleep(POLL_SECONDS)
        runner.release(0)
        log.info(
            "what has no room on the device goes to %.1f GB of the machine's memory: %.1f GB/s "
            "back, where prompts take %.0f tokens/s%s",
            memory.pages * memory.page_bytes / 1e9,
            memory.bytes_per_second / 1e9,
            self._prompt_rate,
            "" if self._pays(1) else "; copying is slower than computing, and left",
        )

    def computed(self, tokens: int, seconds: float) -> None:
        """A step has computed so many tokens of prompts."""
        if self._memory is None or tokens < LEAST_PROMPT_TOKENS or seconds <= 0:
            return
        self._prompt_rate = running_average(self._prompt_rate, tokens / seconds)

    def find(self, prompt: Sequence[int], cached_tokens: int) -> Found | None:
        """What of a prompt is worth copying back where `cached_tokens` of it are there already."""
        memory = self._memory
        if memory is None or not self._pool.used_pages:
            return None
        prefix, common = self._pool.find(packed(prompt[:-1]))
        if prefix is None or common - cached_tokens < COPY_TOKENS:
            return None
        first = cached_tokens // BLOCK_TOKENS
        pages = -(-common // BLOCK_TOKENS) - first
        if not self._pays(pages, common - cached_tokens, memory.pending_bytes):
            return None
        return Found(prefix, first, common)

    def bring(self, found: Found, slot: int) -> None:
        """Copy back into a slot that has begun. Raises RunnerOutOfMemory."""
        if self._memory is None:
            return
        last = -(-found.tokens // BLOCK_TOKENS)
        self._memory.load(slot, found.first_page, found.prefix.pages[found.first_page : last])
        self.restored_tokens += found.tokens - found.first_page * BLOCK_TOKENS

    def is_here(self, slot: int) -> bool:
        """Whether nothing is being copied into a slot any more."""
        return self._memory is None or self._memory.is_here(slot)

    def tend(self) -> None:
        """Copy a little of what may be pushed out next."""
        if self._memory is None:
            return
        if self._tended != self._slots.version and self._save(self._slots.endangered()):
            self._tended = self._slots.version

    def part_with(self, given_up: Iterable[KeptPrefix], found: Found | None) -> None:
        """These slots are about to be freed: copy what was not, as far as nobody waits for it."""
        self._save(given_up, spared=(found.prefix.channel,) if found else ())

    def forget(self, channel: str) -> None:
        """Let a channel's prefix go; nothing of it stays in the machine's memory."""
        pages = self._pool.forget(channel)
        if self._memory is not None and pages:
            self._memory.wipe(pages)

    def _save(self, prefixes: Iterable[KeptPrefix], spared: Sequence[str] = ()) -> bool:
        """Whether nothing was left for later."""
        memory = self._memory
        if memory is None or not self._pays(1):
            return True
        rank: Callable[[str], float] | None = None
        for prefix in prefixes:
            is_spared = prefix.channel in spared  # its pages are about to be read
            if is_spared or not self._pool.missing_pages(prefix.channel, prefix.tokens):
                continue
            most = self._pages_now()
            if not most:
                return False
            rank = rank or self._rank()
            channel, tokens = prefix.channel, prefix.tokens
            saving = self._pool.save(channel, tokens, most, rank, spared)
            if not saving.pages:
                continue  # others are expected back sooner
            try:
                memory.save(prefix.slot, saving.first_page, saving.pages)
            except RunnerOutOfMemory as error:
                self.forget(channel)
                log.warning("a prefix was not copied to the machine's memory: %s", error)
                return True
            if self._pool.missing_pages(channel, tokens) and len(saving.pages) == most:
                return False
        return True

    def _rank(self) -> Callable[[str], float]:
        """Copies of what the device keeps go first, then whoever is expected back last."""
        endangered = {prefix.channel for prefix in self._slots.endangered()}
        safe = self._slots.channels - endangered

        def rank(channel: str) -> float:
            return math.inf if channel in safe else self._slots.expected_after(channel)

        return rank

    def _pages_now(self) -> int:
        """How many pages may be under way from now on, so that no step waits long for them."""
        memory = self._memory
        if memory is None:
            return 0
        pending = memory.pending_bytes
        free = HOLD_SECONDS * memory.bytes_per_second - pending
        return max(int(free / memory.page_bytes), 0 if pending else 1)

    def _pays(self, pages: int, tokens: int = BLOCK_TOKENS, pending_bytes: int = 0) -> bool:
        """Whether copying `pages` back takes less time than computing their `tokens`."""
        memory = self._memory
        if memory is None or not memory.bytes_per_second or not self._prompt_rate:
            return False
        seconds = (pages * memory.page_bytes + pending_bytes) / memory.bytes_per_second
        return seconds * MARGIN < tokens / self._prompt_rate
