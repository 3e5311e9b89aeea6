"""A lorebook from a file: looked at first, taken when that is confirmed."""

import asyncio

import discord

from bot.chat.personas.guild.book_files import BOOK_NAME_CHARACTERS, BookFile, read_book_file
from bot.chat.personas.guild.kept import KeptLorebook
from bot.errors import EngineError, LorebookError
from cogs.client import CaduceusBot, Interaction, bot_of
from cogs.commands.library.importing import (
    FileKind,
    ImportView,
    PendingImports,
    refusals_told,
)
from cogs.commands.lorebooks.looks import NAME_CHARACTERS, import_preview
from cogs.commands.personas.looks import plain
from cogs.interactions import shown, shown_embeds
from cogs.rights.holding import own_server

BOOK_FILES = FileKind(LorebookError, "Use a smaller lorebook.")


class BookImports:
    """Reads attached lorebooks, one at a time: a large one is much memory."""

    def __init__(self) -> None:
        self._one_at_a_time = asyncio.Semaphore(1)
        self._pending = PendingImports()

    async def show(self, interaction: Interaction, attachment: discord.Attachment) -> None:
        """Show a book with what can be done with it. Raises LorebookError."""
        guild_id = own_server(interaction)
        bot = bot_of(interaction)
        async with refusals_told(interaction, attachment):
            content = await BOOK_FILES.fetch(attachment)
            async with self._one_at_a_time:
                found = await asyncio.to_thread(read_book_file, attachment.filename, content)
        other = await bot.desk.lorebooks.named(guild_id, found.name)
        free = await bot.desk.lorebooks.free_name(guild_id, found.name)
        view = BookImportView(
            interaction,
            found,
            free,
            self._pending,
            is_taken=other is not None,
            free_shown=await shown(interaction, free),
            may_replace=other is not None,
        )
        await self._pending.put(view)
        embed = import_preview(found, _context_of(bot))
        await shown_embeds(interaction, [embed])
        await interaction.followup.send(
            await shown(interaction, _question(found, other)),
            embed=embed,
            view=view,
            ephemeral=True,
        )


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


class BookImportView(ImportView[BookFile]):
    """What can be done with a book that is shown."""

    WHAT = "lorebook"
    ERROR = LorebookError
    NAME_CHARACTERS = BOOK_NAME_CHARACTERS

    async def taken(self, interaction: Interaction, name: str) -> str:
        """Take the book as a new one."""
        guild_id = own_server(interaction)
        books, by = bot_of(interaction).desk.lorebooks, str(interaction.user.id)
        kept = await books.take(guild_id, self.required(), by, name)
        return (
            f"**{plain(kept.name, NAME_CHARACTERS)}** is one of this server's lorebooks now. "
            "`/lore attach` lets it count in a channel, in the server or for a persona."
        )

    async def replaced(self, interaction: Interaction) -> str:
        """Let the book take the place of the one with its name."""
        guild_id = own_server(interaction)
        books, by = bot_of(interaction).desk.lorebooks, str(interaction.user.id)
        found = self.required()
        kept = await books.replace(await books.find(guild_id, found.name), found, by)
        name = plain(kept.name, NAME_CHARACTERS)
        return f"**{name}** is replaced. It counts where it did before."
