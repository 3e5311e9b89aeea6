"""A part that repeats a turn stands where the turn itself is not shown, and only there."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from prompting import prompt, said

from bot.chat.prompt.parts import Part, Place, Priority, TokenBudget


def repeating(turn_id: int, tokens: int = 200) -> Part:
    return Part(
        "recall",
        f"[2026-01-01] Ann: so {turn_id}.",
        Place.BEFORE_HISTORY,
        Priority.IMPORTANT,
        rank=turn_id,
        heading="Said earlier:",
        joint="\n",
        budget=TokenBudget("recall", tokens),
        turn_id=turn_id,
    )


async def test_no_turn_stands_twice() -> None:
    turns = [said("Ann", f"so {number + 1}.") for number in range(5)]
    made = await prompt(*turns, parts=(repeating(2), repeating(77)))
    assert "Ann: so 77." in made.text
    assert made.text.count("so 2.") == 1
    assert [part.turn_id for part in made.parts if part.name == "recall"] == [77]
    assert [left.what for left in made.left_out] == []


async def test_what_is_shown_takes_no_room_from_what_is_not() -> None:
    turns = [said("Ann", f"so {number + 1}.") for number in range(5)]
    last = replace(repeating(77, tokens=20), rank=0)
    parts = (last, *(repeating(number, tokens=20) for number in (1, 2, 3, 4)))
    assert "Ann: so 77." in (await prompt(*turns, parts=parts)).text


@given(length=st.integers(1, 60), context=st.integers(300, 1200), every=st.integers(1, 4))
@settings(max_examples=40)
async def test_however_little_room_there_is_no_turn_stands_twice(
    length: int, context: int, every: int
) -> None:
    turns = [said("Ann", f"so {number + 1}." + " word" * length) for number in range(30)]
    parts = tuple(repeating(number) for number in range(1, 30, every))
    made = await prompt(*turns, parts=parts, context=context)
    assert made.tokens + made.reply_tokens <= context
    first = made.first_turn_id
    assert first is not None
    repeated = [part.turn_id for part in made.parts if part.turn_id is not None]
    assert all(turn_id < first for turn_id in repeated)
    for number in range(1, 31):
        assert made.text.count(f"so {number}.") <= 1
