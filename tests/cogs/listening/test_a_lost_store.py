"""Where a message cannot be stored, whoever waits for an answer is told, in one plain line."""

from pathlib import Path

import pytest
from worlds import World, talking

from bot.errors import StoreError

LINE = "⚠️ The bot's memory cannot be reached just now. Please try again later."


@pytest.fixture
def lose(monkeypatch: pytest.MonkeyPatch):
    """Lose a world's database, as far as messages go."""

    def lose_it(world: World, method: str = "add_message") -> None:
        async def fails(*_: object, **__: object) -> None:
            raise StoreError("The database is locked.", "Stop the other program.")

        monkeypatch.setattr(world.database.history, method, fails)

    return lose_it


async def test_who_asked_is_told_once_a_minute(
    tmp_path: Path, lose, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with talking(tmp_path) as world:
        lose(world)
        await world.ask("hello?")
        assert world.said() == [LINE]
        await world.ask("hello??", world.bob)
        assert world.said() == [LINE]
        other = world.guild.create_text_channel("other")
        await world.alice.send(other, f"{world.me} hello")
        assert world.said(other) == [LINE]
        await world.env.advance_time(61)
        await world.ask("hello???")
        assert world.said() == [LINE, LINE]
        monkeypatch.undo()
        await world.ask("and now?")
        assert world.said() == [LINE, LINE, "Hello, Alice."]
        assert [turn.text for turn in await world.turns()] == ["and now?", "Hello, Alice."]


async def test_others_are_not_bothered(tmp_path: Path, lose) -> None:
    async with talking(tmp_path) as world:
        await world.chief.slash(world.channel, "settings set", key="context", value="channel")
        lose(world)
        await world.alice.send(world.channel, "not to the bot")
        assert world.said() == []


@pytest.mark.parametrize("method", ["add_message", "turn_of_message"])
async def test_a_direct_message_and_a_reply_are_to_the_bot(
    tmp_path: Path, lose, method: str
) -> None:
    async with talking(tmp_path) as world:
        await world.ask("hello")
        lose(world, method)
        await world.alice.send(world.channel, "go on", reply_to=world.messages()[0])
        assert world.said() == ["Hello, Alice.", LINE]
        if method == "add_message":
            await world.alice.user.send_dm("hello")
            assert world.said(world.alice.user.dm_channel) == [LINE]


async def test_a_reply_whose_end_could_not_be_stored_is_seen_in_the_next_prompt(
    tmp_path: Path, lose, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with talking(tmp_path, ["One.", "Two."]) as world:
        lose(world, "finish_reply")
        await world.ask("hi")
        assert world.said() == ["One."]
        monkeypatch.undo()
        await world.ask("again")
        assert "One." in world.engine.requests[-1].prompt
        assert world.said() == ["One.", "Two."]


async def test_it_is_stored_also_when_nobody_asks(
    tmp_path: Path, lose, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with talking(tmp_path, ["One."]) as world:
        lose(world, "finish_reply")
        await world.ask("hi")
        await world.pass_time(5)
        monkeypatch.undo()
        await world.pass_time(35)
        assert [turn.state.value for turn in await world.turns()] == ["whole", "whole"]
