"""A reply becomes Discord messages: nothing lost, fences whole, finished messages never change."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.chat.text.split import LEAST_LIMIT, MESSAGE_CHARACTERS, MessageSplitter, split_message

LIMIT = LEAST_LIMIT


def test_what_fits_is_one_message() -> None:
    assert split_message("x" * MESSAGE_CHARACTERS) == ["x" * MESSAGE_CHARACTERS]
    assert split_message(" Hello. \n") == ["Hello."]
    assert split_message(" \n ") == []


def test_characters_are_counted_as_discord_counts_them() -> None:
    assert len(split_message("🪽" * MESSAGE_CHARACTERS)) == 1  # code points, not UTF-16 units


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("a" * 40 + "\n\n" + "b. " * 10 + "\n" + "c" * 9, ["a" * 40, "b. " * 10 + "\n" + "c" * 9]),
        ("a" * 40 + "\n" + "b. " * 10, ["a" * 40, "b. " * 9 + "b."]),
        ("a" * 40 + ". " + "b" * 30, ["a" * 40 + ".", "b" * 30]),
        ("a" * 40 + '." ' + "b" * 30, ["a" * 40 + '."', "b" * 30]),
        ("漢" * 40 + "。" + "字" * 30, ["漢" * 40 + "。", "字" * 30]),
        ("a" * 40 + " " + "b" * 30, ["a" * 40, "b" * 30]),
        ("see " + "b" * 62, ["see", "b" * 62]),
        ("a" * 70, ["a" * 64, "a" * 6]),
        ("a" * 64 + "\n\n\n b", ["a" * 64, "b"]),
    ],
)
def test_it_ends_at_a_paragraph_a_line_a_sentence_a_word_or_anywhere(
    text: str, pieces: list[str]
) -> None:
    assert split_message(text, LIMIT) == pieces


@pytest.mark.parametrize("cluster", ["e\u0301", "👩\u200d👩\u200d👧", "👍🏽", "🇩🇪", "❤\ufe0f"])
def test_what_is_seen_as_one_character_stays_whole(cluster: str) -> None:
    for shift in range(6):
        text = "a" * shift + cluster * 60
        for piece in split_message(text, LIMIT)[1:]:
            assert piece.startswith(cluster)


def test_a_fence_is_closed_and_reopened_with_its_language() -> None:
    code = "".join(f"print({number})\n" for number in range(12))
    made = split_message(f"Look:\n```python\n{code}```\nDone.", LIMIT)
    assert made[0].startswith("Look:\n```python\nprint(0)\n")
    assert made[0].endswith(")\n```")
    assert all(piece.startswith("```python\nprint(") for piece in made[1:-1])
    assert made[-1].endswith("```\nDone.")
    assert all(piece.count("```") % 2 == 0 for piece in made)


def test_indentation_in_a_fence_is_kept() -> None:
    made = split_message("```\n" + "    indented line\n" * 8 + "```", LIMIT)
    lines = [line for piece in made for line in piece.splitlines() if "```" not in line]
    assert lines == ["    indented line"] * 8


def test_a_message_ends_before_a_fence_rather_than_within_it() -> None:
    made = split_message("Words " * 8 + "\n```py\nfirst()\nsecond()\nthird()\n```", LIMIT)
    assert made == [("Words " * 8).strip(), "```py\nfirst()\nsecond()\nthird()\n```"]


def test_a_fence_that_ends_where_the_message_does_is_not_opened_again() -> None:
    made = split_message("```\n" + "x" * 55 + "\n```\nAfter it there is more.", LIMIT)
    assert made == ["```\n" + "x" * 55 + "\n```", "After it there is more."]


def test_an_unclosed_fence_is_closed_while_it_is_shown() -> None:
    splitter = MessageSplitter(LIMIT)
    assert splitter.decode("```py\nprint(1)") == []
    assert splitter.current == "```py\nprint(1)\n```"
    splitter.decode("\n```")
    assert splitter.current == "```py\nprint(1)\n```"


def test_a_limit_without_room_for_a_fence_is_refused() -> None:
    with pytest.raises(ValueError, match="room"):
        MessageSplitter(10)


_SCRAPS = st.sampled_from(
    ["```", "```py\n", "``", "`", "\n", "\n\n", " ", "    ", "word", "w" * 30, "w" * 70, ". ", "!",
     "。", "é", "e\u0301", "🇩🇪", "👩\u200d👧", "**", "> ", "- item\n"]
)  # fmt: skip
TEXTS = st.lists(st.one_of(_SCRAPS, st.text(max_size=5)), max_size=60).map("".join)


def bare(text: str) -> str:
    """Without blanks and backticks."""
    return "".join(text.replace("`", "").split())


@given(TEXTS, st.lists(st.integers(1, 40)))
def test_whatever_the_chunks_the_messages_are_the_same(text: str, lengths: list[int]) -> None:
    splitter = MessageSplitter(LIMIT)
    made: list[str] = []
    rest = text
    for length in lengths:
        made += splitter.decode(rest[:length])
        rest = rest[length:]
        assert len(splitter.current) <= LIMIT
    made += splitter.decode(rest) + splitter.flush()
    assert made == split_message(text, LIMIT)


@given(TEXTS)
def test_every_message_fits_and_is_never_empty(text: str) -> None:
    for piece in split_message(text, LIMIT):
        assert len(piece) <= LIMIT
        assert piece.strip()


@given(TEXTS)
def test_nothing_is_lost_but_blanks_at_the_cuts(text: str) -> None:
    """Without languages, which reopened fences repeat: the same letters and signs, in order."""
    text = re.sub("```[A-Za-z0-9_+.#-]+\n", "```\n", text)
    assert bare("".join(split_message(text, LIMIT))) == bare(text)


@given(TEXTS.filter(lambda text: "```" not in text))
def test_without_fences_not_even_a_backtick_is_added(text: str) -> None:
    made = "".join(split_message(text, LIMIT))
    assert "".join(made.split()) == "".join(text.split())


@given(TEXTS)
def test_every_fence_is_closed_in_its_own_message(text: str) -> None:
    if "````" not in text:
        for piece in split_message(text, LIMIT):
            assert piece.count("```") % 2 == 0


@given(TEXTS, TEXTS)
def test_when_the_text_grows_all_but_the_last_message_stay(text: str, more: str) -> None:
    before = split_message(text, LIMIT)[:-1]
    assert split_message(text + more, LIMIT)[: len(before)] == before


@pytest.mark.parametrize("hostile", ["`", "```", "\n", " ", "a", "a b", "```\n", "\u0301", "🇩"])
def test_hostile_text_takes_linear_time(hostile: str) -> None:
    before = time.perf_counter()
    split_message(hostile * 100_000)
    assert time.perf_counter() - before < 10
