"""Voices: how messages come into a channel. The bot's own is here."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import discord

from cogs.platform import NOBODY, WRITE_ERRORS, Channel, is_passing, is_refused_by_automod

NONCE_CHARACTERS = 25  # Discord's limit

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Controls:
    """Which buttons a message carries. `swipe` counts from 1."""

    turn_id: int
    is_running: bool
    swipe: int = 1
    swipes: int = 1


class MessageLostError(Exception):
    """A message is there, but nobody can write to it any more: its webhook is gone."""


ViewOf: TypeAlias = Callable[[Controls | None], discord.ui.View | None]


class Voice(Protocol):
    """Writes the messages of one reply into one channel, and knows them by their ids.

    Nothing that it writes can mention anybody. Every method raises what discord.py raises.
    """

    async def send(self, content: str, controls: Controls | None, tag: str) -> int:
        """Send a new message; returns its id.

        `tag` names the message within the reply, so that a voice that can do so shows it once
        when it is sent again after a failure.
        """
        ...

    async def edit(self, message_id: int, content: str, controls: Controls | None) -> None:
        """Replace a message's text and buttons. Raises MessageLostError where nobody can."""
        ...

    async def set_controls(self, message_id: int, controls: Controls | None) -> None:
        """Replace a message's buttons, leaving its text; they stay where nobody can."""
        ...

    async def delete(self, message_id: int) -> None:
        """Delete a message."""
        ...


async def delete_quietly(voice: Voice, message_id: int) -> None:
    """Delete a message; it does no harm if it stays."""
    try:
        await voice.delete(message_id)
    except discord.NotFound:
        return
    except WRITE_ERRORS as error:
        _log.warning("A message could not be deleted: %s", error)


def nonce_of(base: str, tag: str) -> str:
    """What names one message of one reply, so that Discord takes it once."""
    return f"{base}.{tag}"[-NONCE_CHARACTERS:]


class BotVoice:
    """Writes as the bot itself.

    A message is sent with a nonce, so that a request repeated after a fault shows it once.
    """

    def __init__(
        self,
        channel: Channel,
        view_of: ViewOf,
        *,
        nonce: str = "",
        question_id: int | None = None,
    ) -> None:
        """`nonce` is the reply's own; `question_id` is what the first new message replies to."""
        self._channel = channel
        self._view_of = view_of
        self._nonce = nonce
        self._question_id = question_id

    async def send(self, content: str, controls: Controls | None, tag: str) -> int:
        """Send a message, the first one as a reply where that is allowed."""
        view = self._view_of(controls) or discord.utils.MISSING
        nonce = nonce_of(self._nonce, tag)
        question_id, self._question_id = self._question_id, None
        if question_id is None:
            return await self._send_plain(content, view, nonce)
        question = self._channel.get_partial_message(question_id)
        try:
            message = await self._channel.send(
                content,
                view=view,
                nonce=nonce,
                allowed_mentions=NOBODY,
                reference=question.to_reference(fail_if_not_exists=False),
            )
        except discord.HTTPException as error:
            if is_refused_by_automod(error):
                raise
            if is_passing(error) or error.status == 404:
                self._question_id = question_id
                raise
            # Replying needs a permission of its own; a plain message may well be allowed.
            return await self._send_plain(content, view, nonce)
        return message.id

    async def edit(self, message_id: int, content: str, controls: Controls | None) -> None:
        """Replace the text and the buttons of one of the bot's messages."""
        message = self._channel.get_partial_message(message_id)
        view = self._view_of(controls)
        await message.edit(content=content, view=view, allowed_mentions=NOBODY)

    async def set_controls(self, message_id: int, controls: Controls | None) -> None:
        """Replace the buttons of one of the bot's messages."""
        message = self._channel.get_partial_message(message_id)
        await message.edit(view=self._view_of(controls))

    async def delete(self, message_id: int) -> None:
        """Delete one of the bot's messages."""
        await self._channel.get_partial_message(message_id).delete()

    async def _send_plain(self, content: str, view: discord.ui.View, nonce: str) -> int:
        message = await self._channel.send(content, view=view, nonce=nonce, allowed_mentions=NOBODY)
        return message.id
