"""Prompts that are read in turns, on a reader that does what llama.cpp's server does."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.engine.llamacpp.reading import SHARES_TOGETHER, Prompt, ReadingTurns, in_turns, unread
from bot.engine.remote.events import CompletionEvent

SHARE = 8
STEP = 4


class Server:
    """Reads the prompts of its slots, lower slots first, and keeps what it has read."""

    def __init__(self) -> None:
        self.kept: dict[int, int] = {}
        self.reading: set[int] = set()
        self.steps: list[int] = []  # whose prompt was read
        self.most_together = 0

    async def ask(self, slot: int, tokens: int) -> AsyncGenerator[CompletionEvent, None]:
        kept = min(self.kept.get(slot, 0), tokens - 1)
        self.reading.add(slot)
        self.most_together = max(self.most_together, len(self.reading))
        try:
            yield CompletionEvent(cached_tokens=kept, unread_tokens=tokens - kept)
            while kept < tokens:
                await asyncio.sleep(0)
                if slot != min(self.reading):
                    continue
                self.steps.append(slot)
                kept = self.kept[slot] = min(tokens, kept + STEP)
                yield CompletionEvent(unread_tokens=tokens - kept)
        finally:
            self.reading.discard(slot)
        yield CompletionEvent("word")


async def read(server: Server, turns: ReadingTurns, slot: int, tokens: int) -> tuple[int, str]:
    """Reads a prompt to its first token: when that was, in steps, and the text."""
    prompt = Prompt(unread_tokens=tokens)
    events = in_turns(turns, prompt, lambda: server.ask(slot, tokens))
    async with aclosing(events):
        event = await anext(events)
        return len(server.steps), event.text


async def all_read(tokens: list[int], share: int = SHARE) -> tuple[list[tuple[int, str]], Server]:
    server, turns = Server(), ReadingTurns(share)
    asked = (read(server, turns, slot, count) for slot, count in enumerate(tokens))
    return await asyncio.gather(*asked), server


async def test_a_long_prompt_in_a_lower_slot_lets_a_short_one_go_first() -> None:
    (long, short), server = await all_read([200, 3])
    assert short[0] <= SHARE // STEP + 2
    assert long[0] == len(server.steps)


async def test_two_long_ones_take_turns() -> None:
    _, server = await all_read([40, 40])
    shares = [slot for place, slot in enumerate(server.steps) if server.steps[place - 1] != slot]
    assert len(shares) >= 40 // (SHARE + STEP)


async def test_short_ones_are_read_together_and_long_ones_are_not() -> None:
    _, server = await all_read([2, 2, 2, 2])
    assert server.most_together == 4
    _, server = await all_read([50, 200])
    assert server.most_together == 1


async def test_alone_nothing_is_broken_off() -> None:
    asked: list[int] = []
    server, turns = Server(), ReadingTurns(SHARE)

    def ask() -> AsyncGenerator[CompletionEvent, None]:
        asked.append(1)
        return server.ask(0, 200)

    async with aclosing(in_turns(turns, Prompt(200), ask)) as events:
        assert [event.text async for event in events] == ["word"]
    assert asked == [1]


async def test_what_the_slot_had_is_told_as_it_was_at_first() -> None:
    server, turns = Server(), ReadingTurns(SHARE)
    server.kept[0] = 5
    prompt = Prompt(unread_tokens=1)  # a wrong guess
    other = asyncio.create_task(read(server, turns, 1, 30))
    async with aclosing(in_turns(turns, prompt, lambda: server.ask(0, 100))) as events:
        await anext(events)
    await other
    assert prompt.kept_tokens == 5


async def cancelled(task: "asyncio.Task[object]") -> None:
    task.cancel()
    await asyncio.wait([task])


async def test_who_goes_away_while_it_waits_or_reads_holds_nobody_up() -> None:
    server, turns = Server(), ReadingTurns(SHARE)
    first, second, third = (
        asyncio.create_task(read(server, turns, slot, 1000)) for slot in range(3)
    )
    for _ in range(5):
        await asyncio.sleep(0)
    await cancelled(second)
    await cancelled(first)
    await third
    assert await read(server, turns, 5, 2) == (len(server.steps), "word")


async def test_a_fault_ends_the_turn() -> None:
    turns = ReadingTurns(SHARE)

    async def broken() -> AsyncGenerator[CompletionEvent, None]:
        yield CompletionEvent(unread_tokens=100)
        raise OSError

    with pytest.raises(OSError):
        async with aclosing(in_turns(turns, Prompt(100), broken)) as events:
            await anext(events)
    assert (await read(Server(), turns, 0, 100))[1] == "word"


@given(st.lists(st.integers(1, 120), min_size=1, max_size=6), st.integers(1, 40))
def test_everybody_is_read_once_and_whole_and_the_short_do_not_wait_long(
    tokens: list[int], share: int
) -> None:
    found, server = asyncio.run(all_read(tokens, share))
    assert all(text == "word" for _, text in found)
    assert [server.kept[slot] for slot in range(len(tokens))] == tokens
    assert len(server.steps) == sum(-(-count // STEP) for count in tokens)  # nothing twice
    # Before its own first share, a prompt waits for everybody's and a step at most.
    most = len(tokens) * (-(-SHARES_TOGETHER * share // STEP) + 1)
    for slot, count in enumerate(tokens):
        if count <= min(share, STEP):
            assert server.steps.index(slot) <= most


@given(st.lists(st.integers(0, 3), max_size=12), st.lists(st.integers(0, 3), max_size=12))
def test_what_is_unread_is_never_more_than_the_prompt(prompt: list[int], held: list[int]) -> None:
    left = unread(prompt, held, replied_tokens=2)
    assert left <= max(1, len(prompt))
    if prompt[: len(held)] != held:
        assert left == max(1, len(prompt) - _common(prompt, held))


def _common(one: list[int], other: list[int]) -> int:
    pairs = zip(one, other, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def test_a_guess_counts_the_reply_too() -> None:
    assert unread([1, 2, 3, 4, 5], [1, 2], replied_tokens=2) == 1
    assert unread([1, 2], [1, 2], replied_tokens=9) == 1
    assert unread([1, 2, 3], [], 0) == 3
