"""`/lore`: a server's lorebooks, where they count, and what would fire."""

import asyncio
import io
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress

import discord
from discord import app_commands
from discord.ext import commands

from bot.chat.persona import Persona
from bot.chat.personas.cards.preview import lore_entries
from bot.chat.personas.guild.kept import KeptLorebook
from bot.chat.personas.guild.lore_workshop import Place
from bot.chat.personas.lore.preview import preview_of_book
from bot.chat.personas.lore.writing import BookFormat
from bot.chat.roleplay.lore import GUILD_PRECEDENCE, ShelvedBook
from bot.chat.roleplay.shelf import GuildShelf, places_for
from bot.chat.roleplay.trials import own_book, try_lore
from bot.errors import EngineError, LorebookError, NotFound
from cogs.client import CaduceusBot, Interaction, channel_of
from cogs.commands.library.deleting import book_deletion
from cogs.commands.lorebooks.finding import (
    SCOPES,
    complete_book,
    find_book,
    find_place,
    persona_here,
    place_meant,
)
from cogs.commands.lorebooks.importing import BOOK_FILES, BookImports
from cogs.commands.lorebooks.looks import (
    BOOKS_A_PAGE,
    ENTRIES_A_PAGE,
    NAME_CHARACTERS,
    VERDICTS_A_PAGE,
    book_page,
    entries_of,
    list_page,
    said_places,
    trial_page,
)
from cogs.commands.lorebooks.own import (
    complete_any_book,
    find_own,
    own_name,
    read_own,
    written_own,
)
from cogs.commands.lorebooks.pages import send_pages
from cogs.commands.personas.finding import complete_persona, find_persona
from cogs.commands.personas.looks import plain
from cogs.interactions import shown
from cogs.platform import key_of

FORMATS = [
    app_commands.Choice(name="V3 lorebook", value="v3"),
    app_commands.Choice(name="World Info (SillyTavern)", value="world_info"),
]
_FORMAT_WORDS: dict[BookFormat, str] = {"v3": "a V3 lorebook", "world_info": "World Info"}
WITH_PERSONA = "wherever this persona speaks: it is part of it"
_NOT_IN_FILES = re.compile(r"[^\w.-]+")


class LoreCommands(commands.GroupCog, group_name="lore", group_description="Lorebooks"):
    """Commands about lorebooks. Everybody may look; changing is checked."""

    def __init__(self, bot: CaduceusBot) -> None:
        self._bot = bot
        self._books = bot.desk.lorebooks
        self._shelf = GuildShelf(bot.desk.lorebooks)
        self._imports = BookImports()
        self._one_at_a_time = asyncio.Semaphore(1)  # a trial takes up to a second of a processor

    @app_commands.command()
    async def list(self, interaction: Interaction) -> None:
        """See this server's lorebooks, and which of them count here."""
        key = key_of(channel_of(interaction))
        await interaction.response.defer(ephemeral=True, thinking=True)
        persona = await persona_here(interaction)
        books: list[KeptLorebook] = []
        places: list[Place] = []
        if key.guild_id is not None:
            books = await self._books.all(key.guild_id)
            places = places_for(key, persona.id)
        names, own = await self._persona_names(key.guild_id), _own_line(persona)
        await send_pages(
            interaction,
            len(books),
            BOOKS_A_PAGE,
            lambda number: list_page(books, places, names, own, number),
        )

    @app_commands.command()
    @app_commands.describe(book="Which lorebook")
    @app_commands.autocomplete(book=complete_any_book)
    async def show(self, interaction: Interaction, book: str) -> None:
        """Read a lorebook: its entries, their keys, and where it counts."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        found = await self._asked_for(interaction, book)
        kept = None if isinstance(found, Persona) else found
        if isinstance(found, Persona):
            name, read, where = own_name(found), await read_own(found), WITH_PERSONA
        else:
            name, read = found.name, await self._books.read(found)
            where = said_places(found, await self._persona_names(found.guild_id))
        preview = await asyncio.to_thread(preview_of_book, read)
        await send_pages(
            interaction,
            len(read.entries),
            ENTRIES_A_PAGE,
            lambda number: book_page(name, read, preview, where, number, kept),
        )

    @app_commands.command(name="import")
    @app_commands.describe(file="World Info, a V3 lorebook, NovelAI, Agnai, Risu; 8 MiB at most")
    async def import_(self, interaction: Interaction, file: discord.Attachment) -> None:
        """Bring a lorebook into this server. You see what is in it first."""
        BOOK_FILES.refuse_large(file)
        await interaction.response.defer(ephemeral=True, thinking=True)
        await self._imports.show(interaction, file)

    @app_commands.command()
    @app_commands.describe(book="Which lorebook", format="As it came, where nothing is chosen")
    @app_commands.autocomplete(book=complete_any_book)
    @app_commands.choices(format=FORMATS)
    async def export(self, interaction: Interaction, book: str, format: str | None = None) -> None:
        """Get a lorebook as a file."""
        wanted: BookFormat | None = None
        if format is not None:
            wanted = "world_info" if format == "world_info" else "v3"
        await interaction.response.defer(ephemeral=True, thinking=True)
        found = await self._asked_for(interaction, book)
        if isinstance(found, Persona):
            name, (content, chosen) = own_name(found), await written_own(found, wanted)
        else:
            name, (content, chosen) = found.name, await self._books.written(found, wanted)
        limit = interaction.filesize_limit
        if len(content) > limit:
            raise LorebookError(
                f"As {_FORMAT_WORDS[chosen]}, «{name}» is larger than the "
                f"{limit // 2**20} MiB that may be sent here."
            )
        stem = _NOT_IN_FILES.sub("_", name).strip("._") or "lorebook"
        file = discord.File(io.BytesIO(content), filename=f"{stem}.json")
        name = await shown(interaction, plain(name, NAME_CHARACTERS))
        said = f"**{name}** as {_FORMAT_WORDS[chosen]}."
        await interaction.followup.send(said, file=file, ephemeral=True)

    @app_commands.command()
    @app_commands.describe(book="Which lorebook")
    @app_commands.autocomplete(book=complete_book)
    async def delete(self, interaction: Interaction, book: str) -> None:
        """Delete a lorebook. You are asked first, and can undo it for ten minutes."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        kept = await find_book(interaction, book)
        places = len(kept.places)
        where = f" It counts in {places} place{'s' if places > 1 else ''}." if places else ""
        name = await shown(interaction, plain(kept.name, NAME_CHARACTERS))
        await interaction.followup.send(
            f"Delete **{name}** with its {entries_of(kept.entries)}?{where}",
            view=book_deletion(interaction, kept),
            ephemeral=True,
        )

    @app_commands.command()
    @app_commands.describe(
        book="Which lorebook",
        scope="Where it is to count",
        persona="For the scope «a persona»: which one; the one here, if you choose none",
    )
    @app_commands.autocomplete(book=complete_book, persona=complete_persona)
    @app_commands.choices(scope=SCOPES)
    async def attach(
        self, interaction: Interaction, book: str, scope: str, persona: str | None = None
    ) -> None:
        """Let a lorebook count in this channel, in the server or for a persona."""
        kept, place, words = await _book_and_place(interaction, book, scope, persona)
        is_new = await self._books.attach(kept, place)
        name, now = plain(kept.name, NAME_CHARACTERS), "counts" if is_new else "counts already"
        said = await shown(interaction, f"**{name}** {now} for {plain(words, 100)}.")
        await interaction.followup.send(said, ephemeral=True)

    @app_commands.command()
    @app_commands.describe(
        book="Which lorebook",
        scope="Where it is to count no more",
        persona="For the scope «a persona»: which one; the one here, if you choose none",
    )
    @app_commands.autocomplete(book=complete_book, persona=complete_persona)
    @app_commands.choices(scope=SCOPES)
    async def detach(
        self, interaction: Interaction, book: str, scope: str, persona: str | None = None
    ) -> None:
        """Let a lorebook count no more in this channel, in the server or for a persona."""
        kept, place, words = await _book_and_place(interaction, book, scope, persona)
        if not await self._books.detach(kept, place):
            raise NotFound(f"«{kept.name}» is not attached to {words}.", "See `/lore list`.")
        name = plain(kept.name, NAME_CHARACTERS)
        said = await shown(interaction, f"**{name}** counts no more for {plain(words, 100)}.")
        await interaction.followup.send(said, ephemeral=True)

    @app_commands.command()
    @app_commands.describe(
        text="What somebody might say",
        book="One lorebook alone; those that count here, if you choose none",
        persona="Who would answer; the persona here, if you choose none",
    )
    @app_commands.autocomplete(book=complete_book, persona=complete_persona)
    async def test(
        self,
        interaction: Interaction,
        text: str,
        book: str | None = None,
        persona: str | None = None,
    ) -> None:
        """See which entries would fire for a text, by which key, and why the others would not."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        who = await (find_persona(interaction, persona) if persona else persona_here(interaction))
        async with self._one_at_a_time:
            books = await self._books_to_try(interaction, book, who)
            trial = await try_lore(
                books,
                who,
                text,
                user=interaction.user.display_name,
                context_tokens=self._room_tokens(),
            )
        await send_pages(
            interaction,
            len(trial.verdicts),
            VERDICTS_A_PAGE,
            lambda number: trial_page(trial, text, number),
        )

    async def _asked_for(self, interaction: Interaction, name: str) -> KeptLorebook | Persona:
        """The server's book of a name, or the persona whose own is meant. Raises NotFound."""
        persona = await find_own(interaction, name)
        if persona is None:
            return await find_book(interaction, name)
        if interaction.guild_id is not None:
            with suppress(NotFound):  # a server's book may be called so, too
                return await find_book(interaction, name)
        return persona

    async def _books_to_try(
        self, interaction: Interaction, name: str | None, persona: Persona
    ) -> Sequence[ShelvedBook]:
        if name is not None:
            kept = await find_book(interaction, name)
            read = await self._shelf.reading(kept)
            return [ShelvedBook(kept.id, GUILD_PRECEDENCE, read)] if read is not None else []
        own = own_book(persona)
        found = [own] if own is not None else []
        found += await self._shelf.books_for(key_of(channel_of(interaction)), persona)
        if not found:
            raise NotFound(
                f"No lorebook counts here, and «{persona.name}» has none of its own.",
                "Let one count with `/lore attach`, or choose one to try.",
            )
        return found

    def _room_tokens(self) -> int:
        try:
            return self._bot.conversations.engines.answering().info.room_tokens
        except EngineError:
            return 0

    async def _persona_names(self, guild_id: str | None) -> Mapping[str, str]:
        entries = await self._bot.desk.personas.entries(guild_id)
        return {entry.id: entry.name for entry in entries}


async def _book_and_place(
    interaction: Interaction, book: str, scope: str, persona: str | None
) -> tuple[KeptLorebook, Place, str]:
    """Defer, then find the book and the place that are meant, that one in words too."""
    where = place_meant(interaction, scope)
    await interaction.response.defer(ephemeral=True, thinking=True)
    kept = await find_book(interaction, book)
    return kept, *await find_place(interaction, where, persona, kept)


def _own_line(persona: Persona) -> str:
    count = lore_entries(persona)
    if not count:
        return ""
    name = plain(persona.name, NAME_CHARACTERS)
    return f"**{name}'s own** (counts here): {entries_of(count)}; comes with the persona"
