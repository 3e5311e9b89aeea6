"""Who speaks where several personas are: named in any script, once to a message, in order."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.chat.roleplay.speakers import (
    Member,
    Queued,
    Said,
    Spoken,
    addressees,
    followers,
    next_speaker,
    still_to_speak,
)

CAST = (
    Member("main", ("Mira", "Miranda Vale")),
    Member("ann", ("Ann",)),
    Member("lee", ("Ann Lee",)),
    Member("han", ("小雪",)),
    Member("kor", ("미라",)),
    Member("thai", ("มะลิ",)),
    Member("rus", ("Анна",)),
    Member("tur", ("İrem I\u015f\u0131k",)),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello there", ("main",)),
        ("ann, hello", ("ann",)),
        ("merhaba irem \u0131\u015f\u0131k", ("tur",)),
        ("Ann Lee, hello", ("lee",)),
        ("Ann Lee and ann!", ("lee", "ann")),
        ("Annabel and Planning", ("main",)),
        ("Miranda Vale?", ("main",)),
        ("Miranda?", ("main",)),
        ("ANN, then Mira, then Ann", ("ann", "main")),
        ("你好小雪吗", ("han",)),
        ("미라는 어디?", ("kor",)),
        ("สวัสดีมะลิคะ", ("thai",)),
        ("Где АННА, Ann?", ("rus", "ann")),  # noqa: RUF001
        ("Аннами", ("main",)),
        ("see https://ann.example/Ann", ("main",)),
        ("*Ann's* hat, _Mira_", ("ann", "main")),
        ("", ("main",)),
    ],
)
def test_who_is_named_answers_in_the_order_named_else_the_main_one(
    text: str, expected: tuple[str, ...]
) -> None:
    assert addressees(Said(1, text), CAST) == expected


def test_who_is_replied_to_answers_too() -> None:
    assert addressees(Said(1, "And you?", "ann"), CAST) == ("ann",)
    assert addressees(Said(1, "Mira says so", "ann"), CAST) == ("ann", "main")
    assert addressees(Said(1, "Ann?", "ann"), CAST) == ("ann",)
    assert addressees(Said(1, "And you?", "gone"), CAST) == ("main",)


def test_followers_are_others_within_the_bound() -> None:
    text = "Ann, Mira and Анна!"
    assert followers(text, "main", (), CAST, 8) == (Queued("ann"), Queued("rus"))
    assert followers(text, "main", (), CAST, 1) == (Queued("ann"),)
    assert followers(text, "main", (), CAST, 0) == ()
    queue = (Queued("ann", (1,)),)
    assert followers(text, "main", queue, CAST, 8) == (*queue, Queued("rus"))


def test_who_is_gone_from_the_cast_is_passed_over() -> None:
    assert next_speaker((), (Queued("gone", (1,)),), CAST) is None
    assert next_speaker((), (), CAST) is None
    assert next_speaker((Said(1, "hi"),), (), ()) is None


_TEXTS = st.lists(
    st.sampled_from(["Mira", "Ann", "Ann Lee", "小雪", "미라", "Анна", "hi", "and", ", "]),
    max_size=6,
).map(" ".join)
_REPLIED = st.sampled_from(["", "main", "ann", "gone"])


@given(st.lists(st.lists(st.tuples(_TEXTS, _REPLIED), max_size=3), max_size=6))
def test_everybody_answers_once_what_is_for_them(
    arrivals: list[list[tuple[str, str]]],
) -> None:
    """Messages come while others are answered; in the end each was answered by its addressees."""
    waiting: list[Said] = []
    queue: tuple[Queued, ...] = ()
    answered: Counter[tuple[str, int]] = Counter()
    all_said: list[Said] = []
    coming = list(arrivals)
    while True:
        if coming:
            for text, replied in coming.pop(0):
                said = Said(len(all_said) + 1, text, replied)
                all_said.append(said)
                waiting.append(said)
        step = next_speaker(waiting, queue, CAST)
        if step is None:
            if coming:
                continue
            break
        assert set(step.takes_up) <= set(step.answers)
        answered.update((step.persona_id, turn_id) for turn_id in step.answers)
        waiting = [said for said in waiting if said.turn_id not in step.takes_up]
        queue = step.queue
    assert not waiting
    wanted = {(who, said.turn_id) for said in all_said for who in addressees(said, CAST)}
    assert answered == Counter(wanted)


@given(st.text(), st.lists(st.text(max_size=8), max_size=5))
def test_any_text_and_any_names(text: str, names: list[str]) -> None:
    cast = [Member(str(at), (name,)) for at, name in enumerate(names)]
    found = addressees(Said(1, text), cast)
    assert len(set(found)) == len(found)
    assert set(found) <= {member.persona_id for member in cast}


@given(
    st.lists(
        st.one_of(
            st.lists(st.sampled_from(["Ann", "Mira, Ann", "小雪, Ann Lee", "Hi"]), max_size=2),
            st.sampled_from(["Ask Mira.", "Ann, 小雪?", "I see."]),
        ),
        max_size=12,
    ),
    st.integers(0, 3),
)
def test_who_is_still_to_speak_follows_from_what_was_said(
    happens: list[list[str] | str], chain: int
) -> None:
    """What is worked out from a round's replies is what was queued while it went on."""
    queue: tuple[Queued, ...] = ()
    chained = 0
    spoken: list[Spoken] = []
    waiting: dict[int, Said] = {}
    for number, what in enumerate(happens):
        if isinstance(what, list):
            waiting |= {
                10 * number + at: Said(10 * number + at, text) for at, text in enumerate(what)
            }
            continue
        step = next_speaker(list(waiting.values()), queue, CAST)
        if step is None:
            break
        taken = tuple(waiting.pop(turn_id) for turn_id in step.takes_up)
        if not queue:  # a round begins
            spoken, chained = [], 0
        chained = 0 if taken else chained + (not step.answers)
        left = chain - chained - sum(not each.answers for each in step.queue)
        queue = followers(what, step.persona_id, step.queue, CAST, left)
        spoken.append(Spoken(step.persona_id, taken, what, is_whole=True))
        assert still_to_speak(spoken, CAST, chain) == (queue, chained)
