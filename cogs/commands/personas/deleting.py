"""Deleting a server's own persona: asked before, and taken back for ten minutes."""

import re
from typing import Any, Self

import discord

from bot.chat.persona import Persona
from cogs.commands.personas.asking import AskerView
from cogs.commands.personas.finding import require_editor
from cogs.commands.personas.looks import NAME_CHARACTERS, plain
from cogs.interactions import Interaction, bot_of, told

_Button = discord.ui.Button[discord.ui.View]


class UndoDeletion(
    discord.ui.DynamicItem[_Button], template=r"caduceus:persona-back:(?P<number>\d{1,19})"
):
    """Brings a deleted persona back. It survives a restart; after ten minutes it is too late."""

    def __init__(self, number: str) -> None:
        custom_id = f"caduceus:persona-back:{number}"
        super().__init__(discord.ui.Button(label="Undo", custom_id=custom_id))
        self.number = number

    @classmethod
    async def from_custom_id(
        cls, _interaction: Interaction, _item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        """The button again, after a restart."""
        return cls(match["number"])

    async def callback(self, interaction: Interaction) -> None:
        """Bring it back, for whoever may change the server's personas."""
        await interaction.response.defer()
        async with told(interaction):
            guild_id = require_editor(interaction)
            kept = await bot_of(interaction).desk.workshop.restore(guild_id, f"guild:{self.number}")
            text = f"**{plain(kept.name, NAME_CHARACTERS)}** is back."
            await interaction.edit_original_response(content=text, view=None)


class DeletionView(AskerView):
    """Asks whether a persona is to go."""

    def __init__(self, asked: Interaction, persona: Persona) -> None:
        super().__init__(asked)
        self._persona = persona

    @discord.ui.button(label="Delete", style=discord.ButtonStyle.danger)
    async def delete(self, interaction: Interaction, _button: discord.ui.Button[Any]) -> None:
        """Let it go."""
        await interaction.response.defer()
        async with told(interaction):
            require_editor(interaction)
            by = str(interaction.user.id)
            kept = await bot_of(interaction).desk.workshop.delete(self._persona, by)
            self.stop()
            view = discord.ui.View(timeout=None)
            view.add_item(UndoDeletion(kept.id.rpartition(":")[2]))
            await interaction.edit_original_response(
                content=f"**{plain(kept.name, NAME_CHARACTERS)}** is deleted, with its picture. "
                "For ten minutes that can be undone.",
                view=view,
            )

    @discord.ui.button(label="Keep it")
    async def keep(self, interaction: Interaction, _button: discord.ui.Button[Any]) -> None:
        """Let it stay."""
        await interaction.response.defer()
        self.stop()
        name = plain(self._persona.name, NAME_CHARACTERS)
        await interaction.edit_original_response(content=f"**{name}** stays.", view=None)
