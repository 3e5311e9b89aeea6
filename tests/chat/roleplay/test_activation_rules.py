"""What decides beside keys: decorators, time, chance, groups, recursion, budget, order."""

from typing import Any

import pytest
from lore_given import book, entry, fire, fired, why_not

from bot.chat.personas.lore.book import Position
from bot.chat.roleplay.activation.outcome import Cause, Placement, Reason
from bot.chat.roleplay.activation.request import Surroundings
from bot.chat.roleplay.activation.timing import Phase, phase_of


def decorated(*lines: str, uid: str = "e", **extra: Any) -> Any:
    keys = extra.pop("keys", ("dragon",))
    return entry(uid, *keys, content="\n".join((*lines, "Text.")), **extra)


# Decorators -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "bots", "fires"),
    [
        ("@@activate_only_after 2", 1, False), ("@@activate_only_after 2", 2, True),
        ("@@activate_only_every 3", 3, True), ("@@activate_only_every 3", 4, False),
        ("@@activate_only_every 3", 0, True), ("@@activate_only_every 0", 5, True),
    ],
)  # fmt: skip
def test_the_bots_messages_are_counted(line: str, bots: int, fires: bool) -> None:
    around = Surroundings(messages=2 * bots + 1, bot_messages=bots)
    made = fire(decorated(line), said="dragon", around=around)
    assert bool(fired(made)) is fires
    assert bool(fired(fire(decorated(line, constant=True), around=around))) is fires


def test_greetings() -> None:
    for greeting, fires in ((0, False), (1, True), (None, True)):
        around = Surroundings(greeting=greeting)
        made = fire(decorated("@@is_greeting 1"), said="dragon", around=around)
        assert bool(fired(made)) is fires


def test_activate_beats_dont_activate_and_nothing_beats_disabled() -> None:
    assert fired(fire(decorated("@@dont_activate"), said="dragon")) == []
    both = decorated("@@dont_activate", "@@activate")
    made = fire(both)
    assert fired(made) == ["e"]
    assert made.fired[0].cause is Cause.ACTIVATE
    assert fired(fire(decorated("@@activate", enabled=False))) == []
    assert fired(fire(decorated("@@dont_activate", constant=True))) == []


def test_after_a_match() -> None:
    keep, dont = (decorated(f"@@{word}_activate_after_match") for word in ("keep", "dont"))
    assert fired(fire(keep, said=("a", "b", "c"), past={"e": [1]})) == ["e"]
    assert fired(fire(keep, said=("a", "b", "c"))) == []
    assert fired(fire(dont, said="dragon")) == ["e"]
    assert fired(fire(dont, said=("a", "b", "dragon"), past={"e": [1]})) == []
    # A reply that is written again is not «before».
    assert fired(fire(dont, said="dragon", past={"e": [1]})) == ["e"]


def test_additional_and_excluding_keys() -> None:
    more = decorated("@@additional_keys fire, ice", "@@additional_keys cave")
    assert fired(fire(more, said="dragon of fire")) == []
    assert fired(fire(more, said="dragon of ice in a cave")) == ["e"]
    less = decorated("@@exclude_keys tame, toy")
    assert fired(fire(less, said="dragon")) == ["e"]
    assert why_not(fire(less, said="a toy dragon")) == {"e": Reason.EXCLUDED}
    assert why_not(fire(decorated("@@exclude_keys toy", constant=True), said="toy")) == {
        "e": Reason.EXCLUDED
    }
    both = decorated("@@exclude_keys_all toy, tame")
    assert fired(fire(both, said="toy dragon")) == ["e"]
    assert fired(fire(both, said="tame toy dragon")) == []


def test_placements() -> None:
    def place(made: Any) -> Placement:
        (one,) = fire(made, said=("a", "b", "dragon")).fired
        return one.placement

    assert place(decorated("@@depth 2", "@@role user")) == Placement(Position.AT_DEPTH, 2, "user")
    assert place(decorated("@@reverse_depth 1")).depth == 2
    assert place(decorated("@@depth 1", "@@reverse_depth 1")).depth == 1
    assert place(decorated("@@position scenario", "@@depth 2")).position is Position.SCENARIO
    assert place(decorated("@@position moon", "@@depth 2")).depth == 2
    deep = decorated(position=Position.AT_DEPTH, depth=7, role="bot")
    assert place(deep) == Placement(Position.AT_DEPTH, 7, "bot")


def test_prompts_that_a_decorator_takes_out() -> None:
    made = fire(decorated("@@disable_ui_prompt post_history_instructions"), said="dragon")
    assert made.disabled_prompts == {"post_history_instructions"}
    assert made.fired[0].text == "Text."


# For whom and when ----------------------------------------------------------------------------


def test_characters_and_triggers() -> None:
    ada = Surroundings(character_name="Ada", character_tags=("Elf",), trigger="swipe")
    for extra, fires in (
        ({"character_names": ("ada",)}, True), ({"character_names": ("Bob",)}, False),
        ({"character_tags": ("elf",)}, True), ({"character_tags": ("orc",)}, False),
        ({"character_names": ("Ada",), "character_tags": ("orc",)}, False),
        ({"character_names": ("Ada",), "character_exclude": True}, False),
        ({"character_names": ("Bob",), "character_exclude": True}, True),
        ({"triggers": ("swipe",)}, True), ({"triggers": ("normal",)}, False),
    ):  # fmt: skip
        made = fire(entry("e", constant=True, **extra), around=ada)
        assert bool(fired(made)) is fires, extra


# Time -----------------------------------------------------------------------------------------


def test_delay() -> None:
    late = entry("e", "dragon", delay=3)
    assert why_not(fire(late, said=("a", "dragon"))) == {"e": Reason.DELAY}
    assert fired(fire(late, said=("a", "b", "dragon"))) == ["e"]


@pytest.mark.parametrize(
    ("now", "expected"),
    [(5, Phase.NONE), (6, Phase.STICKY), (7, Phase.STICKY), (8, Phase.COOLDOWN),
     (10, Phase.COOLDOWN), (11, Phase.NONE)],
)  # fmt: skip
def test_cooldown_follows_sticky(now: int, expected: Phase) -> None:
    assert phase_of([5], now, sticky=2, cooldown=3) is expected
    # It fires while it is sticky, which makes it no stickier.
    assert phase_of([5, 6, 7], now, sticky=2, cooldown=3) is expected


def test_sticky_and_cooldown_of_entries() -> None:
    sticky = entry("e", "dragon", sticky=2, probability=0)
    made = fire(sticky, said=("x", "y", "z"), past={"e": [1]})
    assert [one.cause for one in made.fired] == [Cause.STICKY]
    assert fired(fire(sticky, said=("x", "y", "z", "a"), past={"e": [1]})) == []
    cold = entry("e", "dragon", cooldown=2)
    assert why_not(fire(cold, said=("x", "y", "dragon"), past={"e": [1]})) == {"e": Reason.COOLDOWN}
    assert fired(fire(cold, said=("x", "y", "z", "dragon"), past={"e": [1]})) == ["e"]
    # The reply is written again, or what came after was deleted.
    assert fired(fire(cold, said="dragon", past={"e": [1]})) == ["e"]
    assert fired(fire(cold, said="dragon", past={"e": [4]})) == ["e"]


# Chance and groups ----------------------------------------------------------------------------


def test_chance_hangs_on_the_seed_and_the_entry_alone() -> None:
    rare = entry("e", "dragon", probability=50)
    outcomes = [bool(fired(fire(rare, said="dragon", seed=seed))) for seed in range(400)]
    assert 140 < sum(outcomes) < 260
    others = [entry(str(at), "dragon", probability=50) for at in range(5)]
    for seed in range(20):
        assert ("e" in fired(fire(*others, rare, said="dragon", seed=seed))) is outcomes[seed]
    assert fired(fire(entry("e", "dragon", probability=0), said="dragon")) == []
    unused = entry("e", "dragon", probability=0, use_probability=False)
    assert fired(fire(unused, said="dragon")) == ["e"]


def test_one_of_a_group_fires_by_weight() -> None:
    heavy = entry("heavy", "dragon", group="g", group_weight=300)
    light = entry("light", "dragon", group="g, other", group_weight=100)
    nothing = entry("nothing", "dragon", group="g", group_weight=0)
    winners = [fired(fire(heavy, light, nothing, said="dragon", seed=at)) for at in range(400)]
    assert all(len(one) == 1 for one in winners)
    assert 240 < winners.count(["heavy"]) < 360
    assert ["nothing"] not in winners
    lost = fire(heavy, light, said="dragon")
    assert list(why_not(lost).values()) == [Reason.GROUP]


def test_override_scoring_and_who_stands_already() -> None:
    low = entry("low", "dragon", group="g", group_override=True, order=1)
    high = entry("high", "dragon", group="g", group_override=True, order=2)
    plain = entry("plain", "dragon", group="g", order=9)
    assert fired(fire(low, high, plain, said="dragon")) == ["high"]
    better = entry("better", "dragon", "cave", group="g")
    for seed in range(10):
        scored = fire(plain, better, said="dragon cave", seed=seed, group_scoring=True)
        assert fired(scored) == ["better"]
    first = entry("first", "dragon", group="g", content="Of the cave.")
    later = entry("later", "cave", group="g", group_override=True)
    assert fired(fire(first, later, said="dragon")) == ["first"]
    stays = entry("stays", "x", group="g", sticky=5)
    made = fire(stays, high, said=("a", "b", "dragon"), past={"stays": [1]})
    assert fired(made) == ["stays"]


# Recursion ------------------------------------------------------------------------------------

ONE = entry("one", "dragon", content="Dragons live in caves of Eld.")
TWO = entry("two", "eld", content="Eld is cold.")
THREE = entry("three", "cold", content="Brr.")


def test_content_triggers_others() -> None:
    made = fire(ONE, TWO, THREE, said="dragon")
    assert fired(made) == ["one", "two", "three"]
    assert made.fired[1].hits[0].where == "the entry «dragon»"
    assert fired(fire(ONE, TWO, THREE, said="dragon", recursion=False)) == ["one"]
    assert fired(fire(ONE, TWO, THREE, said="dragon", max_recursion_steps=1)) == ["one", "two"]
    for recursive, expected in ((True, ["one", "two", "three"]), (False, ["one"])):
        whole = book(ONE, TWO, THREE, recursive=recursive)
        assert fired(fire(whole, said="dragon", recursion=not recursive)) == expected


def test_content_triggers_patterns() -> None:
    pattern = entry("two", "/EL[d]/i", content="Cold.")
    made = fire(ONE, pattern, THREE, said="dragon")
    assert fired(made) == ["one", "two", "three"]
    assert made.fired[1].hits[0].where == "the entry «dragon»"
    exclude = entry("two", "/eld/i", exclude_recursion=True)
    assert fired(fire(ONE, exclude, said="dragon")) == ["one"]


def test_the_three_exceptions() -> None:
    exclude = entry("two", "eld", exclude_recursion=True)
    assert fired(fire(ONE, exclude, said="dragon")) == ["one"]
    assert fired(fire(exclude, said="eld")) == ["two"]
    prevent = entry("one", "dragon", content="Of Eld.", prevent_recursion=True)
    assert fired(fire(prevent, TWO, said="dragon")) == ["one"]
    delayed = entry("two", "eld", delay_until_recursion=1)
    assert fired(fire(delayed, said="eld")) == []
    assert why_not(fire(delayed, said="eld")) == {"two": Reason.RECURSION}
    assert fired(fire(ONE, delayed, said="dragon")) == ["one", "two"]


def test_levels_of_delay_come_one_after_the_other() -> None:
    first = entry("first", "eld", delay_until_recursion=1, content="A tower.")
    second = entry("second", "eld", delay_until_recursion=2)
    assert fired(fire(ONE, first, second, said="dragon")) == ["one", "first", "second"]
    won = entry("first", "eld", delay_until_recursion=1, group="g")
    lost = entry("second", "eld", delay_until_recursion=2, group="g", group_override=True)
    assert fired(fire(ONE, won, lost, said="dragon")) == ["one", "first"]


def test_risus_decorators_and_hidden_keys() -> None:
    hidden = entry("one", "dragon", content="Scales. {{hidden_key:eld}}{{// cold}}")
    assert fired(fire(hidden, TWO, THREE, said="dragon")) == ["one", "two", "three"]
    assert fired(fire(hidden, entry("no", "cold"), said="dragon")) == ["one"]
    clinging = entry("one", "dragon", content="Scales{{hidden_key:eld}} shine.")
    assert fired(fire(clinging, TWO, entry("four", "Scales"), said="dragon")) == [
        "one", "two", "four",
    ]  # fmt: skip
    closed = entry("two", "eld", content="@@no_recursive_search\nx")
    assert fired(fire(ONE, closed, said="dragon")) == ["one"]
    silent = entry("one", "dragon", content="@@unrecursive\nEld.")
    assert fired(fire(silent, TWO, said="dragon")) == ["one"]


def test_a_ring_and_a_chain_without_end_come_to_an_end() -> None:
    ring = [entry(str(at), f"k{at}", content=f"k{(at + 1) % 3}") for at in range(3)]
    assert sorted(fired(fire(*ring, said="k0"))) == ["0", "1", "2"]
    chain = [entry(str(at), f"k{at}", content=f"k{at + 1}") for at in range(500)]
    made = fire(*chain, said="k0")
    assert made.is_cut_short
    assert len(made.fired) == made.steps == 100


# Budget ---------------------------------------------------------------------------------------


def words(text: str) -> int:
    return len(text.split())


def sized(uid: str, tokens: int, **extra: Any) -> Any:
    return entry(uid, constant=True, content=" ".join(["w"] * tokens), **extra)


@pytest.mark.parametrize(
    ("low", "high"),
    [({"priority": 1, "order": 9}, {"priority": 2, "order": 1}), ({"order": 1}, {"order": 2}),
     ({"priority": -1, "order": 9}, {"order": 1})],
)  # fmt: skip
def test_the_lowest_goes_first(low: dict[str, int], high: dict[str, int]) -> None:
    made = fire(sized("low", 6, **low), sized("high", 6, **high), budget_tokens=10, count=words)
    assert fired(made) == ["high"]
    assert (made.tokens, made.budget) == (6, 10)
    (out,) = made.left_out
    assert (out.reason, out.detail) == (Reason.BUDGET, "it takes 6 tokens, 4 are left")


def test_what_does_not_fit_is_passed_over() -> None:
    made = fire(
        sized("small", 3, order=1), sized("large", 20, order=2), sized("first", 6, order=3),
        budget_tokens=10, count=words,
    )  # fmt: skip
    assert fired(made) == ["small", "first"]


def test_budgets_of_books_and_entries_without_one() -> None:
    own = book(sized("a", 6, order=2), sized("b", 6), book_id="own", token_budget=10)
    other = book(sized("c", 6), book_id="z")
    assert fired(fire(own, other, count=words)) == ["b", "c"]  # the order of b is 100
    free = sized("free", 50, ignore_budget=True)
    made = fire(free, sized("a", 6), budget_tokens=10, count=words)
    assert sorted(fired(made)) == ["a", "free"]
    assert made.tokens == 6


def test_percent_of_the_context_and_the_cap() -> None:
    def budget(**settings: int) -> int | None:
        return fire(entry("e"), **settings).budget

    assert budget(context_tokens=2000) == 500
    assert budget(context_tokens=2000, budget_percent=10, budget_tokens=100) == 100
    assert budget(context_tokens=2000, budget_percent=0) is None
    assert budget() is None


def test_a_personas_book_goes_before_a_channels_and_spare_ones_go_first() -> None:
    channel = book(sized("channel", 6, priority=99), book_id="c", precedence=1)
    persona = book(sized("persona", 6), book_id="p")
    for books in ((channel, persona), (persona, channel)):
        assert fired(fire(*books, budget_tokens=10, count=words)) == ["persona"]
    spare = entry("spare", constant=True, content="@@ignore_on_max_context\na b c d e f", order=999)
    made = fire(spare, sized("kept", 6), budget_tokens=10, count=words)
    assert fired(made) == ["kept"]


def test_what_had_no_room_triggers_nothing() -> None:
    large = entry("one", "dragon", content="Eld " * 20)
    assert fired(fire(large, TWO, said="dragon", budget_tokens=10, count=words)) == []


# Order ----------------------------------------------------------------------------------------


def test_a_lower_order_stands_earlier() -> None:
    made = fire(*(entry(str(order), constant=True, order=order) for order in (30, 10, 20)))
    assert fired(made) == ["10", "20", "30"]


def test_the_same_book_counts_once() -> None:
    one = book(entry("a", constant=True))
    assert fired(fire(one, one)) == ["a"]
