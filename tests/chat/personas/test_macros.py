"""Macros are replaced in persona texts, once, and nowhere else."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompting import PLAYED, prompt, said

from bot.chat.persona import Persona
from bot.chat.personas.macros import VALUE_CHARACTERS, MacroContext, Macros, expand_macros

NOON = datetime(2026, 5, 1, 21, 5, tzinfo=UTC)
CARD = Persona(
    name="Mira",
    description="{{char}} keeps a {{personality}} lighthouse.",
    personality="dry",
    scenario="A storm.",
    greeting="Hello.",
    alternate_greetings=("Come in.",),
    example_dialogue="<START>\nOne\n<START>\nTwo",
    creator_notes="SECRET",
    creator="SECRET",
    character_version="SECRET",
    tags=("SECRET",),
)


def expanded(text: str, *, original: str = "", **extra: Any) -> str:
    given_context: dict[str, Any] = {"persona": CARD, "moment": NOON, "conversation": "1"}
    context = MacroContext("Mira", "Alex", **(given_context | extra))
    return Macros(context).expand(text, original=original)


@pytest.mark.parametrize(
    "macro", ["{{char}}", "{{CHAR}}", "{{ char }}", "<BOT>", "<bot>", "<CHAR>", "<Char>"]
)
def test_char_is_the_personas_name(macro: str) -> None:
    assert expand_macros(f"I am {macro}.", char="Mira", user="Alex") == "I am Mira."


@pytest.mark.parametrize("macro", ["{{user}}", "{{User}}", "<USER>", "<user>"])
def test_user_is_who_wrote_last(macro: str) -> None:
    assert expand_macros(f"Hi {macro}!", char="Mira", user="Alex") == "Hi Alex!"


def test_a_name_that_looks_like_a_macro_stays_as_it_is() -> None:
    assert expand_macros("{{user}}", char="Mira", user="{{char}}") == "{{char}}"
    assert expanded("{{random::{{user}}}}", seed=1) == "Alex"
    context = MacroContext("Mira", "{{char}}")
    assert Macros(context).expand("{{random::{{user}}}}") == "{{char}}"


def test_a_name_with_a_separator_is_one_choice() -> None:
    macros = Macros(MacroContext("Mira", "a::b,c"))
    assert macros.expand("{{random::{{user}}}}") == "a::b,c"
    assert macros.expand("{{random:{{user}}}}") == "a::b,c"


def test_unknown_macros_stay() -> None:
    assert expand_macros("{{time}} <START>", char="a", user="b") == "{{time}} <START>"
    text = "{{setvar::hp::3}} {{whatever}} {{}} {{ }} }} {{char"
    assert expanded(text) == text


def test_braces_around_macros_stay() -> None:
    assert expanded("{{{char}}} {{{{char}}}}") == "{Mira} {{Mira}}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{group}}|{{charIfNotGroup}}|<GROUP>", "Mira, Bo|Mira, Bo|Mira, Bo"),
        ("{{notChar}}", "Bo, Alex"),
        ("{{description}}", "Mira keeps a dry lighthouse."),
        ("{{scenario}} {{mesExamples}}", "A storm. One\nTwo"),
        ("{{charFirstMessage}}|{{charFirstMessage::1}}|{{charFirstMessage::9}}",
         "Hello.|Come in.|"),
        ("a{{newline}}b{{space::2}}c{{noop}}", "a\nb  c"),
        ("a\n\n{{trim}}\n\nb", "ab"),
        ("{{reverse:abc}} {{reverse:{{char}}}}", "cba ariM"),
        ("a{{// {{char}} is\nme }}b{{//x}}c{{comment: y}}d{{hidden_key:z}}e", "abcde"),
        ("{{time}}|{{date}}|{{weekday}}|{{isotime}}|{{isodate}}",
         "9:05 PM|May 1, 2026|Friday|21:05|2026-05-01"),
        ("{{time_UTC+2}}|{{time::UTC-9:30}}|{{time_UTC+99}}", "11:05 PM|11:35 AM|9:05 PM"),
        ("{{outlet::weather}}|{{outlet::none}}", "rain|"),
        ("{{random::only}}|{{random:a\\,b}}|{{random}}|{{pick: x }}", "only|a,b||x"),
        ("{{roll:1}}|{{roll 3d1+4}}|{{roll:d1-1}}|{{roll:0}}|{{roll:x}}|{{roll:9999d6}}",
         "1|7|0|||"),
        ("{{charVersion}}{{charCreatorNotes}}{{creatorNotes}}", ""),
    ],
)  # fmt: skip
def test_macros_of_cards(text: str, expected: str) -> None:
    outlets = {"weather": "rain"}
    assert expanded(text, others=("Bo",), outlets=outlets) == expected


@pytest.mark.parametrize(
    ("idle", "said_as"),
    [
        (None, "just now"),
        (timedelta(seconds=9), "a few seconds"),
        (timedelta(seconds=80), "a minute"),
        (timedelta(minutes=5), "5 minutes"),
        (timedelta(hours=3), "3 hours"),
        (timedelta(days=1), "a day"),
        (timedelta(days=60), "2 months"),
        (timedelta(days=900), "2 years"),
    ],
)
def test_how_long_nobody_spoke(idle: timedelta | None, said_as: str) -> None:
    assert expanded("{{idle_duration}} {{idleDuration}}", idle=idle) == f"{said_as} {said_as}"


def test_what_was_replaced_is_put_in_once() -> None:
    assert expanded("a {{original}} b {{original}}.", original="{{char}}") == "a {{char}} b ."


def test_a_text_that_stands_for_itself_ends() -> None:
    card = Persona(name="Mira", description="d {{scenario}}", scenario="s {{description}}")
    assert expanded("{{description}}", persona=card) == "d s "


def test_picks_stay_for_the_conversation_and_chance_for_the_reply() -> None:
    many = "::".join(str(number) for number in range(1000))
    picked = f"{{{{pick::{many}}}}} {{{{pick::{many}}}}}"
    once = expanded(picked, seed=1)
    assert once == expanded(picked, seed=2) != expanded(picked, seed=1, conversation="2")
    first, second = once.split()
    assert first != second  # two places, two picks
    rolls = f"{{{{roll:1000000}}}} {{{{random::{many}}}}}"
    assert expanded(rolls, seed=1) == expanded(rolls, seed=1) != expanded(rolls, seed=2)


_PIECES = st.sampled_from(
    ["{{", "}}", "{", "}", "::", ":", ",", "\\", " ", "\n", "char", "user", "random", "pick",
     "roll", "2d6", "reverse", "//", "trim", "original", "description", "<user>", "<", "é", "x"]
)  # fmt: skip


@given(st.lists(_PIECES, max_size=60).map("".join), st.integers())
def test_any_text_comes_through_and_the_same_twice(text: str, seed: int) -> None:
    assert expanded(text, seed=seed) == expanded(text, seed=seed)


@given(st.text(), st.text(alphabet="{}<>:, charuse", max_size=20))
def test_names_come_through_whole(text: str, name: str) -> None:
    context = MacroContext(name, name)
    plain = text.replace("{", "").replace("<", "")
    assert Macros(context).expand(f"{plain}{{{{char}}}}{plain}") == f"{plain}{name}{plain}"


@pytest.mark.parametrize(
    "text",
    ["{{" * 50_000, "{{x" * 30_000 + "}}" * 30_000, "{{random:" * 9_000 + "}}" * 9_000],
)
def test_deep_nesting_stays_or_ends(text: str) -> None:
    assert len(expanded(text)) <= len(text)


def test_what_is_put_in_is_bounded() -> None:
    card = Persona(name="Mira", description="{{personality}}" * 6_000, personality="x" * 1_000)
    made = expanded("{{description}}" * 6_000, persona=card)
    assert len(made) <= VALUE_CHARACTERS


async def test_what_users_write_is_never_expanded() -> None:
    made = await prompt(said("Alex", "I like {{char}} and <BOT> {{roll:6}}."), persona=PLAYED)
    assert "Alex: I like {{char}} and <BOT> {{roll:6}}." in made.text


async def test_moderators_instructions_are_expanded() -> None:
    made = await prompt(said("Alex", "Hi"), instructions="{{char}} helps {{user}}.")
    assert "Bo helps Alex." in made.text
