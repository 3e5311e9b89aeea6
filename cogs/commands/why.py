"""The context menu «Why this reply?»: what the model was given, and a replay for moderators."""

import io

import discord
from discord import app_commands
from discord.ext import commands

from bot.chat.talk.conversations import Explanation
from bot.errors import NotFound
from cogs.client import CaduceusBot, Interaction, channel_of
from cogs.commands.buttons import TurnButton
from cogs.commands.explaining.looks import (
    add_origin,
    describe,
    lore_text,
    memory_text,
    mentions,
)
from cogs.commands.explaining.replaying import ReplayButton
from cogs.controls import view_of_kept
from cogs.interactions import shown_embeds
from cogs.platform import key_of
from cogs.rights.holding import is_asker, is_moderator


class Why(commands.Cog):
    """Explains the bot's replies to whoever can read the channel."""

    def __init__(self, bot: CaduceusBot) -> None:
        self._bot = bot
        self._menu = app_commands.ContextMenu(name="Why this reply?", callback=self.explain)

    async def cog_load(self) -> None:
        """Add the menu: a cog does not do that by itself."""
        self._bot.tree.add_command(self._menu)

    async def cog_unload(self) -> None:
        """And take it away."""
        self._bot.tree.remove_command(self._menu.name, type=self._menu.type)

    async def explain(self, interaction: Interaction, message: discord.Message) -> None:
        """Show the prompt that a reply was written from, rebuilt."""
        key = key_of(channel_of(interaction))
        await interaction.response.defer(ephemeral=True, thinking=True)
        conversations = self._bot.conversations
        turn = await conversations.history.turn_of_message(key, str(message.id))
        if turn is None or turn.role != "bot":
            raise NotFound("That is no reply of mine.", "Choose one of my messages.")
        explanation = await conversations.why(turn.turn_id)
        told = {
            "prompt": explanation.prompt.text,
            "lore": lore_text(explanation.lore),
            "memory": memory_text(explanation.memory),
        }
        texts = await (await conversations.censor.reading(key)).all_shown([*told.values()])
        files = [
            discord.File(io.BytesIO(text.encode()), filename=f"{name}.txt")
            for name, text in zip(told, texts, strict=True)
            if text or name == "prompt"
        ]
        embed, view = describe(explanation), discord.utils.MISSING
        if is_asker(interaction, turn.asked_by):
            # Also where a reply carries no buttons: whoever caused it can take it away.
            embed.add_field(name="Asked by", value=mentions(turn.asked_by), inline=False)
            buttons = [TurnButton("delete", turn.turn_id, "Delete this reply")]
            if is_moderator(interaction):
                add_origin(embed, explanation)
                view = view_of_kept(*buttons, *_replay(explanation))
            else:
                view = view_of_kept(*buttons)
        await shown_embeds(interaction, [embed])
        await interaction.followup.send(embed=embed, files=files, view=view, ephemeral=True)


def _replay(explanation: Explanation) -> list[ReplayButton]:
    """Nothing can be replayed of which it is not known how it came to be."""
    known = explanation.record is not None and not explanation.turn.is_greeting
    return [ReplayButton(explanation.turn.turn_id)] if known else []
