"""Takes the bot's messages out of Discord whose turns were erased, also after a restart."""

import asyncio
import logging

import discord
from discord.ext import commands

from bot.background import Background
from bot.chat.privacy.people import Person
from bot.chat.privacy.removals import Removal
from bot.errors import CaduceusError
from cogs.client import CaduceusBot
from cogs.platform import PLATFORM, WRITE_ERRORS, Channel, is_passing
from cogs.showing.request_budget import Urgency

MESSAGES_A_LOOK = 25
AGAIN_SECONDS = 300.0  # after failures that pass

_log = logging.getLogger(__name__)


class TakingAway(commands.Cog):
    """Works off what is to go, one message after another: nobody waits for it."""

    def __init__(self, bot: CaduceusBot) -> None:
        self._bot = bot
        self._work = Background(
            "taking messages away", lost="What was erased stays on Discord for now"
        )
        self._has_more = False  # something has come while we were at it
        self._again: asyncio.TimerHandle | None = None

    async def cog_load(self) -> None:
        """What goes with a person leaves messages behind."""
        self._bot.erasure.forgetting.on_forgotten(self._look)

    async def cog_unload(self) -> None:
        """Stop: the next start goes on."""
        if self._again is not None:
            self._again.cancel()
        await self._work.end()

    @commands.Cog.listener()
    async def on_ready(self) -> None:
        """Begin with what a restart has interrupted."""
        self._begin()

    async def _look(self, _person: Person) -> None:
        if self._bot.is_ready():
            self._begin()

    def _begin(self) -> None:
        self._has_more = True
        if not self._work.is_on:
            self._work.begin(self._go_on())

    async def _go_on(self) -> None:
        is_done = True
        while self._has_more:
            self._has_more = False
            try:
                with self._bot.budget.at(Urgency.LATER):
                    is_done = await self._work_off()
            except CaduceusError as error:
                _log.warning("Messages to be taken away are looked for later: %s", error)
                is_done = False
        if not is_done:
            loop = asyncio.get_running_loop()
            self._again = loop.call_later(AGAIN_SECONDS, self._begin)

    async def _work_off(self) -> bool:
        """Take all away. False where something has to be tried again."""
        after, is_done = 0, True
        removals = self._bot.erasure.removals
        while some := await removals.to_remove(PLATFORM, after, MESSAGES_A_LOOK):
            after = some[-1].number
            over = [each.number for each in some if await self._is_over(each)]
            is_done &= len(over) == len(some)
            await removals.removed(over)
        return is_done

    async def _is_over(self, removal: Removal) -> bool:
        """Whether a message is gone, or can't be taken away by us, ever."""
        try:
            await self._take_away(removal)
        except discord.HTTPException as error:
            if is_passing(error):
                return False
            if not isinstance(error, discord.NotFound):
                _log.info("A message in channel %s stays: %s", removal.channel_id, error)
        except WRITE_ERRORS as error:
            _log.info("A message in channel %s is tried again: %s", removal.channel_id, error)
            return False
        return True

    async def _take_away(self, removal: Removal) -> None:
        channel = self._bot.get_channel(int(removal.channel_id))
        if not isinstance(channel, Channel):
            parent = self._bot.get_channel(int(removal.parent_id)) if removal.parent_id else None
            guild_id = parent.guild.id if isinstance(parent, discord.abc.GuildChannel) else None
            channel = self._bot.get_partial_messageable(int(removal.channel_id), guild_id=guild_id)
        await self._bot.voices.delete(channel, int(removal.message_id))
