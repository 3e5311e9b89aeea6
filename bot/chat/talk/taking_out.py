"""Takes turns of a channel out, whatever is being heard or written there meanwhile."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from bot.chat.messages import ChannelKey
from bot.chat.ports import History
from bot.chat.talk.channel_states import ChannelState, ChannelStates
from bot.chat.talk.turn_taking import Clock

Result = TypeVar("Result")


class TakingOut:
    """What a deletion of turns needs of a channel where a reply may be written."""

    def __init__(self, history: History, channels: ChannelStates, clock: Clock) -> None:
        """`channels` is shared with the conversations."""
        self._history = history
        self._channels = channels
        self._clock = clock

    async def within(
        self,
        channel: ChannelKey,
        take_out: Callable[[], Awaitable[Result]],
        messages_of: Callable[[Result], Sequence[str]],
    ) -> Result:
        """Do `take_out` while nothing is heard there.

        A running reply whose turn goes stops, and its messages with it; so does one all of whose
        questions are gone before anything of it was shown. What went is no longer answered.
        """
        with self._channels.use(channel) as state:
            async with state.intake:
                if state.running is not None:
                    await state.running.keep_shown()  # so that its messages are known
                state.tell_of_change()
                result = await take_out()
                self._channels.tell_taken_out(channel)
                if state.running is not None:
                    await state.running.taken_out(messages_of(result))
                await forget_what_went(state, channel, self._history, self._clock)
                return result


async def forget_what_went(
    state: ChannelState, channel: ChannelKey, history: History, clock: Clock
) -> None:
    """Let what was taken out wait for no answer any more. The caller holds the intake."""
    if state.heard:
        waiting = await history.pending(channel, since=clock(), also=state.heard)
        state.forget_all_but({turn.turn_id for turn in waiting})
