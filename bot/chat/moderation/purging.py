"""Purges: what a moderator wants gone, out of the database at once; the platform's part follows."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from bot.chat.messages import ChannelKey
from bot.chat.moderation.journal import Event, EventKind, Journal
from bot.chat.moderation.purges import Purge, PurgePlan, Purges, PurgeWish
from bot.chat.talk.conversations import Conversations
from bot.chat.talk.taking_out import TakingOut
from bot.errors import NotFound

NOTHING = "There is nothing of that in what I keep of this channel."


class Purger:
    """Plans and does purges."""

    def __init__(
        self,
        purges: Purges,
        conversations: Conversations,
        taking_out: TakingOut,
        journal: Journal,
    ) -> None:
        """Moderators hear of every purge."""
        self.purges = purges
        self._conversations = conversations
        self._taking_out = taking_out
        self._journal = journal

    async def plan(self, wish: PurgeWish) -> PurgePlan:
        """What would go now. Raises NotFound where that is nothing."""
        planned = await self.purges.plan(wish)
        if not planned.turns:
            raise NotFound(NOTHING)
        return planned

    async def purge(self, planned: PurgePlan, *, by: str) -> Purge | None:
        """Take it out of the database for good, with what is being written of it.

        None, and nothing done, where something else would go by now: plan again.
        """

        channel = planned.wish.channel
        copies = await self._purge_copies(planned, by=by)
        if copies is None:
            return None

        async def take_out() -> Purge | None:
            return await self.purges.purge(planned, by=by)

        purge = await self._taking_out.within(channel, take_out, _messages_of)
        if purge is None:
            return None
        purge = replace(purge, copies=copies)
        for each in (purge, *copies):
            await self._forget_elsewhere(each.channel, _messages_of(each))
        text = f"{counted(planned.exchanges, 'exchange')} purged"
        event = Event(
            EventKind.PURGE,
            f"{text}, {counted(planned.messages, 'message')}{' of' if purge.speaker_id else ''}",
            by=by,
            about=purge.speaker_id,
            channel_id=channel.channel_id,
        )
        await self._journal.note(channel.guild_id, event)
        return purge

    async def ended(self, purge: Purge, left: int, *, was_interrupted: bool) -> None:
        """All that can be taken away on the platform is; `left` messages still stand there."""
        if not left and not was_interrupted:
            return
        parts: list[str] = []
        if was_interrupted:
            parts.append("A purge that a restart had interrupted is finished.")
        if left:
            parts.append(f"{counted(left, 'purged message')} could not be deleted in Discord.")
        event = Event(
            EventKind.PURGE,
            " ".join(parts),
            by=purge.asked_by,
            channel_id=purge.channel.channel_id,
        )
        await self._journal.note(purge.channel.guild_id, event)

    async def _purge_copies(self, planned: PurgePlan, *, by: str) -> tuple[Purge, ...] | None:
        """Take the copies in forks out first: what is interrupted there can be asked for again.

        None, and nothing done, where something else would go by now.
        """
        if (await self.purges.plan(planned.wish)).digest != planned.digest:
            return None
        gone: list[Purge] = []
        for fork in await self.purges.channels_with_copies(planned):
            take_out = partial(self.purges.purge_copies, planned, fork, by=by)
            purge = await self._taking_out.within(fork, take_out, _messages_of)
            if purge is not None:
                gone.append(purge)
        return tuple(gone)

    async def _forget_elsewhere(self, channel: ChannelKey, message_ids: Sequence[str]) -> None:
        """What other channels quote of it."""
        history = self._conversations.history
        for key in await history.channels_quoting(channel.platform, message_ids):
            await self._conversations.deleted(key, message_ids)


def counted(number: int, noun: str) -> str:
    """A number of things, in words."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _messages_of(purge: Purge | None) -> list[str]:
    return [] if purge is None else [message.message_id for message in purge.messages]
