"""Where the bot may not send, it writes nothing: no model's time for what nobody can see."""

import datetime
import logging
from collections.abc import Callable
from pathlib import Path

import discord
import pytest
import simcord
from worlds import World, talking

NO_SENDING = discord.PermissionOverwrite(send_messages=False, send_messages_in_threads=False)


def somebody(world: World) -> simcord.MemberActor:
    """Who may do everything."""
    role = world.guild.create_role("admin", permissions=discord.Permissions(administrator=True))
    return world.guild.add_member(world.env.create_user("admin"), roles=[role])


def closed(world: World, overwrite: discord.PermissionOverwrite) -> simcord.ChannelHandle:
    everyone = world.guild.default_role
    return world.guild.create_text_channel("news", overwrites={everyone: overwrite})


def me(world: World) -> discord.Member:
    guild = world.bot.get_guild(world.guild.id)
    assert guild is not None
    return guild.me


def time_out(world: World) -> None:
    me(world).timed_out_until = discord.utils.utcnow() + datetime.timedelta(hours=1)


async def thread_in(world: World, channel: simcord.ChannelHandle) -> simcord.ChannelHandle:
    found = world.bot.get_channel(channel.id)
    assert isinstance(found, discord.TextChannel)
    with world.env._bot_scope():
        await found.create_thread(name="aside", type=discord.ChannelType.public_thread)
    return channel.threads[0]


async def lock(world: World, thread: simcord.ChannelHandle) -> None:
    found = world.bot.get_channel(thread.id)
    assert isinstance(found, discord.Thread)
    found.locked = True


async def test_a_channel_where_it_may_not_send_costs_no_generation(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with talking(tmp_path) as world:
        news, admin = closed(world, NO_SENDING), somebody(world)
        with caplog.at_level(logging.WARNING, "cogs"):
            for number in range(3):
                await admin.send(news, f"{world.me} news {number}")
        assert world.engine.requests == []
        assert world.said(news) == []
        assert world.requests("POST", "/typing") == []
        assert [
            record.message for record in caplog.records if "may not send" in record.message
        ] == [f"discord:{news.id} is not answered in: the bot may not send messages there"]
        assert len(world.bot.conversations._channels) == 0
        await world.ask("and here?")
        assert world.said() == ["Hello, Alice."]


async def test_what_waits_there_is_answered_once_it_may(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        time_out(world)
        await world.ask("first")
        await world.env.advance_time(11 * 60)
        await world.ask("second")
        me(world).timed_out_until = None
        await world.ask("third")
        assert world.said() == ["Hello, Alice."]
        answered = [turn.text for turn in await world.turns() if turn.answered_by is not None]
        assert answered == ["second", "third"]  # the first had waited for too long


async def test_a_locked_thread_is_left_alone(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        no_moderator = discord.PermissionOverwrite(manage_threads=False)
        thread = await thread_in(world, closed(world, no_moderator))
        await world.alice.send(thread, f"{world.me} hello")
        assert len(world.said(thread)) == 1
        await lock(world, thread)
        await somebody(world).send(thread, f"{world.me} hello")
        assert len(world.engine.requests) == 1


async def test_a_bot_in_timeout_writes_nothing(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        time_out(world)
        await world.ask("hello")
        assert world.engine.requests == []
        me(world).timed_out_until = None
        await world.ask("hello again")
        assert len(world.engine.requests) == 1


@pytest.mark.parametrize(
    "press",
    [
        lambda world: world.alice.click(world.messages()[0], label="Regenerate"),
        lambda world: world.alice.click(world.messages()[0], label="Continue"),
        lambda world: world.alice.slash(world.channel, "chat regenerate"),
        lambda world: world.alice.slash(world.channel, "chat continue"),
    ],
)
async def test_who_presses_a_button_there_is_told(
    tmp_path: Path, press: Callable[[World], object]
) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        await world.ask("hello")
        time_out(world)
        result = await press(world)  # type: ignore[misc]
        told = result.followups[0] if result.followups else result.response
        assert "I may not write in this channel" in told.content
        assert len(world.engine.requests) == 1


async def test_a_direct_message_is_answered(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.alice.user.send_dm("hello")
        assert world.said(world.alice.user.dm_channel) == ["Hello, Alice."]
