"""A card from a file: looked at first, taken when that is confirmed."""

import asyncio
import contextlib
from collections import OrderedDict
from typing import Any

import discord

from bot.chat.persona import NAME_CHARACTERS, Persona
from bot.chat.personas.cards.card import Card
from bot.chat.personas.cards.preview import picture_fault
from bot.chat.personas.cards.reading import read_card
from bot.chat.personas.documents import FILE_BYTES
from bot.errors import PersonaError
from cogs.commands.personas.asking import AskerView
from cogs.commands.personas.costs import costs_of
from cogs.commands.personas.finding import require_editor
from cogs.commands.personas.looks import large_picture, picture_file, plain, preview
from cogs.interactions import Interaction, bot_of, tell, told
from cogs.platform import WRITE_ERRORS

READ_SECONDS = 60.0
MOST_PENDING = 12  # cards that wait for a person's decision: each is up to some megabytes
BUTTON_CHARACTERS = 80  # Discord's limit for a label

_AnyButton = discord.ui.Button[Any]


class PendingImports:
    """The cards that were shown and not taken yet: a person's newest one, and not too many."""

    def __init__(self) -> None:
        self._views: OrderedDict[int, ImportView] = OrderedDict()

    async def put(self, view: "ImportView") -> None:
        """Keep one; whose place it takes can be imported no more."""
        user_id = view.asked.user.id
        before = self._views.pop(user_id, None)
        self._views[user_id] = view
        gone = [before] if before is not None else []
        if len(self._views) > MOST_PENDING:
            gone.append(self._views.popitem(last=False)[1])
        for each in gone:
            await each.let_go()

    def drop(self, view: "ImportView") -> None:
        """Keep it no longer."""
        if self._views.get(view.asked.user.id) is view:
            del self._views[view.asked.user.id]


class CardReader:
    """Reads attached cards, one at a time: a hostile one takes up to 100 MB."""

    def __init__(self) -> None:
        self._one_at_a_time = asyncio.Semaphore(1)

    async def read(self, attachment: discord.Attachment) -> tuple[Card, list[str], bytes | None]:
        """The card, what is unusual about it, and its picture to look at. Raises PersonaError."""
        content = await fetch(attachment)
        async with self._one_at_a_time:
            card = await asyncio.to_thread(read_card, content, attachment.filename)
            fault = await asyncio.to_thread(picture_fault, card)
            picture = None if fault else await large_picture(card.picture)
        warnings = [*card.warnings, *([fault] if fault else [])]
        return card, warnings, picture


def refuse_large(attachment: discord.Attachment) -> None:
    """Raise PersonaError for a file that is not even fetched."""
    if attachment.size > FILE_BYTES:
        raise PersonaError(
            f"{attachment.filename[:100]} is larger than 8 MiB.", "Take a smaller picture."
        )


async def fetch(attachment: discord.Attachment) -> bytes:
    """An attachment's bytes. Raises PersonaError."""
    refuse_large(attachment)
    try:
        async with asyncio.timeout(READ_SECONDS):
            content = await attachment.read()
    except (*WRITE_ERRORS, TimeoutError) as error:
        raise PersonaError(
            f"{attachment.filename[:100]} could not be fetched from Discord.", "Try again."
        ) from error
    if len(content) > FILE_BYTES:  # Discord said something else
        raise PersonaError(f"{attachment.filename[:100]} is larger than 8 MiB.")
    return content


async def show_import(
    interaction: Interaction,
    attachment: discord.Attachment,
    reader: CardReader,
    pending: PendingImports,
) -> None:
    """Show a card with what can be done with it. Raises PersonaError."""
    guild_id = require_editor(interaction)
    bot = bot_of(interaction)
    card, warnings, picture = await reader.read(attachment)
    costs = await costs_of(bot.conversations.engines, card.persona)
    other = await bot.desk.workshop.owner_of_name(guild_id, card.persona.name)
    free = await bot.desk.workshop.free_name(guild_id, card.persona.name)
    view = ImportView(interaction, card, other, free, pending)
    await pending.put(view)
    content = "Import this persona?"
    if other is not None:
        whose = "This server" if other.guild_id else "The bot's owner"
        content += f" {whose} has a persona «{plain(other.name, 100)}» already."
    await interaction.followup.send(
        content,
        embed=preview(card, costs, warnings, has_picture=picture is not None),
        view=view,
        ephemeral=True,
        files=[picture_file(picture)] if picture else [],
    )


class ImportView(AskerView):
    """What can be done with a card that is shown."""

    def __init__(
        self,
        asked: Interaction,
        card: Card,
        other: Persona | None,
        free: str,
        pending: PendingImports,
    ) -> None:
        """`other` has the card's name already; `free` is a name that nobody has."""
        super().__init__(asked)
        self._card: Card | None = card
        self._other = other
        self._free = free
        self._pending = pending
        if other is None:
            self._add("Import", self._take, discord.ButtonStyle.success)
        else:
            self._add(f"Import as {free}", self._take, discord.ButtonStyle.success)
            if other.guild_id is not None:
                self._add("Replace", self._replace, discord.ButtonStyle.danger)
        self._add("Another name", self._ask_name)
        self._add("Cancel", self._cancel)

    async def let_go(self) -> None:
        """Keep the card no longer: another one has come."""
        self._card = None
        self.stop()
        with contextlib.suppress(*WRITE_ERRORS):
            await self.asked.edit_original_response(
                content="This card was not imported. Import the file again.", view=None
            )

    async def on_timeout(self) -> None:
        """The card is kept no longer."""
        self._card = None
        self._pending.drop(self)
        await super().on_timeout()

    async def take_as(self, interaction: Interaction, name: str) -> None:
        """Take the card under a name. The interaction is acknowledged already."""
        async with told(interaction):
            guild_id = require_editor(interaction)
            card, by = self._required(), str(interaction.user.id)
            made = await bot_of(interaction).desk.workshop.take(guild_id, card, by, name)
            await self._end(interaction, self._welcome(made))

    async def _take(self, interaction: Interaction) -> None:
        await interaction.response.defer()
        await self.take_as(interaction, self._free)

    async def _replace(self, interaction: Interaction) -> None:
        await interaction.response.defer()
        async with told(interaction):
            require_editor(interaction)
            card, by = self._required(), str(interaction.user.id)
            assert self._other is not None  # noqa: S101 - there is no button else
            made = await bot_of(interaction).desk.workshop.replace(self._other, card, by)
            await self._end(interaction, f"**{plain(made.name, 200)}** is replaced.")

    async def _ask_name(self, interaction: Interaction) -> None:
        await interaction.response.send_modal(NameForm(self, self._free))

    async def _cancel(self, interaction: Interaction) -> None:
        await interaction.response.defer()
        await self._end(interaction, "Nothing was imported.")

    def _welcome(self, made: Persona) -> str:
        return (
            f"**{plain(made.name, 200)}** is one of this server's personas now. "
            "`/persona use` lets it speak in a channel."
        )

    def _required(self) -> Card:
        if self._card is None:
            raise PersonaError("That card is kept no longer.", "Import the file again.")
        return self._card

    async def _end(self, interaction: Interaction, text: str) -> None:
        self._card = None
        self._pending.drop(self)
        self.stop()
        await interaction.edit_original_response(content=text, view=None)

    def _add(
        self, label: str, callback: Any, style: discord.ButtonStyle = discord.ButtonStyle.secondary
    ) -> None:
        button: _AnyButton = discord.ui.Button(label=label[:BUTTON_CHARACTERS], style=style)
        button.callback = callback
        self.add_item(button)


class NameForm(discord.ui.Modal, title="Import under another name"):
    """Asks for a name."""

    def __init__(self, view: ImportView, free: str) -> None:
        super().__init__()
        self._view = view
        self.name: discord.ui.TextInput[Any] = discord.ui.TextInput(
            label="Name", custom_id="name", default=free, max_length=NAME_CHARACTERS
        )
        self.add_item(self.name)

    async def on_submit(self, interaction: Interaction, /) -> None:
        """Take the card under it."""
        await interaction.response.defer()
        await self._view.take_as(interaction, self.name.value.strip())

    async def on_error(self, interaction: Interaction, error: Exception, /) -> None:
        """Say that it failed; the log has the cause."""
        await super().on_error(interaction, error)
        await tell(interaction, "Something went wrong. The bot's owner finds the cause in the log.")
