"""`/moderation`: what is taken out, who is not heard, and where moderators hear of it."""

from typing import Literal

import discord
from discord import app_commands
from discord.ext import commands

from bot.chat.limits.words.word import Side
from bot.chat.messages import ChannelKey
from bot.chat.moderation.journal import Event, EventKind
from bot.chat.talk.conversations import Reply
from bot.chat.text.forbidden.redaction import Then
from cogs.client import CaduceusBot, Interaction
from cogs.commands.moderating.blocking import block, complete_blocked, unblock
from cogs.commands.moderating.log_channel import set_log, show_log
from cogs.commands.moderating.purge import show_purge
from cogs.commands.moderating.sweeping import Sweeper
from cogs.commands.moderating.words import change_words, complete_word

MOST_EXCHANGES = 1000


class ModerationCommands(
    commands.GroupCog, group_name="moderation", group_description="For moderators of this channel"
):
    """Commands for moderators. Each is a function of its own in `moderating/`."""

    def __init__(self, bot: CaduceusBot) -> None:
        self._moderation = bot.moderation
        self._sweeper = Sweeper(bot, bot.moderation.purger)
        bot.serving.on_ended(self._ended)
        bot.serving.on_refused(self._refused)
        bot.erasure.forgetting.on_erased(self._moderation.erasures.erased)

    async def cog_unload(self) -> None:
        """What is being taken away goes on at the next start."""
        await self._sweeper.close()

    @commands.Cog.listener()
    async def on_ready(self) -> None:
        """Go on with the purges that a restart has interrupted."""
        self._sweeper.resume()

    @app_commands.command()
    @app_commands.describe(
        member="Whose messages here, with my replies to them",
        since="From when on: 2h, 3d, 2026-11-01, or a message's link",
        count="How many of the newest exchanges: a reply of mine, and what it answers",
    )
    async def purge(
        self,
        interaction: Interaction,
        member: discord.User | None = None,
        since: str | None = None,
        count: app_commands.Range[int, 1, MOST_EXCHANGES] | None = None,
    ) -> None:
        """Take exchanges out of this channel and of what I keep, for good. Shows them first."""
        await show_purge(interaction, self._sweeper, member, since, count)

    @app_commands.command()
    @app_commands.describe(member="Who is not to be heard any more; an id where they have left")
    async def block(self, interaction: Interaction, member: discord.User) -> None:
        """Hear somebody no more, anywhere in this server. They are not told."""
        await block(interaction, member)

    @app_commands.command()
    @app_commands.describe(member="Who is to be heard again: one of the list, or an id")
    @app_commands.autocomplete(member=complete_blocked)
    async def unblock(self, interaction: Interaction, member: str) -> None:
        """Hear somebody again. The list shows everybody who is blocked in this server."""
        await unblock(interaction, member)

    @app_commands.command()
    @app_commands.describe(
        action="What to do",
        pattern="A word, a phrase, or a pattern between slashes: /colou?rs?/",
        then="What happens where it is met",
        side="Where it is looked for: in what people write, in what I say, or both",
    )
    @app_commands.autocomplete(pattern=complete_word)
    async def words(
        self,
        interaction: Interaction,
        action: Literal["add", "remove", "list"],
        pattern: str | None = None,
        then: Literal["mask", "stop", "ignore"] = "mask",
        side: Literal["both", "in", "out"] = "both",
    ) -> None:
        """Keep words out of what I hear and say in this server."""
        await change_words(interaction, action, pattern, Then[then.upper()], Side(side))

    @app_commands.command()
    @app_commands.describe(channel="Where moderators are told; leave it out to see or switch off")
    async def log(
        self,
        interaction: Interaction,
        channel: discord.TextChannel | discord.VoiceChannel | discord.Thread | None = None,
    ) -> None:
        """Choose the channel that hears of settings, purges, blocks and faults, never of texts."""
        if channel is None:
            await show_log(interaction)
        else:
            await set_log(interaction, channel)

    async def _ended(self, reply: Reply) -> None:
        """Tell moderators of replies that fail."""
        await self._moderation.outages.ended(reply.turn.channel, reply.outcome)

    async def _refused(self, key: ChannelKey) -> None:
        """Tell moderators of what AutoMod refuses."""
        text = "This server's AutoMod did not let a reply of mine through"
        event = Event(EventKind.AUTOMOD, text, channel_id=key.channel_id)
        await self._moderation.journal.note(key.guild_id, event)
