"""What people have written stays plain in the bot's own lines, at their beginning too."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.errors import NotFound
from cogs.interactions import line_of
from cogs.platform import escaped, without_blocks

BLOCK = re.compile(r"^[^\S\n]*(?:-#|#{1,3}|[-*+>]|>>>|\d+[.)])(?:\s|\Z)", re.MULTILINE)
LINES = st.lists(
    st.sampled_from([*"-#>+*12.) ab\n\\", "  ", ">>> ", "-# ", "\u05d0", "10. "]), max_size=30
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("- Ada", r"\- Ada"),
        ("  - Ada", r"  \- Ada"),
        ("# Ada", r"\# Ada"),
        ("  ## Ada", r"  \## Ada"),
        ("> Ada", r"\> Ada"),
        ("   > Ada", r"   \> Ada"),
        ("-# Ada", r"\-# Ada"),
        ("1. Ada", r"1\. Ada"),
        ("23) Ada", r"23\) Ada"),
        ("+ Ada", r"\+ Ada"),
        ("one\n2. two", "one\n2\\. two"),
        ("1.5 and a-b #1", "1.5 and a-b #1"),
    ],
)
def test_a_name_at_the_start_of_a_line_begins_no_block(text: str, shown: str) -> None:
    assert escaped(text) == shown


@given(LINES.map("".join))
@example("\n- \n")
def test_no_line_begins_a_block_whatever_is_written(text: str) -> None:
    assert not BLOCK.search(escaped(text))
    assert not BLOCK.search(without_blocks(text))


@given(LINES.map("".join))
def test_only_backslashes_are_added(text: str) -> None:
    assert without_blocks(text).replace("\\", "") == text.replace("\\", "")


def test_what_is_refused_begins_no_block_with_a_name() -> None:
    error = NotFound("# Big does not play here.", "Add it.")
    assert line_of(error) == r"\# Big does not play here. Add it."
    assert without_blocks("**Bold** and #general") == "**Bold** and #general"
    assert without_blocks("#general") == "#general"
