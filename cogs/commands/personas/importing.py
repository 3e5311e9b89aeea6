"""A card from a file: looked at first, taken when that is confirmed."""

import asyncio

import discord

from bot.chat.persona import NAME_CHARACTERS, Persona
from bot.chat.personas.cards.card import Card
from bot.chat.personas.cards.preview import picture_fault
from bot.chat.personas.cards.reading import read_card
from bot.errors import PersonaError
from cogs.client import Interaction, bot_of
from cogs.commands.library.importing import (
    FileKind,
    ImportView,
    PendingImports,
    refusals_told,
)
from cogs.commands.personas.costs import costs_of
from cogs.commands.personas.looks import large_picture, picture_file, plain, preview
from cogs.interactions import shown, shown_embeds
from cogs.rights.holding import own_server

CARD_FILES = FileKind(PersonaError, "Take a smaller picture.")


class CardReader:
    """Reads attached cards, one at a time: a hostile one takes up to 100 MB."""

    def __init__(self) -> None:
        self._one_at_a_time = asyncio.Semaphore(1)

    async def read(self, attachment: discord.Attachment) -> tuple[Card, list[str], bytes | None]:
        """The card, what is unusual about it, and its picture to look at. Raises PersonaError."""
        content = await CARD_FILES.fetch(attachment)
        async with self._one_at_a_time:
            card = await asyncio.to_thread(read_card, content, attachment.filename)
            fault = await asyncio.to_thread(picture_fault, card)
            picture = None if fault else await large_picture(card.picture)
        warnings = [*card.warnings, *([fault] if fault else [])]
        return card, warnings, picture


async def show_import(
    interaction: Interaction,
    attachment: discord.Attachment,
    reader: CardReader,
    pending: PendingImports,
) -> None:
    """Show a card with what can be done with it. Raises PersonaError."""
    guild_id = own_server(interaction)
    bot = bot_of(interaction)
    async with refusals_told(interaction, attachment):
        card, warnings, picture = await reader.read(attachment)
    costs = await costs_of(bot.conversations.engines, card.persona)
    other = await bot.desk.workshop.owner_of_name(guild_id, card.persona.name)
    free = await bot.desk.workshop.free_name(guild_id, card.persona.name)
    free_shown = await shown(interaction, free)
    view = CardImportView(interaction, card, other, free, pending, free_shown=free_shown)
    await pending.put(view)
    content = "Import this persona?"
    if other is not None:
        whose = "This server" if other.guild_id else "The bot's owner"
        content += f" {whose} has a persona «{plain(other.name, 100)}» already."
    embed = preview(card, costs, warnings, has_picture=picture is not None)
    await shown_embeds(interaction, [embed])
    await interaction.followup.send(
        await shown(interaction, content),
        embed=embed,
        view=view,
        ephemeral=True,
        files=[picture_file(picture)] if picture else [],
    )


class CardImportView(ImportView[Card]):
    """What can be done with a card that is shown."""

    WHAT = "card"
    ERROR = PersonaError
    NAME_CHARACTERS = NAME_CHARACTERS

    def __init__(
        self,
        asked: Interaction,
        card: Card,
        other: Persona | None,
        free: str,
        pending: PendingImports,
        *,
        free_shown: str,
    ) -> None:
        """`other` has the card's name already; `free` is a name that nobody has."""
        super().__init__(
            *(asked, card, free, pending),
            is_taken=other is not None,
            free_shown=free_shown,
            may_replace=other is not None and other.guild_id is not None,
        )
        self._other = other

    async def taken(self, interaction: Interaction, name: str) -> str:
        """Take the card as a new persona."""
        guild_id = own_server(interaction)
        card, by = self.required(), str(interaction.user.id)
        made = await bot_of(interaction).desk.workshop.take(guild_id, card, by, name)
        return (
            f"**{plain(made.name, 200)}** is one of this server's personas now. "
            "`/persona use` lets it speak in a channel."
        )

    async def replaced(self, interaction: Interaction) -> str:
        """Let the card take the place of the persona with its name."""
        card, by = self.required(), str(interaction.user.id)
        assert self._other is not None  # noqa: S101 - there is no button else
        made = await bot_of(interaction).desk.workshop.replace(self._other, card, by)
        return f"**{plain(made.name, 200)}** is replaced."
