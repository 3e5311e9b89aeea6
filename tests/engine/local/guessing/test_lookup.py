"""A guess is what a plain search of the text finds."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from bot.engine.local.guessing.lookup import LONGEST, NEWEST_TOKENS, PLACES, SHORTEST, Lookup

texts = st.lists(st.integers(0, 3), max_size=80)


def plain_guess(text: Sequence[int], most: int) -> tuple[tuple[int, ...], int]:
    """Every place, newest first; None in the text parts it in two."""
    best, agreeing, seen = -1, 0, 0
    for place in range(len(text) - 2, SHORTEST - 2, -1):
        length = 0
        while (
            length < min(LONGEST, place + 1)
            and text[place - length] == text[len(text) - 1 - length]
            and text[place - length] != -1
        ):
            length += 1
        if length < SHORTEST:
            continue
        seen += 1
        if seen > PLACES:
            break
        if length > agreeing:
            best, agreeing = place, length
    if best < 0:
        return (), 0
    going = list(text)
    for n in range(most):
        if going[best + 1 + n] == -1:
            break
        going.append(going[best + 1 + n])
    found = tuple(going[len(text) :])
    return (found, agreeing) if found else ((), 0)


@given(texts, texts, texts, st.integers(0, 12))
def test_it_finds_what_a_plain_search_finds(
    earlier: list[int], text: list[int], more: list[int], most: int
) -> None:
    lookup = Lookup(text, earlier)
    for token in more:
        lookup.add(token)
    parting = [-1] if earlier else []
    found = lookup.guess(most)
    expected = plain_guess([*earlier, *parting, *text, *more], most) if most else ((), 0)
    assert (found.tokens, found.agreeing) == expected


def test_the_place_where_the_most_agrees_wins_over_a_newer_one() -> None:
    lookup = Lookup([1, 2, 3, 9, 9, 7, 2, 3, 8, 8, 1, 2, 3])
    assert lookup.guess(2).tokens == (9, 9)


def test_of_equals_the_newest_wins() -> None:
    assert Lookup([2, 3, 9, 5, 2, 3, 8, 5, 6, 2, 3]).guess(1).tokens == (8,)


def test_a_repetition_goes_on_as_long_as_it_is_asked_to() -> None:
    assert Lookup([5, 6, 5, 6]).guess(5).tokens == (5, 6, 5, 6, 5)


def test_a_discarded_reply_is_guessed_from_but_not_over_its_end() -> None:
    lookup = Lookup([1, 2, 3], earlier=[1, 2, 3, 4, 5])
    assert lookup.guess(8).tokens == (4, 5)
    assert Lookup([4, 5], earlier=[4, 5]).guess(8).tokens == ()


def test_of_a_very_long_text_the_newest_tokens_are_kept() -> None:
    lookup = Lookup([7, 8, 9, *[1] * NEWEST_TOKENS])
    for token in (7, 8):
        lookup.add(token)
    assert lookup.guess(1).tokens == ()
