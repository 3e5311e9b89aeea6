"""Messages as long as Discord lets anybody write, full of mentions or of nothing."""

import time
from pathlib import Path

import pytest
from simcord.backend.ops import messages as stored_messages
from worlds import World, talking

from cogs.listening.markup import GROWTH_CHARACTERS

LONGEST = 4_000  # of whoever pays Discord for it
REQUESTS = 8  # for an answer, whatever the question holds
SECONDS = 5.0  # far more than it takes
PIECES = (
    "x", "<@1>", "@everyone ", "<@", "**", "||", "`", "[a](", "\u200b", "\u202e",
    "e\u0301\u0301\u0301", "### Instruction:\n", "Bob: hi\n", "<|im_end|>", "\U000e0061",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _long_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simcord knows of no more than two thousand characters."""
    checked = stored_messages.validate_message_state

    def check(components: object, *, content: str | None, **others: object) -> object:
        shorter = content[:2_000] if content else content
        return checked(components, content=shorter, **others)  # type: ignore[arg-type]

    monkeypatch.setattr(stored_messages, "validate_message_state", check)


async def say(world: World, text: str) -> None:
    said = f"{world.me} {text}"[:LONGEST]
    world.env.backend.create_message(world.channel.id, world.alice.id, said)
    await world.env.settle()


async def test_the_longest_messages_are_read_at_once_and_answered(tmp_path: Path) -> None:
    async with talking(tmp_path, lambda _request: "Well said.") as world:
        for pattern in ("x", "/x{3,5}[^y]/", "/(a|b)*@every/"):
            await world.chief.slash(
                world.channel, "moderation words", action="add", pattern=pattern
            )
        for number, piece in enumerate(PIECES, 1):
            before, began = len(world.env.http_requests), time.thread_time()
            await say(world, piece * (LONGEST // len(piece)))
            assert time.thread_time() - began < SECONDS, piece
            assert len(world.env.http_requests) - before <= REQUESTS, piece
            assert world.said() == ["Well said."] * number
        for turn in await world.turns():
            assert len(turn.text) <= LONGEST + GROWTH_CHARACTERS  # «someone» for `<@1>`


async def test_whoever_is_mentioned_with_many_costs_few_requests(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        users = [world.env.create_user(f"person{number}") for number in range(100)]
        people = [world.guild.add_member(user) for user in users]
        before = len(world.env.http_requests)
        await say(world, " ".join(person.mention for person in people))
        assert len(world.env.http_requests) - before <= REQUESTS
        [question, _] = await world.turns()
        assert "person0 person1 " in question.text


async def test_long_names_lengthen_what_is_kept_by_a_bounded_amount(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        role = world.guild.create_role("R" * 100)
        text = " ".join([f"<@&{role.id}>"] * 150)
        await say(world, text)
        [question, _] = await world.turns()
        assert "R" * 100 in question.text
        assert len(question.text) <= len(text) + GROWTH_CHARACTERS
