"""Who speaks in a scene: by name, by talkativeness, in turn; once to a message, chains bounded."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.chat.roleplay.scenes.scene import Mode
from bot.chat.roleplay.speakers import (
    Member,
    Next,
    Queued,
    Rules,
    Said,
    addressees,
    followers,
    is_named,
    next_speaker,
)

CAST = (
    Member("mira", ("Mira", "Miranda Vale"), 0.9),
    Member("ann", ("Ann",), 0.1),
    Member("han", ("小雪",)),
    Member("rus", ("Анна",)),
)
IDS = [member.persona_id for member in CAST]


def speaks(text: str, rules: Rules, *queue: Queued) -> Next | None:
    return next_speaker([Said(1, text)], queue, CAST, rules)


@pytest.mark.parametrize("mode", [Mode.FREE, Mode.NAMED])
def test_who_is_named_answers_in_the_order_named(mode: Mode) -> None:
    step = speaks("小雪 and Ann, come!", Rules(mode, "han"))
    assert step == Next("han", (1,), (1,), (Queued("ann", (1,)),))
    assert speaks("Planning?", Rules(Mode.NAMED)) is None


def test_where_all_speak_in_turn_names_change_nothing() -> None:
    order = ["mira", "ann", "han", "rus", "mira"]
    for last, following in pairwise(order):
        step = speaks("Mira! Ann!", Rules(Mode.ROUND, last))
        assert step == Next(following, (1,), (1,))
    assert speaks("Hello", Rules(Mode.ROUND, "gone")) == Next("mira", (1,), (1,))
    assert followers("Ann!", "mira", (), CAST, 8, Rules(Mode.ROUND)) == ()


def test_talkative_ones_speak_more_often_and_nobody_twice_in_a_row() -> None:
    spoke: Counter[str] = Counter()
    for seed in range(2_000):
        step = speaks("Hello", Rules(Mode.FREE, "han", seed))
        assert step is not None
        spoke[step.persona_id] += 1
    assert spoke["han"] == 0
    assert 1_000 < spoke["mira"] < 1_400  # 0.9 of 1.5
    assert 60 < spoke["ann"] < 220  # 0.1 of 1.5


def test_who_is_alone_or_shy_speaks_where_nobody_else_can() -> None:
    shy = (Member("a", ("A",), 0.0), Member("b", ("B",), 0.0))
    for seed in range(20):
        step = next_speaker([Said(1, "hi")], (), shy, Rules(Mode.FREE, "a", seed))
        assert step == Next("b", (1,), (1,))
    assert next_speaker([Said(1, "hi")], (), shy[:1], Rules(Mode.FREE, "a")) == Next(
        "a", (1,), (1,)
    )
    assert next_speaker([Said(1, "hi")], (), (), Rules(Mode.FREE)) is None


def test_messages_for_nobody_go_to_whoever_speaks_next() -> None:
    waiting = [Said(1, "It rains."), Said(2, "Ann?"), Said(3, "And it snows.")]
    step = next_speaker(waiting, (), CAST, Rules(Mode.FREE))
    assert step == Next("ann", (1, 2, 3), (1, 2, 3))
    asked = next_speaker(waiting[:1], (Queued("rus"),), CAST, Rules(Mode.FREE))
    assert asked == Next("rus", (1,), (1,))


def test_who_is_replied_to_counts_as_named() -> None:
    assert is_named(Said(1, "And you?", "ann"), CAST)
    assert not is_named(Said(1, "And you?", "gone"), CAST)
    assert not is_named(Said(1, "Annabel, planning"), CAST)


_TEXTS = st.lists(
    st.sampled_from(["Mira", "Ann", "Annabel", "小雪", "Анна", "hi", "planning", ", "]), max_size=5
).map(" ".join)
_REPLIED = st.sampled_from(["", "mira", "ann", "gone"])
_CHAIN = 2


@given(
    st.sampled_from(Mode),
    st.lists(st.lists(st.tuples(_TEXTS, _REPLIED), max_size=3), max_size=6),
    st.lists(_TEXTS, min_size=1, max_size=5),
    st.integers(0, 2**31),
)
def test_a_whole_scene(
    mode: Mode, arrivals: list[list[tuple[str, str]]], replies: list[str], seed: int
) -> None:
    """Everybody once to a message, two only where both are named, chains bounded, never nobody."""
    waiting: list[Said] = []
    everything: dict[int, Said] = {}
    queue: tuple[Queued, ...] = ()
    answered: dict[int, list[str]] = {}
    last, unasked, steps = "", 0, 0
    coming = list(arrivals)
    while True:
        for text, replied in coming.pop(0) if coming else ():
            said = Said(len(everything) + 1, text, replied)
            everything[said.turn_id] = said
            waiting.append(said)
        rules = Rules(mode, last, seed + steps)
        step = next_speaker(waiting, queue, CAST, rules)
        if step is None:
            assert not queue
            assert not waiting or mode is Mode.NAMED
            if coming:
                continue
            break
        assert step == next_speaker(waiting, queue, CAST, rules), "the same seed, the same speaker"
        if mode is Mode.ROUND:
            assert step.persona_id == IDS[(IDS.index(last) + 1) % len(IDS) if last else 0]
        elif mode is Mode.FREE and not queue:
            wanted = [who for said in waiting if (who := addressees(said, CAST, rules))]
            assert wanted or step.persona_id != last
        for turn_id in step.answers:
            answered.setdefault(turn_id, []).append(step.persona_id)
        waiting = [said for said in waiting if said.turn_id not in step.takes_up]
        unasked = 0 if step.takes_up else unasked + (not step.answers)
        left = _CHAIN - unasked - sum(not each.answers for each in step.queue)
        text = replies[steps % len(replies)]
        queue = followers(text, step.persona_id, step.queue, CAST, left, rules)
        assert sum(not each.answers for each in queue) <= _CHAIN
        last, steps = step.persona_id, steps + 1
        assert steps <= 200
    for turn_id, who in answered.items():
        named = addressees(everything[turn_id], CAST, Rules(mode))
        assert sorted(who) == sorted(named) if named else len(who) == 1
    assert mode is Mode.NAMED or set(answered) == set(everything)
