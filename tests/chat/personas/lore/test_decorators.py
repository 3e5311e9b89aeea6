"""Decorators: rules in an entry's content, after character-card-spec-v3."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.chat.personas.lore.book import Position
from bot.chat.personas.lore.decorators import Rules, split_decorators


def rules(content: str) -> Rules:
    return split_decorators(content)[1]


def test_they_are_rules_and_no_text() -> None:
    text, found = split_decorators(
        "@@depth 3\n@@role assistant\n@@activate_only_after 2\n@@additional_keys a, b\n\n"
        "First.\n\n@@exclude_keys c\nSecond."
    )
    assert text == "First.\nSecond."
    assert (found.depth, found.role, found.activate_only_after) == (3, "bot", 2)
    assert (found.additional_keys, found.exclude_keys) == ([("a", "b")], [("c",)])


def test_a_text_without_them_stays_as_it_is() -> None:
    for text in ("a\n\n b ", "mail me @@ home", "a @@depth 3", "@@", "@@ depth"):
        assert split_decorators(text)[0] == text


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("@@depth 3\n@@depth 5", 3),
        ("@@risu_only 4\n@@@depth 6", 6),
        ("@@one\n@@@two\n@@@three\n@@@four\n@@@five\n@@@depth 7\n@@@depth 8", 7),
        ("@@instruct_depth 9\n@@@depth 2", 2),  # there are no tokens to count in a chat
        ("@@depth much\n@@@depth 2", 2),
        ("@@depth 1\n@@@depth 2", 1),
        ("@@role user\n@@@depth 2", None),
        ("@@@depth 2", None),
        ("@@unknown\ntext\n@@@depth 2", None),
        ("@@depth -3", 0),
        ("@@end", 0),
        ("@@depth 3\n@@end", 3),
    ],
)
def test_fallbacks_and_duplicates(content: str, expected: int | None) -> None:
    assert rules(content).depth == expected


@pytest.mark.parametrize(
    "content",
    ["@@nonsense", "@@role king", "@@position moon", "@@activate_only_every 0", "@@is_greeting x",
     "@@is_user_icon Ada", "@@disable_ui_prompt all", "@@additional_keys", "@@depthless 3"],
)  # fmt: skip
def test_what_says_nothing_is_passed_over_and_told(content: str) -> None:
    text, found = split_decorators(f"{content}\nText.")
    assert text == "Text."
    assert found.ignored == (content,)
    assert found == Rules(ignored=found.ignored)


def test_positions_and_switches() -> None:
    found = rules(
        "@@position scenario\n@@activate\n@@dont_activate_after_match\n@@ignore_on_max_context\n"
        "@@disable_ui_prompt system_prompt\n@@probability 30\n@@priority 4\n@@unrecursive"
    )
    assert found.position is Position.SCENARIO
    assert found.activate and found.dont_activate_after_match and found.ignore_on_max_context
    assert (found.disable_ui_prompt, found.probability, found.priority) == ("system_prompt", 30, 4)
    assert found.unrecursive


@given(st.text(st.sampled_from("@ad \n\r\tx1_é"), max_size=60))
def test_no_decorator_is_left_in_a_text(content: str) -> None:
    text, _ = split_decorators(content)
    assert split_decorators(text) == (text, Rules())
