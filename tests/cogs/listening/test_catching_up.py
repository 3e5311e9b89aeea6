"""What was said while the bot was away is answered once."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import discord
import pytest
from simcord.backend import serializers
from worlds import QUICK, World, labels, new_bot, talking

from bot.chat.messages import ChannelKey, Speaker
from bot.engine.fake import FakeEngine
from bot.store import runs
from bot.store.database import Database
from cogs.listening.catchup import AT_ONCE, CatchUp
from cogs.listening.incoming import Reader
from cogs.listening.messages import MessageListener
from cogs.platform import key_of


def go_away(world: World) -> None:
    """The connection breaks: events are lost."""
    world.bot.ws.open = False  # type: ignore[attr-defined]


async def come_back(world: World, *live: str, is_guild_late: bool = False) -> None:
    """A new session, as after one that could not be resumed; `live` is said right after READY."""
    backend = world.env.backend
    socket = world.bot.ws
    socket.open = True  # type: ignore[attr-defined]
    with world.env._bot_scope():
        gateway = socket._gateway  # type: ignore[attr-defined]
        gateway.feed(
            "READY",
            {
                "v": 10,
                "user": dict(serializers.user_payload(backend.bot_user)),
                "guilds": [{"id": str(number), "unavailable": True} for number in backend.guilds],
                "session_id": "another",
                "resume_gateway_url": "wss://simcord.invalid",
                "shard": [0, 1],
                "application": {"id": str(backend.application_id), "flags": 0},
            },
        )
        for guild in () if is_guild_late else backend.guilds.values():
            gateway.feed("GUILD_CREATE", serializers.guild_create_payload(backend, guild))
    for text in live:
        backend.create_message(world.channel.id, world.alice.id, text)
    await world.env.settle()


async def restart(world: World) -> None:
    """Another process, the same database."""
    bot = await asyncio.to_thread(
        new_bot, world.database, world.personas_folder, world.engine, QUICK
    )
    await world.env.restart_bot(bot)
    world.bot = bot


async def test_what_was_missed_is_answered_once(tmp_path: Path) -> None:
    async with talking(tmp_path, ["First.", "Second."]) as world:
        await world.ask("before")
        go_away(world)
        await world.ask("are you there?")
        await world.ask("hello?", world.bob)
        assert world.said() == ["First."]
        await come_back(world)
        assert world.said() == ["First.", "Second."]
        assert [turn.text for turn in await world.turns()] == [
            "before",
            "First.",
            "are you there?",
            "hello?",
            "Second.",
        ]
        go_away(world)
        await come_back(world)
        assert world.said() == ["First.", "Second."]


async def test_what_is_said_before_the_catching_up_hides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with talking(tmp_path, ["First.", "Second.", "Third."]) as world:
        history = world.bot.conversations.history
        quick = history.last_seen

        async def slow(platform: str) -> Mapping[ChannelKey, str]:
            await asyncio.sleep(0.1)  # time enough for a live message to move the mark
            return await quick(platform)

        monkeypatch.setattr(history, "last_seen", slow)
        await world.ask("before")
        go_away(world)
        await world.ask("missed")
        await come_back(world, f"{world.me} live")
        texts = [turn.text for turn in await world.turns()]
        assert {"live", "missed"} <= set(texts)
        assert all(turn.answered_by for turn in await world.turns() if turn.role == "user")


async def test_what_is_older_than_ten_minutes_is_kept_but_not_answered(tmp_path: Path) -> None:
    async with talking(tmp_path, ["First.", "Second."]) as world:
        await world.ask("before")
        go_away(world)
        await world.ask("too long ago")
        await world.env.advance_time(11 * 60)
        await come_back(world)
        assert world.said() == ["First."]
        assert [turn.text for turn in await world.turns()][-1] == "too long ago"


async def test_a_new_process_answers_what_was_said_meanwhile(tmp_path: Path) -> None:
    async with talking(tmp_path, ["First.", "Second."]) as world:
        await world.ask("before")
        go_away(world)
        await world.ask("while you were down")
        await restart(world)
        assert world.said() == ["First.", "Second."]
        await restart(world)
        assert world.said() == ["First.", "Second."]


async def test_a_new_process_answers_what_the_old_one_had_only_heard(tmp_path: Path) -> None:
    gate = asyncio.Semaphore(0)
    engine = FakeEngine(["First."], gate=gate)
    async with talking(tmp_path, engine=engine) as world:
        await world.ask("hello?")
        assert world.said() == []
        engine.gate = None
        await restart(world)
        assert world.said() == ["First."]
        turns = await world.turns()
        assert [turn.text for turn in turns] == ["hello?", "First."]


async def test_a_channel_that_cannot_be_read_hinders_no_other(tmp_path: Path) -> None:
    async with talking(tmp_path, ["First.", "Second.", "Third."]) as world:
        other = world.guild.create_text_channel("other")
        await world.ask("before")
        await world.alice.send(other, f"{world.me} before")
        go_away(world)
        await world.ask("lost")
        await world.alice.send(other, f"{world.me} found")
        world.env.inject_error(
            "GET", f"/channels/{world.channel.id}/messages", status=403, code=50001
        )
        await come_back(world)
        assert len(world.said(other)) == 2
        assert len(world.said()) == 1


async def test_a_direct_message_missed_is_answered(tmp_path: Path) -> None:
    async with talking(tmp_path, ["First.", "Second."]) as world:
        user = world.alice.user
        await user.send_dm("before")
        go_away(world)
        await user.send_dm("missed")
        await come_back(world)
        assert world.said(user.dm_channel) == ["First.", "Second."]


async def test_a_channel_where_nobody_had_spoken_before_is_caught_up_with(tmp_path: Path) -> None:
    async with talking(tmp_path, ["First.", "Second.", "Third."]) as world:
        quiet = world.guild.create_text_channel("quiet")
        parent = world.bot.get_channel(world.channel.id)
        assert isinstance(parent, discord.TextChannel)
        with world.env._bot_scope():
            await parent.create_thread(name="aside", type=discord.ChannelType.public_thread)
        [thread] = world.channel.threads
        await world.ask("before")
        go_away(world)
        await world.alice.send(quiet, f"{world.me} are you there?")
        await world.bob.send(thread, f"{world.me} and here?")
        await come_back(world)
        assert len(world.said(quiet)) == len(world.said(thread)) == 1
        assert [turn.text for turn in await world.turns(quiet)][:-1] == ["are you there?"]
        go_away(world)
        await come_back(world)
        assert len(world.said(quiet)) == len(world.said(thread)) == 1


async def test_a_channel_without_news_or_rights_is_not_asked_about(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        old = world.guild.create_text_channel("old")
        secret = world.guild.create_text_channel(
            "secret",
            overwrites={
                world.guild.default_role: discord.PermissionOverwrite(read_message_history=False)
            },
        )
        await world.ask("before")
        go_away(world)
        await world.alice.send(old, f"{world.me} long ago")
        await world.env.advance_time(11 * 60)
        await world.alice.send(secret, f"{world.me} hidden")
        await come_back(world)
        asked = {entry.path for entry in world.requests("GET", "/messages")}
        assert asked <= {f"/channels/{world.channel.id}/messages"}
        assert world.said(old) == world.said(secret) == []


async def test_a_guild_that_comes_late_is_caught_up_with(tmp_path: Path) -> None:
    async with talking(tmp_path, ["First.", "Second."]) as world:
        await world.ask("before")
        go_away(world)
        await world.ask("missed")
        await come_back(world, is_guild_late=True)
        assert world.said() == ["First."]
        backend = world.env.backend
        found = backend.guilds[world.guild.id]
        payload = {**serializers.guild_create_payload(backend, found), "unavailable": False}
        with world.env._bot_scope():
            world.bot.ws._gateway.feed("GUILD_CREATE", payload)  # type: ignore[attr-defined]
        await world.env.settle()
        assert world.said() == ["First.", "Second."]


async def test_who_spoke_last_is_caught_up_with_first(tmp_path: Path) -> None:
    async with talking(tmp_path, ["x"]) as world:
        channels = [world.guild.create_text_channel(f"room-{number}") for number in range(3)]
        for channel in (channels[1], channels[2], channels[0]):
            await world.alice.send(channel, f"{world.me} before")
        go_away(world)
        for channel in channels:
            await world.alice.send(channel, f"{world.me} missed")
        await come_back(world)
        asked = [entry.path.split("/")[2] for entry in world.requests("GET", "/messages")]
        assert asked == [str(channels[number].id) for number in (0, 2, 1)]


async def test_a_channel_deleted_meanwhile_is_left_alone(tmp_path: Path) -> None:
    async with talking(tmp_path, ["First.", "Second."]) as world:
        other = world.guild.create_text_channel("other")
        await world.alice.send(other, f"{world.me} before")
        go_away(world)
        await world.alice.send(other, f"{world.me} missed")
        world.env.backend.delete_channel(other.id)
        await come_back(world)
        await world.ask("still alive?")
        assert world.said() == ["Second."]
        assert labels(world.messages()[0])


async def test_commands_are_synced_once_and_then_when_they_change(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        assert len(world.requests("PUT", "/commands")) == 1
        for expected in (1, 0):
            folder = tmp_path / "personas"
            bot = await asyncio.to_thread(
                new_bot, world.database, folder, world.engine, QUICK, tmp_path
            )
            before = len(world.requests("PUT", "/commands"))
            await world.env.restart_bot(bot)
            assert len(world.requests("PUT", "/commands")) - before == expected


async def test_commands_that_cannot_be_synced_keep_nobody_from_talking(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        world.env.inject_error("PUT", "/applications/*/commands", status=500)
        await restart(world)
        await world.ask("hello")
        assert world.said() == ["Hello, Alice."]
        assert isinstance(world.bot.user, discord.ClientUser)


async def test_a_rolling_restart_loses_no_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old process is killed while it answers, and the new one is up already."""
    # The store's clock is the real one, the message's is simulated.
    monkeypatch.setattr(runs, "OFFERED_FOR", timedelta(days=36_500))
    async with talking(tmp_path, ["First.", "Second."]) as world:
        await world.ask("before")
        go_away(world)
        question = await world.ask("are you there?")  # only the old one hears it
        world.bot.ws.open = True  # type: ignore[attr-defined]
        key = key_of(question.channel)  # type: ignore[arg-type]
        old = await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'test.db'}")
        account = str(world.bot.application_id)
        await old.history.serve("discord", account, lambda _: None)
        me = world.bot.user
        assert me is not None
        settings = await world.bot.conversations.settings.resolve(key)
        message = await Reader(world.bot.conversations).read(question, me, settings)
        asked = await old.history.add_message(message, addressed=True)
        assert asked is not None
        bot = Speaker("bot", "Caduceus", is_bot=True)
        await old.history.begin_reply(key, bot, persona="Ada", answers=[asked.turn_id])
        with world.env._bot_scope():
            for _ in range(3):
                await world.database.run.look()
        await world.env.settle()
        assert world.said() == ["First."]  # the old one is at it

        await old.run._locks.release()  # type: ignore[union-attr]
        old.run._locks = None
        await old.close()
        with world.env._bot_scope():
            for _ in range(3):
                await world.database.run.look()
        await world.env.settle()
        assert world.said() == ["First.", "Second."]
        assert [turn.text for turn in await world.turns()][-2:] == ["are you there?", "Second."]


# Many direct messages ---------------------------------------------------------------------------


class Fetches:
    """Holds back what direct messages are asked about, and counts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.gate = asyncio.Semaphore(0)
        self.most_at_once = self._at_once = 0
        fetch = CatchUp._fetch

        async def held(catch_up: CatchUp, channel: discord.TextChannel, mark: int) -> bool:
            if not isinstance(channel, discord.PartialMessageable):
                return await fetch(catch_up, channel, mark)
            self.asked.append(str(channel.id))
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            await self.gate.acquire()
            self._at_once -= 1
            return True

        monkeypatch.setattr(CatchUp, "_fetch", held)

    async def let(self, world: World, count: int) -> None:
        for _ in range(count):
            self.gate.release()
        await world.env.settle()


async def write_long_ago(world: World, count: int, ago: timedelta, first: int = 0) -> list[str]:
    """So many people's direct messages have been seen, the newest last."""
    ids = [str(5_000_000 + first + number) for number in range(count)]
    mark = discord.utils.time_snowflake(discord.utils.utcnow() - ago)
    await asyncio.gather(
        *(
            world.database.history.note_seen(
                ChannelKey("discord", number, is_direct=True), str(mark + place)
            )
            for place, number in enumerate(ids)
        )
    )
    return ids


async def test_thousands_of_direct_messages_keep_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetches = Fetches(monkeypatch)
    monkeypatch.setattr("cogs.listening.catchup.MOST_DIRECT", 50)
    async with talking(tmp_path, ["First.", "Second.", "Third."]) as world:
        await world.ask("before")
        recent = await write_long_ago(world, 200, timedelta(days=1))
        await write_long_ago(world, 200, timedelta(days=8), first=1000)
        quiet = world.guild.create_text_channel("quiet")
        go_away(world)
        await world.ask("missed")
        await world.alice.send(quiet, f"{world.me} missed here too")
        await come_back(world)
        assert world.said()[-1] in ("Second.", "Third.")  # though no direct message is here yet
        assert len(world.said(quiet)) == 1
        assert len(fetches.asked) == fetches.most_at_once == AT_ONCE
        await fetches.let(world, 50)
        assert fetches.asked == recent[:-51:-1]  # who wrote last first; the others not at all
        go_away(world)
        await come_back(world)
        assert len(fetches.asked) == 50 + AT_ONCE  # again after every lost session
        await fetches.let(world, 100)


async def test_what_waits_from_before_is_answered_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetches = Fetches(monkeypatch)
    engine = FakeEngine(["First."], gate=asyncio.Semaphore(0))
    async with talking(tmp_path, engine=engine) as world:
        other = world.guild.create_text_channel("other")
        await world.alice.send(other, "nothing for the bot")
        await world.ask("hello?")
        await write_long_ago(world, 30, timedelta(hours=1))
        go_away(world)
        await world.ask("are you there?", world.bob)
        await world.alice.send(other, f"{world.me} hello")
        engine.gate = None
        before = len(world.requests("GET", "/messages"))
        await restart(world)
        asked = [entry.path.split("/")[2] for entry in world.requests("GET", "/messages")[before:]]
        assert asked == [str(world.channel.id), str(other.id)]
        assert world.said() == ["First."]  # to both
        assert [bool(turn.answered_by) for turn in await world.turns()][:2] == [True, True]
        await fetches.let(world, 100)


async def test_a_session_lost_while_it_catches_up_begins_it_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetches = Fetches(monkeypatch)
    async with talking(tmp_path, ["First.", "Second."]) as world:
        await world.ask("before")
        await write_long_ago(world, 30, timedelta(hours=1))
        go_away(world)
        await come_back(world)
        assert len(fetches.asked) == AT_ONCE
        go_away(world)
        await world.ask("missed")
        await come_back(world)
        await fetches.let(world, AT_ONCE)
        assert world.said() == ["First.", "Second."]
        await fetches.let(world, 100)
        assert len(fetches.asked) == AT_ONCE + 30  # those under way may have missed something
        assert len(set(fetches.asked)) == 30


async def test_what_could_not_be_fetched_is_asked_for_again(tmp_path: Path) -> None:
    async with talking(tmp_path, ["First.", "Second."]) as world:
        await world.ask("before")
        go_away(world)
        await world.ask("missed")
        world.env.inject_error("GET", f"/channels/{world.channel.id}/messages", status=507)
        await come_back(world)
        assert world.said() == ["First."]
        go_away(world)
        await come_back(world)
        assert world.said() == ["First.", "Second."]


async def test_a_message_deleted_after_it_was_fetched_is_not_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with talking(tmp_path, ["First.", "Second."]) as world:
        await world.ask("before")
        go_away(world)
        question = await world.ask("my secret")
        hear = MessageListener.hear

        async def slowly(listener: MessageListener, message: discord.Message) -> bool:
            if message.id == question.id:
                world.env.backend.delete_message(world.channel.id, question.id)
                await asyncio.sleep(0.05)
            return await hear(listener, message)

        monkeypatch.setattr(MessageListener, "hear", slowly)
        await come_back(world)
        assert world.said() == ["First."]
        assert [turn.text for turn in await world.turns()] == ["before", "First."]
