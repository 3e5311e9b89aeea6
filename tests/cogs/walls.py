"""A voice in memory, which loses requests and answers as it is told to."""

import itertools
from collections.abc import Iterable
from enum import Enum

from cogs.showing.screen import Post
from cogs.showing.voice import Controls


class Outcome(Enum):
    """What becomes of one request."""

    HEARD = "done, and heard of"
    LOST = "never arrived"
    UNHEARD = "done, but the answer was lost"


class Wall:
    """A voice on a wall in memory. A tag is taken once, as Discord takes a nonce."""

    def __init__(self, outcomes: Iterable[Outcome] = ()) -> None:
        self.seen: dict[int, Post] = {}
        self.outcomes = itertools.chain(outcomes, itertools.repeat(Outcome.HEARD))
        self.writes = 0
        self._ids: dict[str, int] = {}

    async def send(self, content: str, controls: Controls | None, tag: str) -> int:
        outcome = self._outcome()
        if tag not in self._ids:
            self._ids[tag] = len(self._ids) + 1
            self.seen[self._ids[tag]] = Post(content, controls)
        self._answer(outcome)
        return self._ids[tag]

    async def edit(self, message_id: int, content: str, controls: Controls | None) -> None:
        outcome = self._outcome()
        assert message_id in self.seen
        self.seen[message_id] = Post(content, controls)
        self._answer(outcome)

    async def set_controls(self, message_id: int, controls: Controls | None) -> None:
        outcome = self._outcome()
        self.seen[message_id] = Post(self.seen[message_id].content, controls)
        self._answer(outcome)

    async def delete(self, message_id: int) -> None:
        self.writes += 1
        del self.seen[message_id]

    def _outcome(self) -> Outcome:
        self.writes += 1
        outcome = next(self.outcomes)
        if outcome is Outcome.LOST:
            raise ConnectionResetError("before")
        return outcome

    def _answer(self, outcome: Outcome) -> None:
        if outcome is Outcome.UNHEARD:
            raise ConnectionResetError("after")
