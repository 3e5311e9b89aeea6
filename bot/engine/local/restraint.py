"""How much is run at once after memory ran out: half of what was too much, then slowly more. Pure.

A machine's memory is shared with whatever else runs there, so what was measured at the start may
not be there later. What is allowed grows again after a while without trouble, and the while is
twice as long after each time that it was too much.
"""

from bot.engine.local.slots import BLOCK_TOKENS

CALM_STEPS = 128  # without trouble before more is allowed; doubled before its first use
CALM_STEPS_LONGEST = 4096
ROOM_SHARE = 8  # an eighth of the whole room is added at a time


class Restraint:
    """The rows and the KV room that may be used now, out of all that there are."""

    def __init__(self, *, rows: int, room_tokens: int) -> None:
        """Everything is allowed until memory runs out."""
        self.rows = self._all_rows = rows
        self.room_tokens = self._all_room_tokens = room_tokens
        self._calm_steps = CALM_STEPS
        self._steps = 0

    def tighten(self, *, running: int, used_tokens: int) -> None:
        """Memory ran out while this many rows ran and this much room was used."""
        self.rows = max(min(self.rows, running) // 2, 1)
        used_tokens = min(self.room_tokens, used_tokens)
        self.room_tokens = max(used_tokens // 2 // BLOCK_TOKENS, 1) * BLOCK_TOKENS
        self._calm_steps = min(self._calm_steps * 2, CALM_STEPS_LONGEST)
        self._steps = 0

    def relax(self) -> bool:
        """A step went well. Returns whether more is allowed than before."""
        if self.rows == self._all_rows and self.room_tokens == self._all_room_tokens:
            return False
        self._steps += 1
        if self._steps < self._calm_steps:
            return False
        self._steps = 0
        more = max(self._all_room_tokens // ROOM_SHARE // BLOCK_TOKENS, 1) * BLOCK_TOKENS
        self.rows = min(self.rows + 1, self._all_rows)
        self.room_tokens = min(self.room_tokens + more, self._all_room_tokens)
        return True
