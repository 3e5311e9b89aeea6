"""Token-exact, and the same beginning from reply to reply: over long simulated chats."""

import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prompting import PLAIN, PLAYED, answered, count, quoting, request, said
from real_tokenizer import smollm_tokenizer

from bot.chat.prompt.budget import choose_start
from bot.chat.prompt.build import Prompt, build_prompt
from bot.chat.prompt.formats import FORMATS
from bot.engine.api import ModelInfo

Count = Callable[[Sequence[str]], Awaitable[Sequence[int]]]


async def count_really(texts: Sequence[str]) -> list[int]:
    """The embedded model's tokens."""
    encodings = smollm_tokenizer().encode_batch(list(texts), add_special_tokens=False)
    return [len(encoding.ids) for encoding in encodings]


async def count_whole_higher(texts: Sequence[str]) -> list[int]:
    """A tokenizer whose whole is more than its parts."""
    return [len(text) // 4 + len(text) // 100 for text in texts]


async def chat(
    lengths: Sequence[int], counting: Count, *, window: int = 41, **options: Any
) -> list[Prompt]:
    """A prompt for every message of a chat that grows; what is older than `window` turns goes."""
    turns: list[dict[str, Any]] = []
    prompts: list[Prompt] = []
    for number, length in enumerate(lengths):
        quote = quoting("Zed", "earlier", f"m{number // 2}") if number % 7 == 3 else None
        turns.append(said("Alex", f"{number}:" + " word" * length, reply_to=quote))
        skipped = max(len(turns) - window, 0)
        wanted = request(*turns[skipped:], skipped=skipped, history_turns=window - 1, **options)
        prompts.append(await build_prompt(wanted, counting))
        turns.append(answered(f"So {number}." + " yes" * (length // 2)))
    return prompts


LENGTHS = st.lists(st.integers(0, 60), min_size=1, max_size=25)


@pytest.fixture(scope="module", autouse=True)
def _real_tokenizer() -> None:
    smollm_tokenizer()  # reads a file: not within a test's loop


@pytest.mark.parametrize("prompt_format", list(FORMATS))
@pytest.mark.parametrize("counting", [count, count_really, count_whole_higher])
@given(lengths=LENGTHS, context=st.integers(250, 900), persona=st.sampled_from([PLAIN, PLAYED]))
@settings(max_examples=6)
async def test_prompt_and_reply_always_fit(
    prompt_format: str, counting: Count, lengths: list[int], context: int, persona: Any
) -> None:
    options = {"prompt_format": prompt_format, "context": context, "persona": persona}
    for at, made in enumerate(await chat(lengths, counting, reply=100, **options)):
        assert [made.tokens] == list(await counting([made.text]))
        assert made.tokens + made.reply_tokens <= context
        sections = await made.sections(counting)
        assert sum(section.tokens for section in sections) == made.tokens
        assert "".join(section.text for section in sections) == made.text
        assert f"{at}:" + " word" * lengths[at] in made.text  # the newest is never cut
        assert "You are" in made.text


@pytest.mark.parametrize("words", range(80, 90))
async def test_the_token_that_the_tokenizer_puts_first_has_its_room(words: int) -> None:
    info = ModelInfo("x", 256, bos_token="<s>")
    made = await build_prompt(request(said("Alex", "word " * words), info=info), count)
    assert made.tokens + made.reply_tokens + 1 <= 256
    assert made.reply_tokens < 128  # all that there is, so that one too many would show


@pytest.mark.parametrize("counting", [count, count_really])
@pytest.mark.parametrize("prompt_format", ["alpaca", "chatml"])
@given(lengths=st.lists(st.integers(0, 30), min_size=30, max_size=60))
@settings(max_examples=6)
async def test_the_beginning_stays_the_same_except_when_a_block_goes(
    prompt_format: str, counting: Count, lengths: list[int]
) -> None:
    prompts = await chat(lengths, counting, prompt_format=prompt_format, context=700, reply=100)
    moves = 0
    for before, after in itertools.pairwise(prompts):
        assert before.first_turn_id is not None
        assert after.first_turn_id is not None
        assert after.first_turn_id >= before.first_turn_id
        if after.first_turn_id > before.first_turn_id:
            moves += 1
        else:
            kept = before.text.removesuffix(before.pieces[-1][1])
            assert after.text.startswith(kept)
    first, last = prompts[0].first_turn_id, prompts[-1].first_turn_id
    assert first is not None
    assert last is not None
    # Each reply adds two turns: without blocks the start would move with nearly every one.
    assert moves <= (last - first) / 3 + 1


async def test_history_turns_are_never_exceeded_and_move_in_blocks() -> None:
    prompts = await chat([1] * 100, count, window=41, context=100_000)
    starts = [made.first_turn_id or 0 for made in prompts]
    for at, start in enumerate(starts):
        newest = 2 * at + 1
        assert newest - start <= 40
    assert len(set(starts)) <= (2 * 100 - 40) / 8 + 2


async def test_a_chat_that_fits_is_shown_whole() -> None:
    made = (await chat([5] * 20, count, context=100_000))[-1]
    assert made.left_out == ()
    assert made.first_turn_id == 1


@given(
    st.lists(st.integers(0, 50), max_size=60),
    st.integers(0, 500),
    st.integers(0, 200),
    st.integers(0, 1000),
)
def test_the_chosen_start_fits_and_drops_at_most_a_block_too_much(
    costs: list[int], room: int, block: int, first: int
) -> None:
    positions = list(range(first, first + len(costs)))
    start = choose_start(
        costs, positions, room=room, block=block, cost_from=lambda at: sum(costs[at:])
    )
    assert sum(costs[start:]) <= room
    needed = next(at for at in range(len(costs) + 1) if sum(costs[at:]) <= room)
    assert start >= needed
    assert sum(costs[needed:start]) <= block + max(costs, default=0)


async def test_the_beginning_stays_when_older_turns_are_taken_out() -> None:
    turns = [said("Alex", f"{number}: word word word") for number in range(60)]
    whole = request(*turns, skipped=100, history_turns=59)
    kept = [number for number in range(60) if number not in (1, 3, 9)]
    thinned = replace(
        whole,
        window=replace(
            whole.window,
            turns=tuple(whole.window.turns[number] for number in kept),
            positions=tuple(100 + number for number in kept),
        ),
    )
    first = (await build_prompt(whole, count)).first_turn_id
    assert (await build_prompt(thinned, count)).first_turn_id == first
