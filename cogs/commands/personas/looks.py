"""Personas as people see them: embeds and small pictures."""

import asyncio
import io
from collections.abc import Sequence

import discord

from bot.chat.persona import Persona, PersonaText
from bot.chat.personas.cards.card import Card
from bot.chat.personas.cards.pictures import render
from bot.chat.personas.cards.preview import lore_entries, preview_of
from bot.chat.personas.guild.kept import KeptPersona
from bot.chat.text.names import ISOLATED
from bot.errors import CaduceusError
from cogs.commands.personas.costs import Costs
from cogs.platform import escaped

FIELD_CHARACTERS = 1000
TEXT_CHARACTERS = 700  # of each of the texts, so that all stay within an embed's 6,000
NAME_CHARACTERS = 200
WARNINGS = 8
LARGE_SIDE = 512  # points
PICTURE = "picture.png"


def plain(text: str, limit: int = FIELD_CHARACTERS) -> str:
    """A hostile text without markup, at most `limit` characters long.

    One that is set apart for its direction ends so where it is cut, too: what stands behind it in
    its line is not drawn into it.
    """
    shown = escaped(text[:limit])
    if len(shown) <= limit and len(text) <= limit:
        return shown
    end = f"…{shown[-1]}" if shown.endswith(ISOLATED) else "…"
    return shown[: limit - len(end)].removesuffix(ISOLATED) + end


def describe(
    persona: Persona, costs: Costs, kept: KeptPersona | None, *, has_picture: bool
) -> discord.Embed:
    """A persona as people read it, long texts cut."""
    embed = discord.Embed(
        title=plain(persona.name, NAME_CHARACTERS),
        description=plain(persona.description, FIELD_CHARACTERS),
    )
    for name, text in (
        ("Personality", persona.personality),
        ("Scenario", persona.scenario),
        ("Greeting", persona.greeting),
    ):
        if text:
            embed.add_field(name=name, value=plain(text, TEXT_CHARACTERS), inline=False)
    _add_facts(embed, persona, costs)
    if kept is not None and kept.created_by.isdecimal():
        when = discord.utils.format_dt(kept.created_at, "d")
        embed.add_field(name="This server's own", value=f"by <@{kept.created_by}>, {when}")
    if has_picture:
        embed.set_image(url=f"attachment://{PICTURE}")
    return embed


def preview(
    card: Card, costs: Costs, warnings: Sequence[str], *, has_picture: bool
) -> discord.Embed:
    """A card before it is taken."""
    looked = preview_of(card)
    embed = discord.Embed(
        title=plain(looked.name, NAME_CHARACTERS),
        description=plain(card.persona.description, TEXT_CHARACTERS),
    )
    embed.add_field(name="What it is", value=looked.kind)
    _add_facts(embed, card.persona, costs)
    if warnings:
        said = [f"• {plain(warning, 200)}" for warning in warnings[:WARNINGS]]
        if len(warnings) > WARNINGS:
            said.append(f"• and {len(warnings) - WARNINGS} more")
        embed.add_field(name="⚠️ Unusual, or not used", value=_fitting(said), inline=False)
    if has_picture:
        embed.set_image(url=f"attachment://{PICTURE}")
    return embed


def _add_facts(embed: discord.Embed, persona: PersonaText, costs: Costs) -> None:
    notes = persona.translated_notes.get("en") or persona.creator_notes
    greetings = len(persona.alternate_greetings) + bool(persona.greeting)
    entries = lore_entries(persona)
    embed.add_field(name="Cost", value=plain(costs.lines()), inline=False)
    if notes:
        embed.add_field(name="Notes", value=plain(notes, TEXT_CHARACTERS), inline=False)
    if persona.tags:
        embed.add_field(name="Tags", value=plain(", ".join(persona.tags), 300), inline=False)
    if persona.creator:
        embed.add_field(name="Creator", value=plain(persona.creator, 200))
    group = len(persona.group_greetings)
    beside = f", {group} for groups" if group else ""
    embed.add_field(name="Greetings", value=f"{greetings}{beside}")
    embed.add_field(name="Lore entries", value=str(entries))
    if persona.is_age_restricted:
        embed.add_field(name="Age-restricted", value="It speaks in age-restricted channels alone.")


def _fitting(lines: Sequence[str], limit: int = FIELD_CHARACTERS) -> str:
    text = ""
    for line in lines:
        if len(text) + len(line) + 1 > limit:
            return f"{text}…"
        text += f"{line}\n"
    return text.rstrip("\n")


async def large_picture(content: bytes | None) -> bytes | None:
    """A picture to look at, None where there is none that can be shown."""
    if content is None:
        return None
    try:
        return await asyncio.to_thread(render, "The picture", content, LARGE_SIDE)
    except CaduceusError:
        return None


def picture_file(content: bytes, name: str = PICTURE) -> discord.File:
    """A picture as an attachment."""
    return discord.File(io.BytesIO(content), filename=name)
