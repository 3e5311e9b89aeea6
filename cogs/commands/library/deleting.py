"""Deleting a server's persona or lorebook: asked before, and taken back for ten minutes."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Self

import discord

from bot.chat.persona import Persona
from bot.chat.personas.guild.kept import GUILD_ID, LORE_ID, KeptLorebook, KeptPersona
from cogs.commands.library.asking import AskerView
from cogs.commands.lorebooks.finding import require_keeper
from cogs.commands.personas.finding import require_editor
from cogs.commands.personas.looks import NAME_CHARACTERS, plain
from cogs.interactions import Interaction, bot_of, told

_Button = discord.ui.Button[discord.ui.View]
_Kept = KeptPersona | KeptLorebook


class UndoDeletion(
    discord.ui.DynamicItem[_Button],
    template=r"caduceus:(?P<what>persona|lore)-back:(?P<number>\d{1,19})",
):
    """Brings what was deleted back. It survives a restart; after ten minutes it is too late."""

    def __init__(self, what: str, number: str) -> None:
        """`what` it is, "persona" or "lore", and its number in the database."""
        custom_id = f"caduceus:{what}-back:{number}"
        super().__init__(discord.ui.Button(label="Undo", custom_id=custom_id))
        self.what = what
        self.number = number

    @classmethod
    async def from_custom_id(
        cls, _interaction: Interaction, _item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        """The button again, after a restart."""
        return cls(match["what"], match["number"])

    async def callback(self, interaction: Interaction) -> None:
        """Bring it back, for whoever may change the server's."""
        await interaction.response.defer()
        async with told(interaction):
            said = await _RESTORE[self.what](interaction, self.number)
            await interaction.edit_original_response(content=said, view=None)


async def _restore_persona(interaction: Interaction, number: str) -> str:
    guild_id = require_editor(interaction)
    kept = await bot_of(interaction).desk.workshop.restore(guild_id, GUILD_ID.format(number))
    return f"{_shown(kept.name)} is back."


async def _restore_book(interaction: Interaction, number: str) -> str:
    guild_id = require_keeper(interaction)
    kept = await bot_of(interaction).desk.lorebooks.restore(guild_id, LORE_ID.format(number))
    return f"{_shown(kept.name)} is back, attached where it was."


_RESTORE: Mapping[str, Callable[[Interaction, str], Awaitable[str]]] = {
    "persona": _restore_persona,
    "lore": _restore_book,
}


class DeletionView(AskerView):
    """Asks whether something is to go."""

    def __init__(
        self,
        asked: Interaction,
        what: str,
        name: str,
        delete: Callable[[Interaction], Awaitable[_Kept]],
        *,
        beside: str = "",
    ) -> None:
        """`delete` checks who asks, then deletes it; `beside` says what goes with it."""
        super().__init__(asked)
        self._what = what
        self._name = name
        self._delete = delete
        self._beside = beside

    @discord.ui.button(label="Delete", style=discord.ButtonStyle.danger)
    async def delete(self, interaction: Interaction, _button: discord.ui.Button[Any]) -> None:
        """Let it go."""
        await interaction.response.defer()
        async with told(interaction):
            kept = await self._delete(interaction)
            self.stop()
            view = discord.ui.View(timeout=None)
            view.add_item(UndoDeletion(self._what, kept.id.rpartition(":")[2]))
            await interaction.edit_original_response(
                content=f"{_shown(kept.name)} is deleted{self._beside}. For ten minutes that can "
                "be undone.",
                view=view,
            )

    @discord.ui.button(label="Keep it")
    async def keep(self, interaction: Interaction, _button: discord.ui.Button[Any]) -> None:
        """Let it stay."""
        await interaction.response.defer()
        self.stop()
        said = f"{_shown(self._name)} stays."
        await interaction.edit_original_response(content=said, view=None)


def persona_deletion(asked: Interaction, persona: Persona) -> DeletionView:
    """Asks whether a persona is to go."""

    async def delete(interaction: Interaction) -> KeptPersona:
        require_editor(interaction)
        by = str(interaction.user.id)
        return await bot_of(interaction).desk.workshop.delete(persona, by)

    return DeletionView(asked, "persona", persona.name, delete, beside=", with its picture")


def book_deletion(asked: Interaction, kept: KeptLorebook) -> DeletionView:
    """Asks whether a lorebook is to go."""

    async def delete(interaction: Interaction) -> KeptLorebook:
        require_keeper(interaction)
        return await bot_of(interaction).desk.lorebooks.delete(kept, str(interaction.user.id))

    return DeletionView(asked, "lore", kept.name, delete)


def _shown(name: str) -> str:
    return f"**{plain(name, NAME_CHARACTERS)}**"
