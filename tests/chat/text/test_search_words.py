"""Words that texts are found by: the same for the same word in other forms, in every script."""

# ruff: noqa: RUF001 - letters of other scripts look like ours

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.chat.text.search_words import MOST_WORDS, is_beginning, mark, search_words


def shared(one: str, other: str) -> set[str]:
    return set(search_words(one)) & set(search_words(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ferry", "FERRIES"),
        ("stop", "stopped"),
        ("stopping", "stops"),
        ("bake", "baking"),
        ("allergic", "allergy"),
        ("sail", "sailing"),
        ("painter", "paint"),
        ("Zoë", "zoe"),
        ("Ann's", "Ann"),
        ("\uff26\uff35\uff2c\uff2c\u3000", "full"),
        ("собака", "собаки"),
        ("Überraschung", "überraschungen"),
        ("猫の名前はタマです", "名前"),
        ("ラーメンが好き", "ラーメン"),
        ("고양이를 좋아해", "고양이"),
        ("ฉันชอบแมวดำ", "แมวดำ"),
        ("هٰذِهِ قِطَّة", "قطة"),
        ("кошку", "кошки"),
        ("мой брат", "о моём брате"),
        ("ключи", "ключ"),
        ("Мария Иванова", "Ивановой"),
        ("мій кіт", "кота і кіт"),
        ("السيارة", "سيارتي"),
        ("القطة", "قطتي"),
        ("الكلب", "كلبي"),
        ("مفتاح", "والمفتاح"),
        ("بيت", "بيتهم"),
        ("مدرســة", "للمدرسة"),
        ("Hund", "den Hunden"),
        ("Kind", "Kindern"),
    ],
)
def test_a_word_is_found_in_its_other_forms(one: str, other: str) -> None:
    assert shared(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ferry", "fern"),
        ("the of and", "the of and"),
        ("cat", "category"),
        ("кот", "который"),
        ("سمك", "سماء"),
        ("", ""),
    ],
)
def test_other_words_and_empty_ones_find_nothing(one: str, other: str) -> None:
    assert not shared(one, other)


@given(st.text())
def test_any_text_has_words_that_have_marks(text: str) -> None:
    words = search_words(text)
    assert len(set(words)) == len(words) <= MOST_WORDS
    for word in words:
        assert word.removeprefix("<").strip()
        assert len(mark(word)) == 8
        assert mark(word).isascii()
        assert mark(word).isalnum()


@given(st.text(), st.text())
def test_case_does_not_matter_nor_what_stands_beside(one: str, other: str) -> None:
    together = search_words(f"{one}\n{other}")
    if len(together) < MOST_WORDS:
        assert set(together) == {*search_words(one), *search_words(other)}


def test_a_huge_text_is_bounded() -> None:
    assert len(search_words(" ".join(f"w{number}" for number in range(10_000)))) <= MOST_WORDS
    assert len(search_words("猫犬" * 100_000)) <= MOST_WORDS
    assert is_beginning(search_words("allergic")[1])
