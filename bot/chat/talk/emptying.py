"""Ends what is being written in a channel, and keeps it quiet while something is taken out."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

from bot.chat.messages import ChannelKey
from bot.chat.ports import History
from bot.chat.talk.channel_states import ChannelStates
from bot.chat.talk.taking_out import forget_what_went
from bot.chat.talk.turn_taking import STOPPING_SECONDS, Clock

STOPS = 3  # another reply may begin as soon as one has ended


class Emptying:
    """What erasing needs of a channel where people talk meanwhile."""

    def __init__(self, history: History, channels: ChannelStates, clock: Clock) -> None:
        """`channels` is shared with the conversations."""
        self._history = history
        self._channels = channels
        self._clock = clock

    @asynccontextmanager
    async def taking_out(self, channel: ChannelKey) -> AsyncGenerator[None, None]:
        """Stop what is being written there. Within, nothing is heard, and no reply begins.

        What goes within waits for no answer. A reply that does not end, even so, makes its prompt
        anew, or finds that its turn has gone.
        """
        with self._channels.use(channel) as state:
            for tries_left in reversed(range(STOPS)):
                if state.running is not None:
                    state.running.stop()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(STOPPING_SECONDS):
                            await state.running.ended()
                async with state.intake:  # in which a reply begins, too
                    if state.running is not None and tries_left:
                        continue
                    state.tell_of_change()
                    try:
                        yield
                    finally:  # also where only a part could be taken out
                        self._channels.tell_taken_out(channel)
                    if state.running is not None:
                        await state.running.taken_out(())
                    await forget_what_went(state, channel, self._history, self._clock)
                    return
