"""Which notices are due: a flood of messages over a limit is answered by few lines."""

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta

from bot.chat.limits.gate import Admission
from bot.chat.messages import ChannelKey

MOST_A_MINUTE = 3  # lines in one channel, whatever they are about
MOST_IN_MIND = 10_000

_MINUTE = timedelta(minutes=1)


class Notices:
    """Remembers what was told. Another program, or this one after a restart, tells it again."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        """Nothing was told yet."""
        self._clock = clock
        self._told: OrderedDict[str, datetime] = OrderedDict()  # until when
        self._lately: OrderedDict[ChannelKey, list[datetime]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._told) + len(self._lately)

    def is_due(self, channel: ChannelKey, admission: Admission) -> bool:
        """Whether a notice is to be told in a channel now; then it counts as told."""
        if not admission.notice:
            return False
        now = self._clock()
        key = admission.about or f"{channel}:{admission.notice}"
        lately = [at for at in self._lately.get(channel, ()) if now - _MINUTE < at <= now]
        if self._told.get(key, now) > now or len(lately) >= MOST_A_MINUTE:
            return False
        self._told[key] = now + admission.told_again
        self._told.move_to_end(key)
        self._lately[channel] = [*lately, now]
        self._lately.move_to_end(channel)
        for remembered in (self._told, self._lately):
            while len(remembered) > MOST_IN_MIND:
                remembered.popitem(last=False)
        return True
