"""The Discord client: intents, commands, lifetimes."""

import asyncio
import hashlib
import json
import logging
from pathlib import Path

import discord
from discord import app_commands
from discord.ext import commands

from bot.chat.talk.conversations import Conversations
from cogs.budget import RequestBudget
from cogs.catchup import CatchUp
from cogs.chat import Chat
from cogs.chat_commands import ChatCommands
from cogs.controls import TurnButton, view_of
from cogs.errors import CaduceusTree
from cogs.pacing import Pace
from cogs.personas import PersonaCommands
from cogs.screen import NOBODY
from cogs.serving import Serving
from cogs.settings import SettingsCommands
from cogs.status import Status
from cogs.undo import UndoButton
from cogs.why import Why

COMMANDS_FILE = "discord-commands.sha256"

_log = logging.getLogger(__name__)


def intents() -> discord.Intents:
    """What the bot listens to: guilds, messages with their content, direct messages."""
    return discord.Intents(guilds=True, messages=True, message_content=True)


class CaduceusBot(commands.Bot):
    """The bot in Discord. It owns nothing but its connection and its own tasks."""

    def __init__(
        self,
        conversations: Conversations,
        *,
        owner_ids: frozenset[int] = frozenset(),
        version: str = "",
        pace: Pace | None = None,
        data_dir: Path | None = None,
    ) -> None:
        """With `data_dir`, commands are only synced when they have changed since the last time."""
        self.budget = RequestBudget()
        super().__init__(
            commands.when_mentioned,
            tree_cls=CaduceusTree,
            help_command=None,
            intents=intents(),
            owner_ids=set(owner_ids),
            allowed_mentions=NOBODY,
            allowed_contexts=app_commands.AppCommandContext(
                guild=True, dm_channel=True, private_channel=False
            ),
            allowed_installs=app_commands.AppInstallationType(guild=True, user=False),
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            max_messages=None,
            http_trace=self.budget.trace(),
        )
        self.conversations = conversations
        self.version = version
        self.serving = Serving(conversations, self.budget, pace or Pace(), view_of)
        self._data_dir = data_dir

    async def setup_hook(self) -> None:
        """Before the gateway: buttons that survived, commands, the request budget."""
        self.budget.install(self.http)
        self.add_dynamic_items(TurnButton, UndoButton)
        chat = Chat(self)
        for cog in (
            chat,
            CatchUp(self, chat),
            ChatCommands(self),
            PersonaCommands(self),
            SettingsCommands(self),
            Status(self),
            Why(self),
        ):
            await self.add_cog(cog)
        try:
            await self._sync_commands()
        except discord.HTTPException as error:
            _log.error("The slash commands could not be brought to Discord: %s", error)

    async def on_message(self, _message: discord.Message, /) -> None:
        """Replace commands.Bot's own: there are no prefix commands."""

    async def close(self) -> None:
        """End what is being written, show it, and disconnect. A second call hurries the first."""
        await self.serving.close()
        await super().close()

    async def _sync_commands(self) -> None:
        payload = [command.to_dict(self.tree) for command in self.tree.get_commands()]
        described = json.dumps([self.application_id, payload], sort_keys=True)
        digest = hashlib.sha256(described.encode()).hexdigest()
        file = self._data_dir / COMMANDS_FILE if self._data_dir else None
        if file is not None and await asyncio.to_thread(_read, file) == digest:
            return
        synced = await self.tree.sync()
        _log.info("Brought %d commands to Discord", len(synced))
        if file is not None:
            await asyncio.to_thread(file.write_text, digest, "utf-8")


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except OSError:
        return ""
