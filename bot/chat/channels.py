"""What is going on in each channel right now. Nothing is kept of a channel where nothing is."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bot.chat.messages import ChannelKey

if TYPE_CHECKING:
    from bot.chat.reply import Reply


@dataclass(slots=True)
class ChannelState:
    """One channel's present.

    `intake` keeps messages, edits and deletions in the order in which they came. `turnstile` lets
    one reply at a time through. `heard` are the turns addressed to the bot while this process ran
    and not taken up yet: however long they wait, they are answered.
    """

    intake: asyncio.Lock = field(default_factory=asyncio.Lock)
    turnstile: asyncio.Lock = field(default_factory=asyncio.Lock)
    running: "Reply | None" = None
    heard: set[int] = field(default_factory=set[int])
    users: int = 0


class ChannelStates:
    """The channels where something is going on."""

    def __init__(self) -> None:
        """No channel at first."""
        self._states: dict[ChannelKey, ChannelState] = {}

    def __len__(self) -> int:
        return len(self._states)

    @contextmanager
    def use(self, channel: ChannelKey) -> Generator[ChannelState, None, None]:
        """A channel's state, which is dropped when its last user leaves and nobody waits."""
        state = self.enter(channel)
        try:
            yield state
        finally:
            self.leave(channel)

    def enter(self, channel: ChannelKey) -> ChannelState:
        """Begin to use a channel's state; :meth:`leave` must follow."""
        state = self._states.setdefault(channel, ChannelState())
        state.users += 1
        return state

    def leave(self, channel: ChannelKey) -> None:
        """End what :meth:`enter` began."""
        state = self._states[channel]
        state.users -= 1
        if not state.users and not state.heard:
            del self._states[channel]

    def running(self, channel: ChannelKey) -> "Reply | None":
        """The reply being written in a channel."""
        state = self._states.get(channel)
        return state.running if state else None

    def all_running(self) -> list["Reply"]:
        """Every reply being written."""
        return [state.running for state in self._states.values() if state.running is not None]
