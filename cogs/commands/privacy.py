"""`/privacy`: what is kept of people, and how they get it, take it back or keep out of it."""

import discord
from discord import app_commands
from discord.ext import commands

from bot.errors import NotAllowed
from cogs.client import CaduceusBot
from cogs.commands.privacies.forgetting import forget
from cogs.interactions import Interaction


class PrivacyCommands(
    commands.GroupCog, group_name="privacy", group_description="What is kept of you here"
):
    """Commands about people's own data. Each is for whoever types it, also in a direct message."""

    def __init__(self, bot: CaduceusBot) -> None:
        self._bot = bot

    @app_commands.command()
    async def about(self, interaction: Interaction) -> None:
        """See what is kept of what people say, where, how long, and who gets it."""
        raise NotAllowed("This comes soon.")

    @app_commands.command()
    async def export(self, interaction: Interaction) -> None:
        """Get everything that is kept of you, as a file."""
        raise NotAllowed("This comes soon.")

    @app_commands.command()
    @app_commands.describe(member="Somebody else (needs Manage Server); else you")
    async def forget(self, interaction: Interaction, member: discord.User | None = None) -> None:
        """Have everything of yours erased, for good."""
        await forget(interaction, member)

    @app_commands.command()
    async def optout(self, interaction: Interaction) -> None:
        """Stay out: nothing you say is kept, or seen by the model, anywhere."""
        raise NotAllowed("This comes soon.")

    @app_commands.command()
    async def optin(self, interaction: Interaction) -> None:
        """Be heard again after `/privacy optout`."""
        raise NotAllowed("This comes soon.")
