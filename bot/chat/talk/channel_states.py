"""What is going on in channels: who is heard, which reply is written, what waits."""

import asyncio
from collections.abc import Callable, Generator, Iterable, Set
from contextlib import contextmanager
from dataclasses import dataclass, field

from bot.chat.messages import ChannelKey, Speaker, Turn
from bot.chat.talk.reply import Reply


@dataclass(slots=True)
class ChannelState:
    """What is going on in one channel.

    `intake` keeps messages, edits and deletions in the order in which they came. `turnstile` lets
    one reply at a time through. `heard` are the turns addressed to the bot while this process ran
    and not taken up yet: however long they wait, they are answered. `speakers` are theirs, as
    they came: with roles, and of a proxy's the account behind it.
    """

    intake: asyncio.Lock = field(default_factory=asyncio.Lock)
    turnstile: asyncio.Lock = field(default_factory=asyncio.Lock)
    running: Reply | None = None
    heard: dict[int, str | None] = field(default_factory=dict[int, str | None])
    speakers: dict[int, Speaker] = field(default_factory=dict[int, Speaker])
    users: int = 0

    def reread(self, turn: Turn | None, words: str | None) -> bool:
        """A turn reads otherwise now. Whether it waits to be answered."""
        is_heard = turn is not None and turn.turn_id in self.heard
        if turn is not None and is_heard:
            self.heard[turn.turn_id] = words
        return is_heard

    def take_up(self, turns: Iterable[Turn]) -> frozenset[str]:
        """These turns wait no more. Returns whose they are: of a proxy's, the account's id."""
        found: set[str] = set()
        for turn in turns:
            self.heard.pop(turn.turn_id, None)
            found.add(self.speakers.pop(turn.turn_id, turn.speaker).speaker_id)
        return frozenset(found)

    def let_go(self) -> None:
        """Nothing waits any more."""
        self.heard.clear()
        self.speakers.clear()

    def forget_all_but(self, turn_ids: Set[int]) -> None:
        """Nothing else waits any more."""
        self.heard = {each: words for each, words in self.heard.items() if each in turn_ids}
        self.speakers = {each: who for each, who in self.speakers.items() if each in turn_ids}

    def tell_of_change(self) -> None:
        """What was said is about to change: a prompt not made yet must not be of before."""
        if self.running is not None:
            self.running.read_again()


class ChannelStates:
    """The channels where something is going on."""

    def __init__(self) -> None:
        """No channel at first.

        `on_left` are told of a channel when its last user leaves, `on_taken_out` and `on_edited`
        when something that was said there has gone or reads otherwise.
        """
        self._states: dict[ChannelKey, ChannelState] = {}
        self.on_left: list[Callable[[ChannelKey], None]] = []
        self.on_taken_out: list[Callable[[ChannelKey], None]] = []
        self.on_edited: list[Callable[[ChannelKey], None]] = []

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
        if state.users:
            return
        if not state.heard:
            del self._states[channel]
        for tell in self.on_left:
            tell(channel)

    def tell_taken_out(self, channel: ChannelKey) -> None:
        """Something that was said in a channel has gone."""
        for tell in self.on_taken_out:
            tell(channel)

    def tell_edited(self, channel: ChannelKey) -> None:
        """Something that was said in a channel reads otherwise."""
        for tell in self.on_edited:
            tell(channel)

    def running(self, channel: ChannelKey) -> Reply | None:
        """The reply being written in a channel."""
        state = self._states.get(channel)
        return state.running if state else None

    def all_running(self) -> list[Reply]:
        """Every reply being written."""
        return [state.running for state in self._states.values() if state.running is not None]
