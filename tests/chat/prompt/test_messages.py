"""The prompt in roles, for servers that take nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompting import PLAYED, answered, prompt, quoting, said

from bot.chat.prompt.formats import FORMATS
from bot.chat.prompt.parts import Part, Place, Priority
from bot.engine.api import ChatMessage

_TURNS = st.lists(st.sampled_from([said("Al", "Hi"), said("Bea", "Ho"), answered("Hm.")]))


@pytest.mark.parametrize("prompt_format", list(FORMATS))
async def test_says_the_same_as_the_text_without_the_formats_headers(prompt_format: str) -> None:
    made = await prompt(
        said("Al", "Hi"), answered("Hello."), said("Al", "How?"), prompt_format=prompt_format,
        names=False,
    )  # fmt: skip
    assert made.messages == (
        ChatMessage("system", "You are Bo."),
        ChatMessage("user", "Hi"),
        ChatMessage("assistant", "Hello."),
        ChatMessage("user", "How?"),
    )
    assert all(message.text in made.text for message in made.messages)


async def test_several_people_are_told_apart_by_name_and_joined_in_one_message() -> None:
    made = await prompt(said("Al", "Hi"), said("Bea", "Ho"), prompt_format="chatml")
    assert made.messages[1:] == (ChatMessage("user", "Al: Hi\nBea: Ho"),)


async def test_a_greeting_follows_a_beginning_of_the_users() -> None:
    made = await prompt(said("Al", "Hi"), persona=PLAYED, names=False)
    roles = [message.role for message in made.messages]
    assert roles == ["system", "user", "assistant", "user"]
    assert "Come in, Al." in made.messages[2].text


async def test_a_quote_and_a_note_are_in_brackets() -> None:
    note = Part("note", "It rains.", Place.CLOSING, Priority.IMPORTANT)
    asked = said("Al", "And?", reply_to=quoting("Zed", "So it is."))
    made = await prompt(asked, parts=(note,), names=False)
    assert made.messages[-1].text == "[In reply to Zed: So it is.]\nAnd?\n[It rains.]"


async def test_a_beginning_of_the_reply_is_to_be_gone_on_with() -> None:
    made = await prompt(said("Al", "Hi"), reply_so_far="Once upon", names=False)
    assert [message.role for message in made.messages[-2:]] == ["assistant", "user"]
    assert made.messages[-2].text == "Once upon"


@given(_TURNS)
async def test_people_and_bot_take_turns_beginning_with_people(turns: list[dict[str, str]]) -> None:
    made = await prompt(*turns, persona=PLAYED)
    first, *rest = made.messages
    assert first.role == "system"
    assert [message.role for message in rest] == [
        ("user", "assistant")[at % 2] for at in range(len(rest))
    ]
    assert rest
