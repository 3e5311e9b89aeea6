"""What the bot has left: noticed at once or at the next start, never for an outage."""

import asyncio
from pathlib import Path

import discord
import pytest
from simcord.backend.models import Overwrite
from simcord.enums import OverwriteType
from worlds import World, talking

from bot.chat.messages import ChannelKey, IncomingMessage, Scope, Speaker
from bot.chat.privacy.jobs import JobKind
from bot.chat.privacy.people import Person, Place
from bot.store.privacy.forgetting import note_removals
from cogs.listening.departed import Departed
from cogs.listening.taking_away import TakingAway


async def clocks(world: World, kind: JobKind = JobKind.LEFT_GUILD) -> list[str]:
    return await world.database.jobs.subjects(kind, "discord")


async def start_again(world: World) -> None:
    """As after a start: all guilds are known."""
    departed, taking_away = world.bot.get_cog("Departed"), world.bot.get_cog("TakingAway")
    assert isinstance(departed, Departed)
    assert isinstance(taking_away, TakingAway)
    await departed.on_ready()
    await taking_away.on_ready()
    going_on = [one for one in asyncio.all_tasks() if one.get_name() == "taking messages away"]
    assert going_on
    await asyncio.wait(going_on)


async def said_in(world: World, key: ChannelKey, text: str = "hello") -> None:
    """Something that was said before the bot was away."""
    now = discord.utils.utcnow()
    message = IncomingMessage(f"{hash(text)}", key, Speaker("5", "Eve"), text, now)
    await world.database.history.add_message(message, addressed=False)


async def test_leaving_starts_a_clock_and_coming_back_stops_it(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.ask("hello")
        guild_id = str(world.guild.id)
        world.env.backend.remove_guild(world.guild.id)
        await world.pass_time(1)
        assert await clocks(world) == [guild_id]
        guild = world.bot.erasure.departures
        await guild.came_back("discord", [guild_id])
        assert await clocks(world) == []


async def test_joining_again_stops_the_clock(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        departed = world.bot.get_cog("Departed")
        assert isinstance(departed, Departed)
        await world.ask("hello")
        await world.bot.erasure.departures.left("discord", str(world.guild.id))
        guild = world.bot.get_guild(world.guild.id)
        assert guild is not None
        await departed.on_guild_join(guild)
        assert await clocks(world) == []


async def test_an_outage_is_no_leaving(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.ask("hello")
        gone = {"id": str(world.guild.id), "unavailable": True}
        world.env.backend.emit("GUILD_DELETE", gone)
        await world.pass_time(1)
        await start_again(world)
        assert await clocks(world) == []


async def test_a_start_that_knows_no_guild_is_no_leaving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with talking(tmp_path) as world:
        await world.ask("hello")
        with monkeypatch.context() as patch:
            patch.setattr(type(world.bot), "guilds", property(lambda _: []))
            await start_again(world)
        assert await clocks(world) == [], "Discord says that we are a member"


async def test_kicked_while_offline_is_noticed_at_the_next_start(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await said_in(world, ChannelKey("discord", "900", guild_id="4711"))
        await world.database.settings.change(
            Scope.CHANNEL, f"discord:{world.channel.id}", "top_k", 5, by="5"
        )
        await start_again(world)
        assert await clocks(world) == ["4711"]
        # Of a channel in which nothing was said, it is kept now in which guild it is.
        assert await world.database.places.unplaced_channels("discord") == []


async def test_discord_not_answering_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with talking(tmp_path) as world:
        await said_in(world, ChannelKey("discord", "900", guild_id="4711"))

        async def fails(*_: object, **__: object) -> object:
            raise OSError("no network")

        monkeypatch.setattr(world.bot, "fetch_guild", fails)
        await start_again(world)
        assert await clocks(world) == []


async def test_deleted_channels_and_threads_have_clocks_of_their_own(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.ask("hello")
        guild_id = str(world.guild.id)
        await said_in(world, ChannelKey("discord", "900", guild_id=guild_id), "gone")
        asleep = ChannelKey("discord", "901", guild_id=guild_id, parent_id=str(world.channel.id))
        await said_in(world, asleep, "asleep")
        await start_again(world)
        assert await clocks(world, JobKind.LOST_CHANNEL) == ["900"]
        channel = world.bot.get_channel(world.channel.id)
        assert isinstance(channel, discord.TextChannel)
        departed = world.bot.get_cog("Departed")
        assert isinstance(departed, Departed)
        await departed.on_guild_channel_delete(channel)
        assert sorted(await clocks(world, JobKind.LOST_CHANNEL)) == sorted(["900", str(channel.id)])


async def test_messages_are_taken_away_after_a_restart_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with talking(tmp_path, ["One.", "Two."]) as world:
        await world.ask("hello")
        await world.ask("again")

        async def fails(*_: object) -> None:
            raise OSError("no network")

        with monkeypatch.context() as patch:
            patch.setattr(type(world.bot.voices), "delete", fails)
            person = Person("discord", str(world.alice.id))
            await world.bot.erasure.forgetting.forget(person)
            await start_again(world)
        assert len(world.said()) == 2
        assert len(await world.database.removals.to_remove("discord", 0, 9)) == 2
        await start_again(world)
        assert world.said() == []
        assert await world.database.removals.to_remove("discord", 0, 9) == []


async def test_what_may_not_be_taken_away_is_not_tried_for_ever(tmp_path: Path) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        message = await world.ask("hello")
        bits = discord.Permissions(manage_messages=True).value
        refused = Overwrite(world.env.backend.bot_user.id, OverwriteType.MEMBER, deny=bits)
        world.env.backend.set_overwrite(world.channel.id, refused)
        key = ChannelKey("discord", str(world.channel.id), guild_id=str(world.guild.id))
        await said_in(world, key, "older")
        place = Place(1, key)
        await world.database.history.transactions.write(
            lambda connection: note_removals(connection, place, [str(message.id)])
        )
        await start_again(world)
        assert await world.database.removals.to_remove("discord", 0, 9) == []
        kept = [one.id for one in world.channel.history()]
        assert message.id in kept, "it is somebody else's"
