"""What of a text a prompt may hold: the front of a guild's word list, of which a prompt knows no
more than that.
"""

from typing import Protocol

from bot.chat.messages import ChannelKey, HistoryWindow


class Reading(Protocol):
    """Takes out of texts what their guild does not want. Made once for a turn, by the list of then.

    False where nothing is unwanted. All but :meth:`window` may be called in any thread, and take
    time with long texts.
    """

    def __bool__(self) -> bool: ...

    def said(self, text: str) -> str:
        """What people have said, or wrote down for the model: facts, scenes."""
        ...

    def card(self, text: str) -> str:
        """What the model is told and says itself: personas, their names, lore, instructions."""
        ...

    async def window(self, window: HistoryWindow) -> HistoryWindow:
        """What was said before, with the names of who said it."""
        ...


class Screen(Protocol):
    """Knows what channels do not want."""

    async def reading(self, channel: ChannelKey) -> Reading:
        """What holds in a channel now. Raises StoreError."""
        ...


class AsItIs:
    """Where nothing is unwanted: a :class:`Screen`, and its :class:`Reading`."""

    def __bool__(self) -> bool:
        return False

    async def reading(self, channel: ChannelKey) -> Reading:
        """Changes nothing."""
        del channel
        return self

    def said(self, text: str) -> str:
        """As it is."""
        return text

    def card(self, text: str) -> str:
        """As it is."""
        return text

    async def window(self, window: HistoryWindow) -> HistoryWindow:
        """All of it."""
        return window


AS_IT_IS = AsItIs()
