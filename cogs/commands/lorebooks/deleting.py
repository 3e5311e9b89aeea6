"""Deleting a lorebook: asked before, and taken back for ten minutes."""

import re
from typing import Any, Self

import discord

from bot.chat.personas.guild.kept import LORE_ID, KeptLorebook
from cogs.commands.lorebooks.finding import require_keeper
from cogs.commands.lorebooks.looks import NAME_CHARACTERS
from cogs.commands.personas.asking import AskerView
from cogs.commands.personas.looks import plain
from cogs.interactions import Interaction, bot_of, told

_Button = discord.ui.Button[discord.ui.View]


class UndoBookDeletion(
    discord.ui.DynamicItem[_Button], template=r"caduceus:lore-back:(?P<number>\d{1,19})"
):
    """Brings a deleted lorebook back. It survives a restart; after ten minutes it is too late."""

    def __init__(self, number: str) -> None:
        custom_id = f"caduceus:lore-back:{number}"
        super().__init__(discord.ui.Button(label="Undo", custom_id=custom_id))
        self.number = number

    @classmethod
    async def from_custom_id(
        cls, _interaction: Interaction, _item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        """The button again, after a restart."""
        return cls(match["number"])

    async def callback(self, interaction: Interaction) -> None:
        """Bring it back, for whoever may change the server's lorebooks."""
        await interaction.response.defer()
        async with told(interaction):
            guild_id = require_keeper(interaction)
            books = bot_of(interaction).desk.lorebooks
            kept = await books.restore(guild_id, LORE_ID.format(self.number))
            text = f"**{plain(kept.name, NAME_CHARACTERS)}** is back, attached where it was."
            await interaction.edit_original_response(content=text, view=None)


class BookDeletionView(AskerView):
    """Asks whether a lorebook is to go."""

    def __init__(self, asked: Interaction, kept: KeptLorebook) -> None:
        super().__init__(asked)
        self._kept = kept

    @discord.ui.button(label="Delete", style=discord.ButtonStyle.danger)
    async def delete(self, interaction: Interaction, _button: discord.ui.Button[Any]) -> None:
        """Let it go."""
        await interaction.response.defer()
        async with told(interaction):
            require_keeper(interaction)
            by = str(interaction.user.id)
            kept = await bot_of(interaction).desk.lorebooks.delete(self._kept, by)
            self.stop()
            view = discord.ui.View(timeout=None)
            view.add_item(UndoBookDeletion(kept.id.rpartition(":")[2]))
            await interaction.edit_original_response(
                content=f"**{plain(kept.name, NAME_CHARACTERS)}** is deleted. For ten minutes that "
                "can be undone.",
                view=view,
            )

    @discord.ui.button(label="Keep it")
    async def keep(self, interaction: Interaction, _button: discord.ui.Button[Any]) -> None:
        """Let it stay."""
        await interaction.response.defer()
        self.stop()
        name = plain(self._kept.name, NAME_CHARACTERS)
        await interaction.edit_original_response(content=f"**{name}** stays.", view=None)
