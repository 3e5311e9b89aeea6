"""What the tests of personas' voices share."""

import asyncio

import discord
import simcord
from simcord.backend.models import Overwrite
from simcord.enums import OverwriteType
from worlds import QUICK, World, new_bot

from bot.chat.messages import Scope
from cogs.platform import bare_key


async def use(
    world: World, name: str = "Ada", channel: simcord.ChannelHandle | None = None
) -> None:
    """Choose a persona, without a word about it, and let it say much."""
    place = channel or world.channel
    cascade = world.bot.conversations.settings
    key = bare_key(place.id, world.guild.id)
    await cascade.set(key, Scope.CHANNEL, "persona", name, by="1")
    await cascade.set(key, Scope.CHANNEL, "max_reply_tokens", "2048", by="1")


def spoken(world: World, channel: simcord.ChannelHandle | None = None) -> list[tuple[str, str]]:
    """Who of the bot's said what, as people see it."""
    return [(one.author.display_name, one.content) for one in world.messages(channel)]


def last(world: World, channel: simcord.ChannelHandle | None = None) -> discord.Message:
    return world.messages(channel)[-1]


def line_to(world: World, asked: discord.Message, name: str = "Alice") -> str:
    return (
        f"-# [↪ {name}](https://discord.com/channels/{world.guild.id}/"
        f"{asked.channel.id}/{asked.id})\n"
    )


def webhook_ids(world: World) -> list[int]:
    return sorted(world.env.backend.webhooks)


def allow_webhooks(
    world: World, *, allowed: bool, channel: simcord.ChannelHandle | None = None
) -> None:
    """Give the bot the permission, or take it away."""
    bit = discord.Permissions(manage_webhooks=True).value
    overwrite = Overwrite(
        world.env.backend.bot_user.id, OverwriteType.MEMBER, deny=0 if allowed else bit
    )
    world.env.backend.set_overwrite((channel or world.channel).id, overwrite)


async def restart(world: World) -> None:
    """Another process, the same database."""
    bot = await asyncio.to_thread(
        new_bot, world.database, world.personas_folder, world.engine, QUICK
    )
    await world.env.restart_bot(bot)
    world.bot = bot
