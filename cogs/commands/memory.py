"""`/memory`: what the bot keeps in mind beside what it sees."""

from discord import app_commands
from discord.ext import commands

from cogs.commands.memories.summary import show_summary
from cogs.interactions import Interaction


class MemoryCommands(
    commands.GroupCog, group_name="memory", group_description="What the bot keeps in mind here"
):
    """Commands about what is remembered in the channel."""

    @app_commands.command()
    async def summary(self, interaction: Interaction) -> None:
        """See the summary of what was said too long ago for me to see it."""
        await show_summary(interaction)
