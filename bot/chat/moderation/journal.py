"""What moderators of a guild are to hear of. Never what people said."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from bot.errors import CaduceusError

Listener = Callable[[str, "Event"], Awaitable[None]]
"""Called with a guild's id and what happened in it. It waits for nobody, and for no network."""

_log = logging.getLogger(__name__)


class EventKind(StrEnum):
    """What an event is about, in the word that people see."""

    SETTINGS = "Settings"
    PURGE = "Purge"
    BLOCK = "Block"
    WORDS = "Words"
    ENGINE = "Engine"
    IMPORT = "Import"
    PRIVACY = "Privacy"
    AUTOMOD = "AutoMod"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a guild. All of it is plain text: whoever shows it escapes it."""

    kind: EventKind
    text: str  # what happened, in a line; cut where it is shown
    by: str = ""  # the id of who did it
    about: str = ""  # the id of whom it is done to
    channel_id: str = ""  # where, if it was in one channel


class Journal:
    """Takes up what happens, for whoever shows it."""

    def __init__(self) -> None:
        """Nobody listens at first."""
        self._listeners: list[Listener] = []

    def on_event(self, listener: Listener) -> None:
        """Have `listener` told of everything from now on."""
        self._listeners.append(listener)

    async def note(self, guild_id: str | None, event: Event) -> None:
        """Something happened. Where there is no guild, nobody hears of it.

        Never fails: what is noted is done already.
        """
        if guild_id is None:
            return
        for listener in self._listeners:
            try:
                await listener(guild_id, event)
            except CaduceusError as error:
                _log.warning("Moderators could not be told: %s", error)
