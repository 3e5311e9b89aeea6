"""`/privacy about`: what becomes of what people say, in the channel where they ask."""

from datetime import datetime

import discord

from bot.chat.privacy.handling import Place, paragraphs
from cogs.client import CaduceusBot, Interaction, bot_of, channel_of
from cogs.platform import PLATFORM, WRITE_ERRORS, key_of

OWNERS_NAMED = 3
NOBODY_KNOWN = "whoever set me up (they have not said who)"


class Owners:
    """Who runs the bot, as people see it. Asked of Discord once."""

    def __init__(self, bot: CaduceusBot) -> None:
        """Its OWNER_IDS come first: those are set by hand."""
        self._bot = bot
        self._found = ""

    async def shown(self) -> str:
        """Mentions of the owners, or of the application's, which Discord knows."""
        if not self._found:
            owner_ids = sorted(self._bot.owner_ids or ()) or await self._asked()
            self._found = ", ".join(f"<@{number}>" for number in owner_ids[:OWNERS_NAMED])
        return self._found or NOBODY_KNOWN

    async def _asked(self) -> list[int]:
        try:
            info = await self._bot.application_info()
        except WRITE_ERRORS:
            return []  # asked again the next time
        if info.team is None:
            return [info.owner.id]
        members = [member.id for member in info.team.members]
        first = [number for number in members if number == info.team.owner_id]
        return first + [number for number in members if number not in first]


async def show_about(interaction: Interaction, owners: Owners) -> None:
    """Tell the truth about this channel, at this moment."""
    await interaction.response.defer(ephemeral=True, thinking=True)
    bot, key = bot_of(interaction), key_of(channel_of(interaction))
    settings = await bot.conversations.settings.resolve(key)
    scene = await bot.conversations.casting.scene(key)
    place = Place(settings, is_direct=key.is_direct, is_scene=scene is not None)
    since = await bot.privacy.staying_out.since(PLATFORM, str(interaction.user.id))
    embed = discord.Embed(title="Your privacy here", description=_standing(since))
    for heading, text in paragraphs(bot.privacy.handling, place, await owners.shown()):
        embed.add_field(name=heading, value=text, inline=False)
    await interaction.followup.send(embed=embed, ephemeral=True)


def _standing(since: datetime | None) -> str | None:
    if since is None:
        return None
    return (
        f"**You have opted out** since {discord.utils.format_dt(since, 'D')}: of what follows, "
        "nothing holds for what you say. What was kept before is left out, but not erased. "
        "`/privacy optin` takes it back."
    )
