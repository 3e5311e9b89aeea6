"""Buttons, selects and forms that nothing of this process listens to any more."""

import discord
from discord.ext import commands

from cogs.client import Interaction
from cogs.controls import TAKEN_UP
from cogs.interactions import tell

LOST = "That no longer does anything: it was used, or has waited too long. Use the command again."
_CONTROLS = (discord.InteractionType.component, discord.InteractionType.modal_submit)


class LostControls(commands.Cog):
    """Answers for controls of before a restart, or of messages that have had their time.

    Without an answer, Discord would say that the bot did not respond.
    """

    @commands.Cog.listener()
    async def on_interaction(self, interaction: Interaction) -> None:
        """Say so, where no control has taken the interaction up: those run before listeners."""
        if interaction.type in _CONTROLS and TAKEN_UP not in interaction.extras:
            await tell(interaction, LOST)
