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
