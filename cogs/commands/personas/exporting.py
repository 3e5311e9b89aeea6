"""A persona as a file."""

import asyncio
import io
import time

import discord

from bot.chat.persona import Persona
from bot.chat.personas.cards.writing import Format, write_card
from bot.errors import PersonaError
from cogs.client import Interaction, bot_of
from cogs.commands.personas.looks import NAME_CHARACTERS, plain
from cogs.interactions import shown


async def send_export(interaction: Interaction, persona: Persona, format: Format) -> None:
    """Send a persona's card as a file to who asked. Raises PersonaError where it is too large."""
    card = await bot_of(interaction).desk.workshop.card(persona)
    exported = await asyncio.to_thread(write_card, card, format, int(time.time()))
    limit = interaction.filesize_limit
    if len(exported.content) > limit:
        raise PersonaError(
            f"As {format.value}, «{persona.name}» is larger than the {limit // 2**20} MiB that may "
            "be sent here.",
            "Take a format without its picture and files: toml, v1, v2 or v3.",
        )
    told = [f"**{plain(persona.name, NAME_CHARACTERS)}** as {format.value}."]
    told += [plain(warning, 300) for warning in exported.warnings]
    file = discord.File(io.BytesIO(exported.content), filename=exported.file_name)
    said = await shown(interaction, "\n".join(told)[:2000])
    await interaction.followup.send(said, file=file, ephemeral=True)
