"""`/persona`: who the bot is in a channel."""

import discord
from discord import app_commands
from discord.ext import commands

from bot.chat.messages import Scope
from bot.chat.persona import Persona
from bot.errors import NotAllowed, NotFound
from cogs.client import CaduceusBot
from cogs.commands.greeting import greet
from cogs.interactions import (
    Interaction,
    answering,
    bot_of,
    channel_of,
    in_time,
    is_moderator,
    may_change,
)
from cogs.platform import key_of

CHOICES = 25  # Discord shows no more
DESCRIPTION_CHARACTERS = 4096
FIELD_CHARACTERS = 1000


@in_time
async def complete_persona(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
    """The personas whose names hold what was typed; those that begin with it first."""
    typed = typed.casefold()
    guild_id = key_of(channel_of(interaction)).guild_id
    personas = await bot_of(interaction).conversations.personas.listed(guild_id)
    # The name is also the value: an id may be longer than Discord takes.
    found = [persona.name for persona in personas if typed in persona.name.casefold()]
    found.sort(key=lambda name: not name.casefold().startswith(typed))
    return [app_commands.Choice(name=name, value=name) for name in found[:CHOICES]]


class PersonaCommands(
    commands.GroupCog, group_name="persona", group_description="Who the bot is here"
):
    """Commands about personas."""

    def __init__(self, bot: CaduceusBot) -> None:
        self._bot = bot

    @app_commands.command()
    async def list(self, interaction: Interaction) -> None:
        """See the personas there are."""
        key = key_of(channel_of(interaction))
        await interaction.response.defer(ephemeral=True, thinking=True)
        personas = self._bot.conversations.personas
        cascade = self._bot.conversations.settings
        here = await cascade.persona(key, await cascade.resolve(key))
        lines: list[str] = []
        for persona in await personas.listed(key.guild_id):
            summary = f": {persona.summary}" if persona.summary else ""
            mark = " (here)" if persona.id == here.id else ""
            lines.append(f"**{discord.utils.escape_markdown(persona.name)}**{mark}{summary}")
        if is_moderator(interaction):
            lines += [f"⚠️ `{file}`: {fault}" for file, fault in personas.problems().items()]
        embed = discord.Embed(title="Personas", description=_fitting(lines))
        await interaction.followup.send(embed=embed, ephemeral=True)

    @app_commands.command()
    @app_commands.describe(name="Which persona")
    @app_commands.autocomplete(name=complete_persona)
    async def show(self, interaction: Interaction, name: str) -> None:
        """Read what a persona is told to be."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        persona = await self._persona(interaction, name)
        await interaction.followup.send(embed=describe(persona), ephemeral=True)

    @app_commands.command()
    @app_commands.describe(name="Which persona")
    @app_commands.autocomplete(name=complete_persona)
    async def use(self, interaction: Interaction, name: str) -> None:
        """Choose who the bot is in this channel."""
        key = key_of(channel_of(interaction))
        cascade = self._bot.conversations.settings
        by = str(interaction.user.id)
        async with answering(interaction):
            await self._require_choice(interaction)
            persona = await self._persona(interaction, name)
            await cascade.set(key, Scope.CHANNEL, "persona", persona.id, by=by)
        shown = discord.utils.escape_markdown(persona.name)
        await interaction.followup.send(f"**{shown}** speaks here from now on.")
        await greet(interaction)

    async def _require_choice(self, interaction: Interaction) -> None:
        settings = await self._bot.conversations.settings.resolve(key_of(channel_of(interaction)))
        if settings.persona_choice == "members" or may_change(interaction, Scope.CHANNEL):
            return
        raise NotAllowed(
            "Choosing the persona here needs the permission Manage Channels or Manage Server."
        )

    async def _persona(self, interaction: Interaction, name: str) -> Persona:
        guild_id = key_of(channel_of(interaction)).guild_id
        persona = await self._bot.conversations.personas.find(guild_id, name)
        if persona is None:
            raise NotFound(f"There is no persona «{name[:80]}».", "See `/persona list`.")
        return persona


def describe(persona: Persona) -> discord.Embed:
    """A persona as people read it, long texts cut."""
    embed = discord.Embed(
        title=persona.name, description=_cut(persona.description, FIELD_CHARACTERS)
    )
    for name, text in (
        ("Personality", persona.personality),
        ("Scenario", persona.scenario),
        ("Greeting", persona.greeting),
        ("Example dialogue", persona.example_dialogue),
    ):
        if text:
            embed.add_field(name=name, value=_cut(text, FIELD_CHARACTERS), inline=False)
    return embed


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _fitting(lines: list[str]) -> str:
    text = ""
    for number, line in enumerate(lines):
        if len(text) + len(line) > DESCRIPTION_CHARACTERS - 40:
            return f"{text}… and {len(lines) - number} more"
        text += f"{line}\n"
    return text or "There are none."
