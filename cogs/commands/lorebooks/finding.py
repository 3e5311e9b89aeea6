"""Lorebooks by their names, and where they can be attached."""

from discord import app_commands

from bot.chat.persona import Persona
from bot.chat.personas.guild.kept import BookScope, KeptLorebook
from bot.chat.personas.guild.lore_workshop import Place, place_of
from bot.errors import LorebookError, NotAllowed, NotFound
from cogs.client import Interaction, bot_of, channel_of
from cogs.commands.personas.finding import choices_of, find_persona
from cogs.interactions import offered
from cogs.platform import key_of

SCOPES = [
    app_commands.Choice(name="this channel", value="channel"),
    app_commands.Choice(name="the whole server", value="guild"),
    app_commands.Choice(name="a persona, wherever it speaks in this server", value="persona"),
]


@offered
async def complete_book(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
    """The server's lorebooks whose names hold what was typed; those that begin with it first."""
    if interaction.guild_id is None:
        return []
    books = await bot_of(interaction).desk.lorebooks.all(str(interaction.guild_id))
    return choices_of((book.name for book in books), typed)


def require_guild(interaction: Interaction) -> str:
    """The server whose lorebooks are meant. Raises NotAllowed in a direct message."""
    if interaction.guild_id is None:
        raise NotAllowed("There is no server here to keep a lorebook.", "Use this in a server.")
    return str(interaction.guild_id)


def place_meant(interaction: Interaction, scope: str) -> BookScope:
    """The scope of that name. Raises NotAllowed in a direct message."""
    require_guild(interaction)
    return "channel" if scope == "channel" else "persona" if scope == "persona" else "guild"


async def find_book(interaction: Interaction, name: str) -> KeptLorebook:
    """The lorebook that somebody means. Raises NotFound."""
    return await bot_of(interaction).desk.lorebooks.find(require_guild(interaction), name)


async def find_place(
    interaction: Interaction, scope: BookScope, persona: str | None, kept: KeptLorebook
) -> tuple[Place, str]:
    """Where a book is to be attached or taken away, and that place in words.

    A persona that is there no more can be named by the id under which `kept` is still attached.
    Raises NotFound, or LorebookError where a persona is named that is not asked for.
    """
    key = key_of(channel_of(interaction))
    if scope != "persona":
        if persona is not None:
            raise LorebookError(
                "A persona was named, but the scope is another one.", "Take the scope «a persona»."
            )
        words = "the whole server" if scope == "guild" else "this channel"
        return place_of(scope, key), words
    if persona is None:
        found = await persona_here(interaction)
    elif ("persona", persona) in kept.places:
        return ("persona", persona), f"«{persona[:80]}»"
    else:
        found = await find_persona(interaction, persona)
    if not found.id:
        raise NotFound(f"«{found.name}» cannot have lorebooks attached.")
    return place_of(scope, key, found.id), f"«{found.name}»"


async def persona_here(interaction: Interaction) -> Persona:
    """The main persona of the channel."""
    cascade = bot_of(interaction).conversations.settings
    key = key_of(channel_of(interaction))
    return await cascade.persona(key, await cascade.resolve(key))
