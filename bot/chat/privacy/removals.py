"""Messages of the bot's that are to be taken off a platform, after their turns have gone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Removal:
    """One message, by the platform's own ids."""

    number: int
    channel_id: str
    parent_id: str  # of a thread; "" elsewhere
    message_id: str


class RemovalStore(Protocol):
    """Keeps them until a front end has seen to them: a restart goes on."""

    async def to_remove(self, platform: str, after: int, limit: int) -> list[Removal]:
        """The oldest ones after the number of another."""
        ...

    async def removed(self, numbers: Sequence[int]) -> None:
        """They are gone, or nobody can take them away: nothing is kept of them."""
        ...
