"""`/chat`: reset, undo, continue, regenerate, export."""

import asyncio
import io
import json
from collections.abc import Sequence
from typing import Literal

import discord
from discord import app_commands
from discord.ext import commands

from bot.chat.messages import Turn
from bot.chat.text.guard import plain_lines
from bot.chat.text.names import clean_name, in_its_own_order
from bot.errors import NotFound
from cogs.client import CaduceusBot, Interaction, channel_of
from cogs.commands.buttons import continue_reply, regenerate
from cogs.commands.greeting import greet
from cogs.commands.undo import undo_view
from cogs.interactions import acknowledge, answering
from cogs.platform import key_of
from cogs.rights.rules import newest_reply


class ChatCommands(commands.GroupCog, group_name="chat", group_description="This conversation"):
    """Commands about the conversation in the channel."""

    def __init__(self, bot: CaduceusBot) -> None:
        self._bot = bot

    @app_commands.command()
    async def reset(self, interaction: Interaction) -> None:
        """Begin a new conversation here. Nothing is deleted."""
        key = key_of(channel_of(interaction))
        async with answering(interaction):
            old, _ = await self._bot.conversations.reset(key)
            scene = await self._bot.conversations.casting.scene(key)
        said = (
            "A new conversation begins: I no longer see what was said before. Nothing is deleted."
        )
        if scene is not None:
            said += (
                "\nThe scene is played on from its beginning, with its cast, characters and note. "
                "`/roleplay end` ends it."
            )
        await interaction.followup.send(said, view=undo_view("restore", [old]))
        await greet(interaction)

    @app_commands.command()
    async def undo(self, interaction: Interaction) -> None:
        """Take back the last exchange: the newest reply and what it answered."""
        key = key_of(channel_of(interaction))
        async with answering(interaction):
            hidden = await self._bot.conversations.undo(key, by=str(interaction.user.id))
            is_private = await self._bot.conversations.is_private(key)
        if not hidden:
            whose = "of yours " if is_private else ""
            await interaction.followup.send(f"There is nothing {whose}to take back.")
            return
        whose = "Your" if is_private else "The"
        await interaction.followup.send(
            f"{whose} last exchange is taken back: I no longer see it.",
            view=undo_view("unhide", hidden),
        )

    @app_commands.command(name="continue")
    async def continue_(self, interaction: Interaction) -> None:
        """Let the newest reply go on where it ended."""
        await acknowledge(interaction)
        turn = await newest_reply(interaction)
        await interaction.followup.send("The reply goes on.", ephemeral=True)
        await continue_reply(interaction, turn, channel_of(interaction))

    @app_commands.command()
    async def regenerate(self, interaction: Interaction) -> None:
        """Write the newest reply anew; the old one stays as an alternative."""
        await acknowledge(interaction)
        turn = await newest_reply(interaction)
        await interaction.followup.send("The reply is written anew.", ephemeral=True)
        await regenerate(interaction, turn, channel_of(interaction))

    @app_commands.command()
    @app_commands.describe(format="Text to read, or JSON to use elsewhere")
    async def export(
        self, interaction: Interaction, format: Literal["text", "json"] = "text"
    ) -> None:
        """Get this conversation as a file."""
        channel = channel_of(interaction)
        await interaction.response.defer(ephemeral=True, thinking=True)
        turns = await self._bot.conversations.history.export(key_of(channel))
        if not turns:
            raise NotFound("There is no conversation here yet.", "Say something to me first.")
        reading = await self._bot.conversations.censor.reading(key_of(channel))
        write = as_json if format == "json" else as_text
        text = await asyncio.to_thread(lambda: write([reading.retold(turn) for turn in turns]))
        name = f"conversation-{channel.id}.{'json' if format == 'json' else 'txt'}"
        file = discord.File(io.BytesIO(text.encode()), filename=name)
        limit = interaction.filesize_limit
        if file.fp.seek(0, io.SEEK_END) > limit:
            raise NotFound(
                f"This conversation is larger than the {limit // 2**20} MiB that may be sent here.",
                "Ask the bot's owner for an export of the database (`db export`).",
            )
        file.fp.seek(0)
        await interaction.followup.send(f"{len(turns)} turns.", file=file, ephemeral=True)


def as_text(turns: Sequence[Turn]) -> str:
    """A conversation to read. Nobody's text looks like the line of another turn."""
    return "\n".join(map(_as_text, turns))


def _as_text(turn: Turn) -> str:
    name = in_its_own_order(clean_name(turn.speaker.name))
    said = "\n    ".join(plain_lines(turn.text).split("\n"))
    return f"[{turn.created_at:%Y-%m-%d %H:%M} UTC] {name}: {said}\n"


def as_json(turns: Sequence[Turn]) -> str:
    """A conversation with everything that was said, the alternatives included."""
    return json.dumps(
        [
            {
                "time": turn.created_at.isoformat(),
                "role": turn.role,
                "speaker": turn.speaker.name,
                "speaker_id": turn.speaker.speaker_id,
                "text": turn.text,
                "alternatives": [swipe.text for swipe in turn.swipes],
                "message_ids": list(turn.message_ids),
            }
            for turn in turns
        ],
        ensure_ascii=False,
        indent=1,
    )
