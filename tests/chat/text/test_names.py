"""Display names are clean, unique and stay what they are."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.chat.text.guard import fold
from bot.chat.text.names import (
    NAME_CHARACTERS,
    assign_names,
    clean_name,
    in_its_own_order,
    is_like_an_id,
)


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("Alex", "Alex"),
        ("  Zoë \t Möller ", "Zoë Möller"),
        ("[TAG] Kim 🪽", "[TAG] Kim 🪽"),
        ("Alex\nBo", "Alex Bo"),
        ("Al\u200bex\u202e", "Alex"),
        ("Alex: hi", "Alex\ua789 hi"),
        ("### Instruction", "Instruction"),
        ("> quoted", "quoted"),
        ("Z\u0301\u0301\u0301\u0301", "Z\u0301\u0301"),
        ("", "Someone"),
        (" \u200b\u3164: ", "Someone"),
        ("x" * 500, "x" * NAME_CHARACTERS),
    ],
)
def test_names_are_cleaned(raw: str, clean: str) -> None:
    assert clean_name(raw) == clean


def test_the_second_of_a_name_gets_a_number_and_the_first_keeps_it() -> None:
    names = assign_names([("1", "Alex"), ("2", "ALEX"), ("3", "Álex"), ("1", "Alex")])
    assert names == {"1": "Alex", "2": "ALEX (2)", "3": "Álex (3)"}


def test_names_that_look_the_same_are_told_apart_whatever_their_alphabet() -> None:
    names = assign_names([("1", "Alex"), ("2", "\u0410lex"), ("3", "Al\u0435\u0445")])
    assert names == {"1": "Alex", "2": "\u0410lex (2)", "3": "Al\u0435\u0445 (3)"}


def test_a_number_that_somebody_chose_as_name_is_not_given_twice() -> None:
    names = assign_names([("1", "Alex (2)"), ("2", "Alex"), ("3", "Alex")])
    assert names == {"1": "Alex (2)", "2": "Alex", "3": "Alex (3)"}


def test_nobody_gets_the_bots_name_or_a_headers_word() -> None:
    names = assign_names([("1", "mira"), ("2", "User")], taken=("Mira", "user"))
    assert names == {"1": "mira (2)", "2": "User (2)"}


def test_the_newest_name_of_a_person_counts() -> None:
    assert assign_names([("1", "Alex"), ("2", "Sam"), ("1", "Alexa")]) == {"1": "Alexa", "2": "Sam"}


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.text(max_size=8))))
def test_names_are_always_unique_and_newcomers_change_no_one_elses(
    speakers: list[tuple[str, str]],
) -> None:
    names = assign_names(speakers, taken=("Bo",))
    keys = ["".join(fold(name).split()) for name in (*names.values(), "Bo")]
    assert len(set(keys)) == len(keys)
    joined = assign_names([*speakers, ("new", "Alex")], taken=("Bo",))
    assert {key: joined[key] for key in names} == dict(names)


def test_a_crowd_of_one_name_is_told_apart_in_no_time() -> None:
    crowd = [(str(number), "Alex" if number % 2 else "ALEX") for number in range(20_000)]
    before = time.perf_counter()
    names = assign_names(crowd, taken=["Alex (7)"])
    assert time.perf_counter() - before < 5
    assert len({name.casefold() for name in names.values()}) == len(crowd)
    assert names["0"] == "ALEX"
    assert names["1"] == "Alex (2)"
    assert "Alex (7)" not in names.values()


@pytest.mark.parametrize("name", ["file:a", "FILE :a", "\uff46ile\ua789a", "guild:1", " Built-In "])
def test_a_name_like_an_id_is_known(name: str) -> None:
    assert is_like_an_id(name)
    assert not is_like_an_id(f"a {name}")


def test_a_text_turns_nothing_about_in_a_line_of_ours() -> None:
    assert in_its_own_order("Al\u202eice\u2066\u200f") == "Alice"
    assert in_its_own_order("Alice") == "Alice"
    assert in_its_own_order("Zo\u00eb") == "Zo\u00eb"
    assert in_its_own_order("\u05d3\u05e0\u05d9") == "\u2068\u05d3\u05e0\u05d9\u2069"


@given(st.text())
def test_every_direction_that_is_opened_is_closed(text: str) -> None:
    made = in_its_own_order(text)
    assert (made.count("\u2068"), made.count("\u2069")) in ((0, 0), (1, 1))
    assert not set(made) & set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067")
