"""The reply as people see it come: streaming, stopping, splitting, failing."""

import asyncio
import itertools
from pathlib import Path

import pytest
from worlds import QUICK, World, held, labels, let, talking

from bot.chat.messages import TurnState
from bot.engine.fake import FakeEngine
from cogs.platform import key_of
from cogs.showing.pacing import Pace


async def test_text_streams_into_one_message_under_a_stop_button(tmp_path: Path) -> None:
    engine, gate = held("one two three four")
    async with talking(tmp_path, engine=engine) as world:
        await world.ask("count")
        assert world.said() == []
        assert world.requests("POST", "/typing")
        let(gate, 1)
        await world.pass_time()
        assert world.said() == ["one two"]
        assert labels(world.messages()[0]) == ["Stop"]
        let(gate)
        await world.env.settle()
        assert world.said() == ["one two three four"]
        assert labels(world.messages()[0]) == ["Regenerate", "Continue", "Delete"]


async def test_stop_keeps_what_was_shown(tmp_path: Path) -> None:
    engine, gate = held("one two three four")
    async with talking(tmp_path, engine=engine) as world:
        await world.ask("count")
        let(gate, 1)
        await world.pass_time()
        await world.alice.click(world.messages()[0], label="Stop")
        assert world.said() == ["one two"]
        assert labels(world.messages()[0]) == ["Regenerate", "Continue", "Delete"]
        answer = (await world.turns())[1]
        assert (answer.text, answer.state) == ("one two", TurnState.CUT)
        assert engine.cancelled


async def test_others_cannot_stop_it_but_moderators_can(tmp_path: Path) -> None:
    engine, gate = held("one two three four")
    async with talking(tmp_path, engine=engine) as world:
        await world.ask("count")
        let(gate, 1)
        await world.pass_time()
        refused = await world.bob.click(world.messages()[0], label="Stop")
        assert [m.content for m in refused.followups] == [
            "Only the person who asked, and moderators, can do that with this reply."
        ]
        assert refused.followups[0].ephemeral
        await world.mod.click(world.messages()[0], label="Stop")
        assert (await world.turns())[1].state is TurnState.CUT


async def test_a_long_reply_goes_on_in_new_messages(tmp_path: Path) -> None:
    paragraphs = [f"Paragraph {number}. " + "word " * 150 for number in range(8)]
    text = "\n\n".join(paragraph.strip() for paragraph in paragraphs)
    async with talking(tmp_path, [text]) as world:
        await world.chief.slash(
            world.channel, "settings set", key="max_reply_tokens", value="2000", scope="guild"
        )
        await world.ask("tell me everything")
        assert len(world.said()) > 2
        assert all(len(content) <= 2000 for content in world.said())
        assert "\n\n".join(world.said()) == text
        assert [labels(message) != [] for message in world.messages()][:-1] == [False] * (
            len(world.said()) - 1
        )
        answer = (await world.turns())[1]
        assert answer.text == text
        assert answer.message_ids == tuple(str(m.id) for m in world.messages())


async def test_nothing_the_model_writes_mentions_anybody(tmp_path: Path) -> None:
    async with talking(tmp_path, ["@everyone <@123> <@&456>"]) as world:
        await world.ask("shout")
        bodies = [
            entry.json
            for entry in world.env.http_requests
            if entry.method in ("POST", "PATCH") and "/messages" in entry.path
        ]
        assert bodies
        for body in bodies:
            assert body["allowed_mentions"]["parse"] == []
            assert not body["allowed_mentions"].get("replied_user")


async def test_a_bare_mention_is_answered(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.ask("")
        assert world.said() == ["Hello, Alice."]


async def test_a_question_edited_while_it_is_answered_is_changed_for_later(tmp_path: Path) -> None:
    engine, gate = held("one two three four", "five")
    async with talking(tmp_path, engine=engine) as world:
        await world.ask("my cat is red")
        question = world.channel.history()[0]
        let(gate, 1)
        await world.pass_time()
        await world.alice.edit(question, f"{world.me} my cat is blue")
        let(gate)
        await world.env.settle()
        assert world.said() == ["one two three four"]
        let(gate)
        await world.ask("which?")
        assert "my cat is blue" in engine.requests[-1].prompt
        assert "red" not in engine.requests[-1].prompt


async def test_what_is_said_meanwhile_is_answered_together_afterwards(tmp_path: Path) -> None:
    engine, gate = held("one two three four", "five")
    async with talking(tmp_path, engine=engine) as world:
        await world.ask("first")
        await world.ask("second")
        await world.ask("third", world.bob)
        let(gate)
        await world.env.settle()
        assert world.said() == ["one two three four", "five"]
        turns = await world.turns()
        assert [turn.text for turn in turns] == [
            "first",
            "one two three four",
            "second",
            "third",
            "five",
        ]
        assert turns[-1].asked_by == {str(world.alice.id), str(world.bob.id)}
        # «The person who asked» is any of them.
        await world.bob.click(world.messages()[-1], label="Delete")
        assert world.said() == ["one two three four"]


async def test_two_channels_are_answered_at_once(tmp_path: Path) -> None:
    engine, gate = held("one two three four")
    async with talking(tmp_path, engine=engine) as world:
        other = world.guild.create_text_channel("other")
        await world.ask("here")
        await world.bob.send(other, f"{world.me} there")
        assert len(engine.requests) == 2
        let(gate, 2)
        await world.pass_time()
        assert world.said() == world.said(other) == ["one two"]
        let(gate)
        await world.env.settle()
        assert world.said() == world.said(other) == ["one two three four"]


async def test_a_busy_model_is_one_line_that_the_reply_replaces(tmp_path: Path) -> None:
    engine, gate = held("one two three four")
    async with talking(tmp_path, engine=engine) as world:
        await world.ask("count")
        await world.pass_time(9.9)
        assert world.said() == []
        await world.pass_time(0.2)
        [line] = world.messages()
        assert line.content.startswith("⏳ The model is busy")
        assert labels(line) == ["Stop"]
        assert (await world.turns())[-1].text == ""
        let(gate)
        await world.env.settle()
        assert world.said() == ["one two three four"]
        assert world.messages()[0].id == line.id


async def test_a_busy_line_goes_when_the_reply_is_stopped_before_it_began(tmp_path: Path) -> None:
    engine, _ = held("one two three four")
    async with talking(tmp_path, engine=engine) as world:
        await world.ask("count")
        await world.pass_time(9.9)
        assert world.said() == []
        await world.pass_time(0.2)
        await world.alice.click(world.messages()[0], label="Stop")
        assert world.said() == []
        assert [turn.role for turn in await world.turns()] == ["user"]


async def test_an_expected_wait_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    engine, gate = held("one two three four")
    calm = engine.status
    monkeypatch.setattr(engine, "status", lambda: replace(calm(), expected_wait_seconds=42.0))
    async with talking(tmp_path, engine=engine, pace=QUICK) as world:
        await world.ask("count")
        await world.pass_time()
        assert "42 s" in world.said()[0]
        let(gate)
        await world.env.settle()
        assert world.said() == ["one two three four"]


async def test_edits_are_a_second_apart_and_coalesced(tmp_path: Path) -> None:
    words = " ".join(f"word{number}" for number in range(60))
    engine = FakeEngine([words], chunk_characters=6, chunk_seconds=0.05)
    async with talking(tmp_path, engine=engine, pace=Pace()) as world:
        times: list[float] = []
        original = world.bot.http.request

        async def noting(route: object, **options: object) -> object:
            if getattr(route, "method", "") == "PATCH":
                times.append(world.env._virtual_time)
            return await original(route, **options)  # type: ignore[arg-type]

        world.bot.http.request = noting  # type: ignore[method-assign]
        world.env.settle_timeout = 30.0
        await world.ask("many words")
        assert world.said() == [words]
        assert len(times) >= 3
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert min(gaps) >= 0.999


async def test_the_typing_goes_on_while_nothing_came(tmp_path: Path) -> None:
    engine, gate = held("one")
    async with talking(tmp_path, engine=engine, pace=Pace(busy_seconds=100)) as world:
        await world.ask("hm")
        await world.pass_time(20)
        assert len(world.requests("POST", "/typing")) == 3
        let(gate)
        await world.env.settle()
        assert world.said() == ["one"]


async def test_closing_ends_a_running_reply_and_shows_its_end(tmp_path: Path) -> None:
    engine, gate = held("one two three four")
    async with talking(tmp_path, engine=engine) as world:
        await world.ask("count")
        let(gate, 1)
        await world.pass_time()
        with world.env._bot_scope():
            closing = asyncio.create_task(world.bot.close())
        await asyncio.sleep(0.05)
        let(gate)
        await closing
        assert world.said() == ["one two three four"]
        assert labels(world.messages()[0]) == ["Regenerate", "Continue", "Delete"]
        assert world.bot.conversations.running(_key(world)) is None


def _key(world: World):
    channel = world.bot.get_channel(world.channel.id)
    assert channel is not None
    return key_of(channel)  # type: ignore[arg-type]


async def test_a_thought_that_only_its_end_gives_away_is_taken_back(tmp_path: Path) -> None:
    thought = " ".join(f"Thought number {number}." for number in range(300))
    engine, gate = held(f"{thought}\n</think>\n\nFour.", letters=500)
    async with talking(tmp_path, engine=engine) as world:
        await world.chief.slash(
            world.channel, "settings set", key="max_reply_tokens", value="2000", scope="guild"
        )
        await world.ask("2+2?")
        let(gate, 8)
        await world.pass_time()
        assert len(world.said()) > 1
        let(gate)
        await world.pass_time()
        assert world.said() == ["Four."]
        assert (await world.turns())[-1].text == "Four."
