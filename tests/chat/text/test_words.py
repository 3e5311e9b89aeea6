"""Words in what people say, and the addresses that hold none."""

import time

import pytest

from bot.chat.text.words import has_wake_word, in_order_named


@pytest.mark.parametrize(
    "text",
    [
        "see mira.com", "see mira.example.org/page", "see www.mira", "a.mira.dev", "https://mira",
        "mira@example.com", "..mira.com", "see (mira.com)", "x_mira.co.uk", "see mira.anything/",
    ],
)  # fmt: skip
def test_an_address_holds_no_name(text: str) -> None:
    assert not has_wake_word(text, ["mira"])
    assert in_order_named(text, ["mira"]) == []


@pytest.mark.parametrize("text", ["Come.Mira", "a.b.c Mira", "..Mira..", "-.Mira", "e.g. mira."])
def test_what_only_looks_like_one_does(text: str) -> None:
    assert has_wake_word(text, ["mira"])
    assert in_order_named(text, ["mira"]) == [0]


@pytest.mark.parametrize("text", ["a.", "ab" * 30 + ".", "a-", "a", ":a", "a@", "a.b@", "www."])
def test_no_text_takes_long(text: str) -> None:
    long = text * (60_000 // len(text)) + " mira"
    began = time.process_time()
    assert has_wake_word(long, ["mira"])
    assert in_order_named(long, ["mira"]) == []  # beyond what is looked through
    # A tenth of a second; a search from every place would take minutes.
    assert time.process_time() - began < 3


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("O\u2019Brien, come", "O'Brien"), ("O'Brien, come", "O\u2019Brien"),  # as phones write it
        ("Jean\u2011Luc!", "Jean-Luc"), ("Ann  Lee?", "Ann Lee"), ("Ann\tLee?", "Ann Lee"),
        ("\u200bAl\u200b, you", "Al"), ("A\u00adl, you", "Al"),
        ("\u200f\u0639\u0644\u064a", "\u0639\u0644\u064a"),
        ("\u0639\u064e\u0644\u0650\u064a", "\u0639\u0644\u064a"),  # with vowels
        ("\u2764\ufe0f?", "\u2764"), ("\u2764?", "\u2764\ufe0f"), ("hi\U0001f98a", "\U0001f98a"),
        ("\u30a2\u30eb\u3055\u3093", "\u30a2\u30eb"),
        ("\u30a2\u30eb\u30fb\u30d9\u30b9", "\u30d9\u30b9"),
    ],
)  # fmt: skip
def test_a_name_is_found_however_it_is_written(text: str, name: str) -> None:
    assert in_order_named(text, [name]) == [0]
    assert has_wake_word(text, [name])


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Al\u200bso", "Al"), ("Al\u00adso", "Al"),  # split for the eye only
        ("\u0639\u0644\u06cc\u200c\u0631\u0636\u0627", "\u0639\u0644\u06cc"),  # Persian: one word
        ("\u30a2\u30eb\u30b3\u30fc\u30eb", "\u30a2\u30eb"),
        ("\u30d0\u30fc\u30d9\u30b9", "\u30d9\u30b9"),
        ("\U0001f469\u200d\U0001f692", "\U0001f469"), ("\U0001f44d\U0001f3fd", "\U0001f44d"),
        ("Ann\nLee", "Ann Lee"),
    ],
)  # fmt: skip
def test_no_name_is_found_inside_something_else(text: str, name: str) -> None:
    assert in_order_named(text, [name]) == []
    assert not has_wake_word(text, [name])
