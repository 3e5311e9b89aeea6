"""What is nearly the same text, in any script."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.chat.text.likeness import (
    NEARLY,
    READ_UNITS,
    Earlier,
    Likeness,
    are_nearly_equal,
    beginning,
    compared,
    units,
)

STORY = "The rain had stopped, and the lanterns along the quay were lit one after another."


@pytest.mark.parametrize(
    ("text", "earlier"),
    [
        (STORY, STORY),
        (STORY.upper(), STORY),
        (f"*{STORY}*", STORY.replace(", ", " — ")),
        (STORY.replace("had stopped", "has stopped"), STORY),
        (STORY + " Yes.", STORY),
        ("今日はとても良い天気ですね。散歩に行きましょうか？", "今日はとても良い天気ですね、散歩に行きましょうか。"),  # noqa: E501, RUF001
        ("Сегодня очень хорошая погода, пойдём гулять?", "Сегодня очень хорошая погода! Пойдём гулять."),  # noqa: E501
        ("आज मौसम बहुत अच्छा है, घूमने चलें?", "आज मौसम बहुत अच्छा है। घूमने चलें।"),
        ("هل نذهب في نزهة اليوم يا صديقي العزيز؟", "هل نذهب في نزهة اليوم، يا صديقي العزيز"),
    ],
)  # fmt: skip
def test_nearly_equal(text: str, earlier: str) -> None:
    assert are_nearly_equal(text, earlier)
    assert are_nearly_equal(earlier, text)


@pytest.mark.parametrize(
    ("text", "earlier"),
    [
        (STORY, "The rain had stopped, and nobody was to be seen in the whole of the old town."),
        (STORY, STORY + " " + STORY[::-1]),
        ("You have 12 gold pieces left in your purse.", "You have 13 gold pieces left in your purse."),  # noqa: E501
        ("今日はとても良い天気ですね。散歩に行きましょうか？", "昨日はひどい雨でしたね。家で本を読みました。"),  # noqa: E501, RUF001
        ("Yes, I like the sea very much.", "No, I hate the mountains at night."),
    ],
)  # fmt: skip
def test_another_text(text: str, earlier: str) -> None:
    assert not are_nearly_equal(text, earlier)
    assert not are_nearly_equal(earlier, text)


@given(st.text(max_size=80), st.text(max_size=80), st.lists(st.integers(1, 9)))
def test_however_it_arrives_it_is_as_much_alike(
    text: str, earlier: str, lengths: list[int]
) -> None:
    whole, pieces = Likeness(Earlier(earlier)), Likeness(Earlier(earlier))
    text = compared(text)
    whole.feed(text)
    for length in lengths:
        pieces.feed(text[:length])
        text = text[length:]
    pieces.feed(text)
    assert pieces.of_whole == whole.of_whole
    assert pieces.of_beginning == whole.of_beginning
    assert 0 <= whole.of_whole <= 1


@given(st.text(max_size=200))
def test_every_text_is_like_itself(text: str) -> None:
    assert are_nearly_equal(text, text)
    likeness = Likeness(Earlier(text))
    likeness.feed(beginning(compared(text)))
    assert likeness.is_equal
    assert likeness.of_whole == likeness.of_beginning == 1 >= NEARLY


@given(st.text(max_size=400), st.integers(0, READ_UNITS))
def test_a_beginning_has_no_more_units_than_asked_for(text: str, most: int) -> None:
    assert text.startswith(beginning(text, most))
    assert units(beginning(text, most)) <= most
