"""Deleting a server's persona or lorebook: asked before, and taken back for ten minutes."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Self

import discord

from bot.chat.persona import Persona
from bot.chat.personas.guild.kept import GUILD_ID, LORE_ID, KeptLorebook, KeptPersona
from cogs.client import Interaction, bot_of
from cogs.commands.library.asking import AskerView
from cogs.commands.personas.looks import NAME_CHARACTERS, plain
from cogs.controls import KeptControl, view_of_kept
from cogs.interactions import shown
from cogs.rights.holding import own_server

_Kept = KeptPersona | KeptLorebook


class UndoDeletion(
    KeptControl,
    template=r"caduceus:(?P<what>persona|lore)-back:(?P<number>\d{1,19})",
):
    """Brings what was deleted back. It survives a restart; after ten minutes it is too late."""

    deeds = ("persona", "lore")

    def __init__(self, what: str, number: str) -> None:
        """`what` it is, "persona" or "lore", and its number in the database."""
        custom_id = f"caduceus:{what}-back:{number}"
        super().__init__(discord.ui.Button(label="Undo", custom_id=custom_id))
        self.deed = what
        self.number = number

    @classmethod
    async def from_custom_id(
        cls, _interaction: Interaction, _item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        """The button again, after a restart."""
        return cls(match["what"], match["number"])

    async def press(self, interaction: Interaction) -> None:
        """Bring it back."""
        await interaction.response.defer()
        said = await _RESTORE[self.deed](interaction, self.number)
        said = await shown(interaction, said)
        await interaction.edit_original_response(content=said, view=None)


async def _restore_persona(interaction: Interaction, number: str) -> str:
    guild_id = own_server(interaction)
    kept = await bot_of(interaction).desk.workshop.restore(guild_id, GUILD_ID.format(number))
    return f"{_bold(kept.name)} is back."


async def _restore_book(interaction: Interaction, number: str) -> str:
    guild_id = own_server(interaction)
    kept = await bot_of(interaction).desk.lorebooks.restore(guild_id, LORE_ID.format(number))
    return f"{_bold(kept.name)} is back, attached where it was."


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
        """`delete` deletes it; `beside` says what goes with it."""
        super().__init__(asked)
        self._what = what
        self._name = name
        self._delete = delete
        self._beside = beside

    @discord.ui.button(label="Delete", style=discord.ButtonStyle.danger)
    async def delete(self, interaction: Interaction, _button: discord.ui.Button[Any]) -> None:
        """Let it go."""
        await interaction.response.defer()
        kept = await self._delete(interaction)
        self.stop()
        view = view_of_kept(UndoDeletion(self._what, kept.id.rpartition(":")[2]))
        said = f"{_bold(kept.name)} is deleted{self._beside}. For ten minutes that can be undone."
        said = await shown(interaction, said)
        await interaction.edit_original_response(content=said, view=view)

    @discord.ui.button(label="Keep it")
    async def keep(self, interaction: Interaction, _button: discord.ui.Button[Any]) -> None:
        """Let it stay."""
        await interaction.response.defer()
        self.stop()
        said = await shown(interaction, f"{_bold(self._name)} stays.")
        await interaction.edit_original_response(content=said, view=None)


class PersonaDeletion(DeletionView):
    """Asks whether a persona is to go."""


class BookDeletion(DeletionView):
    """Asks whether a lorebook is to go."""


def persona_deletion(asked: Interaction, persona: Persona) -> DeletionView:
    """Asks whether a persona is to go."""

    async def delete(interaction: Interaction) -> KeptPersona:
        by = str(interaction.user.id)
        return await bot_of(interaction).desk.workshop.delete(persona, by)

    return PersonaDeletion(asked, "persona", persona.name, delete, beside=", with its picture")


def book_deletion(asked: Interaction, kept: KeptLorebook) -> DeletionView:
    """Asks whether a lorebook is to go."""

    async def delete(interaction: Interaction) -> KeptLorebook:
        return await bot_of(interaction).desk.lorebooks.delete(kept, str(interaction.user.id))

    return BookDeletion(asked, "lore", kept.name, delete)


def _bold(name: str) -> str:
    return f"**{plain(name, NAME_CHARACTERS)}**"
