"""What the bot knows of its own permissions, also where it knows little."""

from pathlib import Path

import discord
import pytest
from simcord.backend.models import Overwrite
from simcord.enums import OverwriteType
from worlds import World, talking

from cogs.platform import may_send_in, own_permissions


def deny(world: World, **permissions: bool) -> None:
    bits = discord.Permissions(**permissions).value
    overwrite = Overwrite(world.env.backend.bot_user.id, OverwriteType.MEMBER, deny=bits)
    world.env.backend.set_overwrite(world.channel.id, overwrite)


async def test_channels_and_threads_have_what_the_channel_allows(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        stored = world.env.backend.create_thread(world.channel.id, "aside", world.alice.id)
        await world.env.settle()
        deny(world, manage_messages=True, send_messages_in_threads=True)
        await world.env.settle()
        channel = world.bot.get_channel(world.channel.id)
        thread = world.bot.get_channel(stored.id)
        assert isinstance(channel, discord.TextChannel)
        assert isinstance(thread, discord.Thread)
        for place in (channel, thread):
            held = own_permissions(place)
            assert held is not None
            assert held.view_channel
            assert not held.manage_messages
        assert may_send_in(channel)
        assert not may_send_in(thread)


async def test_nothing_is_known_of_what_is_not_at_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with talking(tmp_path) as world:
        stored = world.env.backend.create_thread(world.channel.id, "aside", world.alice.id)
        await world.env.settle()
        thread = world.bot.get_channel(stored.id)
        direct = await world.bot.create_dm(discord.Object(world.alice.id))  # type: ignore[arg-type]
        partial = world.bot.get_partial_messageable(world.channel.id)
        assert isinstance(thread, discord.Thread)
        for place in (direct, partial):
            assert own_permissions(place) is None
            assert may_send_in(place)
        with monkeypatch.context() as patch:
            patch.setattr(discord.Guild, "me", None)  # as of a server that is not there now
            assert own_permissions(thread) is None
            assert may_send_in(thread)
        with monkeypatch.context() as patch:
            patch.setattr(discord.Thread, "parent", None)
            assert own_permissions(thread) is None
            assert may_send_in(thread)
        assert own_permissions(thread) is not None
