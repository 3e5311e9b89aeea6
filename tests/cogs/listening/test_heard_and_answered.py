"""Who is heard and answered in Discord: roles, rates, quiet hours, other bots, proxies."""

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import discord
import pytest
import simcord
from test_catching_up import come_back, go_away, restart
from test_proxies import Proxy
from worlds import QUICK, World, new_bot, talking

from bot.chat.definitions import ChannelSettings
from bot.chat.limits.bots import MOST_IN_A_ROW
from bot.chat.limits.notices import MOST_A_MINUTE
from bot.chat.messages import ChannelKey
from bot.chat.settings import SettingsCascade
from cogs.listening import incoming
from cogs.listening.messages import MessageListener
from cogs.listening.naming import ROLES_SECONDS


def notices(world: World) -> list[discord.Message]:
    return [message for message in world.messages() if message.content.startswith("⏳")]


async def texts(world: World) -> list[str]:
    return [turn.text for turn in await world.turns()]


def muted(world: World, name: str = "cleo") -> tuple[simcord.MemberActor, simcord.RoleHandle]:
    """Somebody with a role."""
    role = world.guild.create_role("Muted")
    member = world.guild.add_member(world.env.create_user(name), roles=[role])
    return member, role


async def test_a_blocked_role_is_not_heard_and_an_allowed_one_answered(tmp_path: Path) -> None:
    async with talking(tmp_path, lambda request: "Yes?") as world:
        cleo, role = muted(world)
        for named in (role.mention, str(role.id), "muted"):
            await world.put(context="channel", blocked_roles=[named])
            await world.ask("hello?", cleo)
            await cleo.send(world.channel, "I am here.")
            assert (world.said(), await texts(world)) == ([], [])
        await world.put(blocked_roles=None, allowed_roles=["Muted"])
        await world.ask("hello?")
        assert (world.said(), await texts(world)) == ([], ["hello?"])
        await world.ask("and I?", cleo)
        assert world.said() == ["Yes?"]


async def test_nobody_gets_in_by_a_nickname(tmp_path: Path) -> None:
    async with talking(tmp_path, lambda request: "Yes?") as world:
        await world.put(allowed_roles=["alice"])
        mask = world.guild.add_member(world.env.create_user("mallory"), nick="alice")
        await world.ask("let me in", mask)
        assert world.said() == []
        await world.ask("hello?")
        assert world.said() == ["Yes?"]


async def test_what_was_missed_passes_the_gate_with_roles_that_are_asked_for(
    tmp_path: Path,
) -> None:
    async with talking(tmp_path, lambda request: "Yes?") as world:
        cleo, _role = muted(world)
        await world.ask("before")
        await cleo.send(world.channel, "I am known here.")
        await world.put(blocked_roles=["Muted"])
        listener = world.bot.get_cog("MessageListener")
        assert isinstance(listener, MessageListener)
        later = time.monotonic() + 2 * ROLES_SECONDS  # by then they may have other roles
        listener._reader.names._clock = lambda: later
        go_away(world)
        await world.ask("hear me", cleo)
        await world.ask("and me")
        await come_back(world)
        assert await texts(world) == ["before", "Yes?", "and me", "Yes?"]
        await world.put(blocked_roles=None, allowed_roles=["Muted"])
        go_away(world)
        await world.ask("me?")
        await world.ask("or me?", cleo)
        await restart(world)
        assert (await texts(world))[4:] == ["or me?", "Yes?"]


async def test_an_edit_that_adds_the_mention_is_not_answered_to_a_blocked_member(
    tmp_path: Path,
) -> None:
    async with talking(tmp_path) as world:
        cleo, _role = muted(world)
        await world.put(blocked_roles=["Muted"])
        message = await cleo.send(world.channel, "hello?")
        await cleo.edit(message, f"{world.me} hello?")
        assert (world.said(), await texts(world)) == ([], [])


async def test_a_flood_is_answered_by_few_lines_that_are_no_part_of_the_history(
    tmp_path: Path,
) -> None:
    async with talking(tmp_path, lambda request: "Yes?") as world:
        await world.put(rate_limit=1, context="channel")
        people = [world.guild.add_member(world.env.create_user(f"p{n}")) for n in range(6)]
        for person in people * 3:
            await world.ask("me!", person)
        lines = notices(world)
        assert len(lines) == MOST_A_MINUTE
        assert all("once a minute" in line.content for line in lines)
        assert lines[0].reference is not None  # it says to whom
        assert not lines[0].mentions
        assert world.said().count("Yes?") == 6
        assert "once a minute" not in world.engine.requests[-1].prompt
        assert not any("once a minute" in text for text in await texts(world))


async def test_quiet_hours_are_told_of_once_in_everybodys_own_time(tmp_path: Path) -> None:
    async with talking(tmp_path, ["Yes?"]) as world:
        now = discord.utils.utcnow()
        end = (now + timedelta(hours=2)).replace(second=0, microsecond=0)
        await world.put(quiet_hours=f"{now - timedelta(hours=2):%H:%M}-{end:%H:%M}")
        await world.ask("hello?")
        await world.ask("hello?", world.bob)
        assert world.said() == [
            f"⏳ It is quiet hours here: I answer again from <t:{int(end.timestamp())}:t>."
        ]
        result = await world.alice.slash(world.channel, "chat reset")
        assert result.response is not None
        assert "A new conversation begins" in result.response.content


async def test_the_owner_is_not_limited(tmp_path: Path) -> None:
    async with talking(tmp_path, lambda request: "Yes?") as world:
        await world.put(rate_limit=1, blocked_roles=["alice"], quiet_hours="00:00-23:59")
        await world.ask("one")
        assert world.said() == []
        bot = await asyncio.to_thread(
            new_bot, world.database, world.personas_folder, world.engine, QUICK,
            owner_ids=frozenset({world.alice.id}),
        )  # fmt: skip
        await world.env.restart_bot(bot)
        world.bot = bot
        await world.ask("two")
        await world.ask("three")
        assert world.said() == ["Yes?", "Yes?"]


async def test_other_bots_are_answered_where_that_is_set_and_not_for_ever(tmp_path: Path) -> None:
    async with talking(tmp_path, lambda request: "Beep.") as world:
        robot = world.guild.add_member(world.env.create_user("robot", bot=True))
        await world.ask("beep?", robot)
        assert world.said() == []
        await world.put(answer_bots="on", trigger="always")
        await robot.send(world.channel, "I say this to nobody.")
        assert world.said() == []
        for _ in range(MOST_IN_A_ROW + 2):
            await world.ask("beep?", robot)
        assert world.said() == ["Beep."] * MOST_IN_A_ROW
        await world.alice.send(world.channel, "// enough")
        await world.ask("beep?", robot)
        assert len(world.said()) == MOST_IN_A_ROW + 1


async def test_a_proxy_is_no_way_round_a_block(tmp_path: Path) -> None:
    async with talking(tmp_path, ["Yes?"]) as world:
        cleo, _role = muted(world)
        await world.put(blocked_roles=["Muted"], context="channel")
        original = await world.ask("hello?", cleo)
        proxy = Proxy(world)
        await proxy.says("Robin", f"{world.me} hello?")
        await original.delete()
        await world.env.settle()
        assert (world.said(), await texts(world)) == ([], [])


# What is asked before a message is read -----------------------------------------------------------


async def test_nothing_is_fetched_for_a_message_of_somebody_blocked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    async def noted(attachments: Sequence[discord.Attachment], room: int) -> dict[int, str]:
        read.extend(each.id for each in attachments)
        return {}

    monkeypatch.setattr(incoming, "read_files", noted)
    async with talking(tmp_path, lambda request: "Yes?") as world:
        cleo, _role = muted(world)
        source = await world.alice.send(world.channel, "my engine stalls")
        link = f"https://discord.com/channels/{world.guild.id}/{world.channel.id}/{source.id}"
        await world.put(context="channel", blocked_roles=["Muted"])
        for actor, fetched in ((cleo, 0), (world.alice, 1)):
            world.env.http_requests.clear()
            said = await actor.send(
                world.channel, f"{world.me} {link}", attachments=[("notes.txt", b"the valve")]
            )
            assert len(world.requests("GET", f"/messages/{source.id}")) == fetched
            assert len(read) == fetched
        world.env.http_requests.clear()
        unanswered = await cleo.send(world.channel, "hm")
        await cleo.edit(unanswered, f"{world.me} {link}")
        assert world.requests("GET") == []
        assert world.said() == ["Yes?"]
        assert str(said.id) in [each for turn in await world.turns() for each in turn.message_ids]


async def test_settings_are_resolved_once_for_a_message_and_what_it_quotes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with talking(tmp_path, lambda request: "Yes?") as world:
        await world.put(context="channel", blocked_roles=["Muted"], trigger="wakeword")
        quoted = await world.bob.send(world.channel, "my engine stalls")
        resolve, resolved = SettingsCascade.resolve, list[ChannelKey]()

        async def counted(self: SettingsCascade, channel: ChannelKey) -> ChannelSettings:
            resolved.append(channel)
            return await resolve(self, channel)

        monkeypatch.setattr(SettingsCascade, "resolve", counted)
        listener = world.bot.get_cog("MessageListener")
        assert isinstance(listener, MessageListener)
        monkeypatch.setattr(listener, "serve", print)
        said = await world.alice.send(world.channel, f"{world.me} why?", reply_to=quoted)
        assert len(resolved) == 1
        await world.alice.edit(said, f"{world.me} how come?")
        assert len(resolved) == 2
        other = await world.alice.send(world.channel, "hm", reply_to=quoted)
        await world.alice.edit(other, f"{world.me} how come?")
        assert len(resolved) == 4
