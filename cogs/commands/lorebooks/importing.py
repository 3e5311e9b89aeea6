"""A lorebook from a file: looked at first, taken when that is confirmed."""

import asyncio
from collections import OrderedDict
from typing import Any

import discord

from bot.chat.personas.documents import FILE_BYTES
from bot.chat.personas.guild.book_files import BOOK_NAME_CHARACTERS, BookFile, read_book_file
from bot.chat.personas.guild.kept import KeptLorebook
from bot.errors import EngineError, LorebookError, PersonaError
from cogs.client import CaduceusBot
from cogs.commands.lorebooks.finding import require_keeper
from cogs.commands.lorebooks.looks import NAME_CHARACTERS, import_preview
from cogs.commands.personas.asking import AskerView
from cogs.commands.personas.importing import fetch
from cogs.commands.personas.looks import plain
from cogs.interactions import Interaction, bot_of, tell, told

MOST_PENDING = 12  # books that wait for a person's decision: each is up to 8 MiB
BUTTON_CHARACTERS = 80  # Discord's limit for a label

_AnyButton = discord.ui.Button[Any]


class PendingBooks:
    """The books that were shown and not taken yet: a person's newest one, and not too many."""

    def __init__(self) -> None:
        self._views: OrderedDict[int, BookImportView] = OrderedDict()

    def put(self, view: "BookImportView") -> None:
        """Keep one; whose place it takes can be imported no more."""
        before = self._views.pop(view.asked.user.id, None)
        self._views[view.asked.user.id] = view
        gone = [before] if before is not None else []
        if len(self._views) > MOST_PENDING:
            gone.append(self._views.popitem(last=False)[1])
        for each in gone:
            each.let_go()

    def drop(self, view: "BookImportView") -> None:
        """Keep it no longer."""
        if self._views.get(view.asked.user.id) is view:
            del self._views[view.asked.user.id]


class BookImports:
    """Reads attached lorebooks, one at a time: a large one is much memory."""

    def __init__(self) -> None:
        self._one_at_a_time = asyncio.Semaphore(1)
        self._pending = PendingBooks()

    async def show(self, interaction: Interaction, attachment: discord.Attachment) -> None:
        """Show a book with what can be done with it. Raises LorebookError."""
        guild_id = require_keeper(interaction)
        bot = bot_of(interaction)
        content = await _fetch(attachment)
        async with self._one_at_a_time:
            found = await asyncio.to_thread(read_book_file, attachment.filename, content)
        other = await bot.desk.lorebooks.named(guild_id, found.name)
        free = await bot.desk.lorebooks.free_name(guild_id, found.name)
        view = BookImportView(interaction, found, other, free, self._pending)
        self._pending.put(view)
        await interaction.followup.send(
            _question(found, other),
            embed=import_preview(found, _context_of(bot)),
            view=view,
            ephemeral=True,
        )


def refuse_large(attachment: discord.Attachment) -> None:
    """Raise LorebookError for a file that is not even fetched."""
    if attachment.size > FILE_BYTES:
        name = plain(attachment.filename, 100)
        raise LorebookError(f"{name} is larger than 8 MiB.", "Use a smaller lorebook.")


async def _fetch(attachment: discord.Attachment) -> bytes:
    refuse_large(attachment)
    try:
        return await fetch(attachment)
    except PersonaError as error:  # said of any file
        raise LorebookError(error.message, error.fix) from error


def _question(found: BookFile, other: KeptLorebook | None) -> str:
    said = "Import this lorebook?"
    if found.card:
        said = (
            f"This is {plain(found.card, 200)}, not a lorebook. Take the lorebook inside it alone? "
            "(`/persona import` takes the persona, and this lorebook with it.)"
        )
    if other is not None:
        name = plain(other.name, NAME_CHARACTERS)
        said += f" This server has a lorebook «{name}» already."
    return said


def _context_of(bot: CaduceusBot) -> int:
    try:
        return bot.conversations.engines.answering().info.context_tokens
    except EngineError:
        return 0


class BookImportView(AskerView):
    """What can be done with a book that is shown."""

    def __init__(
        self,
        asked: Interaction,
        found: BookFile,
        other: KeptLorebook | None,
        free: str,
        pending: PendingBooks,
    ) -> None:
        """`other` has the book's name already; `free` is a name that no book has."""
        super().__init__(asked)
        self._found: BookFile | None = found
        self._other = other
        self._free = free
        self._pending = pending
        label = "Import" if other is None else f"Import as {free}"
        self._add(label, self._take, discord.ButtonStyle.success)
        if other is not None:
            self._add("Replace", self._replace, discord.ButtonStyle.danger)
        self._add("Another name", self._ask_name)
        self._add("Cancel", self._cancel)

    def let_go(self) -> None:
        """Keep the book no longer: another one has come."""
        self._found = None
        self.stop()

    async def on_timeout(self) -> None:
        """The book is kept no longer."""
        self._found = None
        self._pending.drop(self)
        await super().on_timeout()

    async def take_as(self, interaction: Interaction, name: str) -> None:
        """Take the book under a name. The interaction is acknowledged already."""
        async with told(interaction):
            guild_id = require_keeper(interaction)
            books, by = bot_of(interaction).desk.lorebooks, str(interaction.user.id)
            kept = await books.take(guild_id, self._required(), by, name)
            await self._end(
                interaction,
                f"**{plain(kept.name, NAME_CHARACTERS)}** is one of this server's lorebooks now. "
                "`/lore attach` lets it count in a channel, in the server or for a persona.",
            )

    async def _take(self, interaction: Interaction) -> None:
        await interaction.response.defer()
        await self.take_as(interaction, self._free)

    async def _replace(self, interaction: Interaction) -> None:
        await interaction.response.defer()
        async with told(interaction):
            guild_id = require_keeper(interaction)
            books, by = bot_of(interaction).desk.lorebooks, str(interaction.user.id)
            found = self._required()
            other = await books.find(guild_id, found.name)
            kept = await books.replace(other, found, by)
            name = plain(kept.name, NAME_CHARACTERS)
            await self._end(interaction, f"**{name}** is replaced. It counts where it did before.")

    async def _ask_name(self, interaction: Interaction) -> None:
        await interaction.response.send_modal(BookNameForm(self, self._free))

    async def _cancel(self, interaction: Interaction) -> None:
        await interaction.response.defer()
        await self._end(interaction, "Nothing was imported.")

    def _required(self) -> BookFile:
        if self._found is None:
            raise LorebookError("That lorebook is kept no longer.", "Import the file again.")
        return self._found

    async def _end(self, interaction: Interaction, text: str) -> None:
        self._found = None
        self._pending.drop(self)
        self.stop()
        await interaction.edit_original_response(content=text, view=None)

    def _add(
        self, label: str, callback: Any, style: discord.ButtonStyle = discord.ButtonStyle.secondary
    ) -> None:
        button: _AnyButton = discord.ui.Button(label=label[:BUTTON_CHARACTERS], style=style)
        button.callback = callback
        self.add_item(button)


class BookNameForm(discord.ui.Modal, title="Import under another name"):
    """Asks for a name."""

    def __init__(self, view: BookImportView, free: str) -> None:
        super().__init__()
        self._view = view
        self.name: discord.ui.TextInput[Any] = discord.ui.TextInput(
            label="Name", custom_id="name", default=free, max_length=BOOK_NAME_CHARACTERS
        )
        self.add_item(self.name)

    async def on_submit(self, interaction: Interaction, /) -> None:
        """Take the book under it."""
        await interaction.response.defer()
        await self._view.take_as(interaction, self.name.value.strip())

    async def on_error(self, interaction: Interaction, error: Exception, /) -> None:
        """Say that it failed; the log has the cause."""
        await super().on_error(interaction, error)
        await tell(interaction, "Something went wrong. The bot's owner finds the cause in the log.")
