"""What a generation was chosen with is kept, so that it can be chosen again."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.engine.api import Sampling
from bot.store.turns.samplers import read_samplers, write_samplers

numbers = st.floats(-2, 2)


@given(
    st.builds(
        Sampling,
        presence_penalty=numbers,
        frequency_penalty=numbers,
        dry_multiplier=numbers,
        dry_base=numbers,
        dry_allowed_length=st.integers(1, 100),
        xtc_probability=numbers,
        xtc_threshold=numbers,
        banned_words=st.lists(st.text(), max_size=3).map(tuple),
    )
)
def test_all_of_it_comes_back(sampling: Sampling) -> None:
    assert replace(Sampling(), **read_samplers(write_samplers(sampling))) == sampling


def test_nothing_is_written_where_all_is_off() -> None:
    assert write_samplers(Sampling(temperature=0.1, top_k=7, seed=4)) is None
    assert read_samplers(None) == {}


@pytest.mark.parametrize(
    "text", ["{", "[]", "7", '{"dry_base": "x"}', '{"dry_base": true}', '{"seed": 4}', "nul"]
)
def test_what_another_hand_has_written_does_no_harm(text: str) -> None:
    assert read_samplers(text) == {}


def test_of_a_list_the_words_are_taken() -> None:
    assert read_samplers('{"banned_words": ["a", 7], "dry_allowed_length": 2.5}') == {
        "banned_words": ("a",)
    }
