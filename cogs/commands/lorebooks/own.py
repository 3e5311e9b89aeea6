"""Personas' own lorebooks, which come with them: found, shown and handed out beside a server's."""

import asyncio
import re

from discord import app_commands

from bot.chat.persona import Persona
from bot.chat.personas.cards.preview import lore_entries
from bot.chat.personas.lore.book import Lorebook
from bot.chat.personas.lore.reading import book_in_card
from bot.chat.personas.lore.writing import BookFormat, write_lorebook
from cogs.client import Interaction, bot_of, channel_of
from cogs.commands.lorebooks.finding import complete_book, persona_here
from cogs.commands.personas.finding import CHOICES, scope_of
from cogs.interactions import offered
from cogs.platform import key_of

CHOICE_CHARACTERS = 100  # of a name that Discord takes
_NAMED = re.compile(r"(?P<persona>.+?)['\u2019]s own lorebook", re.IGNORECASE | re.DOTALL)


def own_name(persona: Persona) -> str:
    """What the book of a persona's own is called in lists and by who asks for it."""
    return f"{persona.name}'s own lorebook"


@offered
async def complete_any_book(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
    """The server's lorebooks, and the own ones of the personas that speak here."""
    names = [own_name(each) for each in await _speaking_here(interaction) if lore_entries(each)]
    own = [
        app_commands.Choice(name=name, value=name)
        for name in names
        if typed.casefold() in name.casefold() and len(name) <= CHOICE_CHARACTERS
    ]
    return [*own, *await complete_book(interaction, typed)][:CHOICES]


async def find_own(interaction: Interaction, name: str) -> Persona | None:
    """The persona whose own book somebody means by «NAME's own lorebook»; None for other names."""
    named = _NAMED.fullmatch(name.strip())
    if named is None:
        return None
    personas = bot_of(interaction).conversations.personas
    found = await personas.find(key_of(channel_of(interaction)).guild_id, named["persona"])
    return found if found is not None and lore_entries(found) else None


async def read_own(persona: Persona) -> Lorebook:
    """A persona's own book. Raises LorebookError where it cannot be read."""
    return await asyncio.to_thread(book_in_card, own_name(persona), persona.lorebook or {})


async def written_own(persona: Persona, wanted: BookFormat | None) -> tuple[bytes, BookFormat]:
    """The same as a file: V3 where no format is asked for, and the format."""
    book, chosen = await read_own(persona), wanted or "v3"
    return await asyncio.to_thread(write_lorebook, book, chosen), chosen


async def _speaking_here(interaction: Interaction) -> list[Persona]:
    bot, guild_id = bot_of(interaction), key_of(channel_of(interaction)).guild_id
    beside = await bot.desk.casts.cast(scope_of(interaction))
    found = [await bot.desk.personas.by_id(guild_id, each) for each in beside]
    here = await persona_here(interaction)
    return [here, *(each for each in found if each is not None and each.id != here.id)]
