"""`/moderation purge` where a fork has copies of what goes."""

import asyncio
from pathlib import Path

from moderating import answer, ask_purge, contents, press, purged
from simcord import ChannelHandle
from test_purge import files_with
from worlds import World, talking


async def forked(world: World) -> ChannelHandle:
    """The fork after the newest reply."""
    await world.bob.context_menu(world.channel, "Fork from here", world.messages()[-1])
    return world.channel.threads[-1]


async def test_copies_in_forks_go_too_and_what_was_said_there_stays(tmp_path: Path) -> None:
    async with talking(tmp_path, ["To Bob.", "A vault.", "In the fork."]) as world:
        await world.ask("a harmless word", world.bob)
        await world.ask("the zirconium vault")
        thread = await forked(world)
        await world.bob.send(thread, f"{world.me} and then?")
        again = await forked_again(world, thread)
        said = await purged(world, member=world.alice)
        assert said.startswith("Purged: 1 exchange, out of all that I keep")
        texts = [last_line(turn.text) for turn in await world.turns(thread)]
        assert texts == ["a harmless word", "To Bob.", "and then?", "In the fork."]
        assert [last_line(turn.text) for turn in await world.turns(again)] == texts
        assert not [text for text in contents(world, thread) if "A vault." in text]
        await world.database.reclaim()
        assert await asyncio.to_thread(files_with, b"zirconium", tmp_path) == []
        assert not await world.database.purges.unfinished("discord")


def last_line(text: str) -> str:
    """What was said, without the thread's title above it."""
    return text.split("\n")[-1]


async def forked_again(world: World, thread: ChannelHandle) -> ChannelHandle:
    before = set(world.channel.threads)
    await world.bob.context_menu(thread, "Fork from here", world.messages(thread)[-1])
    [again] = [each for each in world.channel.threads if each.id not in {b.id for b in before}]
    return again


async def test_a_count_means_what_was_said_here(tmp_path: Path) -> None:
    async with talking(tmp_path, ["One.", "Two.", "Three."]) as world:
        await world.ask("first")
        await world.ask("second")
        thread = await forked(world)
        await world.bob.send(thread, f"{world.me} third")
        await purged(world, count=1)
        assert [turn.text for turn in await world.turns()] == ["first", "One."]
        texts = [last_line(turn.text) for turn in await world.turns(thread)]
        assert texts == ["first", "One.", "third", "Three."]


async def test_a_fork_that_is_purged_leaves_what_it_was_forked_from(tmp_path: Path) -> None:
    async with talking(tmp_path, ["One."]) as world:
        await world.ask("first")
        thread = await forked(world)
        asked = await ask_purge(world, channel=thread, since="1h")
        await press(world, asked)
        assert answer(asked).startswith("Purged: ")
        assert await world.turns(thread) == []
        assert [turn.text for turn in await world.turns()] == ["first", "One."]
