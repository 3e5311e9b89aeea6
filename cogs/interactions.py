"""What every interaction needs: its bot and channel, who may do what, and what people are told.

Rights are checked when something is done, whatever Discord's own permissions let through.
"""

import asyncio
import functools
import logging
import secrets
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias, cast

import discord
from discord import app_commands

from bot.chat.messages import Scope
from bot.chat.talk.faults import line_for
from bot.errors import CaduceusError, NotAllowed, NotFound, UserError
from cogs.client import CaduceusBot
from cogs.platform import AUTOMOD_LINE, Channel, is_refused_by_automod, may_send_in

_log = logging.getLogger(__name__)

CONTENT_CHARACTERS = 2000
NOT_DONE = "That was not done."
COMPLETION_SECONDS = 2.0  # Discord gives up after three
GONE_CODES = (10062, 10015, 40060)  # the interaction is too old, or answered already

Interaction = discord.Interaction[discord.Client]
Completion: TypeAlias = Callable[
    [Interaction, str], Coroutine[Any, Any, list[app_commands.Choice[str]]]
]


def bot_of(interaction: Interaction) -> CaduceusBot:
    """The bot that an interaction came to."""
    return cast("CaduceusBot", interaction.client)


def channel_of(interaction: Interaction) -> Channel:
    """Where an interaction happened. Raises NotFound where nobody can talk."""
    channel = interaction.channel
    if isinstance(channel, Channel):
        return channel
    raise NotFound("I cannot talk here.", "Use a text channel, a thread or a direct message.")


def require_may_send(channel: Channel) -> None:
    """Raise NotAllowed where the bot could not show what it writes."""
    if not may_send_in(channel):
        raise NotAllowed(
            "I may not write in this channel.", "I need the permission to send messages here."
        )


def is_moderator(interaction: Interaction) -> bool:
    """Whether a member looks after this channel; in a direct message, everybody does."""
    if interaction.guild_id is None:
        return True
    held = interaction.permissions
    return held.administrator or held.manage_guild or held.manage_channels or held.manage_messages


def may_change(interaction: Interaction, scope: Scope) -> bool:
    """Whether a member may change the settings of a scope."""
    if interaction.guild_id is None:
        return scope is Scope.CHANNEL
    held = interaction.permissions
    may_guild = held.administrator or held.manage_guild
    if scope is Scope.CHANNEL:
        return may_guild or held.manage_channels
    return may_guild and scope is Scope.GUILD


def require_scope(interaction: Interaction, scope: Scope) -> None:
    """Raise NotAllowed unless the member may change the settings of a scope."""
    if may_change(interaction, scope):
        return
    if interaction.guild_id is None:
        raise NotAllowed("There is no server here.", "In a direct message, use scope `channel`.")
    needed = "Manage Server" if scope is Scope.GUILD else "Manage Channels or Manage Server"
    raise NotAllowed(f"Changing the {scope.value}'s settings needs the permission {needed}.")


def require_reader(interaction: Interaction) -> None:
    """Raise NotAllowed unless the member may read what was said in the channel before."""
    if interaction.guild_id is not None and not interaction.permissions.read_message_history:
        raise NotAllowed("This shows what was said before, which you may not read here.")


def is_asker(interaction: Interaction, asked_by: Collection[str]) -> bool:
    """Whether the member asked for this reply, or is a moderator."""
    return str(interaction.user.id) in asked_by or is_moderator(interaction)


def require_asker(interaction: Interaction, asked_by: Collection[str]) -> None:
    """Raise NotAllowed unless the member asked for this reply or is a moderator."""
    if is_asker(interaction, asked_by):
        return
    raise NotAllowed("Only the person who asked, and moderators, can do that with this reply.")


def line_of(error: CaduceusError) -> str:
    """An error of ours in words for the person whose command it was."""
    return str(error) if isinstance(error, UserError) else line_for(error)


async def tell(interaction: Interaction, text: str) -> None:
    """Answer so that only this person sees it, whether or not there was an answer already."""
    text = text[:CONTENT_CHARACTERS]
    try:
        if interaction.response.is_done():
            await interaction.followup.send(text, ephemeral=True)
            if interaction.extras.pop(NOT_DONE, False):
                await interaction.delete_original_response()
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


@asynccontextmanager
async def answering(interaction: Interaction) -> AsyncGenerator[None, None]:
    """Acknowledge a command whose answer everybody sees, before anything is waited for.

    Discord gives three seconds for that, and a database may take longer. An error of ours that
    happens within is for the person alone: :func:`tell` takes the open answer away.
    """
    await interaction.response.defer(thinking=True)
    try:
        yield
    except CaduceusError:
        with suppress(discord.HTTPException):
            # What is sent next would else take the place of «is thinking», in the open as that is.
            await interaction.edit_original_response(content=NOT_DONE)
        interaction.extras[NOT_DONE] = True
        raise


def in_time(complete: Completion) -> Completion:
    """A completion that offers nothing where the database takes too long: it can't be deferred."""

    @functools.wraps(complete)
    async def bounded(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
        try:
            async with asyncio.timeout(COMPLETION_SECONDS):
                return await complete(interaction, typed)
        except TimeoutError:
            return []

    return bounded


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
        if is_refused_by_automod(cause):
            await tell(interaction, AUTOMOD_LINE)
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
