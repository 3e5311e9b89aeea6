"""`/moderation log`: where the server's moderators are told of what happens."""

from typing import Any

import discord

from bot.chat.moderation.log_channels import LogChannel
from bot.errors import NotAllowed
from cogs.client import CaduceusBot, Interaction, bot_of
from cogs.commands.library.asking import AskerView
from cogs.commands.moderating.log_writer import LogWriter, find_channel, send_in
from cogs.platform import PLATFORM, WRITE_ERRORS, may_send_in
from cogs.rights.holding import own_server

HEARS = (
    "changed settings, purges, blocks, word lists, refused imports, replies that fail or that "
    "AutoMod refuses; never what people say"
)

GivenChannel = discord.TextChannel | discord.VoiceChannel | discord.StageChannel | discord.Thread


async def set_log(interaction: Interaction, given: GivenChannel) -> None:
    """Let a channel be the log's. Raises NotAllowed where the bot can't write there."""
    guild_id = own_server(interaction)
    await interaction.response.defer(ephemeral=True, thinking=True)
    bot = bot_of(interaction)
    guild = bot.get_guild(int(guild_id))
    channel = None if guild is None else await find_channel(guild, given.id)
    if channel is None:
        raise NotAllowed("That channel is not in this server, or hidden from me.")
    if not may_send_in(channel):
        raise NotAllowed(
            f"I may not write in <#{given.id}>.",
            "Let me view it and send messages there, then try again.",
        )
    said = f"Here the moderators hear of {HEARS}."
    try:
        await send_in(channel, said)
    except WRITE_ERRORS as error:
        raise NotAllowed(f"I cannot write in <#{given.id}>.", "Choose another channel.") from error
    log = LogChannel(
        PLATFORM,
        guild_id,
        str(given.id),
        str(interaction.user.id),
        discord.utils.utcnow(),
    )
    await bot.moderation.log_channels.put(log)
    _tell_writer(bot, guild_id)
    said = f"<#{given.id}> is the log channel now. It hears of {HEARS}."
    await interaction.followup.send(said, ephemeral=True)


async def show_log(interaction: Interaction) -> None:
    """Say which channel is the log's, with a button that switches it off."""
    guild_id = own_server(interaction)
    await interaction.response.defer(ephemeral=True, thinking=True)
    log = await bot_of(interaction).moderation.log_channels.find(PLATFORM, guild_id)
    if log is None:
        said = "There is no log channel. `/moderation log channel:` sets one: it hears of "
        await interaction.followup.send(f"{said}{HEARS}.", ephemeral=True)
        return
    by = f", set by <@{log.set_by}>" if log.set_by else ""
    when = discord.utils.format_dt(log.set_at, "R")
    said = f"<#{log.channel_id}> is the log channel{by} {when}."
    if log.problem:
        said += (
            f"\n⚠️ Nothing is written there any more: {log.problem} Set it again, or another one. "
            "What has happened since is told then."
        )
    view = LogView(interaction)
    await interaction.followup.send(said, view=view, ephemeral=True)


class LogView(AskerView):
    """Switches the log off."""

    @discord.ui.button(label="Switch off", style=discord.ButtonStyle.danger)
    async def switch_off(self, interaction: Interaction, _button: discord.ui.Button[Any]) -> None:
        """Let there be no log channel."""
        await interaction.response.defer()
        guild_id = own_server(interaction)
        self.stop()
        logs = bot_of(interaction).moderation.log_channels
        log = await logs.remove(PLATFORM, guild_id)
        _tell_writer(bot_of(interaction), guild_id)
        which = "" if log is None else f" It was <#{log.channel_id}>."
        said = f"There is no log channel any more.{which}"
        await interaction.edit_original_response(content=said, view=None)


def _tell_writer(bot: CaduceusBot, guild_id: str) -> None:
    """What waits for a guild's log channel goes to the new one, or to nobody."""
    writer = bot.get_cog(LogWriter.__name__)
    if isinstance(writer, LogWriter):
        writer.channel_changed(guild_id)
