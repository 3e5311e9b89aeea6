"""What holds of every activation, and what one costs at most."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lore_given import book, chat, entry, fire, fired

from bot.chat.personas.lore.book import Logic, LoreEntry, Position
from bot.chat.roleplay.activation.activate import activate
from bot.chat.roleplay.activation.request import (
    ActivationSettings,
    AttachedBook,
    EntryId,
    PastFiring,
    Request,
)

WORDS = ("dragon", "cave", "fire", "ice", "eld", "龙", "dark lord")
words = st.sampled_from(WORDS)
texts = st.lists(words, max_size=5).map(" ".join)
decorators = st.sampled_from(
    ["", "@@depth 2\n", "@@activate\n", "@@dont_activate\n", "@@exclude_keys ice\n",
     "@@additional_keys fire\n", "@@ignore_on_max_context\n", "@@probability 50\n",
     "@@keep_activate_after_match\n", "@@unknown\n@@@activate_only_every 2\n"]
)  # fmt: skip
lore_entries = st.builds(
    LoreEntry,
    uid=st.just(""),
    keys=st.lists(words | st.just("/drag(on)?|fire/i"), max_size=2).map(tuple),
    content=st.builds(lambda lead, text: lead + text, decorators, texts),
    enabled=st.sampled_from([True, True, True, False]),
    constant=st.sampled_from([False, False, False, True]),
    order=st.integers(0, 3),
    priority=st.none() | st.integers(0, 2),
    secondary_keys=st.lists(words, max_size=2).map(tuple),
    selective=st.booleans(),
    logic=st.sampled_from(Logic),
    probability=st.sampled_from([100, 100, 60]),
    group=st.sampled_from(["", "", "g", "g, h"]),
    group_override=st.booleans(),
    sticky=st.integers(0, 2),
    cooldown=st.integers(0, 2),
    delay=st.integers(0, 2),
    exclude_recursion=st.booleans(),
    prevent_recursion=st.booleans(),
    delay_until_recursion=st.sampled_from([0, 0, 1, 2]),
    ignore_budget=st.sampled_from([False, False, True]),
    scan_depth=st.none() | st.integers(0, 4),
)


def numbered(entries: list[LoreEntry]) -> tuple[LoreEntry, ...]:
    return tuple(replace(one, uid=str(at)) for at, one in enumerate(entries))


@st.composite
def requests(draw: st.DrawFn) -> Request:
    books = tuple(
        book(*numbered(draw(st.lists(lore_entries, max_size=5))), book_id=book_id,
             token_budget=draw(st.none() | st.integers(1, 12)),
             precedence=draw(st.integers(0, 1)))
        for book_id in ("one", "two")
    )  # fmt: skip
    past = st.builds(
        PastFiring,
        st.builds(EntryId, st.sampled_from(["one", "two"]), st.sampled_from("01234")),
        st.integers(0, 6),
    )
    return Request(
        books,
        chat(*draw(st.lists(texts, max_size=5))),
        ActivationSettings(
            scan_depth=draw(st.integers(0, 3)),
            budget_tokens=draw(st.integers(0, 12)),
            min_activations=draw(st.integers(0, 3)),
            group_scoring=draw(st.booleans()),
        ),
        draw(st.integers(0, 9)),
        past=tuple(draw(st.lists(past, max_size=4))),
        count=lambda text: len(text.split()),
    )


@given(requests())
@settings(max_examples=300)
def test_what_holds_of_every_activation(request: Request) -> None:
    made = activate(request)
    ids = [one.entry_id for one in made.fired]
    out = [one.entry_id for one in (*made.left_out, *made.silent)]
    everyone = [
        EntryId(attached.book_id, one.uid)
        for attached in request.books
        for one in attached.book.entries
    ]
    # Each entry has one fate.
    assert sorted([*ids, *out]) == sorted(everyone)
    assert all(one.entry.enabled and one.text for one in made.fired)
    # Nothing is over a budget.
    counted = [one for one in made.fired if not one.ignores_budget]
    assert made.tokens == sum(one.tokens for one in counted)
    assert made.budget is None or made.tokens <= made.budget
    for attached in request.books:
        own = sum(one.tokens for one in counted if one.entry_id.book_id == attached.book_id)
        assert attached.book.token_budget is None or own <= attached.book.token_budget
    # One of a group at most, in order, each with a rank of its own.
    for group in ("g", "h"):
        members = [one for one in made.fired if group in one.entry.group.split(", ")]
        assert len(members) <= 1
    orders = [one.entry.order for one in made.fired]
    assert orders == sorted(orders)
    assert len({one.rank for one in made.fired}) == len(made.fired)


@given(requests())
def test_the_same_request_has_the_same_outcome_whatever_the_books_order(request: Request) -> None:
    made = activate(request)
    assert activate(request) == made
    assert activate(replace(request, books=request.books[::-1])) == made
    again = replace(request, past=request.past[::-1] + request.past)
    assert activate(again) == made


@given(requests())
def test_disabling_what_did_not_match_changes_nothing(request: Request) -> None:
    made = activate(request)
    silent = {one.entry_id for one in made.silent}
    books = tuple(
        AttachedBook(
            one.book_id,
            replace(
                one.book,
                entries=tuple(
                    replace(e, enabled=EntryId(one.book_id, e.uid) not in silent and e.enabled)
                    for e in one.book.entries
                ),
            ),
            one.precedence,
        )
        for one in request.books
    )
    assert activate(replace(request, books=books)).fired == made.fired


# Cost: the limits are many times what it takes, for a shared machine ---------------------------


def timed(*entries: LoreEntry, seconds: float, **given_more: Any) -> Any:
    begun = time.perf_counter()
    made = fire(*entries, **given_more)
    assert time.perf_counter() - begun < seconds
    return made


def test_ten_thousand_entries_and_a_long_chat() -> None:
    entries = [
        entry(str(at), f"word{at}", f"other{at}", f"a phrase {at}", content=f"About {at + 1}. " * 9)
        for at in range(10_000)
    ]
    said = tuple(" ".join(f"word{at * 7 + turn}" for at in range(60)) for turn in range(1_000))
    made = timed(*entries, said=said, scan_depth=1_000, context_tokens=8_192, seconds=15)
    assert made.fired
    assert made.tokens <= 2_048


def test_keys_that_all_begin_alike_and_a_text_of_their_beginnings() -> None:
    phrases = [entry(str(at), "a " * (at % 400) + f"b{at}", "a-" * (at % 400 + 1) + "-")
               for at in range(10_000)]  # fmt: skip
    made = timed(*phrases, said="a " * 50_000 + "a-" * 50_000, seconds=30)
    assert fired(made) == []
    assert {one.why for one in made.given_up} <= {"there was too much to look through"}


def test_ten_thousand_patterns() -> None:
    patterns = [entry(str(at), f"/(a+)+{at}$/", f"/x{at}(b|c)*z/i") for at in range(5_000)]
    made = timed(*patterns, entry("w", "word"), said="a" * 3_000 + " word!", seconds=15)
    assert "w" in fired(made)
    assert made.given_up


def test_a_text_of_eight_megabytes_in_one_entry_and_one_message() -> None:
    large = "dragon @@ " * 800_000
    made = timed(entry("e", "dragon", content=large, position=Position.AT_DEPTH), said=large,
                 context_tokens=8_192, seconds=15)  # fmt: skip
    assert fired(made) == []


def timed_by_the_processor(*entries: LoreEntry, seconds: float, **given_more: Any) -> Any:
    begun = time.thread_time()
    made = fire(*entries, **given_more)
    assert time.thread_time() - begun < seconds
    return made


MANY = 40_000  # entries of a key each: more than is taken up


@pytest.mark.parametrize("kind", ["entries", "keys", "macros", "patterns", "levels", "decorators"])
def test_more_than_can_be_looked_through_is_named_by_book(kind: str) -> None:
    word = entry("first", "word", content="A content with other0 in it.")
    made_by: dict[str, Callable[[], list[LoreEntry]]] = {
        "entries": lambda: [entry(str(at), f"other{at}") for at in range(MANY)],
        "keys": lambda: [
            entry(str(at), *(f"o{at}-{key}" for key in range(100))) for at in range(MANY // 25)
        ],
        "macros": lambda: [
            entry(str(at), *("<user>" * 20 + f"{at}-{key}" for key in range(100)))
            for at in range(MANY // 200)
        ],
        "patterns": lambda: [
            entry(str(at), *(f"/x{at}y{key}/" for key in range(100))) for at in range(MANY // 100)
        ],
        "levels": lambda: [
            entry(str(at), f"o{at}", delay_until_recursion=1 + at % 90) for at in range(MANY)
        ],
        "decorators": lambda: [
            entry(
                str(at),
                "word",
                content="\n".join(
                    [f"@@exclude_keys {','.join(f'{at}x{line}y{key}' for key in range(100))}"
                     for line in range(100)] + ["Text."]
                ),
            )
            for at in range(20)
        ],
    }  # fmt: skip
    others = made_by[kind]()
    last = entry("last", "word")
    made = timed_by_the_processor(word, *others, last, said="A word.", seconds=15)
    assert fired(made)[0] == "first"
    assert "last" not in fired(made)
    (unread,) = made.unread
    at = [one.uid for one in (word, *others, last)].index(unread.entry_id.uid)
    assert unread.entries == len(others) + 2 - at
    known = {one.entry.uid for one in (*made.fired, *made.left_out, *made.silent)}
    assert known == {one.uid for one in (word, *others)[:at]}, "the first ones, each whole"


def test_macros_in_what_has_fired_are_bounded_with_what_is_scanned() -> None:
    expanded: list[int] = []

    def expand(text: str) -> str:
        expanded.append(len(text))
        return text.replace("{{nothing}}", "")

    told = [entry(str(at), "word", content="{{nothing}}" * 1_000 + f" next{at}") for at in range(9)]
    following = [entry(f"n{at}", f"next{at}") for at in range(9)]
    made = fire(*told, *following, said="word", expand=expand, scan_characters=50_000)
    assert [one for one in fired(made) if one[0] == "n"] == ["n0", "n1", "n2", "n3"]
    assert sum(expanded) <= 50_000


def test_a_book_that_counts_more_is_taken_up_before_a_giant() -> None:
    giant = book(
        *(entry(str(at), f"o{at}") for at in range(MANY)), entry("w", "word"), book_id="a",
        precedence=1,
    )  # fmt: skip
    small, smaller = (
        book(entry(f"w{at}", "word"), book_id=f"z{at}", precedence=at) for at in (0, 2)
    )
    made = fire(smaller, giant, small, said="word")
    assert fired(made) == ["w0"]
    assert [one.entry_id.book_id for one in made.unread] == ["a", "z2"]


def test_a_large_book_of_a_persons_is_read_to_the_end() -> None:
    entries = [
        entry(str(at), *(f"word{at}-{key}" for key in range(8)), f"{{{{char}}}} {at}")
        for at in range(6_000)
    ]
    made = fire(*entries, entry("last", "word"), said="A word and word5999-7.")
    assert set(fired(made)) == {"5999", "last"}
    assert made.unread == ()
