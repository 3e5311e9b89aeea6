"""A reply of several messages, some of which are deleted: the text of the others stays."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.chat.text.messages_left import text_left
from bot.chat.text.split import FIRST_CHARACTERS, split_message

LONG = "\n\n".join(f"Part {name}. " + "word " * 300 for name in ("one", "two", "three"))


def test_the_first_message_may_have_held_less() -> None:
    text = " ".join(f"word{number}" for number in range(700))
    messages = split_message(text, first_limit=FIRST_CHARACTERS)
    assert len(messages) == 3
    assert text_left(text, 3, [0, 2], FIRST_CHARACTERS) == messages[1]
    assert text_left(text, 3, [1, 2], FIRST_CHARACTERS) == messages[0]


def words(text: str) -> list[str]:
    return re.sub("```(python|py)?", " ", text).split()


@pytest.mark.parametrize(
    ("gone", "left"),
    [
        ([], ["one", "two", "three"]),
        ([0], ["two", "three"]),
        ([1], ["one", "three"]),
        ([2], ["one", "two"]),
        ([0, 2], ["two"]),
        ([0, 1, 2], []),
        ([7], ["one", "two", "three"]),
    ],
)
def test_what_stood_in_the_deleted_messages_goes(gone: list[int], left: list[str]) -> None:
    messages = split_message(LONG)
    assert len(messages) == 3
    text = text_left(LONG, 3, gone)
    assert re.findall(r"Part (\w+)", text) == left
    assert words(text) == [
        word
        for place, message in enumerate(messages)
        if place not in gone
        for word in words(message)
    ]


def test_messages_that_follow_each_other_read_as_before() -> None:
    text = f"First.\n\n{'a ' * 990}\n\n\n\n  {'b ' * 990}\n\n{'c ' * 900}"
    first, second, third = split_message(text)
    assert text_left(text, 3, [2]) == text[: text.index("c ")].rstrip()
    assert text_left(text, 3, [0]) == text[text.index("b ") :].rstrip()
    assert text_left(text, 3, [1]) == f"{first}\n\n{third}"
    assert second not in text_left(text, 3, [1])


def test_code_over_a_deleted_message_stays_code() -> None:
    code = "".join(f"print({number:03})\n" for number in range(400))
    text = f"Look:\n```python\n{code}```\nThat was all."
    messages = split_message(text)
    assert len(messages) == 3
    left = text_left(text, 3, [1])
    assert left == f"{messages[0]}\n\n{messages[2]}"
    assert left.count("```python\n") == 2
    assert left.count("```") == 4


def test_a_text_that_would_take_other_messages_than_it_has_loses_no_more_than_asked() -> None:
    assert text_left("short", 3, [1]) == "short"
    assert text_left("short", 3, [0]) == ""
    assert "Part one" in text_left(LONG, 2, [1])
    assert "Part three" not in text_left(LONG, 2, [1])
    assert text_left("", 1, []) == text_left(" \n", 2, [0]) == ""


PIECES = st.sampled_from(["word ", "\n\n", "```py\n", "```", "\n", "x" * 700, "Some more. ", " "])


@given(st.lists(PIECES, max_size=60).map("".join), st.sets(st.integers(0, 8)))
def test_nothing_else_goes(text: str, gone: set[int]) -> None:
    messages = split_message(text)
    kept = [message for place, message in enumerate(messages) if place not in gone]
    left = text_left(text, len(messages), gone)
    assert "".join(words(left)) == "".join("".join(words(message)) for message in kept)
