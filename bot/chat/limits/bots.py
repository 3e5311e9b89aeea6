"""`answer_bots`: other bots are answered a few times in a row, until a person is heard."""

from collections import OrderedDict
from datetime import datetime

from bot.chat.definitions import ChannelSettings
from bot.chat.limits.gate import WELCOME, Access, Admission, Limit
from bot.chat.messages import ChannelKey, Speaker

MOST_IN_A_ROW = 3
CHANNELS_IN_MIND = 10_000


class BotChain(Limit):
    """Ends talk among bots. A restart begins anew."""

    def __init__(self) -> None:
        """No bot was answered yet."""
        self._answered: OrderedDict[ChannelKey, int] = OrderedDict()

    async def admit(
        self, channel: ChannelKey, speaker: Speaker, settings: ChannelSettings, *, at: datetime
    ) -> Admission:
        """Whether a bot is answered once more. No bot is told why not: it would answer."""
        del settings, at
        is_over = speaker.is_bot and self._answered.get(channel, 0) >= MOST_IN_A_ROW
        return Admission(Access.UNANSWERED) if is_over else WELCOME

    def count(
        self, channel: ChannelKey, speaker: Speaker, settings: ChannelSettings, *, at: datetime
    ) -> None:
        """A bot is answered. What a person asks for is :meth:`spoke`, once that is heard."""
        del settings, at
        if not speaker.is_bot:
            return
        self._answered[channel] = self._answered.get(channel, 0) + 1
        self._answered.move_to_end(channel)
        while len(self._answered) > CHANNELS_IN_MIND:
            self._answered.popitem(last=False)

    def awaits_people(self, channel: ChannelKey) -> bool:
        """Whether bots were answered there since a person said something."""
        return channel in self._answered

    def spoke(self, channel: ChannelKey) -> None:
        """A person was heard there."""
        self._answered.pop(channel, None)
