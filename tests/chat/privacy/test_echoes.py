"""Which replies repeat somebody."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.chat.privacy.echoes import Echoes

THEIRS = "I hid the spare key under the third stone, near Brimhaven."


def learnt(*texts: str, names: tuple[str, ...] = ("Alice",)) -> Echoes:
    echoes = Echoes(names, "4711")
    for at, text in enumerate(texts):
        echoes.learn(10 + at, text)
    return echoes


@pytest.mark.parametrize(
    "reply",
    [
        "So the SPARE key under the third; stone, you say?",
        "Alice told me.",
        "I know Alice\u2019s secret.",
        "Ask <@4711>.",
        "Let us go to Brimhaven!",
    ],
)
def test_what_repeats_them(reply: str) -> None:
    assert learnt(THEIRS).are_in(99, reply)


@pytest.mark.parametrize(
    "reply",
    [
        "A key under a stone is easily found.",
        "Malice and alicebluish are other words.",
        "47110 is another number.",
        "Near here there is nothing.",
        "",
    ],
)
def test_what_does_not(reply: str) -> None:
    assert not learnt(THEIRS).are_in(99, reply)


def test_what_somebody_said_before_them_is_not_theirs() -> None:
    echoes = learnt(THEIRS)
    echoes.unlearn(5, "The spare key under the third stone, near the pier.", is_bots=True)
    assert not echoes.are_in(99, "The spare key under the third stone!")
    assert echoes.are_in(99, "under the third stone, near Brimhaven")
    assert not learnt(THEIRS).are_in(5, "I hid the spare key under it.")


def test_a_word_that_others_use_is_everybodys() -> None:
    echoes = learnt(THEIRS)
    echoes.unlearn(50, "I live in Brimhaven.", is_bots=True)
    assert echoes.are_in(99, "Brimhaven!")
    echoes.unlearn(50, "I live in Brimhaven.", is_bots=False)
    assert not echoes.are_in(99, "Brimhaven!")


@pytest.mark.parametrize("name", ["will", "Al", "", "you", "—", "~will~"])
def test_a_name_that_is_a_common_word_tells_nothing(name: str) -> None:
    assert not learnt(names=(name,)).are_in(99, f"You will see {name}; you can. Will you?")


@pytest.mark.parametrize("name", ["mira", "Dr. No", "李雷", "a.b*c"])
def test_names_of_every_kind_are_found(name: str) -> None:
    assert learnt(names=(name,)).are_in(99, f"Thanks, {name}!")


@pytest.mark.parametrize(
    ("name", "reads"),
    [
        ("✨Quillon✨", "Quillon"),
        ("_Brixie_", "Brixie"),
        ("[AFK] Tamsin", "[AFK] Tamsin"),
        ("🦊🌙", "🦊🌙"),
        ("al\u200bice", "alice"),
        ("\N{MATHEMATICAL FRAKTUR CAPITAL M}ira", "Mira"),
        ("Quillon", "Quil\u200dlon"),
    ],
)
def test_a_name_is_found_without_its_ornament(name: str, reads: str) -> None:
    assert learnt(names=(name,)).are_in(99, f"Thanks, {reads}!")


@pytest.mark.parametrize("name", ["🔥", "you ✨", "<3", "^_^", "*** ***"])
def test_an_ornament_alone_tells_nothing(name: str) -> None:
    assert not learnt(names=(name,)).are_in(99, f"You {name} will 🔥 see.")


def test_scripts_without_blanks_count_by_signs() -> None:
    echoes = learnt("我把备用钥匙藏在第三块石头下面了。", names=())
    assert echoes.are_in(99, "她说:备用钥匙藏在第三块石头下面。")
    assert not echoes.are_in(99, "石头下面有什么?")


@given(st.text(max_size=300), st.text(max_size=300), st.text(max_size=300))
def test_whatever_holds_a_run_of_theirs_is_found(before: str, theirs: str, after: str) -> None:
    echoes = learnt(theirs, names=())
    if len(echoes):
        assert echoes.are_in(99, f"{before} {theirs} {after}")
    echoes.unlearn(1, theirs, is_bots=False)
    assert not len(echoes)


@given(st.text(max_size=200))
def test_any_name_can_be_looked_for(name: str) -> None:
    learnt(names=(name,)).are_in(99, "Nothing.")
