"""`/moderation log`: which channel it is, what is written there, and what never is."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import discord
import pytest
import simcord
from moderating import answer, deny_bot, log_here, logged, press
from worlds import QUICK, World, new_bot, talking

from bot.chat.limits.words.reading import GuildReading
from bot.chat.messages import ChannelKey
from bot.chat.moderation.journal import Event, EventKind
from bot.chat.moderation.log_channels import LogChannel
from bot.errors import EngineFailed
from cogs.commands.moderating import log_writer
from cogs.commands.moderating.log_writer import line_of


async def stored(world: World) -> LogChannel | None:
    return await world.database.log_channels.find("discord", str(world.guild.id))


async def set_log(world: World, channel: object, actor: simcord.MemberActor | None = None) -> str:
    result = await (actor or world.chief).slash(world.channel, "moderation log", channel=channel)
    return answer(result)


async def test_every_change_of_a_setting_is_told_however_it_is_made(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        log = await log_here(world)
        slash, here = world.chief.slash, world.channel
        await slash(here, "settings set", key="temperature", value="0.5", scope="guild")
        await slash(here, "settings set", key="instructions", value="Speak *softly*. " * 20)
        await slash(here, "settings reset", key="temperature", scope="guild")
        await slash(here, "settings undo", id=3)
        await slash(here, "persona use", name="Ada")
        lines = await logged(world, log)
        by = f"by <@{world.chief.id}>"
        assert lines[0] == (f"**Settings** temperature: not set → 0.5, for the whole server · {by}")
        assert lines[1].startswith("**Settings** instructions: not set → Speak \\*softly\\*.")
        assert lines[1].endswith(f"… · in <#{here.id}> · {by}")
        assert len(lines[1]) < 250
        assert "temperature: 0.5 → not set" in lines[2]
        assert "temperature: not set → 0.5" in lines[3]
        assert "persona: not set → Ada" in lines[4]
        assert len(log.history()) <= 3, "what happens together is told together"


async def test_nothing_that_people_say_is_ever_told(tmp_path: Path) -> None:
    async with talking(tmp_path, ["The zirconium vault."]) as world:
        log = await log_here(world)
        await world.ask("zirconium, please")
        asked = await world.chief.slash(world.channel, "moderation purge", count=1)
        await press(world, asked)
        lines = await logged(world, log)
        where = f"in <#{world.channel.id}> · by <@{world.chief.id}>"
        assert lines == [f"**Purge** 1 exchange purged, 2 messages · {where}"]


async def test_a_refused_import_is_told_with_its_name_escaped(tmp_path: Path) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        log = await log_here(world)
        hostile = ("@everyone **x** <@1>.json", b"{not json")
        await world.chief.slash(world.channel, "persona import", file=hostile)
        await world.chief.slash(world.channel, "lore import", file=("b.json", b"[]"))
        lines = await logged(world, log)
        assert len(lines) == 2
        escaped = "@\u200beveryone \\*\\*x\\*\\* \\<@1>.json"
        assert lines[0].startswith(f"**Import** Refused: {escaped}, line 1: this is not JSON")
        assert lines[1].startswith("**Import** Refused: b.json")


async def test_an_outage_is_told_once_and_its_end_once(tmp_path: Path) -> None:
    broken = EngineFailed("CUDA error: secret path")
    replies = [broken, broken, broken, "Well again.", "Still well."]
    async with talking(tmp_path, replies, check_errors=False) as world:
        log = await log_here(world)
        for text in ("one", "two", "three", "four", "five"):
            await world.ask(text)
        lines = await logged(world, log)
        assert len(lines) == 2
        assert lines[0].startswith("**Engine** Replies fail: The model broke down")
        assert "secret" not in lines[0]
        assert lines[1] == "**Engine** Replies come again."


async def test_only_who_manages_the_server_sets_it(tmp_path: Path) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        assert "Manage Server" in await set_log(world, world.channel, world.mod)
        assert await stored(world) is None


async def test_it_has_to_be_writable(tmp_path: Path) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        log = world.guild.create_text_channel("mod-log")
        deny_bot(world, log, send_messages=True)
        assert "I may not write in" in await set_log(world, log)
        assert await stored(world) is None


async def test_without_a_channel_it_says_which_and_can_be_switched_off(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        assert "There is no log channel" in answer(
            await world.chief.slash(world.channel, "moderation log")
        )
        log = await log_here(world)
        shown = await world.chief.slash(world.channel, "moderation log")
        assert f"<#{log.id}> is the log channel, set by <@{world.chief.id}>" in answer(shown)
        await press(world, shown, "Switch off")
        assert "There is no log channel any more" in answer(shown)
        await world.chief.slash(world.channel, "settings set", key="top_k", value="7")
        assert await logged(world, log) == []


async def test_a_channel_that_is_gone_or_closed_is_switched_off_and_shown(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        log = await log_here(world)
        deny_bot(world, log, send_messages=True)
        await world.chief.slash(world.channel, "settings set", key="top_k", value="7")
        await world.pass_time(10)
        kept = await stored(world)
        assert kept is not None
        assert kept.problem == log_writer.FORBIDDEN
        shown = answer(await world.chief.slash(world.channel, "moderation log"))
        assert "Nothing is written there any more: I may not write there." in shown
        deny_bot(world, log)
        await set_log(world, log)
        channel = world.bot.get_channel(log.id)
        assert isinstance(channel, discord.TextChannel)
        await channel.delete()
        await world.chief.slash(world.channel, "settings set", key="top_k", value="8")
        await world.pass_time(10)
        kept = await stored(world)
        assert kept is not None
        assert kept.problem == log_writer.GONE


async def test_it_outlives_a_restart(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        log = await log_here(world)
        await world.chief.slash(world.channel, "settings set", key="top_k", value="7")
        await as_the_bot(world, world.bot.cogs["LogWriter"].cog_unload)  # what waits is written
        bot = await asyncio.to_thread(
            new_bot, world.database, world.personas_folder, world.engine, QUICK
        )
        await world.env.restart_bot(bot)
        world.bot = bot
        await world.chief.slash(world.channel, "settings set", key="top_k", value="8")
        lines = await logged(world, log)
        assert [line.partition(" ·")[0] for line in lines] == [
            "**Settings** top\\_k: not set → 7",
            "**Settings** top\\_k: 7 → 8",
        ]


async def test_a_flood_makes_few_messages(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        log = await log_here(world)
        before = len(log.history())
        journal = world.bot.moderation.journal

        async def flood() -> None:
            for number in range(500):
                event = Event(EventKind.SETTINGS, f"key{number % 300}: {'x' * 60}")
                await journal.note(str(world.guild.id), event)

        await as_the_bot(world, flood)
        lines = await logged(world, log)
        assert len(log.history()) - before <= 5
        assert lines[-1] == "… and 400 more lines."
        assert all(len(message.content) <= 2000 for message in log.history())


async def note(world: World, *texts: str) -> None:
    """Let something happen in the server."""

    async def noted() -> None:
        for text in texts:
            event = Event(EventKind.SETTINGS, text)
            await world.bot.moderation.journal.note(str(world.guild.id), event)

    await as_the_bot(world, noted)


def told(*texts: str) -> list[str]:
    return [f"**{EventKind.SETTINGS.value}** {text}" for text in texts]


async def test_what_cannot_be_sent_now_is_sent_later_in_order(tmp_path: Path) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        log = await log_here(world)
        tries = 1 + len(log_writer.PAUSES)
        world.env.inject_error(
            "POST", f"/channels/{log.id}/messages", status=503, code=0, times=2 * tries
        )
        await note(world, "one")
        await world.pass_time(30)
        await note(world, "two")
        assert await logged(world, log) == []
        await world.pass_time(log_writer.LATER_SECONDS * 4)
        assert await logged(world, log) == told("one", "two")


async def test_what_happens_while_the_log_is_closed_to_the_bot_is_told_once_it_is_open(
    tmp_path: Path,
) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        log = await log_here(world)
        deny_bot(world, log, send_messages=True)
        await note(world, *(f"key{number}" for number in range(102)))
        await world.pass_time(10)
        await note(world, "still closed")
        assert await logged(world, log) == []
        deny_bot(world, log)
        await note(world, "open")
        lines = await logged(world, log)
        assert lines[:100] == told(*(f"key{number}" for number in range(100)))
        assert lines[100:] == ["… and 4 more lines."]
        kept = await stored(world)
        assert kept is not None
        assert kept.problem == ""


async def test_what_waits_goes_to_another_log_channel_at_once(tmp_path: Path) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        log = await log_here(world)
        world.env.inject_error("POST", f"/channels/{log.id}/messages", status=500, times=99)
        await note(world, "one")
        await world.pass_time(200)
        assert await logged(world, await log_here(world)) == told("one")


async def test_the_list_of_words_is_not_read_where_nobody_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with talking(tmp_path) as world:
        asked: list[ChannelKey] = []
        read = world.bot.conversations.censor.reading

        async def reading(channel: ChannelKey) -> GuildReading:
            asked.append(channel)
            return await read(channel)

        monkeypatch.setattr(world.bot.conversations.censor, "reading", reading)
        await note(world, "one")
        await world.pass_time(10)
        assert asked == []
        log = await log_here(world)
        await note(world, "two")
        assert await logged(world, log) == told("two")
        assert asked


async def test_what_was_to_be_told_to_nobody_is_not_told_to_the_next_log(tmp_path: Path) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        log = await log_here(world)
        deny_bot(world, log, send_messages=True)
        await note(world, "one")
        await world.pass_time(10)
        await press(world, await world.chief.slash(world.channel, "moderation log"), "Switch off")
        await world.pass_time(10)
        assert await logged(world, await log_here(world)) == []


async def test_what_discord_refuses_for_good_is_counted_and_holds_up_nothing(
    tmp_path: Path,
) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        log = await log_here(world)
        world.env.inject_error("POST", f"/channels/{log.id}/messages", status=400, code=200000)
        await note(world, "a word", "another")
        await world.pass_time(log_writer.GATHERED_SECONDS + 1)
        await note(world, "fine")
        assert await logged(world, log) == ["… and 2 more lines.", *told("fine")]


async def test_what_still_waits_at_a_restart_is_counted_after_it(tmp_path: Path) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        log = await log_here(world)
        world.env.inject_error("POST", f"/channels/{log.id}/messages", status=503, code=0)
        await note(world, "one", "two")
        writer = world.bot.cogs["LogWriter"]
        await as_the_bot(world, writer.cog_unload)
        await note(world, "at the very end")
        args = (world.database, world.personas_folder, world.engine, QUICK)
        world.bot = await asyncio.to_thread(new_bot, *args)
        await world.env.restart_bot(world.bot)
        assert await logged(world, log) == ["… and 3 more lines before a restart."]
        await note(world, "three")
        assert (await logged(world, log))[1:] == told("three")


async def as_the_bot(world: World, work: Callable[[], Awaitable[None]]) -> None:
    """Do something in the bot's own time, which is the simulated one."""
    with world.env._bot_scope():
        await work()


async def test_the_same_line_over_and_over_stands_once(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        log = await log_here(world)

        async def thrice() -> None:
            for _ in range(3):
                event = Event(EventKind.WORDS, "A word of the list was used")
                await world.bot.moderation.journal.note(str(world.guild.id), event)

        await as_the_bot(world, thrice)
        assert await logged(world, log) == ["**Words** A word of the list was used (3 times)"]


def test_a_line_shows_markup_as_it_was_typed() -> None:
    event = Event(EventKind.IMPORT, "[x](https://x.y)\n# big <#5> @here", by="not-a-number")
    line = line_of(event)
    assert "\n" not in line
    assert "<#5>" in line.replace("\\<", "<")
    assert " <#5>" not in line
    assert "@here" not in line


@pytest.mark.parametrize(
    "text", ["\u05d3\u05e0\u05d9 " * 200, "\u202eevil\u2066 " * 200, "*\u05d3" * 99]
)
def test_a_text_from_right_to_left_stays_apart_from_the_rest_of_its_line(text: str) -> None:
    line = line_of(Event(EventKind.IMPORT, text, channel_id="5", by="77"))
    told, _, rest = line.rpartition(" · in ")
    assert rest == "<#5> · by <@77>"
    assert "\u202e" not in told
    assert told.count("\u2068") == told.count("\u2069")
    assert len(told) <= log_writer.TEXT_CHARACTERS + len(f"**{EventKind.IMPORT.value}** ")
