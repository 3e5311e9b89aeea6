"""Personas by their names."""

from collections.abc import Callable, Iterable

from discord import app_commands

from bot.chat.messages import Scope
from bot.chat.persona import Persona
from bot.chat.personas.homes import PersonaEntry
from bot.errors import NotFound
from cogs.client import Interaction, bot_of, channel_of
from cogs.interactions import offered
from cogs.platform import key_of

CHOICES = 25  # Discord shows no more


@offered
async def complete_persona(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
    """The personas whose names hold what was typed; those that begin with it first."""
    return choices_of(await _names(interaction), typed)


@offered
async def complete_own(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
    """The same of the server's own alone, which can be changed."""
    return choices_of(await _names(interaction, lambda entry: entry.guild_id is not None), typed)


@offered
async def complete_cast(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
    """The same of those that speak here beside the main one."""
    cast = set(await bot_of(interaction).desk.casts.cast(scope_of(interaction)))
    return choices_of(await _names(interaction, lambda entry: entry.id in cast), typed)


async def find_persona(interaction: Interaction, name: str) -> Persona:
    """The persona that somebody means. Raises NotFound."""
    guild_id = key_of(channel_of(interaction)).guild_id
    persona = await bot_of(interaction).conversations.personas.find(guild_id, name)
    if persona is None:
        raise NotFound(f"There is no persona «{name[:80]}».", "See `/persona list`.")
    return persona


def scope_of(interaction: Interaction) -> str:
    """Where the channel's own settings stand, and so its cast. A thread takes its channel's."""
    key = key_of(channel_of(interaction))
    return bot_of(interaction).conversations.settings.scope_id(key, Scope.CHANNEL)


async def _names(
    interaction: Interaction, wanted: Callable[[PersonaEntry], bool] = lambda _: True
) -> list[str]:
    guild_id = key_of(channel_of(interaction)).guild_id
    entries = await bot_of(interaction).desk.personas.entries(guild_id)
    return [entry.name for entry in entries if wanted(entry)]


def choices_of(names: Iterable[str], typed: str) -> list[app_commands.Choice[str]]:
    """The names that hold what was typed, as Discord shows them; those that begin with it first."""
    typed = typed.casefold()
    # The name is also the value: an id may be longer than Discord takes.
    found = [name for name in names if typed in name.casefold()]
    found.sort(key=lambda name: not name.casefold().startswith(typed))
    return [app_commands.Choice(name=name, value=name) for name in found[:CHOICES]]
