"""Whose keys and values which pages of the machine's memory hold. Pure: numbers only.

A channel has one prefix here at most, in pages of BLOCK_TOKENS tokens, the first ones first. When
pages are short, whoever is expected back last loses the end of theirs: a beginning is worth having
without its end, never the other way round.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from bot.engine.local.slots import BLOCK_TOKENS, TOKEN_BYTES, common_tokens

BLOCK_BYTES = BLOCK_TOKENS * TOKEN_BYTES  # of packed tokens

Rank = Callable[[str], float]  # of a channel: the highest loses its pages first


@dataclass(slots=True)
class HostPrefix:
    """What is held of a channel. `tokens` are packed; all of them stand in `pages`."""

    channel: str
    tokens: bytes = b""
    pages: list[int] = field(default_factory=list[int])


@dataclass(frozen=True, slots=True)
class Saving:
    """What is to be copied: these pages get the sequence's pages from `first_page` on."""

    first_page: int
    pages: tuple[int, ...]


class HostPool:
    """Hands out pages, numbered from 0, and finds prefixes in them again."""

    def __init__(self, pages: int) -> None:
        """All pages are free."""
        self.pages = pages
        self._free = list(range(pages - 1, -1, -1))
        self._held: dict[str, HostPrefix] = {}
        self._left: set[int] = set()  # free ones in which something still stands

    @property
    def used_pages(self) -> int:
        """How many hold something."""
        return self.pages - len(self._free)

    def missing_pages(self, channel: str, tokens: bytes) -> int:
        """How many pages of a channel's `tokens` are not here yet."""
        held = self._held.get(channel)
        return _pages(tokens) - (_kept_pages(held, tokens) if held else 0)

    def save(
        self,
        channel: str,
        tokens: bytes,
        most_pages: int,
        rank: Rank,
        spared: Collection[str] = (),
    ) -> Saving:
        """Make room for what is missing of a channel's `tokens`, `most_pages` of it at most.

        The pages count as filled from now on. Others lose theirs only where they rank higher, and
        `spared` ones never.
        """
        held = self._held.setdefault(channel, HostPrefix(channel))
        first = _kept_pages(held, tokens)
        wanted = min(_pages(tokens) - first, most_pages)
        if wanted > 0:
            self._shorten(held, first)
        while len(self._free) < wanted and self._take_one(channel, rank, spared):
            pass
        pages = tuple(self._free.pop() for _ in range(min(wanted, len(self._free))))
        self._left.difference_update(pages)
        if pages:
            held.pages += pages
            held.tokens = tokens[: len(held.pages) * BLOCK_BYTES]
        elif not held.pages:
            del self._held[channel]
        return Saving(first, pages)

    def find(self, prompt: bytes) -> tuple[HostPrefix | None, int]:
        """The prefix that shares the most first tokens with a packed prompt, and how many."""
        best, common = None, 0
        wanted = prompt[:TOKEN_BYTES]
        for held in self._held.values():
            # Most share less than the best one so far: one look tells.
            if len(wanted) > common * TOKEN_BYTES and held.tokens.startswith(wanted):
                best, common = held, common_tokens(held.tokens, prompt)
                wanted = prompt[: (common + 1) * TOKEN_BYTES]
        return best, common

    def forget(self, channel: str) -> tuple[int, ...]:
        """Let a channel's prefix go. Returns the pages to be wiped.

        They are all free ones that were not wiped yet: nobody knows whose they were.
        """
        held = self._held.get(channel)
        if held is not None:
            self._shorten(held, 0)
            del self._held[channel]
        pages, self._left = tuple(sorted(self._left)), set()
        return pages

    def _take_one(self, channel: str, rank: Rank, spared: Collection[str]) -> bool:
        """Free a page of whoever is expected back last, if that is later than `channel`."""
        others = (
            held
            for held in self._held.values()
            if held.channel != channel and held.channel not in spared and held.pages
        )
        last = max(others, key=lambda held: rank(held.channel), default=None)
        if last is None or rank(last.channel) <= rank(channel):
            return False
        self._shorten(last, len(last.pages) - 1)
        if not last.pages:
            del self._held[last.channel]
        return True

    def _shorten(self, held: HostPrefix, pages: int) -> None:
        while len(held.pages) > pages:
            page = held.pages.pop()
            self._free.append(page)
            self._left.add(page)
        held.tokens = held.tokens[: pages * BLOCK_BYTES]


def _pages(tokens: bytes) -> int:
    return -(-len(tokens) // BLOCK_BYTES)


def _kept_pages(held: HostPrefix, tokens: bytes) -> int:
    """How many of the pages that `tokens` take are right as they are held."""
    common = common_tokens(held.tokens, tokens)
    if common * TOKEN_BYTES == len(tokens):
        return _pages(tokens)
    return common // BLOCK_TOKENS
