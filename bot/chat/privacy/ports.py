"""What privacy needs of the store."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias

from bot.chat.messages import ChannelKey

Field: TypeAlias = "str | int | float | bool | Mapping[str, Field] | Sequence[Field] | None"
"""What JSON can say."""


class OptOuts(Protocol):
    """Who stays out. What they said before is left out of everything that is read at once."""

    async def among(self, platform: str, speaker_ids: Collection[str]) -> frozenset[str]:
        """Those of some people who have opted out."""
        ...

    async def since(self, platform: str, speaker_id: str) -> datetime | None:
        """Since when somebody has opted out."""
        ...

    async def opt_out(self, platform: str, speaker_id: str) -> Sequence[ChannelKey] | None:
        """Somebody stays out from now on, everywhere on the platform.

        What was made of their turns is to be made anew, and what waits of theirs is not answered.
        Returns the channels where something of theirs stands; None where they had opted out.
        """
        ...

    async def opt_in(self, platform: str, speaker_id: str) -> Sequence[ChannelKey] | None:
        """They are heard again, and their old turns seen. Returns as :meth:`opt_out`."""
        ...

    async def withdraw(self, platform: str, speaker_id: str) -> int:
        """Take out what other programs are writing for somebody alone. Returns how many."""
        ...


@dataclass(frozen=True, slots=True)
class Page:
    """Some of what is kept of a person, and where to go on: None at the end."""

    items: Sequence[Mapping[str, Field]]
    next_after: int | None


class Belongings(Protocol):
    """What is kept of a person, and of nobody else, a page at a time."""

    def sections(self) -> Sequence[str]:
        """The kinds of things that are kept, in order."""
        ...

    async def page(self, platform: str, speaker_id: str, section: str, after: int) -> Page:
        """Some things of a section: the first with `after` 0, then with the last page's."""
        ...
