"""Whom the messages of a channel are for, by its settings or by the scene that is played there."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from bot.chat.definitions import ChannelSettings
from bot.chat.messages import IncomingMessage
from bot.chat.ports import History
from bot.chat.roleplay.scenes.scene import Mode, Scene
from bot.chat.roleplay.speakers import Said, is_named
from bot.chat.talk.casting import Casting, member_of
from bot.chat.talk.listening import (
    hangs_on_names,
    is_addressed,
    is_addressed_since,
    is_asked_by_bot,
    is_kept,
    is_played,
    words_of,
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to become of a message."""

    kept: bool  # it is to stand in the history
    addressed: bool  # and to be answered
    is_played: bool = False  # it belongs to a scene


class Hearing:
    """Decides about messages. Raises StoreError where it cannot know."""

    def __init__(self, history: History, casting: Casting, random: Random) -> None:
        """`random` decides where the trigger is `chance`."""
        self._history = history
        self._casting = casting
        self._random = random

    async def judge(self, message: IncomingMessage, settings: ChannelSettings) -> Verdict:
        """Whether a message that came is kept, and answered.

        In a scene every message is but asides, unless it is paused, nobody is named who has to be,
        or the bot is switched off there.
        """
        scene = await self._casting.scene(message.channel)
        if scene is not None:
            kept = is_played(message)
            is_heard = settings.trigger != "off" and not scene.is_paused
            addressed = kept and is_heard
            if message.author.is_bot:
                addressed = addressed and is_asked_by_bot(message, settings)
            elif addressed and scene.mode is Mode.NAMED:
                addressed = message.replies_to_bot or await self._names_somebody(message, scene)
            return Verdict(kept, addressed, is_played=kept)
        names = await self._names(message, settings)
        addressed = is_addressed(message, settings, self._random.random(), names)
        kept = await is_kept(self._history, message, settings, addressed=addressed)
        return Verdict(kept, addressed)

    async def is_kept_unanswered(
        self, message: IncomingMessage, verdict: Verdict, settings: ChannelSettings
    ) -> bool:
        """Whether a message is kept though whoever said it is not answered."""
        return verdict.is_played or await is_kept(self._history, message, settings, addressed=False)

    async def judge_edit(self, message: IncomingMessage, settings: ChannelSettings) -> Verdict:
        """Whether a message is to be answered since its edit, which was not before."""
        is_for_us = await self._is_for_us_since(message, settings)
        return Verdict(is_for_us, is_for_us)

    async def _is_for_us_since(self, message: IncomingMessage, settings: ChannelSettings) -> bool:
        scene = await self._casting.scene(message.channel)
        if scene is not None:
            is_heard = settings.trigger != "off" and not scene.is_paused
            waits_for_a_name = is_heard and scene.mode is Mode.NAMED
            return waits_for_a_name and await self._names_somebody(message, scene)
        return is_addressed_since(message, settings, await self._names(message, settings))

    async def _names_somebody(self, message: IncomingMessage, scene: Scene) -> bool:
        if message.author.is_bot or not is_played(message):
            return False
        cast = await self._casting.here(message.channel, scene=scene)
        return is_named(Said(0, words_of(message)), [member_of(persona) for persona in cast])

    async def _names(self, message: IncomingMessage, settings: ChannelSettings) -> Sequence[str]:
        """What wakes the personas of a message's channel: their names and nicknames.

        None where they don't matter: most messages have nobody looked up.
        """
        if not hangs_on_names(message, settings):
            return ()
        cast = await self._casting.here(message.channel, settings)
        return [name for persona in cast for name in member_of(persona).names]
