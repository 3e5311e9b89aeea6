"""What happens in a chat, told to every page that shows it, as server-sent events."""

import asyncio
import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

QUEUED_EVENTS = 10_000  # a page that stopped reading long ago; it comes back to a fresh snapshot
TEXT = "text"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `data` is JSON."""

    name: str
    data: Mapping[str, Any]

    def encode(self) -> bytes:
        """As it goes over the wire. JSON on one line has no line break that would end it."""
        return f"event: {self.name}\ndata: {json.dumps(self.data)}\n\n".encode()


class Subscription:
    """One page's queue of events. It ends when :attr:`closed` is set and the queue is empty."""

    def __init__(self) -> None:
        self.closed = False
        self._events: deque[Event] = deque()
        self._woken = asyncio.Event()

    def push(self, event: Event) -> None:
        """Add an event; joins text to text of the same turn, so that a slow page catches up."""
        if self.closed:
            return
        newest = self._events[-1] if self._events else None
        if newest and event.name == newest.name == TEXT and _same_turn(newest, event):
            joined = {**event.data, "text": newest.data["text"] + event.data["text"]}
            self._events[-1] = Event(TEXT, joined)
        else:
            self._events.append(event)
        if len(self._events) > QUEUED_EVENTS:
            self._events.clear()
            self.closed = True
        self._woken.set()

    def close(self) -> None:
        """No more events; those that wait are still delivered."""
        self.closed = True
        self._woken.set()

    async def take(self, timeout_seconds: float) -> list[Event]:
        """All events that wait; waits for the first one, and gives [] when none comes in time."""
        if not self._events and not self.closed:
            self._woken.clear()
            try:
                async with asyncio.timeout(timeout_seconds):
                    await self._woken.wait()
            except TimeoutError:
                return []
        events = list(self._events)
        self._events.clear()
        return events


class Hub:
    """Everyone who watches one chat."""

    def __init__(self) -> None:
        self.revision = 0  # grows with every event but text: the store holds something new
        self._subscriptions: set[Subscription] = set()

    def publish(self, name: str, data: Mapping[str, Any]) -> None:
        """Tell everyone."""
        if name != TEXT:
            self.revision += 1
        event = Event(name, data)
        for subscription in self._subscriptions:
            subscription.push(event)

    def subscribe(self) -> Subscription:
        """Begin to listen. Call :meth:`leave` at the end."""
        subscription = Subscription()
        self._subscriptions.add(subscription)
        return subscription

    def leave(self, subscription: Subscription) -> None:
        """Stop listening."""
        self._subscriptions.discard(subscription)

    def close(self) -> None:
        """End every subscription."""
        for subscription in self._subscriptions:
            subscription.close()


def _same_turn(one: Event, other: Event) -> bool:
    return one.data["turn"] == other.data["turn"]
