"""`/moderation purge`: what goes, what stays, who may, and what a restart does to it."""

import asyncio
from datetime import timedelta
from pathlib import Path

import discord
import pytest
import simcord
from moderating import (
    answer,
    ask_purge,
    contents,
    deny_bot,
    log_here,
    logged,
    press,
    purged,
)
from worlds import QUICK, World, held, let, new_bot, talking

from bot.chat.messages import ChannelKey, IncomingMessage, Speaker
from bot.chat.moderation.purges import PurgeWish
from bot.errors import NotAllowed
from cogs.commands.moderating import purge as purging
from cogs.commands.moderating import sweeping
from cogs.platform import bare_key


def key(world: World, channel: simcord.ChannelHandle | None = None) -> ChannelKey:
    return bare_key((channel or world.channel).id, world.guild.id)


async def said_before(world: World, text: str, ago: timedelta) -> None:
    """Something that Alice has said at another time."""
    moment = discord.utils.utcnow() - ago
    message = IncomingMessage(
        str(discord.utils.time_snowflake(moment)),
        key(world),
        Speaker(str(world.alice.id), "Alice"),
        text,
        moment,
    )
    await world.database.history.add_message(message, addressed=False)


def files_with(word: bytes, folder: Path) -> list[str]:
    """The database's files in which a word stands."""
    files = list(folder.rglob("test.db*"))
    assert files
    return [file.name for file in files if word in file.read_bytes()]


async def test_a_members_exchanges_go_with_the_replies_to_them(tmp_path: Path) -> None:
    async with talking(tmp_path, ["To Alice.", "To Bob.", "To Alice again."]) as world:
        await world.ask("the vault opens at nine")
        await world.ask("a harmless word", world.bob)
        await world.ask("the vault, again")
        asked = await ask_purge(world, member=world.alice)
        assert "4 messages in 2 exchanges" in answer(asked)
        assert f"<@{world.alice.id}> 2, mine and my personas' 2" in answer(asked)
        assert len(contents(world)) == 6, "nothing goes before the question is answered"
        await press(world, asked)
        assert answer(asked) == (
            "Purged: 2 exchanges, out of all that I keep, and 4 messages in Discord."
        )
        assert [turn.text for turn in await world.turns()] == ["a harmless word", "To Bob."]
        assert contents(world) == [f"{world.me} a harmless word", "To Bob."]
        bulk = world.requests("POST", "/messages/bulk-delete")
        assert len(bulk) == 1
        assert not await world.database.purges.unfinished("discord")


async def test_what_is_purged_stands_in_no_file(tmp_path: Path) -> None:
    async with talking(tmp_path, ["The zirconium vault.", "Another zirconium."]) as world:
        first = await world.ask("zirconium, please")
        key_here = key(world)
        await world.alice.context_menu(world.channel, "Remember this", first)
        await world.bob.send(world.channel, f"{world.me} why zirconium?", reply_to=first)
        await world.chief.click(world.messages()[0], label="Regenerate")
        await world.bot.conversations.reset(key_here)
        await purged(world, since="1h")
        await world.database.reclaim()
        assert await asyncio.to_thread(files_with, b"zirconium", tmp_path) == []
        assert not [text for text in contents(world) if "zirconium" in text]


async def test_what_others_quote_of_it_goes_and_their_words_stay(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        first = await world.ask("the vault opens at nine")
        await world.bob.send(world.channel, f"{world.me} is that so?", reply_to=first)
        assert (await world.turns())[2].reply_to is not None
        await purged(world, member=world.alice)
        turns = await world.turns()
        assert [turn.text for turn in turns] == ["is that so?", "Hello, Alice."]
        assert turns[0].reply_to is None


async def test_since_takes_what_is_younger(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await said_before(world, "long ago", timedelta(days=3))
        await said_before(world, "yesterday", timedelta(hours=30))
        await world.ask("now")
        said = await purged(world, since="2d")
        assert said.startswith("Purged: 2 exchanges")
        assert [turn.text for turn in await world.turns()] == ["long ago"]


async def test_count_takes_the_newest_exchanges(tmp_path: Path) -> None:
    async with talking(tmp_path, ["One.", "Two.", "Three."]) as world:
        for text in ("first", "second", "third"):
            await world.ask(text)
        await purged(world, count=2)
        assert [turn.text for turn in await world.turns()] == ["first", "One."]
        assert contents(world) == [f"{world.me} first", "One."]


async def test_all_that_is_given_has_to_be_true(tmp_path: Path) -> None:
    async with talking(tmp_path, ["One.", "Two.", "Three."]) as world:
        await world.ask("first")
        await world.ask("second", world.bob)
        await world.ask("third")
        await purged(world, member=world.alice, count=1, since="1h")
        texts = [turn.text for turn in await world.turns()]
        assert texts == ["first", "One.", "second", "Two."]


async def test_hidden_and_earlier_conversations_go_too(tmp_path: Path) -> None:
    async with talking(tmp_path, ["One.", "Two."]) as world:
        await world.ask("first")
        await world.bot.conversations.reset(key(world))
        await world.ask("second")
        await world.bot.conversations.undo(key(world))
        assert (await purged(world, since="1h")).startswith("Purged: 2 exchanges")
        assert await world.database.history.list_conversations(key(world)) == []
        assert contents(world) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "Say what is to go"),
        ({"since": "soon"}, "names no moment that I understand"),
        ({"since": "2099-01-01"}, "is still to come"),
        ({"count": 5}, "There is nothing of that"),
    ],
)
async def test_what_makes_no_sense_is_said_and_changes_nothing(
    tmp_path: Path, options: dict[str, object], said: str
) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        result = await world.chief.slash(world.channel, "moderation purge", **options)
        assert said in (result.response or result.followups[0]).content


async def test_only_moderators_may(tmp_path: Path) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        await world.ask("a word")
        refused = await ask_purge(world, world.bob, count=1)
        assert "needs the permission Manage Messages here, or Manage Server" in answer(refused)
        assert len(await world.turns()) == 2


async def test_a_right_lost_meanwhile_counts(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.ask("a word")
        asked = await ask_purge(world, count=1)
        role = world.guild.roles["manage_guild"]
        world.env.backend.edit_role(world.guild.id, role.id, {"permissions": 0})
        result = await press(world, asked)
        assert result.response is not None
        assert (
            "A purge needs the permission Manage Messages here, or Manage Server"
            in result.response.content
        )
        [error] = world.env.errors
        assert isinstance(error, NotAllowed)
        assert answer(asked).startswith("**Purge this?**")
        assert len(await world.turns()) == 2


async def test_cancel_leaves_all(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.ask("a word")
        asked = await ask_purge(world, count=1)
        await press(world, asked, "Cancel")
        assert answer(asked) == "Nothing was purged."
        assert len(await world.turns()) == 2


async def test_it_asks_again_where_something_has_changed(tmp_path: Path) -> None:
    async with talking(tmp_path, ["One.", "Two."]) as world:
        first = await world.ask("first")
        await world.ask("second")
        asked = await ask_purge(world, since="1h")
        assert "4 messages" in answer(asked)
        await world.alice.delete(first)
        await press(world, asked)
        assert answer(asked).startswith("Something has changed since I asked.")
        assert "3 messages" in answer(asked)
        assert len(await world.turns()) == 3
        await press(world, asked)
        assert await world.turns() == []


async def test_what_is_said_after_the_question_stays(tmp_path: Path) -> None:
    async with talking(tmp_path, ["One.", "Two."]) as world:
        await world.ask("first")
        asked = await ask_purge(world, since="1h")
        await world.ask("second", world.bob)
        await press(world, asked)
        assert [turn.text for turn in await world.turns()] == ["second", "Two."]


async def test_gone_meanwhile_is_said(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.ask("first")
        asked, other = await ask_purge(world, count=1), await ask_purge(world, count=1)
        await press(world, asked)
        await press(world, other)
        assert "was taken out meanwhile" in answer(other)


async def test_messages_too_old_for_many_at_once_go_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "BULK_AGE", timedelta(0))
    async with talking(tmp_path) as world:
        await world.ask("first")
        await purged(world, count=1)
        assert contents(world) == []
        assert not world.requests("POST", "/messages/bulk-delete")


async def test_a_long_one_says_how_far_it_has_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "BULK_AGE", timedelta(0))
    monkeypatch.setattr(purging, "PROGRESS_SECONDS", 0.0)
    async with talking(tmp_path) as world:
        for number in range(3):
            await world.ask(f"word {number}")
        asked = await ask_purge(world, since="1h")
        await press(world, asked)
        edits = [str(entry) for entry in world.requests("PATCH", "/@original")]
        assert any("In Discord: 1 of 6 messages…" in edit for edit in edits)
        assert answer(asked).startswith("Purged: 3 exchanges")


async def test_without_the_permission_only_the_bots_own_go_in_discord(tmp_path: Path) -> None:
    async with talking(tmp_path, ["One.", "Two."]) as world:
        log = await log_here(world)
        deny_bot(world, manage_messages=True)
        await world.ask("first")
        await world.chief.slash(world.channel, "settings set", key="persona", value="Ada")
        await world.ask("second")
        assert len(world.messages()) == 2
        asked = await ask_purge(world, since="1h")
        assert "I lack the permission Manage Messages here: 2 messages" in answer(asked)
        await press(world, asked)
        assert "2 messages I could not delete in Discord" in answer(asked)
        assert await world.turns() == []
        assert contents(world) == [f"{world.me} first", f"{world.me} second"]
        lines = await logged(world, log)
        assert "2 purged messages could not be deleted in Discord." in "\n".join(lines)


async def test_a_reply_being_written_is_stopped_first(tmp_path: Path) -> None:
    engine, gate = held("A very long reply about the vault, in many words.")
    async with talking(tmp_path, engine=engine) as world:
        await world.ask("the vault")
        let(gate, 3)
        await world.pass_time(1)
        assert world.bot.conversations.running(key(world)) is not None
        asked = await ask_purge(world, member=world.alice)
        await press(world, asked)
        await world.pass_time(1)
        let(gate)
        await world.pass_time(2)
        assert world.bot.conversations.running(key(world)) is None
        assert await world.turns() == []
        assert contents(world) == []


async def test_a_reply_of_which_nothing_is_shown_yet_is_stopped_too(tmp_path: Path) -> None:
    engine, gate = held("A very long reply about the vault.", "Another.")
    async with talking(tmp_path, engine=engine) as world:
        await world.ask("the vault")
        asked = await ask_purge(world, member=world.alice)
        await press(world, asked)
        assert len(engine.cancelled) == 1
        let(gate)
        await world.pass_time(2)
        assert await world.turns() == []
        assert contents(world) == []
        await world.ask("hello", world.bob)
        assert "vault" not in engine.requests[-1].prompt


async def test_in_a_thread(tmp_path: Path) -> None:
    async with talking(tmp_path, ["One.", "Two."]) as world:
        await world.ask("first")
        root = await world.alice.send(world.channel, "a thread")
        channel = world.bot.get_channel(world.channel.id)
        assert isinstance(channel, discord.TextChannel)
        made = await channel.create_thread(name="story", message=discord.Object(root.id))
        thread = next(one for one in world.channel.threads if one.id == made.id)
        await world.alice.send(thread, f"{world.me} in here")
        asked = await ask_purge(world, channel=thread, since="1h")
        await press(world, asked)
        assert f"{world.me} in here" not in contents(world, thread)
        assert [turn.text for turn in await world.turns()] == ["first", "One."]


async def test_in_the_chat_of_a_voice_channel(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        voice = world.guild.create_voice_channel("parlour")
        await world.alice.send(voice, f"{world.me} in here")
        assert len(contents(world, voice)) == 2
        asked = await ask_purge(world, channel=voice, count=1)
        await press(world, asked)
        assert contents(world, voice) == []


async def test_in_a_direct_message_the_bots_own_go(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        user = world.alice.user
        await user.send_dm("hello there")
        asked = await user.slash("moderation purge", count=1)
        assert "I can delete my own messages alone" in answer(asked)
        await user.click(asked.response, label="Purge")
        assert contents(world, user.dm_channel) == ["hello there"]
        assert await world.database.history.export(bare_key(user.dm_channel.id, None)) == []


async def test_a_purge_that_a_restart_interrupts_goes_on(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        log = await log_here(world)
        await world.ask("the vault")
        purger = world.bot.moderation.purger
        plan = await purger.plan(PurgeWish(key(world), exchanges=1))
        assert await purger.purge(plan, by=str(world.chief.id)) is not None
        assert len(contents(world)) == 2  # and here the process dies
        bot = await asyncio.to_thread(
            new_bot, world.database, world.personas_folder, world.engine, QUICK
        )
        await world.env.restart_bot(bot)
        world.bot = bot
        await world.pass_time(1)
        assert contents(world) == []
        assert not await world.database.purges.unfinished("discord")
        lines = await logged(world, log)
        assert "A purge that a restart had interrupted is finished." in "\n".join(lines)


async def test_what_discord_does_not_do_now_is_done_at_the_next_start(tmp_path: Path) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        await world.ask("the vault")
        world.env.inject_error("DELETE", "/channels/*/messages/*", status=500, times=None)
        world.env.inject_error("POST", "/channels/*/bulk-delete", status=500, times=None)
        asked = await ask_purge(world, count=1)
        await press(world, asked)
        await world.pass_time(200)
        assert "could not be deleted now: I try again at my next start" in answer(asked)
        assert await world.turns() == []
        assert len(await world.database.purges.unfinished("discord")) == 1
        world.env.backend.faults.clear()
        bot = await asyncio.to_thread(
            new_bot, world.database, world.personas_folder, world.engine, QUICK
        )
        await world.env.restart_bot(bot)
        world.bot = bot
        assert contents(world) == []


async def test_a_purge_has_no_buttons_when_it_is_done(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.ask("a word")
        asked = await ask_purge(world, count=1)
        await press(world, asked)
        assert asked.response is not None
        assert asked.response.components == []
