"""KV slots: who has which room in the cache, and which prefixes are kept for later. Pure.

A slot holds the keys and values of one sequence. When a request is done, its slot is kept under
its channel's name: the channel's next prompt usually begins the same. When a running request needs
their room, kept slots are given up, that first whose channel is expected back last.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from bot.engine.local.rounds import Rounds

BLOCK_TOKENS = 64
PACKED_AS = "I"
TOKEN_BYTES = array(PACKED_AS).itemsize
COPY_TOKENS = 32  # a shorter common beginning is not worth copying from another channel's slot


def rounded(tokens: int) -> int:
    """`tokens` in whole blocks."""
    return -(-tokens // BLOCK_TOKENS) * BLOCK_TOKENS


@dataclass(frozen=True, slots=True)
class KeptPrefix:
    """What may be copied of what a slot keeps of a channel's talk; the tokens are packed."""

    slot: int
    channel: str
    tokens: bytes


@dataclass(frozen=True, slots=True)
class Taken:
    """What is to be done, in this order, before a request can run in `slot`."""

    slot: int
    room_tokens: int  # the slot's size from now on
    cached_tokens: int  # of the prompt, there already after the copy
    given_up: tuple[KeptPrefix, ...] = ()  # whose slots are to be freed first
    copy_from: int | None = None  # a slot to copy the cached tokens from, last of all
    # Packed, of the channel's last text: a reply that it took back, perhaps.
    dropped: bytes = b""

    @property
    def release(self) -> tuple[int, ...]:
        """The slots to free first."""
        return tuple(prefix.slot for prefix in self.given_up)


@dataclass(slots=True)
class _Slot:
    index: int
    channel: str
    room_tokens: int
    busy: bool
    used_at: int
    tokens: bytes = b""  # what is kept in it, packed
    is_uncopied: bool = False  # what is kept may not be copied elsewhere

    @property
    def prefix(self) -> KeptPrefix:
        return KeptPrefix(self.index, self.channel, b"" if self.is_uncopied else self.tokens)


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
        self._rounds = Rounds()
        self._asked_tokens = 0  # the largest room asked for lately
        self._version = 0
        self._endangered: tuple[int, list[KeptPrefix]] = (-1, [])

    @property
    def used_tokens(self) -> int:
        """Room of all slots, kept ones too."""
        return sum(slot.room_tokens for slot in self._slots.values())

    @property
    def kept(self) -> int:
        """How many slots are kept for later."""
        return len(self._idle())

    @property
    def version(self) -> int:
        """Another one whenever something was taken, kept or given up."""
        return self._version

    def clear(self) -> tuple[int, ...]:
        """Give up all slots, kept and running. Returns them: they are to be freed."""
        slots = tuple(self._slots)
        self._slots.clear()
        self._version += 1
        return slots

    def forget(self, channel: str, *, only_copies: bool = False) -> tuple[int, ...]:
        """Give up what is kept of a channel. Its requests tell at their end what is to be kept.

        With `only_copies` it is kept, but as it stands now it is not to be copied elsewhere.
        Returns the slots to free.
        """
        mine = [slot for slot in self._idle() if slot.channel == channel]
        self._version += 1
        for slot in mine:
            if only_copies:
                slot.is_uncopied = True
            else:
                del self._slots[slot.index]
        return () if only_copies else tuple(slot.index for slot in mine)

    def expected_after(self, channel: str) -> float:
        """In how many requests a channel is expected back."""
        return self._rounds.expected_after(channel)

    @property
    def channels(self) -> set[str]:
        """Those of which a slot holds something."""
        return {slot.channel for slot in self._slots.values()}

    def endangered(self) -> list[KeptPrefix]:
        """Kept prefixes that the next request may push out, the first to go first."""
        version, found = self._endangered
        if version != self._version:
            # One that asks for as much as the largest one lately, in a slot of its own.
            slots = self._to_give_up(self._asked_tokens, (None, None))
            found = [slot.prefix for slot in slots]
            self._endangered = self._version, found
        return found

    def take(self, channel: str, prompt: Sequence[int], room_tokens: int) -> Taken:
        """Find a slot for a prompt, and what of it is there already.

        At least one token of the prompt is always left to compute.
        """
        room_tokens = rounded(room_tokens)
        self._version += 1
        # Three in four, so that one long prompt is not reckoned with for ever.
        self._asked_tokens = max(room_tokens, self._asked_tokens * 3 // 4)
        self._rounds.come(channel)
        wanted = packed(prompt[:-1])
        own = self._idle_of(channel)
        cached = common_tokens(own.tokens, wanted) if own else 0
        dropped = own.tokens[cached * TOKEN_BYTES :] if own else b""
        donor, common = self._donor(wanted, at_least=max(COPY_TOKENS, cached + 1))
        if donor is not None:
            cached = common
            if not self._both_fit(donor, room_tokens):
                own, donor = donor, None
        released = self._make_room(room_tokens, spared=(own, donor))
        slot = own or self._new(channel)
        slot.channel, slot.room_tokens, slot.busy, slot.tokens = channel, room_tokens, True, b""
        slot.is_uncopied = False
        copy_from = donor.index if donor else None
        return Taken(slot.index, room_tokens, cached, released, copy_from, dropped)

    def keep(self, slot: int, tokens: Sequence[int], *, is_uncopied: bool = False) -> None:
        """A request is done; `tokens` are those whose keys and values stand in its slot.

        `is_uncopied`: as it stands now it is not to be copied elsewhere.
        """
        kept = self._end(slot)
        kept.busy, kept.tokens, kept.used_at = False, packed(tokens), self._clock
        kept.is_uncopied = is_uncopied

    def drop(self, slot: int) -> None:
        """A request is done, and nothing of it is kept: its slot is to be freed."""
        self._end(slot)
        del self._slots[slot]

    def _end(self, slot: int) -> _Slot:
        self._version += 1
        self._clock += 1
        self._rounds.go(self._slots[slot].channel)
        return self._slots[slot]

    def _new(self, channel: str) -> _Slot:
        index = next(i for i in range(self._count) if i not in self._slots)
        slot = self._slots[index] = _Slot(index, channel, 0, busy=True, used_at=self._clock)
        return slot

    def _idle_of(self, channel: str) -> _Slot | None:
        idle = [slot for slot in self._idle() if slot.channel == channel]
        return max(idle, key=lambda slot: slot.used_at, default=None)

    def _idle(self) -> list[_Slot]:
        return [slot for slot in self._slots.values() if not slot.busy]

    def _donor(self, prompt: bytes, *, at_least: int) -> tuple[_Slot | None, int]:
        """The kept slot that shares the longest beginning, of `at_least` tokens, and its length.

        Of several the first. Most share less than the best one so far: one look tells.
        """
        best, common = None, at_least - 1
        wanted = prompt[: at_least * TOKEN_BYTES]
        if len(wanted) < at_least * TOKEN_BYTES:
            return None, 0
        for slot in self._idle():
            if slot.tokens.startswith(wanted):
                best, common = slot, common_tokens(slot.tokens, prompt)
                wanted = prompt[: (common + 1) * TOKEN_BYTES]
                if len(wanted) == common * TOKEN_BYTES:
                    break  # all of the prompt
        return best, common

    def _both_fit(self, donor: _Slot, room_tokens: int) -> bool:
        busy = [slot for slot in self._slots.values() if slot.busy]
        room = sum(slot.room_tokens for slot in busy) + donor.room_tokens + room_tokens
        return room <= self.room_tokens and len(busy) + 2 <= self._count

    def _make_room(
        self, room_tokens: int, spared: tuple[_Slot | None, _Slot | None]
    ) -> tuple[KeptPrefix, ...]:
        """Give up idle slots until `spared[0]` can have its room."""
        given_up = self._to_give_up(room_tokens, spared)
        for slot in given_up:
            del self._slots[slot.index]
        return tuple(slot.prefix for slot in given_up)

    def _to_give_up(
        self, room_tokens: int, spared: tuple[_Slot | None, _Slot | None]
    ) -> list[_Slot]:
        """The idle slots in whose place `spared[0]` has its room: who is expected last, first."""
        own = spared[0]
        used = self.used_tokens - (own.room_tokens if own else 0)
        count = len(self._slots) + (own is None)
        if used + room_tokens <= self.room_tokens and count <= self._count:
            return []
        idle = sorted(
            (slot for slot in self._idle() if slot not in spared),
            key=lambda slot: (-self._rounds.expected_after(slot.channel), slot.used_at),
        )
        found: list[_Slot] = []
        for slot in idle:
            if used + room_tokens <= self.room_tokens and count <= self._count:
                break
            found.append(slot)
            used -= slot.room_tokens
            count -= 1
        return found


def packed(tokens: Sequence[int]) -> bytes:
    """Tokens as they are compared: whole stretches at once, not one by one in Python."""
    return array(PACKED_AS, tokens).tobytes()


def unpacked(tokens: bytes) -> tuple[int, ...]:
    """The tokens that were packed."""
    return tuple(array(PACKED_AS, tokens))


def common_tokens(kept: bytes, prompt: bytes) -> int:
    """How many first tokens are the same."""
    same, least_different = 0, min(len(kept), len(prompt)) // TOKEN_BYTES + 1
    while least_different - same > 1:
        middle = (same + least_different) // 2
        begin, end = same * TOKEN_BYTES, middle * TOKEN_BYTES
        if kept[begin:end] == prompt[begin:end]:
            same = middle
        else:
            least_different = middle
    return same
