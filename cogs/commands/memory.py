"""`/memory` and «Remember this»: what is always kept in mind, listed, pinned, changed, removed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import discord
from discord import app_commands
from discord.ext import commands

from bot.chat.roleplay.memory.facts import FACT_CHARACTERS, Fact, FactSource
from bot.errors import NotFound
from cogs.client import CaduceusBot, Interaction, channel_of
from cogs.commands.lorebooks.pages import numbered, send_pages
from cogs.commands.memories.summary import show_summary
from cogs.commands.personas.finding import complete_persona, find_persona
from cogs.commands.personas.looks import plain
from cogs.interactions import acknowledge, shown
from cogs.platform import key_of

FACTS_A_PAGE = 7  # of 500 characters each: an embed's text has 4,096
LARGEST_INTEGER = 2**53 - 1  # that a command's option takes

FactNumber = app_commands.Range[int, 1, LARGEST_INTEGER]
FactText = app_commands.Range[str, 1, 2 * FACT_CHARACTERS]  # blanks may go yet


class MemoryCommands(
    commands.GroupCog, group_name="memory", group_description="What the bot keeps in mind here"
):
    """Commands about facts. Whoever may talk to the bot pins some; others' are the moderators'."""

    def __init__(self, bot: CaduceusBot) -> None:
        self._bot = bot
        self._notebook = bot.notebook
        self._menu = app_commands.ContextMenu(name="Remember this", callback=self.remember)

    async def cog_load(self) -> None:
        """Add the menu: a cog does not do that by itself."""
        self._bot.tree.add_command(self._menu)

    async def cog_unload(self) -> None:
        """And take it away."""
        self._bot.tree.remove_command(self._menu.name, type=self._menu.type)

    @app_commands.command()
    async def show(self, interaction: Interaction) -> None:
        """See what is kept in mind here, with the numbers for edit and remove."""
        key = key_of(channel_of(interaction))
        await interaction.response.defer(ephemeral=True, thinking=True)
        mask = (await self._bot.conversations.censor.reading(key)).shown
        facts = [replace(fact, text=mask(fact.text)) for fact in await self._notebook.all(key)]
        names = await self._persona_names(key.guild_id)
        names = {persona_id: mask(name) for persona_id, name in names.items()}
        await send_pages(
            interaction,
            len(facts),
            FACTS_A_PAGE,
            lambda number: facts_page(facts, key.channel_id, names, number),
        )

    @app_commands.command()
    @app_commands.describe(
        text="What is to be kept in mind, in up to 500 characters",
        persona="For one persona alone, wherever it speaks in this server",
    )
    @app_commands.autocomplete(persona=complete_persona)
    async def add(
        self, interaction: Interaction, text: FactText, persona: str | None = None
    ) -> None:
        """Pin a fact to this channel, or to a persona: it stands in every prompt."""
        key = key_of(channel_of(interaction))
        await acknowledge(interaction)
        by = str(interaction.user.id)
        who = None if persona is None else await find_persona(interaction, persona)
        if who is not None and not who.id:
            raise NotFound(f"«{who.name}» cannot have facts of its own.", "Choose another persona.")
        text = await self._bot.conversations.censor.wanted(key, text)
        fact = await self._notebook.pin(key, text, by=by, persona_id=who.id if who else "")
        where = "this channel" if who is None else plain(who.name, 100)
        said = await shown(interaction, said_pinned(fact, where))
        await interaction.followup.send(said, ephemeral=True)

    @app_commands.command()
    @app_commands.describe(id="The number that /memory show tells", text="What it is to say")
    async def edit(self, interaction: Interaction, id: FactNumber, text: FactText) -> None:
        """Let a fact say something else: one of your own, or as a moderator any."""
        key = key_of(channel_of(interaction))
        await acknowledge(interaction)
        text = await self._bot.conversations.censor.wanted(key, text)
        fact = await self._notebook.rewrite(key, id, text)
        said = f"Fact {fact.fact_id} says now: {plain(fact.text, 1500)}"
        said = await shown(interaction, said)
        await interaction.followup.send(said, ephemeral=True)

    @app_commands.command()
    @app_commands.describe(id="The number that /memory show tells")
    async def remove(self, interaction: Interaction, id: FactNumber) -> None:
        """Take a fact out: one of your own, or as a moderator any."""
        key = key_of(channel_of(interaction))
        await acknowledge(interaction)
        fact = await self._notebook.take_out(key, id)
        said = f"Fact {fact.fact_id} is forgotten: {plain(fact.text, 1500)}"
        said = await shown(interaction, said)
        await interaction.followup.send(said, ephemeral=True)

    @app_commands.command()
    async def summary(self, interaction: Interaction) -> None:
        """See the summary of what was said too long ago for me to see it."""
        await show_summary(interaction)

    async def remember(self, interaction: Interaction, message: discord.Message) -> None:
        """Pin what a message says to its channel."""
        key = key_of(channel_of(interaction))
        await acknowledge(interaction)
        turn = await self._bot.conversations.history.turn_of_message(key, str(message.id))
        text, said_by = message.clean_content, str(message.author.id)
        if turn is not None:
            text, said_by = turn.text, turn.speaker.speaker_id
        text = await self._bot.conversations.censor.wanted(key, text)
        source = FactSource(str(message.id), said_by)
        by = str(interaction.user.id)
        fact = await self._notebook.pin_message(key, text, source, by=by)
        said = await shown(interaction, said_pinned(fact, "this channel"))
        await interaction.followup.send(
            f"{said}\nIt follows the message: edited with it, and gone when it is deleted.",
            ephemeral=True,
        )

    async def _persona_names(self, guild_id: str | None) -> Mapping[str, str]:
        entries = await self._bot.desk.personas.entries(guild_id)
        return {entry.id: entry.name for entry in entries}


def said_pinned(fact: Fact, where: str) -> str:
    """What somebody is told who pinned a fact."""
    return (
        f"Fact {fact.fact_id} is pinned to {where}: {plain(fact.text, 1000)}\n"
        f"`/memory remove {fact.fact_id}` takes it out."
    )


def facts_page(
    facts: Sequence[Fact], channel_id: str, names: Mapping[str, str], number: int
) -> discord.Embed:
    """A page of the list; the first is 0."""
    embed = discord.Embed(title="Kept in mind here")
    if not facts:
        embed.description = (
            "Nothing yet. Pin a fact with `/memory add`, or a message with «Remember this» in its "
            "menu under Apps."
        )
        return embed
    shown = facts[number * FACTS_A_PAGE : (number + 1) * FACTS_A_PAGE]
    embed.description = "\n".join(_line(fact, channel_id, names) for fact in shown)
    return numbered(embed, number, len(facts), FACTS_A_PAGE)


def _line(fact: Fact, channel_id: str, names: Mapping[str, str]) -> str:
    details: list[str] = []
    if fact.persona_id:
        details.append(f"for {plain(names.get(fact.persona_id, 'a persona that is gone'), 60)}")
    if fact.channel_id and fact.channel_id != channel_id:
        details.append(f"from <#{fact.channel_id}>")
    if fact.written_by.isdecimal():
        details.append(f"by <@{fact.written_by}>")
    if fact.repeats_message:
        details.append("follows its message")
    text = plain(" ".join(fact.text.split()), FACT_CHARACTERS)
    return f"**{fact.fact_id}** {text}" + (f" ({', '.join(details)})" if details else "")
