"""The Discord client: intents, commands, lifetimes."""

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, cast

import discord
from discord import app_commands
from discord.ext import commands

from bot.chat.limits.gate import Admission
from bot.chat.messages import ChannelKey, Turn
from bot.chat.moderation.desk import Moderation
from bot.chat.moderation.replay import Replayer
from bot.chat.personas.guild.desk import PersonaDesk
from bot.chat.personas.pictures import PersonaPictures
from bot.chat.privacy.desk import Privacy
from bot.chat.privacy.erasure import Erasure
from bot.chat.roleplay.memory.notebook import Notebook
from bot.chat.roleplay.memory.summary import SummaryDesk
from bot.chat.talk.conversations import Conversations
from bot.errors import NotFound
from cogs.platform import NOBODY, PLATFORM, WAIT, Channel, clock_time
from cogs.showing.pacing import Pace
from cogs.showing.request_budget import RequestBudget
from cogs.showing.serving import Serving
from cogs.showing.voice import ViewOf
from cogs.showing.webhooks.voices import Voices

COMMANDS_FILE = "discord-commands.sha256"

_log = logging.getLogger(__name__)

Interaction: TypeAlias = discord.Interaction[discord.Client]


def bot_of(interaction: Interaction) -> "CaduceusBot":
    """The bot that an interaction came to."""
    return cast("CaduceusBot", interaction.client)


def channel_of(interaction: Interaction) -> Channel:
    """Where an interaction happened. Raises NotFound where nobody can talk."""
    channel = interaction.channel
    if isinstance(channel, Channel):
        return channel
    raise NotFound("I cannot talk here.", "Use a text channel, a thread or a direct message.")


def intents() -> discord.Intents:
    """What the bot listens to: guilds, messages with their content, direct messages."""
    return discord.Intents(guilds=True, messages=True, message_content=True)


@dataclass(frozen=True, slots=True)
class BotParts:
    """What the client is made of besides its connection: it imports none of it."""

    tree: type[app_commands.CommandTree[discord.Client]]
    buttons: Sequence[type[discord.ui.DynamicItem[Any]]]  # that survive a restart
    view_of: ViewOf
    cogs: "Callable[[CaduceusBot], Iterable[commands.Cog]]"


class CaduceusBot(commands.Bot):
    """The bot in Discord. It owns nothing but its connection and its own tasks."""

    def __init__(
        self,
        conversations: Conversations,
        parts: BotParts,
        desk: PersonaDesk,
        notebook: Notebook,
        *,
        summaries: SummaryDesk,
        moderation: Moderation,
        privacy: Privacy,
        erasure: Erasure,
        owner_ids: frozenset[int] = frozenset(),
        version: str = "",
        pace: Pace | None = None,
        data_dir: Path | None = None,
        pictures: PersonaPictures | None = None,
    ) -> None:
        """With `data_dir`, commands are only synced when they have changed since the last time.

        Without `pictures`, they are the desk's.
        """
        self.budget = RequestBudget()
        super().__init__(
            commands.when_mentioned,
            tree_cls=parts.tree,
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
        self.desk = desk
        self.notebook = notebook
        self.summaries = summaries
        self.replays = Replayer(conversations)
        self.moderation = moderation
        self.privacy = privacy
        self.erasure = erasure
        self._gone_pictures: list[str] = []
        self.version = version
        self.doing: set[Hashable] = set()  # commands and controls that have not ended yet
        self.voices = Voices(
            self, conversations, self.budget, parts.view_of, pictures or desk.pictures
        )
        desk.workshop.on_picture_gone(self._forget_picture)
        self.serving = Serving(
            conversations, self.budget, pace or Pace(), parts.view_of, self.voices
        )
        conversations.on_shortened(self._show_what_is_left)
        conversations.on_refused(self._say_why_not)
        self._parts = parts
        self._data_dir = data_dir

    async def setup_hook(self) -> None:
        """Before the gateway: buttons that survived, commands, the request budget."""
        self.budget.install(self.http)
        self.add_dynamic_items(*self._parts.buttons)
        for cog in self._parts.cogs(self):
            await self.add_cog(cog)
        try:
            await self._sync_commands()
        except discord.HTTPException as error:
            _log.error("The slash commands could not be brought to Discord: %s", error)

    async def on_message(self, _message: discord.Message, /) -> None:
        """Replace commands.Bot's own: there are no prefix commands."""

    def _show_what_is_left(self, turn: Turn) -> None:
        channel = self._channel_at_hand(turn.channel)
        if channel is not None:
            self.serving.show_what_is_left(turn, channel)

    def _say_why_not(self, turn: Turn, refusal: Admission) -> None:
        channel = self._channel_at_hand(turn.channel)
        if channel is not None and turn.message_ids:
            answers = int(turn.message_ids[-1])
            self.serving.say(channel, refusal.line(clock_time), mark=WAIT, answers=answers)

    def _channel_at_hand(self, key: ChannelKey) -> Channel | None:
        if key.platform != PLATFORM:
            return None
        channel = self.get_channel(int(key.channel_id))
        if channel is None and key.is_direct:
            channel = self.get_partial_messageable(int(key.channel_id))
        return channel if isinstance(channel, Channel) else None

    async def _forget_picture(self, digest: str) -> None:
        self._gone_pictures.append(digest)
        if self.is_ready():
            await self.on_ready()

    async def on_ready(self) -> None:
        """Take away the emojis of pictures that are gone: what was purged before comes now."""
        while self._gone_pictures:
            await self.voices.avatars.removed(self._gone_pictures.pop())

    async def close(self) -> None:
        """End what is being written, show it, and disconnect. A second call hurries the first."""
        await self.replays.close()
        await self.serving.close()
        await self.voices.close()
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
