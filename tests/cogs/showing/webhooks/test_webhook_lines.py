"""The line above a persona's text: made, recognised, and taken off again."""

import discord
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.chat.text.split import FIRST_CHARACTERS, MESSAGE_CHARACTERS
from cogs.showing.webhooks.lines import answering_line, line_above, name_line, under, without_line

IDS = st.integers(1, 2**64 - 1).map(str)
NAMES = st.one_of(
    st.text(max_size=90),
    st.text(alphabet=r"[]()*_`~|\<>@#:- a", max_size=90),
    st.lists(st.sampled_from(["discord.gg/a", "b", " "]), max_size=12).map("".join),
)


def test_the_line_is_small_and_leads_to_the_message() -> None:
    line = answering_line("Alice", "1", "2", "3")
    assert line == "-# [↪ Alice](https://discord.com/channels/1/2/3)"


def test_nobody_is_invited_by_a_name() -> None:
    for line in (answering_line("discord.gg/abc", "1", "2", "3"), name_line("discord.gg/abc")):
        assert "discord.gg" not in line
        assert r"\[invite removed\]" in line


@given(NAMES, IDS, IDS, IDS, st.text(max_size=FIRST_CHARACTERS))
def test_the_line_comes_off_again_whatever_the_name(
    name: str, guild: str, channel: str, message: str, text: str
) -> None:
    line = answering_line(name, guild, channel, message)
    assert "\n" not in line
    shown = under(line, text)
    assert len(shown) <= MESSAGE_CHARACTERS
    assert line_above(shown) == line
    assert without_line(shown) == text


@given(NAMES, st.text(max_size=FIRST_CHARACTERS))
def test_a_name_in_bold_comes_off_again(name: str, text: str) -> None:
    line = name_line(name)
    assert len(under(line, text)) <= MESSAGE_CHARACTERS
    assert without_line(under(line, text), name) == text


@given(NAMES)
def test_no_name_becomes_markup(name: str) -> None:
    inside = answering_line(name, "1", "2", "3")[6:].rpartition("](")[0]
    plain = inside.replace("\\\\", "")
    for sign in "[]()<>*_`~|@#":
        assert plain.count(sign) == plain.count(f"\\{sign}")
    assert "://" not in inside


@pytest.mark.parametrize(
    "content",
    [
        *("Hello.", "-# small print\nHello.", "**Ada**\nHello.", ""),
        "-# [↪ Alice](https://example.org/channels/1/2/3)\nHello.",
        "Look:\n-# [↪ Alice](https://discord.com/channels/1/2/3)",
        "-# [↪ Alice](https://discord.com/channels/1/2/3) and more",
    ],
)
def test_what_a_persona_says_is_left_alone(content: str) -> None:
    assert line_above(content) == ""
    assert without_line(content) == content
    assert without_line(content, "Bram") == content


def test_what_has_no_room_for_the_line_is_shown_whole() -> None:
    text = "x" * MESSAGE_CHARACTERS
    assert under("**Ada**", text) == text


def test_discord_has_escapes_for_all_that_is_escaped() -> None:
    assert discord.utils.escape_markdown("*_`~|") == r"\*\_\`\~\|"
