"""What was written before and is shown once more: without what its guild does not want by now."""

from collections.abc import Sequence

from bot.chat.limits.words.censor import Censor
from bot.chat.messages import ChannelKey, Turn
from bot.chat.ports import History
from bot.chat.settings import SettingsCascade
from bot.errors import NotAllowed


class ShownAgain:
    """Applies a guild's word list and its `links` to whole texts. Raises StoreError."""

    def __init__(self, history: History, settings: SettingsCascade, censor: Censor) -> None:
        """`settings` say what becomes of links."""
        self.censor = censor
        self._history = history
        self._settings = settings

    async def texts(self, channel: ChannelKey, texts: Sequence[str]) -> list[str | None]:
        """Each text as it may be shown; None for one that may not."""
        links = (await self._settings.resolve(channel)).links
        return await self.censor.shown_again(channel, texts, links=links)

    async def text(self, channel: ChannelKey, text: str) -> str:
        """A text as it may be shown. Raises NotAllowed where nothing of it may."""
        (shown,) = await self.texts(channel, [text])
        if shown is None:
            raise NotAllowed(
                "That text has a word in it that this server does not want.",
                "Have another one written.",
            )
        return shown

    async def turn(self, turn: Turn) -> Turn:
        """A bot's turn that people are to see again, kept as it may be shown. Raises NotAllowed."""
        shown = await self.text(turn.channel, turn.text)
        if shown == turn.text:
            return turn
        return await self._history.edit_turn(turn.turn_id, shown)
