"""Puts the bot in Discord together: the client, its buttons and its cogs."""

from collections.abc import Iterator
from pathlib import Path

from discord.ext import commands

from bot.chat.personas.guild.desk import PersonaDesk
from bot.chat.personas.pictures import PersonaPictures
from bot.chat.roleplay.memory.notebook import Notebook
from bot.chat.roleplay.memory.summary import SummaryDesk
from bot.chat.talk.conversations import Conversations
from bot.chat.talk.directing import Director
from cogs.client import BotParts, CaduceusBot
from cogs.commands.buttons import TurnButton
from cogs.commands.chat import ChatCommands
from cogs.commands.fork import Fork
from cogs.commands.library.deleting import UndoDeletion
from cogs.commands.lore import LoreCommands
from cogs.commands.memory import MemoryCommands
from cogs.commands.persona import PersonaCommands
from cogs.commands.personas.pages import PageButton
from cogs.commands.roleplay import RoleplayCommands
from cogs.commands.setting_panel.panel import PanelControl
from cogs.commands.settings import SettingsCommands
from cogs.commands.status import Status
from cogs.commands.undo import UndoButton
from cogs.commands.views import view_of
from cogs.commands.why import Why
from cogs.interactions import CaduceusTree
from cogs.listening.catchup import CatchUp
from cogs.listening.messages import MessageListener
from cogs.showing.pacing import Pace


def build_bot(
    conversations: Conversations,
    desk: PersonaDesk,
    notebook: Notebook,
    *,
    summaries: SummaryDesk,
    owner_ids: frozenset[int] = frozenset(),
    version: str = "",
    pace: Pace | None = None,
    data_dir: Path | None = None,
    pictures: PersonaPictures | None = None,
) -> CaduceusBot:
    """A client with every command and listener, not connected yet.

    With `data_dir`, commands are only synced when they have changed since the last time. `pictures`
    are others than the desk's.
    """
    buttons = (TurnButton, UndoButton, PageButton, UndoDeletion, PanelControl)
    parts = BotParts(CaduceusTree, buttons, view_of, _cogs)
    return CaduceusBot(
        conversations,
        parts,
        desk,
        notebook,
        summaries=summaries,
        owner_ids=owner_ids,
        version=version,
        pace=pace,
        data_dir=data_dir,
        pictures=pictures,
    )


def _cogs(bot: CaduceusBot) -> Iterator[commands.Cog]:
    listener = MessageListener(bot)
    yield listener
    yield CatchUp(bot, listener)
    yield ChatCommands(bot)
    yield PersonaCommands(bot)
    yield LoreCommands(bot)
    yield MemoryCommands(bot)
    yield SettingsCommands(bot)
    yield Status(bot)
    yield Why(bot)
    if bot.conversations.scenes is not None:
        director = Director(bot.conversations, bot.conversations.scenes)
        yield RoleplayCommands(bot, director)
        yield Fork(bot, director)
