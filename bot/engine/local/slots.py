"""KV slots: who has which room in the cache, and which prefixes are kept for later. Pure.

A slot holds the keys and values of one sequence. When a request is done, its slot is kept under
its channel's name: the channel's next prompt usually begins the same. Kept slots are given up,
the longest unused first, when a running request needs their room.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

BLOCK_TOKENS = 64
COPY_TOKENS = 32  # a shorter common beginning is not worth copying from another channel's slot


def rounded(tokens: int) -> int:
    """`tokens` in whole blocks."""
    return -(-tokens // BLOCK_TOKENS) * BLOCK_TOKENS


@dataclass(frozen=True, slots=True)
class Taken:
    """What is to be done, in this order, before a request can run in `slot`."""

    slot: int
    room_tokens: int  # the slot's size from now on
    cached_tokens: int  # of the prompt, there already after the copy
    release: tuple[int, ...] = ()  # slots to free first
    copy_from: int | None = None  # a slot to copy the cached tokens from, last of all


@dataclass(slots=True)
class _Slot:
    index: int
    channel: str
    room_tokens: int
    busy: bool
    used_at: int
    tokens: Sequence[int] = field(default=())  # what is kept in it


class SlotTable:
    """Hands out slots within a total room. The caller admits no more than fits."""

    def __init__(self, *, slots: int, room_tokens: int) -> None:
        """`slots` is the highest number of sequences, running and kept together.

        `room_tokens` may be changed at any time: kept slots are given up when it counts next.
        """
        self.room_tokens = room_tokens
        self._count = slots
        self._slots: dict[int, _Slot] = {}
        self._clock = 0

    @property
    def used_tokens(self) -> int:
        """Room of all slots, kept ones too."""
        return sum(slot.room_tokens for slot in self._slots.values())

    @property
    def kept(self) -> int:
        """How many slots are kept for later."""
        return len(self._idle())

    def clear(self) -> tuple[int, ...]:
        """Give up all slots, kept and running. Returns them: they are to be freed."""
        slots = tuple(self._slots)
        self._slots.clear()
        return slots

    def take(self, channel: str, prompt: Sequence[int], room_tokens: int) -> Taken:
        """Find a slot for a prompt, and what of it is there already.

        At least one token of the prompt is always left to compute.
        """
        room_tokens = rounded(room_tokens)
        own, donor = self._idle_of(channel), self._donor(prompt)
        if donor is not None and _common(donor.tokens, prompt) <= self._cached(own, prompt):
            donor = None
        if donor is not None and not self._both_fit(donor, room_tokens):
            own, donor = donor, None
        cached = self._cached(donor or own, prompt)
        released = self._make_room(room_tokens, spared=(own, donor))
        slot = own or self._new(channel)
        slot.channel, slot.room_tokens, slot.busy, slot.tokens = channel, room_tokens, True, ()
        return Taken(slot.index, room_tokens, cached, released, donor.index if donor else None)

    def keep(self, slot: int, tokens: Sequence[int]) -> None:
        """A request is done; `tokens` are those whose keys and values stand in its slot."""
        kept = self._slots[slot]
        self._clock += 1
        kept.busy, kept.tokens, kept.used_at = False, tuple(tokens), self._clock

    def _new(self, channel: str) -> _Slot:
        index = next(i for i in range(self._count) if i not in self._slots)
        slot = self._slots[index] = _Slot(index, channel, 0, busy=True, used_at=self._clock)
        return slot

    def _idle_of(self, channel: str) -> _Slot | None:
        idle = [slot for slot in self._idle() if slot.channel == channel]
        return max(idle, key=lambda slot: slot.used_at, default=None)

    def _idle(self) -> list[_Slot]:
        return [slot for slot in self._slots.values() if not slot.busy]

    def _donor(self, prompt: Sequence[int]) -> _Slot | None:
        """The kept slot that shares the longest beginning, if that is worth a copy."""
        best = max(self._idle(), key=lambda slot: _common(slot.tokens, prompt), default=None)
        return best if self._cached(best, prompt) >= COPY_TOKENS else None

    def _cached(self, slot: _Slot | None, prompt: Sequence[int]) -> int:
        return _common(slot.tokens, prompt) if slot else 0

    def _both_fit(self, donor: _Slot, room_tokens: int) -> bool:
        busy = [slot for slot in self._slots.values() if slot.busy]
        room = sum(slot.room_tokens for slot in busy) + donor.room_tokens + room_tokens
        return room <= self.room_tokens and len(busy) + 2 <= self._count

    def _make_room(
        self, room_tokens: int, spared: tuple[_Slot | None, _Slot | None]
    ) -> tuple[int, ...]:
        """Give up idle slots, the longest unused first, until `spared[0]` can have its room."""
        own = spared[0]
        idle = sorted(
            (slot for slot in self._idle() if slot not in spared), key=lambda s: s.used_at
        )
        released: list[int] = []
        for slot in idle:
            others = self.used_tokens - (own.room_tokens if own else 0)
            count = len(self._slots) + (own is None)
            if others + room_tokens <= self.room_tokens and count <= self._count:
                break
            released.append(slot.index)
            del self._slots[slot.index]
        return tuple(released)


def _common(kept: Sequence[int], prompt: Sequence[int]) -> int:
    """How many first tokens are the same, the prompt's last one aside."""
    length = min(len(kept), len(prompt) - 1)
    for index in range(length):
        if kept[index] != prompt[index]:
            return index
    return max(length, 0)
