"""Opting out and in: what somebody says is neither kept nor seen by the model, anywhere."""

from collections.abc import Callable, Collection
from datetime import datetime

from bot.chat.definitions import ChannelSettings
from bot.chat.limits.gate import WELCOME, Access, Admission
from bot.chat.messages import ChannelKey, Speaker
from bot.chat.privacy.ports import OptOuts
from bot.chat.talk.channel_states import ChannelStates
from bot.chat.talk.reply import Reply

LINE = (
    "You have opted out, so I neither keep nor answer what you say. `/privacy optin` takes it back."
)


class OptOutCheck:
    """Keeps out who has opted out, the bot's owner too. A :class:`~bot.chat.limits.gate.Check`."""

    def __init__(self, opt_outs: OptOuts) -> None:
        """Asked anew each time: an opt-out counts at once in every process."""
        self._opt_outs = opt_outs

    async def admit(
        self, channel: ChannelKey, speaker: Speaker, settings: ChannelSettings, *, asks: bool
    ) -> Admission:
        """Unheard; the line is for who uses a command, a message gets none."""
        out = await self._opt_outs.among(channel.platform, {speaker.speaker_id})
        return Admission(Access.UNHEARD, LINE) if out else WELCOME


class StayingOut:
    """Takes people out of everything, and lets them in again."""

    def __init__(
        self,
        opt_outs: OptOuts,
        channels: ChannelStates,
        *,
        stir: Callable[[ChannelKey], None] = lambda _channel: None,
    ) -> None:
        """`channels` are where replies are written; `stir` has a channel's summary made anew."""
        self._opt_outs = opt_outs
        self._channels = channels
        self._stir = stir

    async def among(self, platform: str, speaker_ids: Collection[str]) -> frozenset[str]:
        """Those of some people who have opted out. Raises StoreError."""
        return await self._opt_outs.among(platform, speaker_ids) if speaker_ids else frozenset()

    async def since(self, platform: str, speaker_id: str) -> datetime | None:
        """Since when somebody has opted out."""
        return await self._opt_outs.since(platform, speaker_id)

    async def opt_out(self, platform: str, speaker_id: str) -> bool:
        """Somebody stays out from now on. False where they had opted out already.

        A reply that is written for them alone stops; one for others, of which nothing has come yet,
        is written without what they said.
        """
        channels = await self._opt_outs.opt_out(platform, speaker_id)
        for channel in channels or ():
            self._channels.tell_taken_out(channel)
        for reply in self._channels.all_running():
            if reply.turn.channel in (channels or ()):
                await _write_without(reply, speaker_id)
        await self._opt_outs.withdraw(platform, speaker_id)  # what other programs write
        for channel in channels or ():
            self._stir(channel)
        return channels is not None

    async def opt_in(self, platform: str, speaker_id: str) -> bool:
        """Somebody is heard again, and what they said before is seen again. False where it was."""
        channels = await self._opt_outs.opt_in(platform, speaker_id)
        for channel in channels or ():
            self._stir(channel)
        return channels is not None


async def _write_without(reply: Reply, speaker_id: str) -> None:
    if speaker_id in reply.asked_by and len(reply.asked_by) == 1:
        reply.stop()
        return
    theirs = [turn for turn in reply.answers if turn.speaker.speaker_id == speaker_id]
    await reply.taken_out([each for turn in theirs for each in turn.message_ids])
