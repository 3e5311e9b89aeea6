"""What the tests of `/moderation` share."""

from typing import Any

import discord
import simcord
from simcord.backend.models import Overwrite
from simcord.enums import OverwriteType
from worlds import World


def deny_bot(
    world: World, channel: simcord.ChannelHandle | None = None, **permissions: bool
) -> None:
    """Take permissions from the bot in a channel; none gives them back."""
    bits = discord.Permissions(**permissions).value
    overwrite = Overwrite(world.env.backend.bot_user.id, OverwriteType.MEMBER, deny=bits)
    world.env.backend.set_overwrite((channel or world.channel).id, overwrite)


def answer(result: simcord.InteractionResult) -> str:
    """What one person alone was answered, as it reads now."""
    assert result.response is not None
    assert result.response.flags.ephemeral
    return result.response.content


def contents(world: World, channel: simcord.ChannelHandle | None = None) -> list[str]:
    return [message.content for message in (channel or world.channel).history()]


async def ask_purge(
    world: World,
    actor: simcord.MemberActor | None = None,
    channel: simcord.ChannelHandle | None = None,
    **options: Any,
) -> simcord.InteractionResult:
    """The question of a purge."""
    place = channel or world.channel
    return await (actor or world.chief).slash(place, "moderation purge", **options)


async def press(
    world: World,
    asked: simcord.InteractionResult,
    label: str = "Purge",
    actor: simcord.MemberActor | None = None,
) -> simcord.InteractionResult:
    """Press a button under an answer."""
    assert asked.response is not None
    return await (actor or world.chief).click(asked.response, label=label)


async def purged(world: World, **options: Any) -> str:
    """Ask and confirm; what is said then."""
    asked = await ask_purge(world, **options)
    await press(world, asked)
    return answer(asked)


async def log_here(world: World) -> simcord.ChannelHandle:
    """A log channel."""
    channel = world.guild.create_text_channel("mod-log")
    await world.chief.slash(world.channel, "moderation log", channel=channel)
    return channel


async def logged(world: World, log: simcord.ChannelHandle) -> list[str]:
    """The lines of a log channel, without the one that it began with."""
    await world.pass_time(30)
    lines = [line for message in log.history() for line in message.content.split("\n")]
    return [line for line in lines if not line.startswith("Here the moderators")]
