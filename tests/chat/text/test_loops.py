"""A reply that loops is cut in its second round; repetition that is meant stays."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.chat.text.loops import LoopFilter


def passed(*chunks: str) -> str:
    loops = LoopFilter()
    return "".join([*map(loops.decode, chunks), loops.flush()])


PARAGRAPH = " ".join(f"word{number}" for number in range(60)) + "\n\n"


@pytest.mark.parametrize(
    "round_",
    [
        "I am here for you, always. ",
        "I am here for you.\nI am always here.\n",
        "The same line again and again\n",
        '*She smiles at you.* "Come in, my friend!"\n\n',
        "*smiles and says nothing*\n",
        "**Softly:** I have always been here for you.\n",
        "- one and the same item of a list\n",
        "> I have always been here for you.\n",
        "".join(f"sentence number {number} of many.\n" for number in range(100, 220)),
        "and then he went, and then she went ",
        PARAGRAPH,
    ],
)
def test_a_loop_is_cut_in_its_second_round(round_: str) -> None:
    text = "Hello! " + round_ * 40
    loops = LoopFilter()
    shown = ""
    for character in text:
        shown += loops.decode(character)
        assert len(shown) <= len("Hello! " + round_ * 2)
    assert loops.ended
    assert shown.strip() == ("Hello! " + round_ * 2).strip()
    assert passed(text) == shown


def test_words_alone_are_a_loop_only_when_they_go_on_for_long() -> None:
    part = "lorem ipsum dolor " * 100
    assert passed(f"One. {part}\n\nTwo.") == f"One. {part}\n\nTwo."
    assert passed(f"One. {part}\n\nTwo. {part}").count("lorem") == 102
    endless = LoopFilter()
    assert endless.decode("One. " + part * 5).count("lorem") == 2
    assert endless.ended


def test_case_and_blanks_make_no_difference() -> None:
    assert passed("I am here for you.\nI am Here  for you. " * 30).casefold().count("here") == 2


@pytest.mark.parametrize(
    "text",
    [
        "no no no no no!", "ha" * 200, "Row, row, row your boat", "=" * 120, "🎉" * 50,
        "We will, we will rock you\n" * 5, "Let it be, let it be, let it be, let it be. " * 2,
        (PARAGRAPH * 2).strip(), "| a | b |\n|---|---|\n" + "| 0 | 0 |\n" * 30, "- [ ] todo\n" * 40,
        "```\n" + "x = 0\n" * 100 + "```", "word " * 150,
        "\n".join(f"{number}. item" for number in range(200)),
        "\U0001f7e9" * 14 + ("\n" + "\U0001f7e9\U0001f7e6" * 7) * 20,
        "\n".join(["\u2591\u2593\u2591\u2591" * 4] * 24),
        "* one and the same item of a list\n" * 10,
    ],
)  # fmt: skip
def test_repetition_that_is_meant_stays(text: str) -> None:
    assert passed(text) == text
    assert passed(*text) == text


@given(
    st.lists(st.sampled_from(["ab", "a b c d e f g ", "word\n", "- ", "```", "x" * 9]), max_size=80)
)
def test_whatever_the_chunks_the_result_is_the_same(parts: list[str]) -> None:
    text = "".join(parts)
    assert passed(*text) == passed(*parts) == passed(text)


@given(st.text(max_size=150))
def test_a_short_text_is_left_alone(text: str) -> None:
    assert passed(*text) == text


@pytest.mark.parametrize("hostile", ["a", "ab ", "\n", "- x\n", "```\n"])
def test_hostile_text_takes_linear_time(hostile: str) -> None:
    before = time.perf_counter()
    passed(hostile * 30_000)
    assert time.perf_counter() - before < 10
