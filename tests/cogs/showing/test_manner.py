"""How replies are shown where `streaming` or `buttons` is off."""

from pathlib import Path

import pytest
from worlds import World, held, labels, let, talking

from bot.engine.api import GenerationRequest


async def turn_off(world: World, key: str) -> None:
    await world.mod.slash(world.channel, "settings set", key=key, value="off")


def writes(world: World) -> list[str]:
    """What was written into messages, in order, by their methods."""
    return [
        entry.method
        for entry in world.env.http_requests
        if entry.method in ("POST", "PATCH")
        and "/messages" in entry.path
        and "/webhooks/" not in entry.path  # the answers to commands
    ]


async def test_without_streaming_a_reply_comes_whole_and_typing_goes_on(tmp_path: Path) -> None:
    engine, gate = held("one two three four")
    async with talking(tmp_path, engine=engine) as world:
        await turn_off(world, "streaming")
        await world.ask("count")
        let(gate, 2)
        await world.pass_time(9)
        typed = len(world.requests("POST", "/typing"))
        assert typed >= 2
        await world.pass_time(9)
        assert len(world.requests("POST", "/typing")) > typed
        assert world.said() == []
        let(gate)
        await world.env.settle()
        assert world.said() == ["one two three four"]
        assert labels(world.messages()[0]) == ["Regenerate", "Continue", "Delete"]
        assert writes(world) == ["POST"]


async def test_without_streaming_a_long_reply_still_is_several_messages(tmp_path: Path) -> None:
    text = "\n\n".join(f"Paragraph {number}. " + "word " * 150 for number in range(8)).strip()
    async with talking(tmp_path, [text]) as world:
        await turn_off(world, "streaming")
        await world.chief.slash(
            world.channel, "settings set", key="max_reply_tokens", value="2000", scope="guild"
        )
        await world.ask("tell me everything")
        assert len(world.said()) > 2
        assert writes(world) == ["POST"] * len(world.said())
        assert [bool(labels(message)) for message in world.messages()] == [
            *([False] * (len(world.said()) - 1)),
            True,
        ]
        assert (await world.turns())[1].text == text


async def test_without_streaming_what_takes_long_is_said_and_can_be_stopped(
    tmp_path: Path,
) -> None:
    engine, gate = held("one two three four")
    async with talking(tmp_path, engine=engine) as world:
        await turn_off(world, "streaming")
        await world.ask("count")
        await world.pass_time(11)
        [line] = world.messages()
        assert "busy" in line.content
        assert labels(line) == ["Stop"]
        let(gate, 1)
        await world.pass_time(2)
        assert world.said() == [line.content]
        await world.alice.click(line, label="Stop")
        await world.env.settle()
        assert world.said() == ["one two"]


async def test_without_streaming_another_swipe_replaces_the_first_in_one_edit(
    tmp_path: Path,
) -> None:
    engine, gate = held("one two three four", "five six seven eight")
    async with talking(tmp_path, engine=engine) as world:
        await turn_off(world, "streaming")
        await world.ask("count")
        let(gate)
        await world.env.settle()
        while not gate.locked():
            await gate.acquire()
        await world.alice.click(world.messages()[0], label="Regenerate")
        let(gate, 1)
        await world.pass_time(2)
        assert world.said() == ["one two three four"]
        assert labels(world.messages()[0]) == ["Stop"]
        let(gate)
        await world.env.settle()
        assert world.said() == ["five six seven eight"]
        edits = [entry.json for entry in world.requests("PATCH") if "/messages" in entry.path]
        texts = [edit["content"] for edit in edits if edit and "content" in edit]
        assert [text for text in texts if "five" in text] == ["five six seven eight"]


async def test_a_change_while_a_reply_streams_holds_from_the_next_one_on(tmp_path: Path) -> None:
    engine, gate = held("one two three four", "five six seven eight")
    async with talking(tmp_path, engine=engine) as world:
        await world.ask("count")
        let(gate, 1)
        await world.pass_time()
        for key in ("streaming", "buttons"):
            await turn_off(world, key)
        let(gate, 1)
        await world.pass_time()
        assert world.said() == ["one two three"]
        assert labels(world.messages()[0]) == ["Stop"]
        let(gate, 2)
        await world.env.settle()
        assert labels(world.messages()[0]) == ["Regenerate", "Continue", "Delete"]
        while not gate.locked():
            await gate.acquire()
        await world.ask("and on")
        let(gate, 1)
        await world.pass_time()
        assert len(world.said()) == 1
        let(gate)
        await world.env.settle()
        assert world.said()[1] == "five six seven eight"
        assert labels(world.messages()[1]) == []


@pytest.mark.parametrize("persona", ["Caduceus", "Ada"])
async def test_without_buttons_there_are_none_and_commands_still_work(
    tmp_path: Path, persona: str
) -> None:
    engine, gate = held("one two three four", "five", "six", "seven")
    async with talking(tmp_path, engine=engine) as world:
        await world.mod.slash(world.channel, "settings set", key="persona", value=persona)
        await turn_off(world, "buttons")
        await world.ask("count")
        let(gate, 1)
        await world.pass_time()
        [message] = world.messages()
        assert message.content.endswith("one two")
        assert labels(message) == []
        let(gate)
        await world.env.settle()
        assert labels(world.messages()[0]) == []
        await world.alice.slash(world.channel, "chat regenerate")
        assert world.said()[0].endswith("five")
        assert labels(world.messages()[0]) == []
        await world.mod.slash(world.channel, "settings reset", key="buttons")
        await world.ask("again")
        assert "Regenerate" in labels(world.messages()[1])


async def test_buttons_from_before_still_work_and_go_with_the_next_edit(tmp_path: Path) -> None:
    def reply(request: GenerationRequest) -> str:
        return f"Reply {len(request.prompt)}"

    async with talking(tmp_path, reply) as world:
        await world.ask("count")
        await turn_off(world, "buttons")
        await world.alice.click(world.messages()[0], label="Regenerate")
        assert labels(world.messages()[0]) == []
        assert len((await world.turns())[1].swipes) == 2
