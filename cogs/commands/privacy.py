"""`/privacy`: what is kept of people, and how they get it, take it back or keep out of it."""

import asyncio

import discord
from discord import app_commands
from discord.ext import commands

from cogs.client import CaduceusBot, Interaction
from cogs.commands.privacies.about import Owners, show_about
from cogs.commands.privacies.export import Exports, remove_left_over
from cogs.commands.privacies.forgetting import forget
from cogs.platform import PLATFORM

OUT = (
    "You have opted out, here and everywhere else that I am. From now on nothing that you say is "
    "kept, or seen by the model, and I do not answer you. What was kept before is left out of "
    "everything, but still there: `/privacy forget` erases it. `/privacy optin` lets you in again."
)
STILL_OUT = "You had opted out already, since {since}. `/privacy optin` lets you in again."
IN = (
    "You are in again: I hear what you say from now on, everywhere. What was kept of you before "
    "you opted out is seen again; what you said meanwhile was never kept."
)
STILL_IN = "You have not opted out: I hear you already."


class PrivacyCommands(
    commands.GroupCog, group_name="privacy", group_description="What is kept of you here"
):
    """Commands about people's own data. Each is for whoever types it, also in a direct message."""

    def __init__(self, bot: CaduceusBot) -> None:
        self._bot = bot
        self._owners = Owners(bot)
        self._exports = Exports()

    async def cog_load(self) -> None:
        """An export that a kill broke off leaves nothing of a person's behind."""
        await asyncio.to_thread(remove_left_over)

    @app_commands.command()
    async def about(self, interaction: Interaction) -> None:
        """See what is kept of what people say, where, how long, and who gets it."""
        await show_about(interaction, self._owners)

    @app_commands.command()
    async def export(self, interaction: Interaction) -> None:
        """Get everything that is kept of you, as a file in a direct message."""
        await self._exports.send(interaction)

    @app_commands.command()
    @app_commands.describe(member="Somebody else (needs Manage Server); else you")
    async def forget(self, interaction: Interaction, member: discord.User | None = None) -> None:
        """Have everything of yours erased, for good."""
        await forget(interaction, member)

    @app_commands.command()
    async def optout(self, interaction: Interaction) -> None:
        """Stay out: nothing you say is kept, or seen by the model, anywhere."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        desk, user = self._bot.privacy.staying_out, str(interaction.user.id)
        said = OUT
        if not await desk.opt_out(PLATFORM, user):
            since = await desk.since(PLATFORM, user)
            shown = discord.utils.format_dt(since, "D") if since else "a moment ago"
            said = STILL_OUT.format(since=shown)
        await interaction.followup.send(said, ephemeral=True)

    @app_commands.command()
    async def optin(self, interaction: Interaction) -> None:
        """Be heard again after `/privacy optout`."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        was_out = await self._bot.privacy.staying_out.opt_in(PLATFORM, str(interaction.user.id))
        await interaction.followup.send(IN if was_out else STILL_IN, ephemeral=True)
