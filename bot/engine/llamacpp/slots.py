"""Which channel has which of llama.cpp's slots. Pure.

A slot keeps what it computed last, so a channel that comes back to its slot has its conversation
there already. It keeps the slot until somebody else needs it and nobody's is longer unused.
"""

from collections import OrderedDict


class SlotTable:
    """Binds channels to slots."""

    def __init__(self, slots: int) -> None:
        """All are free and nobody's."""
        self._free: OrderedDict[int, None] = OrderedDict.fromkeys(range(slots))  # oldest first
        self._slot_of: dict[str, int] = {}
        self._channel_of: dict[int, str] = {}

    @property
    def free(self) -> int:
        """How many could be taken."""
        return len(self._free)

    def take(self, channel: str) -> int:
        """The channel's own slot where it is free, else nobody's, else the longest unused one.

        Raises LookupError where none is free.
        """
        slot = self._slot_of.get(channel)
        if slot is None or slot not in self._free:
            nobodys = (one for one in self._free if one not in self._channel_of)
            slot = next(nobodys, None)
            if slot is None:
                slot = next(iter(self._free), None)
            if slot is None:
                raise LookupError("no slot is free")
        self._free.pop(slot)
        self._bind(channel, slot)
        return slot

    def give_back(self, slot: int) -> None:
        """It is free again, and keeps what it has for its channel."""
        self._free[slot] = None
        self._free.move_to_end(slot)

    def forget(self) -> None:
        """No slot has anything of anybody; who holds one still does."""
        self._slot_of.clear()
        self._channel_of.clear()

    def _bind(self, channel: str, slot: int) -> None:
        before = self._channel_of.get(slot)
        if before is not None:
            del self._slot_of[before]
        earlier = self._slot_of.get(channel)
        if earlier is not None:
            del self._channel_of[earlier]
        self._slot_of[channel] = slot
        self._channel_of[slot] = channel
