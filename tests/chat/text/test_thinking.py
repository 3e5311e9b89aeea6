"""A model's reasoning is kept from its reply."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.chat.text.thinking import ThinkFilter, opens_thought, without_thoughts


def read(*chunks: str, opened: bool = False, cut: bool = False) -> str:
    thoughts = ThinkFilter(opened=opened)
    return "".join([*map(thoughts.decode, chunks), thoughts.flush(cut=cut)])


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("<think>\nA sum.\n</think>\n\nFour.", "Four."),
        ("<thinking>A sum.</thinking>Four.", "Four."),
        ("<Reasoning>A sum.</Reasoning>Four.", "Four."),
        ("< think >A sum.</ THINK >Four.", "Four."),
        ("<|thinking|>A sum.<|/thinking|>Four.", "Four."),
        (
            "<|START_THINKING|>A sum.<|END_THINKING|><|START_RESPONSE|>Four.<|END_RESPONSE|>",
            "Four.",
        ),
        ("<|begin_of_thought|>A sum.<|end_of_thought|>Four.", "Four."),
        ("[THINK]A sum.[/THINK]Four.", "Four."),
        ("\u25c1think\u25b7A sum.\u25c1/think\u25b7Four.", "Four."),
        ("<seed:think>A sum.</seed:think>Four.", "Four."),
        (
            (
                "<|channel|>analysis<|message|>A sum.<|end|>"
                "<|start|>assistant<|channel|>final<|message|>Four."
            ),
            "Four.",
        ),
        ("<|channel|>final<|message|>Four.", "Four."),
        ("<think>never ends", ""),
        ("<think>a `</think>` b</think>Four.", "Four."),
        ("<think>a</think></think>Four.", "Four."),
        ("<think>a</think>\n<think>b</think>\nFour.", "Four."),
        ("Yes. <think>hm</think> No.", "Yes. No."),
        ("<analysis>A sum.</analysis>Four.", "Four."),
        ("<antThinking>A sum.</antThinking>Four.", "Four."),
        ("<think\n>A sum.", "<think\n>A sum."),
        ("Yes.\n<think>\nhm\n</think>\nNo.", "Yes.\n\nNo."),
        ("<thi", ""),
    ],
)
def test_thoughts_are_left_out(raw: str, shown: str) -> None:
    assert read(raw) == shown
    assert read(*raw) == shown


@pytest.mark.parametrize(
    "text",
    [
        "It writes <think> and </think> around its thoughts.",
        "Use `<think>` here.",
        "```\n<think>\nx\n</think>\n```",
        "<think> is a tag.",
        "The answer <think>so called</think> is 4.",
        "a < b, I <3 you, [link](https://example.org) [think about it]",
        "<b>bold</b> <thinker>",
        "I <thi",
        "",
    ],
)
def test_talk_of_thoughts_stays(text: str) -> None:
    assert read(text) == text
    assert read(*text) == text


def test_a_thought_that_the_template_has_opened_ends_at_its_closing_tag() -> None:
    assert read("A sum.\n</think>\n\nFour.", opened=True) == "Four."
    assert read(*"A sum.\n</think>\n\nFour.", opened=True) == "Four."
    assert read("<think>A sum.</think>Four.", opened=True) == "Four."
    assert read("Four, at once.", opened=True) == "Four, at once."
    assert read("A sum that is never", opened=True, cut=True) == ""


def test_a_closing_tag_alone_takes_back_what_was_passed_on() -> None:
    thoughts = ThinkFilter()
    assert thoughts.decode("A sum.\n") == "A sum.\n"
    assert thoughts.decode("</think>\n\nFo") == "Fo"
    assert thoughts.restarts == 1
    assert thoughts.decode("ur.") + thoughts.flush() == "ur."
    assert read("A sum.\n</think>\n\nFour.") == "Four."


def test_a_closing_tag_right_after_a_word_ends_a_thought_too() -> None:
    assert without_thoughts("The user wants a sum</think>Four.") == "Four."
    assert without_thoughts("A sum of 2 and 2</think>\n\nFour.") == "Four."
    assert read("It ends with </think> always.") == "It ends with </think> always."


def test_a_template_tells_whether_it_opens_one() -> None:
    start = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n"
    assert opens_thought(start + "<think>\\n' }}{% endif %}")
    assert not opens_thought(start + "<think>\\n\\n</think>\\n' }}{% endif %}")
    assert not opens_thought("{{ '<think>' }}" + start + "' }}{% endif %}")
    assert not opens_thought(None)


PARTS = st.sampled_from(
    ["<think>", "</think>", "<", "think", ">", "/", "[THINK]", "[/THINK]", "\n", " ", ". ", "`",
     "```", "word", "<|channel|>", "final", "<|message|>", " is", "\u25c1think\u25b7", "<unused95>"]
)  # fmt: skip
TEXTS = st.lists(st.one_of(PARTS, st.text(max_size=3)), max_size=25).map("".join)


def replaced(*chunks: str, opened: bool) -> str:
    thoughts = ThinkFilter(opened=opened)
    shown = ""
    for chunk in chunks:
        before, new = thoughts.restarts, thoughts.decode(chunk)
        shown = new if thoughts.restarts != before else shown + new
    before, new = thoughts.restarts, thoughts.flush()
    return new if thoughts.restarts != before else shown + new


@given(TEXTS, st.booleans())
@example(text="<<<<0think", opened=False)
@example(text="<| / think|>", opened=True)
def test_whatever_the_chunks_the_result_is_the_same(text: str, opened: bool) -> None:
    assert replaced(*text, opened=opened) == replaced(text, opened=opened)


@given(st.text(st.characters(exclude_characters="<[\u25c1")))
def test_what_holds_no_tag_stays_as_it_is(text: str) -> None:
    assert read(*text) == text
    assert without_thoughts(text) == text
