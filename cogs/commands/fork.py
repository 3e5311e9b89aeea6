"""The context menu «Fork from here»: go on from a message another way."""

import logging

import discord
from discord import app_commands
from discord.ext import commands

from bot.chat.messages import Turn
from bot.chat.roleplay.scenes.transcript import text_of
from bot.chat.talk.directing import Director
from bot.errors import CaduceusError, NotAllowed, NotFound
from cogs.client import CaduceusBot
from cogs.commands.personas.looks import plain
from cogs.commands.scenes.looks import counted, quoted
from cogs.commands.scenes.threads import NEEDED, archive, open_beside
from cogs.commands.undo import undo_view
from cogs.interactions import Interaction, acknowledge, channel_of
from cogs.platform import WRITE_ERRORS, key_of

NAME_WORDS = 60  # characters of a message in its thread's name

_log = logging.getLogger(__name__)


class Fork(commands.Cog):
    """Copies a conversation up to a message, for whoever can read it."""

    def __init__(self, bot: CaduceusBot, director: Director) -> None:
        self._bot = bot
        self._director = director
        self._menu = app_commands.ContextMenu(name="Fork from here", callback=self.fork)

    async def cog_load(self) -> None:
        """Add the menu: a cog does not do that by itself."""
        self._bot.tree.add_command(self._menu)

    async def cog_unload(self) -> None:
        """And take it away."""
        self._bot.tree.remove_command(self._menu.name, type=self._menu.type)

    async def fork(self, interaction: Interaction, message: discord.Message) -> None:
        """Go on from a message in a thread of its own; in a direct message, right there."""
        channel = channel_of(interaction)
        await acknowledge(interaction)
        history = self._bot.conversations.history
        turn = await history.turn_of_message(key_of(channel), str(message.id))
        if turn is None:
            raise NotFound(
                "That message is not part of a conversation with me.",
                "Choose one that I have answered, or an answer.",
            )
        await history.require_seen(turn.turn_id)  # before its words are shown once more
        if interaction.guild_id is None:
            await self._fork_here(interaction, turn)
            return
        by = str(interaction.user.id)
        scene = await self._director.found(key_of(channel))
        retold = (await self._bot.conversations.censor.reading(key_of(channel))).retold(turn)
        name = f"Fork: {text_of(retold)[:NAME_WORDS]}"
        if scene:
            name = f"{(await self._director.shown(scene)).title} (fork)"
        thread = await open_beside(
            interaction, " ".join(name.split()), _opening(retold, message.jump_url)
        )
        if thread is None:
            raise NotAllowed("I cannot open a thread here.", NEEDED)
        try:
            forked = await self._director.fork(turn.turn_id, key_of(thread), by)
        except CaduceusError:
            await archive(thread, thread.owner_id)
            raise
        await interaction.followup.send(
            f"It goes on in {thread.mention}, after {counted(forked.turns)}.", ephemeral=True
        )
        if forked.last.role == "bot":
            try:
                last = await self._bot.conversations.shown_again.turn(forked.last)
                await self._bot.serving.show(last, thread, str(interaction.id))
            except (CaduceusError, *WRITE_ERRORS) as error:
                _log.warning("A forked reply in %s is not shown: %s", thread.id, error)

    async def _fork_here(self, interaction: Interaction, turn: Turn) -> None:
        forked, before = await self._director.fork_here(turn.turn_id, str(interaction.user.id))
        channel = channel_of(interaction)
        lines = [
            f"We go on from here, after {counted(forked.turns)}: I no longer see what came then.",
            *quoted(text_of(turn)),
        ]
        await interaction.followup.send("It goes on from there.", ephemeral=True)
        await channel.send("\n".join(lines), view=undo_view("restore", [before]))


def _opening(turn: Turn, jump_url: str) -> str:
    lines = [f"Forked from {jump_url}: what was said up to there is known here."]
    if turn.role == "user":
        lines += [f"**{plain(turn.speaker.name, 80)}**:", *quoted(turn.text)]
    return "\n".join(lines)
