"""What people see when a question, a reply or a part of one is deleted."""

from pathlib import Path

import discord
import simcord
from simcord.actors import to_discord_message
from worlds import World, held, labels, let, talking

from bot.chat.messages import TurnState

LONG = "\n\n".join(
    f"Part {name}. " + "".join(f"word{number:03} " for number in range(160))
    for name in ("one", "two", "three")
)
BUTTONS = ["Regenerate", "Continue", "Delete"]


def cleaner(world: World) -> simcord.MemberActor:
    """Somebody who may delete the bot's messages."""
    role = world.guild.create_role("m", permissions=discord.Permissions(manage_messages=True))
    return world.guild.add_member(world.env.create_user("cleaner"), roles=[role])


async def pose(world: World, text: str, actor: simcord.MemberActor | None = None):
    """Ask while the engine holds."""
    author = (actor or world.alice).id
    made = world.env.backend.create_message(world.channel.id, author, f"{world.me} {text}")
    await world.env.settle()
    return to_discord_message(world.env, made)


def typed(world: World) -> int:
    return len(world.requests("POST", "/typing"))


async def test_a_question_deleted_before_the_first_word_is_dropped_quietly(tmp_path: Path) -> None:
    engine, gate = held("Once upon a time.")
    async with talking(tmp_path, engine=engine) as world:
        question = await pose(world, "my secret")
        assert typed(world) == 1
        await world.alice.delete(question)
        assert len(engine.cancelled) == 1
        let(gate)
        await world.pass_time(30)
        assert world.said() == []
        assert await world.turns() == []
        assert typed(world) == 1
        await world.ask("still there?")
        assert world.said() == ["Once upon a time."]
        assert "my secret" not in engine.requests[-1].prompt


async def test_the_line_that_the_model_is_busy_goes_with_the_question(tmp_path: Path) -> None:
    engine, _ = held("Once upon a time.")
    async with talking(tmp_path, engine=engine) as world:
        question = await pose(world, "my secret")
        await world.pass_time(11)
        assert "busy" in world.said()[0]
        await world.alice.delete(question)
        await world.pass_time(3)
        assert world.said() == []


async def test_another_persons_question_is_answered_all_the_same(tmp_path: Path) -> None:
    engine, gate = held("First.", "Second.", "Third.")
    async with talking(tmp_path, engine=engine) as world:
        await pose(world, "begin")
        secret = await pose(world, "my secret")
        await pose(world, "a question", world.bob)
        let(gate, 1)
        await world.pass_time(3)
        await world.alice.delete(secret)
        let(gate)
        await world.pass_time(3)
        assert world.said() == ["First.", "Third."]
        assert "my secret" in engine.requests[1].prompt
        assert "my secret" not in engine.requests[2].prompt
        assert "a question" in engine.requests[2].prompt


async def test_regenerating_without_a_question_says_why_not(tmp_path: Path) -> None:
    async with talking(tmp_path, ["First.", "Out of nothing."]) as world:
        question = await world.ask("my question")
        await world.alice.delete(question)
        result = await world.alice.click(world.messages()[-1], label="Regenerate")
        assert [message.content for message in result.followups] == [
            "What this reply answers is no longer there. Say something new to me."
        ]
        assert len(world.engine.requests) == 1
        assert world.said() == ["First."]
        assert labels(world.messages()[0]) == BUTTONS


async def test_of_several_messages_the_others_stay_known_and_have_the_buttons(
    tmp_path: Path,
) -> None:
    async with talking(tmp_path, [LONG, "Second.", " And on."]) as world:
        await world.ask("tell me much")
        moderator = cleaner(world)
        shown = world.messages()
        assert [labels(message) for message in shown] == [[], [], BUTTONS]
        edits = len(world.requests("PATCH"))
        await moderator.delete(shown[2])
        await world.pass_time(3)
        assert [message.content[:8] for message in world.messages()] == ["Part one", "Part two"]
        assert [labels(message) for message in world.messages()] == [[], BUTTONS]
        assert len(world.requests("PATCH")) == edits + 1  # what reads right is left alone
        await moderator.delete(shown[0])
        await world.pass_time(3)
        assert [turn.message_ids for turn in await world.turns()][1] == (str(shown[1].id),)
        await world.ask("and?")
        prompt = world.engine.requests[-1].prompt
        assert "Part two" in prompt
        assert "Part one" not in prompt
        assert "Part three" not in prompt
        await world.alice.click(world.messages()[0], label="Delete")
        assert world.said() == ["Second."]


async def test_what_is_left_is_closed_up_where_it_takes_fewer_messages(tmp_path: Path) -> None:
    first, second, third = (
        "".join(f"{letter}{number:03} " for number in range(count)).strip()
        for letter, count in (("a", 240), ("b", 380), ("c", 120))
    )
    text = f"{first}\n\n{second}\n\n{third}"
    async with talking(tmp_path, [text, "Another."]) as world:
        most = {"key": "max_reply_tokens", "value": "2048"}
        await world.keeper.slash(world.channel, "settings set", **most)
        await world.ask("tell me much")
        shown = world.messages()
        assert len(shown) == 3
        await cleaner(world).delete(shown[1])
        await world.pass_time(5)
        left = f"{first}\n\n{third}"
        assert world.said() == [left]
        assert labels(world.messages()[0]) == BUTTONS
        assert (await world.turns())[1].text == left
        await world.alice.click(world.messages()[0], label="Regenerate")
        assert world.said() == ["Another."]


async def test_the_last_of_several_messages_takes_the_turn_with_it(tmp_path: Path) -> None:
    async with talking(tmp_path, [LONG, "Second."]) as world:
        await world.ask("tell me much")
        moderator = cleaner(world)
        for message in world.messages():
            await moderator.delete(message)
            await world.pass_time(3)
        assert [turn.text for turn in await world.turns()] == ["tell me much"]
        assert world.said() == []


async def test_a_part_deleted_while_it_is_written_ends_the_reply(tmp_path: Path) -> None:
    engine, gate = held(
        LONG + " " + "".join(f"more{number} " for number in range(40)), letters=len(LONG)
    )
    async with talking(tmp_path, engine=engine) as world:
        await pose(world, "tell me much")
        let(gate, 1)
        await world.pass_time(5)
        shown = world.messages()
        assert len(shown) == 3
        await cleaner(world).delete(shown[1])
        let(gate)
        await world.pass_time(5)
        assert [message.content[:10] for message in world.messages()] == [
            "Part one. ",
            "Part three",
        ]
        assert [labels(message) for message in world.messages()] == [[], BUTTONS]
        turn = (await world.turns())[1]
        assert turn.state is TurnState.CUT
        assert turn.message_ids == (str(shown[0].id), str(shown[2].id))


async def test_a_message_found_to_be_gone_is_the_one_that_is_taken_out(tmp_path: Path) -> None:
    async with talking(tmp_path, [LONG, "Another."]) as world:
        await world.ask("tell me much")
        shown = world.messages()
        world.bot.ws.open = False  # type: ignore[attr-defined] - nobody hears of it
        world.env.backend.delete_message(world.channel.id, shown[0].id)
        world.bot.ws.open = True  # type: ignore[attr-defined]
        await world.alice.click(shown[2], label="Regenerate")
        await world.pass_time(5)
        assert [message.content[:10] for message in world.messages()] == [
            "Part two. ",
            "Part three",
        ]
        assert labels(world.messages()[1]) == BUTTONS
        turn = (await world.turns())[1]
        assert turn.message_ids == (str(shown[1].id), str(shown[2].id))
        assert "Part one" not in turn.text
