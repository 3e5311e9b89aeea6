"""The buttons under a reply: who may press them, what they do, and that they survive a restart."""

import asyncio
from pathlib import Path

import pytest
from worlds import QUICK, held, labels, let, new_bot, talking

from bot.chat.messages import TurnState
from bot.engine.fake import FakeEngine
from bot.errors import EngineFailed
from cogs.commands.buttons import TurnButton
from cogs.commands.undo import UndoButton, pack, undo_view, unpack
from cogs.commands.views import view_of
from cogs.showing.voice import Controls

DONE = ["Regenerate", "Continue", "Delete"]


async def test_regenerate_writes_another_swipe_in_the_same_message(tmp_path: Path) -> None:
    async with talking(tmp_path, ["First.", "Second."]) as world:
        await world.ask("one")
        [reply] = world.messages()
        await world.alice.click(reply, label="Regenerate")
        assert world.said() == ["Second."]
        assert world.messages()[0].id == reply.id
        assert labels(world.messages()[0]) == ["Regenerate", "Continue", "◀", "2/2 ▶", "Delete"]
        answer = (await world.turns())[1]
        assert [swipe.text for swipe in answer.swipes] == ["First.", "Second."]


async def test_swipes_go_back_and_forth_round_the_end(tmp_path: Path) -> None:
    async with talking(tmp_path, ["First.", "Second."]) as world:
        await world.ask("one")
        await world.alice.click(world.messages()[0], label="Regenerate")
        await world.alice.click(world.messages()[0], label="◀")
        assert world.said() == ["First."]
        assert (await world.turns())[1].text == "First."
        await world.alice.click(world.messages()[0], label="◀")
        assert world.said() == ["Second."]
        await world.alice.click(world.messages()[0], label="2/2 ▶")
        assert world.said() == ["First."]
        assert "1/2 ▶" in labels(world.messages()[0])


async def test_a_shorter_swipe_takes_surplus_messages_away_and_stays_a_turn(tmp_path: Path) -> None:
    long = "\n\n".join(f"Paragraph {number}. " + "longest " * 60 for number in range(6)).strip()
    async with talking(tmp_path, [long, "Short."]) as world:
        await world.ask("one")
        assert len(world.said()) == 2
        await world.alice.click(world.messages()[-1], label="Regenerate")
        assert world.said() == ["Short."]
        answer = (await world.turns())[1]
        assert answer.message_ids == (str(world.messages()[0].id),)
        await world.alice.click(world.messages()[0], label="◀")
        assert len(world.said()) == 2
        assert labels(world.messages()[0]) == []
        answer = (await world.turns())[1]
        assert answer.message_ids == tuple(str(m.id) for m in world.messages())
        await world.alice.click(world.messages()[1], label="1/2 ▶")
        assert world.said() == ["Short."]
        assert (await world.turns())[1].text == "Short."


async def test_continue_goes_on_in_the_same_message(tmp_path: Path) -> None:
    async with talking(tmp_path, ["Once upon", " a time."]) as world:
        await world.ask("one")
        await world.alice.click(world.messages()[0], label="Continue")
        assert world.said() == ["Once upon a time."]
        answer = (await world.turns())[1]
        assert (answer.text, len(answer.swipes)) == ("Once upon a time.", 1)
        assert world.engine.requests[-1].prompt.endswith("Once upon")


async def test_delete_takes_the_reply_out_everywhere(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.ask("one")
        await world.alice.click(world.messages()[0], label="Delete")
        assert world.said() == []
        assert [turn.role for turn in await world.turns()] == ["user"]


@pytest.mark.parametrize("label", DONE)
async def test_only_who_asked_and_moderators_press(tmp_path: Path, label: str) -> None:
    async with talking(tmp_path, ["First.", "Second."]) as world:
        await world.ask("one")
        result = await world.bob.click(world.messages()[0], label=label)
        assert result.followups[0].ephemeral
        assert "Only the person who asked" in result.followups[0].content
        assert world.said() == ["First."]
        result = await world.mod.click(world.messages()[0], label=label)
        assert result.followups == []
        assert world.said() != ["First."]


async def test_in_a_direct_message_the_buttons_work(tmp_path: Path) -> None:
    async with talking(tmp_path, ["First.", "Second."]) as world:
        user = world.alice.user
        await user.send_dm("one")
        await user.click(world.messages(user.dm_channel)[0], label="Regenerate")
        assert world.said(user.dm_channel) == ["Second."]


async def test_the_buttons_survive_a_restart(tmp_path: Path) -> None:
    async with talking(tmp_path, ["First.", "Second."]) as world:
        await world.ask("one")
        personas = tmp_path / "personas"
        bot = await asyncio.to_thread(new_bot, world.database, personas, world.engine, QUICK)
        await world.env.restart_bot(bot)
        world.bot = bot
        await world.alice.click(world.messages()[0], label="Regenerate")
        assert world.said() == ["Second."]


async def test_a_stop_button_left_behind_becomes_the_others(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.ask("one")
        [reply] = world.messages()
        turn = (await world.turns())[1]
        from cogs.commands.views import view_of
        from cogs.showing.voice import Controls

        channel = world.bot.get_partial_messageable(world.channel.id)
        with world.env._bot_scope():
            message = channel.get_partial_message(reply.id)
            await message.edit(view=view_of(Controls(turn.turn_id, is_running=True)))
        await world.alice.click(world.messages()[0], label="Stop")
        assert labels(world.messages()[0]) == DONE


async def test_a_button_of_a_forgotten_turn_says_so(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.ask("one")
        turn = (await world.turns())[1]
        await world.database.history.delete_turn(turn.turn_id)
        result = await world.alice.click(world.messages()[0], label="Continue")
        assert "no longer kept" in result.followups[0].content


async def test_a_regeneration_that_fails_leaves_the_old_reply_and_its_buttons(
    tmp_path: Path,
) -> None:
    engine = FakeEngine(["First.", EngineFailed("gone")])
    async with talking(tmp_path, engine=engine) as world:
        await world.ask("one")
        await world.alice.click(world.messages()[0], label="Regenerate")
        text, line = world.said()
        assert text == "First."
        assert line.startswith("⚠️ ")
        assert labels(world.messages()[0]) == DONE
        answer = (await world.turns())[1]
        assert (answer.text, answer.state) == ("First.", TurnState.WHOLE)


async def test_a_slow_regeneration_can_be_stopped_and_leaves_the_old_reply(tmp_path: Path) -> None:
    gate = asyncio.Semaphore(1)
    engine = FakeEngine(["First.", "Second, and longer."], gate=gate, chunk_characters=100)
    async with talking(tmp_path, engine=engine) as world:
        await world.ask("one")
        await world.alice.click(world.messages()[0], label="Regenerate")
        await world.pass_time(1)
        assert world.said() == ["First."]
        assert labels(world.messages()[0]) == ["Stop"]
        await world.alice.click(world.messages()[0], label="Stop")
        assert world.said() == ["First."]
        assert labels(world.messages()[0]) == DONE
        assert len((await world.turns())[1].swipes) == 1


async def test_a_button_pressed_twice_acts_once(tmp_path: Path) -> None:
    gate = asyncio.Semaphore(1)
    engine = FakeEngine(["First.", "Second."], gate=gate, chunk_characters=100)
    async with talking(tmp_path, engine=engine) as world:
        await world.ask("one")
        before = world.messages()[0]
        await world.alice.click(before, label="Regenerate")
        result = await world.alice.click(before, label="Regenerate")
        assert "is being written" in result.followups[0].content
        gate.release()
        await world.pass_time(1)
        assert world.said() == ["Second."]
        assert len((await world.turns())[1].swipes) == 2


@pytest.mark.parametrize("label", ["Regenerate", "Continue"])
async def test_a_button_pressed_again_while_another_reply_is_written_acts_once(
    tmp_path: Path, label: str
) -> None:
    engine, gate = held("First.", "Second.", "Third.", "Fourth.", letters=100)
    async with talking(tmp_path, engine=engine) as world:
        let(gate, 1)
        await world.ask("one")
        first = world.messages()[0]
        await world.ask("two", world.bob)
        await world.alice.click(first, label=label)
        result = await world.alice.click(first, label=label)
        assert "is being written" in result.followups[0].content
        let(gate)
        await world.env.settle()
        await world.pass_time(3)
        assert len(engine.requests) == 3
        await world.alice.click(world.messages()[0], label=label)
        assert len(engine.requests) == 4  # it can be pressed again


@pytest.mark.parametrize("what", ["restore", "unhide"])
@pytest.mark.parametrize("numbers", [[7], [7, 8]])
def test_a_buttons_id_belongs_to_one_kind_of_button(what: str, numbers: list[int]) -> None:
    kinds = [kind.__discord_ui_compiled_template__ for kind in (TurnButton, UndoButton)]
    view = view_of(Controls(7, is_running=False, swipes=2))
    assert view is not None
    for shown in (*view.children, *undo_view(what, numbers).children):
        custom_id = shown.item.custom_id  # type: ignore[attr-defined]
        assert sum(kind.fullmatch(custom_id) is not None for kind in kinds) == 1


async def test_a_regeneration_survives_a_refused_stop_button(tmp_path: Path) -> None:
    gate = asyncio.Semaphore(1)
    engine = FakeEngine(["First.", "Second."], gate=gate, chunk_characters=100)
    async with talking(tmp_path, engine=engine) as world:
        await world.ask("one")
        world.env.inject_error("PATCH", "/channels/*/messages/*", status=500)
        await world.alice.click(world.messages()[0], label="Regenerate")
        await world.pass_time(1)
        gate.release()
        await world.pass_time(1)
        assert world.said() == ["Second."]


async def test_a_slow_regeneration_says_so_in_a_line_that_goes(tmp_path: Path) -> None:
    gate = asyncio.Semaphore(1)
    engine = FakeEngine(["First.", "Second."], gate=gate, chunk_characters=100)
    async with talking(tmp_path, engine=engine) as world:
        await world.ask("one")
        await world.alice.click(world.messages()[0], label="Regenerate")
        await world.pass_time(11)
        assert world.said()[0] == "First."
        assert world.said()[1].startswith("⏳ ")
        gate.release()
        await world.pass_time(1)
        assert world.said() == ["Second."]


@pytest.mark.parametrize("numbers", [[1], [7, 8, 12], [2**53, 2**53 + 40], list(range(5, 40))])
def test_numbers_survive_a_buttons_id(numbers: list[int]) -> None:
    assert unpack(pack(numbers)) == numbers
