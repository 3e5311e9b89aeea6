"""Who may talk to the bot, asked of whoever uses a command or a button."""

from datetime import datetime
from typing import TypeAlias, cast

import discord

from bot.chat.limits.gate import Access
from bot.chat.messages import Speaker
from bot.errors import NotAllowed, NotFound
from cogs.client import CaduceusBot
from cogs.platform import Channel, key_of, speaker_of

NOT_HERE = "You cannot talk to me here."

Interaction: TypeAlias = discord.Interaction[discord.Client]


def speaker_behind(interaction: Interaction) -> Speaker:
    """Who uses a command or a button, with the roles that they have there."""
    return speaker_of(interaction.user, interaction.user.display_name)


async def require_talker(interaction: Interaction, *, asks: bool = False) -> None:
    """Raise NotAllowed where the bot does not hear or answer whoever uses this.

    With `asks`, the bot is to write for them, which counts where that is limited: once for each
    reply. It may wait for the database, so acknowledge the interaction first.
    """
    if not isinstance(interaction.channel, Channel):
        raise NotFound("I cannot talk here.", "Use a text channel, a thread or a direct message.")
    conversations = cast("CaduceusBot", interaction.client).conversations
    admission = await conversations.admit(
        key_of(interaction.channel), speaker_behind(interaction), asks=asks
    )
    if admission.access is not Access.ANSWERED:
        raise NotAllowed(admission.line(clock_time) or NOT_HERE)


def clock_time(moment: datetime) -> str:
    """A moment as Discord shows it to each member by their own clock."""
    return discord.utils.format_dt(moment, "t")
