"""What is counted once is not counted again: for that model, within a bound."""

import tracemalloc
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompting import PLAYED, answered, count, request, said

from bot.chat.prompt.build import Prompt, build_prompt
from bot.chat.prompt.counting import ENTRY_BYTES, CountCache
from bot.engine.api import ModelInfo

SMALL, LARGE = ModelInfo("small", 2048), ModelInfo("large", 2048)
ANSWER = "An answer of some words, neither long nor short, as is usual."


class Counting:
    """Counts as the scripted engine does, and remembers what it was asked."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    async def __call__(self, texts: Sequence[str]) -> list[int]:
        self.calls.append(list(texts))
        return await count(texts)

    @property
    def characters(self) -> int:
        return sum(len(text) for texts in self.calls for text in texts)


def talk(turns: int) -> list[dict[str, Any]]:
    """An odd number of turns; the newest is a question."""
    texts = [f"Number {at}: what do you think of the harbour and its ships?" for at in range(turns)]
    return [answered(ANSWER) if at % 2 else said("Alex", texts[at]) for at in range(turns)]


async def counted(turns: int, cache: CountCache, **options: Any) -> tuple[Prompt, Counting]:
    counting = Counting()
    made = await build_prompt(request(*talk(turns), **options), counting, cache)
    return made, counting


async def test_a_text_is_counted_once() -> None:
    cache, counting = CountCache(), Counting()
    counter = cache.counter(SMALL, counting)
    assert await counter.parts(["one two", "one", "one two"]) == await count(
        ["one two", "one", "one two"]
    )
    assert counting.calls == [["one two", "one"]]
    assert await counter.parts(["one", "three, four"]) == await count(["one", "three, four"])
    assert counting.calls[1:] == [["three, four"]]
    await counter.parts(["one"])
    assert len(counting.calls) == 2  # no call for nothing


async def test_another_models_counts_are_not_used() -> None:
    async def ten(texts: Sequence[str]) -> list[int]:
        return [10] * len(texts)

    cache = CountCache()
    await cache.counter(SMALL, count).parts(["one"])
    assert await cache.counter(LARGE, ten).parts(["one"]) == [10]
    assert await cache.counter(SMALL, ten).parts(["one"]) == await count(["one"])
    estimated = ModelInfo("small", 2048, counts_exactly=False)
    assert await cache.counter(estimated, ten).parts(["one"]) == [10]


async def test_the_least_recently_used_go_first() -> None:
    cache, counting = CountCache(most_bytes=2 * ENTRY_BYTES), Counting()
    counter = cache.counter(SMALL, counting)
    for texts in (["a"], ["b"], ["a"], ["c"], ["a"], ["b"]):
        await counter.parts(texts)
    assert counting.calls == [["a"], ["b"], ["c"], ["b"]]


@given(st.lists(st.text(max_size=5), max_size=30), st.integers(0, 5))
async def test_counts_are_right_however_little_is_remembered(texts: list[str], most: int) -> None:
    counter = CountCache(most * ENTRY_BYTES).counter(SMALL, count)
    for at in range(len(texts)):
        assert await counter.parts(texts[at:]) == await count(texts[at:])


async def test_the_memory_is_bounded_in_bytes_however_long_the_texts() -> None:
    async def length(texts: Sequence[str]) -> list[int]:
        return [len(text) for text in texts]

    entries = 3_000
    tracemalloc.start()
    try:
        cache = CountCache(most_bytes=entries * ENTRY_BYTES)
        counter = cache.counter(SMALL, length)
        for number in range(2 * entries):
            await counter.parts([f"{number}" * 500])
        assert len(cache) == entries
        assert tracemalloc.get_traced_memory()[0] <= entries * ENTRY_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("turns", [21, 101])
@pytest.mark.parametrize("context", [2048, 20_000])
async def test_the_next_reply_counts_its_new_lines_and_the_whole_in_two_calls(
    turns: int, context: int
) -> None:
    cache = CountCache()
    options: dict[str, Any] = {"persona": PLAYED, "context": context, "history_turns": 500}
    await counted(turns - 2, cache, **options)
    made, counting = await counted(turns, cache, **options)
    question = talk(turns)[-1]["text"]
    assert len(counting.calls) == 2
    new, whole = counting.calls
    assert whole == [made.text]
    assert len(new) == 1  # the answer said nothing new
    assert question in new[0]
    assert counting.characters < len(made.text) + 2 * len(question)


@pytest.mark.parametrize("turns", [1, 21, 401])
async def test_the_first_reply_counts_what_may_be_shown_in_two_calls(turns: int) -> None:
    _, counting = await counted(turns, CountCache(), context=2048, history_turns=500)
    assert len(counting.calls) == 2
    assert sum(map(len, counting.calls[0])) < 6 * 2048


async def test_a_cache_changes_no_prompt() -> None:
    cache = CountCache()
    options: dict[str, Any] = {"persona": PLAYED, "context": 600, "reply": 100}
    for turns in range(1, 60, 2):
        made, _ = await counted(turns, cache, **options)
        fresh, _ = await counted(turns, CountCache(), **options)
        assert made.text == fresh.text
        assert (made.tokens, made.reply_tokens) == (fresh.tokens, fresh.reply_tokens)


async def test_sections_are_counted_when_somebody_asks() -> None:
    made, counting = await counted(11, CountCache())
    sections = Counting()
    assert sum(section.tokens for section in await made.sections(sections)) == made.tokens
    assert len(sections.calls) == 1
    asked = {text for texts in counting.calls for text in texts}
    assert asked.isdisjoint(sections.calls[0][1:])  # the first is the system text
