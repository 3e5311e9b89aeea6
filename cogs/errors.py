"""What a person is told when a command fails."""

import logging
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import discord
from discord import app_commands

from bot.chat.talk.faults import line_for
from bot.errors import CaduceusError, UserError
from cogs.checks import Interaction

_log = logging.getLogger(__name__)

CONTENT_CHARACTERS = 2000
GONE_CODES = (10062, 10015, 40060)  # the interaction is too old, or answered already


def line_of(error: CaduceusError) -> str:
    """An error of ours in words for the person whose command it was."""
    return str(error) if isinstance(error, UserError) else line_for(error)


async def tell(interaction: Interaction, text: str) -> None:
    """Answer so that only this person sees it, whether or not there was an answer already."""
    text = text[:CONTENT_CHARACTERS]
    try:
        if interaction.response.is_done():
            await interaction.followup.send(text, ephemeral=True)
        else:
            await interaction.response.send_message(text, ephemeral=True)
    except discord.HTTPException as error:
        if error.code not in GONE_CODES:
            _log.warning("A person could not be told «%s»: %s", text[:80], error)


@asynccontextmanager
async def told(interaction: Interaction) -> AsyncGenerator[None, None]:
    """Tell the person of an error of ours that happens within."""
    try:
        yield
    except CaduceusError as error:
        if not isinstance(error, UserError):
            _log.warning("A control failed: %s", error)
        await tell(interaction, line_of(error))


class CaduceusTree(app_commands.CommandTree[discord.Client]):
    """The command tree with our answer to errors."""

    async def on_error(
        self, interaction: Interaction, error: app_commands.AppCommandError, /
    ) -> None:
        """Say what happened; log what is not the person's own mistake, with a reference."""
        cause = getattr(error, "original", error)
        if isinstance(cause, UserError):
            await tell(interaction, line_of(cause))
            return
        if isinstance(error, app_commands.CommandSignatureMismatch | app_commands.CommandNotFound):
            await tell(interaction, "This command has changed. Try again in a minute.")
            return
        if isinstance(cause, discord.Forbidden):
            await tell(interaction, "I lack a permission for that in this channel.")
            return
        if isinstance(cause, discord.NotFound) and cause.code in GONE_CODES:
            _log.warning("An interaction was too old to be answered")
            return
        reference = secrets.token_hex(4)
        name = interaction.command.qualified_name if interaction.command else "?"
        _log.error("/%s failed, reference %s", name, reference, exc_info=cause)
        if isinstance(cause, CaduceusError):
            await tell(interaction, f"{line_of(cause)} (reference {reference})")
        else:
            await tell(
                interaction,
                f"Something went wrong (reference {reference}). "
                "The bot's owner finds the cause in the log under it.",
            )
