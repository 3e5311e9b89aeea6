"""`/chat`, `/status` and «Why this reply?»."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import discord
import pytest
from worlds import labels, talking

from bot.chat.engines import Standing, WrittenIn
from bot.chat.messages import ChannelKey, Turn
from bot.chat.prompt.budget import LeftOut
from bot.engine.api import EngineState, EngineStatus
from bot.engine.fake import FakeEngine
from bot.errors import NotFound
from cogs.commands.explaining.looks import _left_out
from cogs.commands.status import describe


async def test_reset_begins_anew_in_the_open_and_can_be_undone(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.ask("remember the fish")
        result = await world.bob.slash(world.channel, "chat reset")
        assert not result.ephemeral
        await world.ask("what animal?")
        assert "fish" not in world.engine.requests[-1].prompt
        notice = next(m for m in world.messages() if "new conversation" in m.content)
        assert labels(notice) == ["Undo"]
        await world.alice.click(notice, label="Undo")
        await world.ask("what animal?")
        assert "fish" in world.engine.requests[-1].prompt
        after = next(m for m in world.messages() if m.id == notice.id)
        assert after.content == "The earlier conversation goes on."
        assert labels(after) == []


async def test_undo_takes_back_the_last_exchange_and_can_be_undone(tmp_path: Path) -> None:
    async with talking(tmp_path, ["First.", "Second.", "Third.", "Fourth."]) as world:
        await world.ask("one")
        await world.ask("two")
        result = await world.bob.slash(world.channel, "chat undo")
        assert not result.ephemeral
        assert [turn.text for turn in await world.turns()] == ["one", "First."]
        notice = next(m for m in world.messages() if "taken back" in m.content)
        await world.bob.click(notice, label="Undo")
        assert [turn.text for turn in await world.turns()] == ["one", "First.", "two", "Second."]


async def test_undo_of_nothing_says_so(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.alice.slash(world.channel, "chat undo")
        assert world.said() == ["There is nothing to take back."]


async def test_continue_and_regenerate_work_on_the_newest_reply(tmp_path: Path) -> None:
    async with talking(tmp_path, ["Once", " upon a time.", "Anew."]) as world:
        await world.ask("one")
        result = await world.alice.slash(world.channel, "chat continue")
        assert result.ephemeral
        assert "Once upon a time." in world.said()
        await world.alice.slash(world.channel, "chat regenerate")
        assert "Anew." in world.said()


@pytest.mark.parametrize("command", ["continue", "regenerate"])
async def test_the_reply_that_somebody_may_change_is_the_one_that_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """Another one may come between the check of their right and the deed."""
    async with talking(tmp_path, ["Alice's.", "Bob's.", " Changed."]) as world:
        await world.ask("one")
        look_up = world.bot.conversations.newest_reply
        here = (await world.turns())[0].channel
        found = [await look_up(here, str(world.alice.id))]
        await world.ask("two", world.bob)

        async def newest(channel: ChannelKey, speaker_id: str) -> Turn | None:
            return found.pop() if found else await look_up(channel, speaker_id)

        monkeypatch.setattr(world.bot.conversations, "newest_reply", newest)
        await world.alice.slash(world.channel, f"chat {command}")
        alices, bobs = world.said()
        assert "Changed." in alices
        assert bobs == "Bob's."


async def test_each_goes_on_with_their_own_newest_reply_where_talks_are_private(
    tmp_path: Path,
) -> None:
    replies = ["Alice's.", "Bob's.", "Alice's other.", " And on.", "Bob's other."]
    async with talking(tmp_path, replies) as world:
        await world.put(history_scope="user")
        await world.ask("one")
        await world.ask("two", world.bob)
        await world.alice.slash(world.channel, "chat regenerate")
        assert world.said() == ["Alice's other.", "Bob's."]
        await world.alice.slash(world.channel, "chat continue")
        assert world.said() == ["Alice's other. And on.", "Bob's."]
        await world.bob.slash(world.channel, "chat regenerate")
        assert world.said() == ["Alice's other. And on.", "Bob's other."]
        await world.mod.slash(world.channel, "chat regenerate")
        assert len(world.engine.requests) == 5
        assert world.env.errors  # a moderator has none of their own, and takes nobody's


async def test_each_takes_back_their_own_exchange_where_talks_are_private(tmp_path: Path) -> None:
    async with talking(tmp_path, ["Alice's.", "Bob's."]) as world:
        await world.put(history_scope="user")
        await world.ask("one")
        await world.ask("two", world.bob)
        await world.mod.slash(world.channel, "chat undo")
        assert world.said()[-1] == "There is nothing of yours to take back."
        await world.alice.slash(world.channel, "chat undo")
        assert [turn.text for turn in await world.turns()] == ["two", "Bob's."]
        notice = next(m for m in world.messages() if m.content.startswith("Your last exchange is"))
        result = await world.bob.click(notice, label="Undo")
        assert "somebody else's exchange" in result.followups[0].content
        assert [turn.text for turn in await world.turns()] == ["two", "Bob's."]
        await world.alice.click(notice, label="Undo")
        texts = [turn.text for turn in await world.turns()]
        assert texts == ["one", "Alice's.", "two", "Bob's."]


async def test_continue_is_for_who_asked(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.ask("one")
        result = await world.bob.slash(world.channel, "chat continue")
        assert result.response is not None
        assert "Only the person who asked" in result.response.content
        assert len(world.engine.requests) == 1
        assert world.env.errors


async def test_continue_without_a_reply_says_so(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        result = await world.alice.slash(world.channel, "chat continue")
        assert result.response is not None
        assert "no reply of mine here yet" in result.response.content
        [error] = world.env.errors
        assert isinstance(getattr(error, "original", None), NotFound)


async def test_export_sends_the_conversation_as_a_file(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.ask("one")
        result = await world.bob.slash(world.channel, "chat export")
        assert result.ephemeral
        assert result.response is not None
        [file] = result.response.attachments
        text = (await file.read()).decode()
        assert "Alice: one" in text
        assert "Hello, Alice." in text
        result = await world.bob.slash(world.channel, "chat export", format="json")
        assert result.response is not None
        [file] = result.response.attachments
        turns = json.loads(await file.read())
        assert [turn["text"] for turn in turns] == ["one", "Hello, Alice."]


async def test_export_of_nothing_says_so(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        result = await world.alice.slash(world.channel, "chat export")
        assert result.response is not None
        assert "no conversation here yet" in result.response.content
        assert world.env.errors


async def test_export_is_for_who_may_read_what_was_said(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        everyone = world.guild.default_role
        blind = discord.PermissionOverwrite(read_message_history=False)
        channel = world.guild.create_text_channel("blind", overwrites={everyone: blind})
        await world.alice.send(channel, f"{world.me} one")
        assert world.said(channel) == ["Hello, Alice."]
        result = await world.bob.slash(channel, "chat export")
        assert result.response is not None
        assert "may not read" in result.response.content
        assert not result.response.attachments
        assert world.env.errors


async def test_the_commands_work_in_direct_messages(tmp_path: Path) -> None:
    async with talking(tmp_path, ["First.", "Second."]) as world:
        user = world.alice.user
        await user.send_dm("one")
        await user.slash("chat regenerate")
        assert world.said(user.dm_channel)[0] == "Second."
        result = await user.slash("status")
        assert result.ephemeral


async def test_status_tells_the_queue_the_model_and_the_version(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        result = await world.bob.slash(world.channel, "status")
        assert result.ephemeral
        assert result.response is not None
        [embed] = result.response.embeds
        fields = {field.name: field.value for field in embed.fields}
        assert embed.title == "Caduceus 0.1.0"
        assert fields["Model"] == "fake"
        assert fields["Queue"] == "0 being answered, 0 waiting"


def test_status_tells_of_a_restart_and_its_cause() -> None:
    status = EngineStatus(
        EngineState.RESTARTING,
        "Hermes",
        running=2,
        waiting=3,
        expected_wait_seconds=12.4,
        restarts=4,
        last_error="Out of memory. " * 200,
    )
    embed = describe([Standing("local", status, answers=True)], "1.0")
    fields = {field.name: field.value or "" for field in embed.fields}
    assert "Answers now" not in fields
    assert fields["State"] == "restarting"
    assert fields["Wait"] == "about 12 s for a new message"
    assert fields["Restarts"] == "4"
    assert len(fields["Last error"]) <= 1024


def test_status_tells_which_engine_answers_and_how_the_other_one_is() -> None:
    down = EngineStatus(EngineState.RESTARTING, "Hermes", last_error="Out of memory. " * 200)
    up = EngineStatus(EngineState.READY, "Mistral", expected_wait_seconds=3)
    standings = [
        Standing("local", down, answers=False),
        Standing("fallback:openai", up, answers=True),
    ]
    embed = describe(standings, "1.0")
    fields = {field.name: field.value or "" for field in embed.fields}
    assert fields["Answers now"] == "fallback:openai"
    assert (fields["State"], fields["Model"]) == ("ready", "Mistral")
    assert fields["local"].startswith("restarting, model Hermes. Out of memory.")
    assert len(fields["local"]) <= 1024
    calm = [replace(standings[0], answers=True), replace(standings[1], answers=False)]
    fields = {field.name: field.value or "" for field in describe(calm, "1.0").fields}
    assert fields["Answers now"] == "local"
    assert fields["fallback:openai"] == "ready, model Mistral, wait about 3 s."


def test_status_names_the_format_and_what_is_wrong_with_it() -> None:
    status = EngineStatus(EngineState.READY, "Hermes")
    well = WrittenIn("chatml, from the model's own template")
    ill = WrittenIn("alpaca, as nothing says which is the model's", "Set PROMPT_FORMAT.")
    for written_in in (well, ill):
        standing = Standing("local", status, answers=True, written_in=written_in)
        fields = {field.name: field.value for field in describe([standing], "1.0").fields}
        assert fields["Format"] == written_in.format
        assert fields.get("Take care", "") == written_in.problem


async def test_why_shows_the_prompt_and_what_was_left_out(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.ask("one")
        result = await world.bob.context_menu(world.channel, "Why this reply?", world.messages()[0])
        assert result.ephemeral
        answer = result.response
        assert answer is not None
        [file] = answer.attachments
        assert (await file.read()).decode() == world.engine.requests[0].prompt
        [embed] = answer.embeds
        assert "in all" in (embed.description or "")
        fields = {field.name: field.value for field in embed.fields}
        assert (fields["Model"], fields["Engine"]) == ("fake", "fake")
        assert embed.footer.text is None


def test_what_nobody_counted_is_told_without_a_number_of_tokens() -> None:
    part = LeftOut("history", turns=412, tokens=None)
    assert "412" in _left_out(part)
    assert "None" not in _left_out(part)
    assert "30 tokens" in _left_out(replace(part, tokens=30))


async def test_why_says_when_the_history_has_changed(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        question = await world.ask("my secret")
        await world.alice.delete(question)
        result = await world.bob.context_menu(world.channel, "Why this reply?", world.messages()[0])
        answer = result.response
        assert answer is not None
        assert "changed since" in (answer.embeds[0].footer.text or "")
        assert "my secret" not in (await answer.attachments[0].read()).decode()


async def test_why_says_when_the_persona_was_edited_or_is_gone(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.bob.slash(world.channel, "persona use", name="Ada")
        await world.ask("one")
        library = world.bot.desk.library
        file = world.personas_folder / "ada.toml"

        async def footer() -> str:
            await library.refresh()
            reply = world.messages()[-1]
            result = await world.bob.context_menu(world.channel, "Why this reply?", reply)
            assert result.response is not None
            return result.response.embeds[0].footer.text or ""

        text = await asyncio.to_thread(file.read_text)
        assert await footer() == ""
        await asyncio.to_thread(file.write_text, text + 'personality = "cross"\n')
        assert (await footer()).startswith("Ada has been edited since: this is the prompt as it")
        edited = text.replace('summary = "', 'summary = "No longer ')
        await asyncio.to_thread(file.write_text, edited)
        assert await footer() == "Ada has been edited since, but this prompt is the same."
        await asyncio.to_thread(file.unlink)
        assert (await footer()).startswith("The persona is gone: ")


async def test_why_of_somebody_elses_message_says_so(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        question = await world.ask("one")
        result = await world.bob.context_menu(world.channel, "Why this reply?", question)
        assert result.response is not None
        assert "no reply of mine" in result.response.content
        assert world.env.errors


async def test_a_fault_of_ours_gets_a_reference_and_not_its_cause(tmp_path: Path) -> None:
    engine = FakeEngine()

    def broken() -> EngineStatus:
        raise RuntimeError("a secret path")

    engine.status = broken  # type: ignore[method-assign]
    async with talking(tmp_path, engine=engine) as world:
        result = await world.alice.slash(world.channel, "status")
        assert result.response is not None
        assert "reference" in result.response.content
        assert "secret" not in result.response.content
        assert result.ephemeral
        assert world.env.errors
