"""`/privacy forget`: what is asked, who may, what goes, and what is told."""

import asyncio
from pathlib import Path

import discord
import pytest
import simcord
from worlds import World, held, let, talking

from bot.chat.messages import Speaker
from bot.chat.privacy.jobs import JobKind, NewJob
from bot.chat.privacy.people import Person
from bot.errors import StoreError


def told(result: simcord.InteractionResult) -> str:
    """What one person alone was answered, as it reads now."""
    assert result.response is not None
    assert result.response.flags.ephemeral
    return result.response.content


async def press(
    actor: simcord.MemberActor | simcord.UserHandle, asked: simcord.InteractionResult, label: str
) -> simcord.InteractionResult:
    assert asked.response is not None
    actor._env.settle_timeout = 60.0  # a busy machine takes its time for a pass over the files
    return await actor.click(asked.response, label=label)


async def texts(world: World, channel: simcord.ChannelHandle | None = None) -> list[str]:
    return [turn.text for turn in await world.turns(channel)]


def files_with(word: str, folder: Path) -> list[str]:
    """The files in which a word stands, in the encodings that texts are kept in."""
    forms = (word.encode(), word.encode("utf-16-le"), word.encode("utf-16-be"))
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert any(file.name.endswith(".db") for file in files)
    return [file.name for file in files if any(form in file.read_bytes() for form in forms)]


async def test_everything_of_ones_own_goes_and_nothing_of_others(tmp_path: Path) -> None:
    replies = ["To Alice.", "To Bob.", "She hid the zirconium ring under the stair.", "In private."]
    async with talking(tmp_path, replies) as world:
        await world.ask("I hid the Zirconium-9 ring under the stair")
        await world.ask("good day", world.bob)
        await world.ask("what did she say", world.bob)
        await world.alice.user.send_dm("psst, Zirconium-9")
        asked = await world.alice.slash(world.channel, "privacy forget")
        assert "2 messages in 2 channels" in told(asked)
        assert "2 replies of mine to you" in told(asked)
        assert len(world.said()) == 3, "nothing goes before the question is answered"
        await press(world.alice, asked, "Erase for good")
        assert told(asked).startswith("Done. Everything that I kept of you is erased")
        await world.pass_time(5)
        assert await texts(world) == ["good day", "To Bob.", "what did she say"]
        assert world.said() == ["To Bob."]
        for word in ("irconium", "In private", str(world.alice.id)):
            assert await asyncio.to_thread(files_with, word, tmp_path) == []
        await world.ask("hello again")
        assert (await texts(world))[-2] == "hello again", "they are heard as anybody is"


async def test_a_members_data_goes_in_this_server_alone(tmp_path: Path) -> None:
    async with talking(tmp_path, ["One.", "Two.", "Three."], check_errors=False) as world:
        other = world.env.create_guild().create_text_channel("there")
        there = other.guild.add_member(world.alice.user)
        await world.ask("here")
        await there.send(other, f"{world.me} there")
        refused = await world.mod.slash(world.channel, "privacy forget", member=world.alice)
        assert "Manage Server" in told(refused)
        asked = await world.chief.slash(world.channel, "privacy forget", member=world.alice)
        assert f"of <@{world.alice.id}> in this server" in told(asked)
        assert "1 message in 1 channel" in told(asked)
        await press(world.chief, asked, "Erase for good")
        assert f"of <@{world.alice.id}> in this server is erased" in told(asked)
        assert await texts(world) == []
        assert await texts(world, other) == ["there", "Two."]


async def test_who_names_themselves_erases_what_is_theirs(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.ask("here")
        asked = await world.alice.slash(world.channel, "privacy forget", member=world.alice)
        assert "In every server and in our direct messages" in told(asked)


async def test_only_who_asked_answers_and_only_once(tmp_path: Path) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        await world.ask("here")
        asked = await world.alice.slash(world.channel, "privacy forget")
        assert asked.response is not None
        with pytest.raises(Exception):  # noqa: B017 - simcord does not show it to others
            await world.bob.click(asked.response, label="Erase for good")
        await press(world.alice, asked, "Keep it")
        assert told(asked) == "Nothing was erased."
        assert await texts(world) == ["here", "Hello, Alice."]
        assert not asked.response.components


@pytest.mark.parametrize("is_owner", [False, True])
async def test_a_right_that_has_gone_meanwhile_is_missed(tmp_path: Path, is_owner: bool) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        if is_owner:  # who may all but what is other people's
            world.bot.owner_ids = {world.chief.id}
        await world.ask("here")
        asked = await world.chief.slash(world.channel, "privacy forget", member=world.alice)
        member = world.env.backend.get_member(world.guild.id, world.chief.id)
        for role_id in list(member.role_ids):
            world.env.backend.remove_member_role(world.guild.id, world.chief.id, role_id)
        result = await press(world.chief, asked, "Erase for good")
        said = [one.content for one in result.followups] + [
            result.response.content if result.response else ""
        ]
        assert any("Manage Server" in line for line in said)
        assert await texts(world) == ["here", "Hello, Alice."]


async def test_in_a_direct_message_there_is_only_oneself(tmp_path: Path) -> None:
    async with talking(tmp_path, ["Private."], check_errors=False) as world:
        alice = world.alice.user
        await alice.send_dm("a secret")
        await alice.slash("settings set", key="top_k", value="7", scope="channel")
        refused = await alice.slash("privacy forget", member=world.bob.user)
        assert "only be erased in a server" in told(refused)
        asked = await alice.slash("privacy forget")
        await press(alice, asked, "Erase for good")
        assert told(asked).startswith("Done.")
        for word in ("a secret", "Private.", str(world.alice.id)):
            assert await asyncio.to_thread(files_with, word, tmp_path) == []


async def test_a_reply_being_written_is_stopped_and_what_waits_is_dropped(tmp_path: Path) -> None:
    engine, gate = held("A long answer to Alice, about her ring.", "To what waited.", letters=8)
    async with talking(tmp_path, engine=engine) as world:
        await world.ask("about my ring")
        let(gate, 2)
        await world.pass_time(2)
        await world.ask("and this waits")
        asked = await world.alice.slash(world.channel, "privacy forget")
        await press(world.alice, asked, "Erase for good")
        let(gate)
        await world.pass_time(5)
        assert told(asked).startswith("Done.")
        assert await texts(world) == []
        assert world.said() == []


async def test_what_is_remembered_of_names_goes(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.ask("here")
        listener = world.bot.get_cog("MessageListener")
        assert listener is not None
        names = listener._reader.names  # type: ignore[attr-defined]
        guild = world.bot.get_guild(world.guild.id)
        names._remember(world.guild.id, Speaker(str(world.alice.id), "Alice"))
        await world.bot.erasure.forgetting.forget(Person("discord", str(world.alice.id)))
        assert names.by_id(world.alice.id, guild) is None


async def test_a_full_disk_puts_it_off_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        await world.ask("here")
        asked = await world.alice.slash(world.channel, "privacy forget")

        async def full(*_: object, **__: object) -> bool:
            raise StoreError("The disk is full.", "Make room.")

        with monkeypatch.context() as patch:
            patch.setattr(type(world.database.people), "remove_turns", full)
            await press(world.alice, asked, "Erase for good")
        assert "I try again every minute" in told(asked)
        job = NewJob(JobKind.FORGET, "discord", discord.utils.utcnow(), str(world.alice.id))
        await world.database.jobs.add(job)  # a minute has gone by
        assert await world.bot.erasure.worker.work_off() == 1
        assert await texts(world) == []
