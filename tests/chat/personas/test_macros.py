"""Macros are replaced in persona texts, once, and nowhere else."""

import pytest
from prompting import PLAYED, prompt, said

from bot.chat.personas.macros import expand_macros


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


def test_unknown_macros_stay() -> None:
    assert expand_macros("{{time}} <START>", char="a", user="b") == "{{time}} <START>"


async def test_what_users_write_is_never_expanded() -> None:
    made = await prompt(said("Alex", "I like {{char}} and <BOT>."), persona=PLAYED)
    assert "Alex: I like {{char}} and <BOT>." in made.text


async def test_moderators_instructions_are_expanded() -> None:
    made = await prompt(said("Alex", "Hi"), instructions="{{char}} helps {{user}}.")
    assert "Bo helps Alex." in made.text
