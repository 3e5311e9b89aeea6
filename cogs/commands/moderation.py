"""`/moderation`: what is taken out, who is not heard, and where moderators hear of it."""

from discord.ext import commands

from cogs.client import CaduceusBot


class ModerationCommands(
    commands.GroupCog, group_name="moderation", group_description="For moderators of this channel"
):
    """Commands for moderators. Each is a function of its own in `moderating/`."""

    def __init__(self, bot: CaduceusBot) -> None:
        self._bot = bot
