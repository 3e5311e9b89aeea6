"""Has a persona say its greeting where a conversation begins, and takes it back."""

import logging
from contextlib import suppress

from bot.chat.messages import Turn
from bot.errors import CaduceusError, NotFound
from cogs.client import Interaction, bot_of, channel_of
from cogs.platform import WRITE_ERRORS, Channel, key_of, may_send_in
from cogs.rights.talking import speaker_behind

_log = logging.getLogger(__name__)


async def greet(interaction: Interaction) -> None:
    """Say the greeting of the channel's persona to who is behind `interaction`, if it has one.

    What goes wrong is logged: the command that it belongs to has done its work.
    """
    bot, channel = bot_of(interaction), channel_of(interaction)
    if not may_send_in(channel):
        return
    by = speaker_behind(interaction)
    try:
        turn = await bot.conversations.greetings.begin(key_of(channel), by)
        if turn is not None:
            await _show(interaction, turn, channel)
    except CaduceusError as error:
        _log.warning("There is no greeting in %s: %s", channel.id, error)


async def _show(interaction: Interaction, turn: Turn, channel: Channel) -> None:
    bot = bot_of(interaction)
    try:
        await bot.serving.show(turn, channel, str(interaction.id))
    except WRITE_ERRORS as error:
        _log.warning("A greeting in %s could not be shown: %s", channel.id, error)
        with suppress(NotFound):
            await bot.conversations.delete_turn(turn.turn_id)


async def take_back_greeting(interaction: Interaction, greeting: Turn) -> None:
    """Delete a greeting that was all of a conversation, which has been taken back."""
    bot = bot_of(interaction)
    with suppress(NotFound):
        greeting = await bot.conversations.delete_turn(greeting.turn_id)
    await bot.serving.delete_messages(greeting, channel_of(interaction))
