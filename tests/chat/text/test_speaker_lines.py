"""Another speaker's line ends a reply, however it is spelled, and nothing else does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.chat.prompt.formats import FORMATS
from bot.chat.text.speaker_lines import LINE_BREAKS, Labels, SpeakerLines

HEADERS = FORMATS["alpaca"].stops
LABELS = Labels(("Alex", "Sam (2)", "★", "Żółw"), "Mira", HEADERS)


def passed(*chunks: str, labels: Labels = LABELS) -> str:
    lines = SpeakerLines(labels)
    return "".join([*map(lines.decode, chunks), lines.flush()])


@pytest.mark.parametrize(
    "line",
    [
        "Alex: no", " Alex: no", "\tAlex: no", "alex: no", "ALEX: no", "Alex : no",
        "Alex\uff1a no", "Alex\u2236 no", "*Alex:* no", "**Alex**: no", "***Alex:*** no",
        "__Alex__: no", "- Alex: no", "> Alex: no", "[Alex]: no", "(Alex): no", "<Alex>: no",
        "\u300cAlex\u300d: no", '"Alex": no', "`Alex`: no", "~~Alex~~: no", "# Alex: no",
        "• Alex: no", "🦊 Alex 🦊: no", "@Alex: no", "\uff21\uff4c\uff45\uff58: no", "Álex: no",
        "\u0410l\u0435\u0445: no", "A\u200blex: no", "\u200bAlex\u200b: no",
        "Alex (laughing): no", "**Alex** [to Mira]: no", "sam(2): no", "Sam (2) : no", "★: no",
        "ᴀʟᴇx: no", "🅰🅻🅴🆇: no", "🅐🅛🅔🅧: no",
        "zółw: no", "Mira: no", "_MIRA_ : no", "### Instruction:\nno", " ### Instruction:\nno",
        "###Instruction:\nno", "### instruction :\nno", "### Response\nno", "**### Input:**\nno",
        "#### INPUT\uff1ano", "> ### Response:\nno", "\uff03\uff03\uff03 Instruction:",
        "### Alex\nno", "#### **Alex**\nno", "### Alex (laughing)\nno", "### Mira\nno", "## Alex: no",  # noqa: E501
        "\u201cAlex\u201d: no", "\u201eAlex\u201c: no", "\u2018Alex\u2019 : no", "★Alex★: no", "A̸̛l̷͝e̵x̶: no",  # noqa: E501
    ],
)  # fmt: skip
@pytest.mark.parametrize("end", [*LINE_BREAKS, "\r\n", "\n\n"])
def test_every_spelling_is_found(line: str, end: str) -> None:
    assert passed(f"Yes.{end}{line}").rstrip() == "Yes."
    assert passed(*f"Yes.{end}{line}").rstrip() == "Yes."
    assert passed(line) == ""


@pytest.mark.parametrize(
    "text",
    [
        "I asked Alex: no.", "Alexander: no", "Alex", "Alex and Sam: no", "Yes.\nAlex said: no",
        "Al: no", "Yes.\nSam (3): no", "1. Alex: 3 points", "### Instructions:\nBoil it.",
        "## Response\nhm", "Input: 3", "# Input: a list", "### R\u200besponse:\ncopied",
        "```yaml\nalex: 3\n```", '```json\n{\n  "Alex": 3\n}\n```\nDone.', "-----\n",
        "Alex (who is late, as always, and never, ever calls): no", "", "\n", "Alex (", "🦊🦊🦊",
        "## Alex\nno", "# Alex\nAge: 30", "### Alexander\nno",
        "The score:\n- Alex: 3 points\n- Mira: 4 points", "**The score:**\n\n* Alex: 3\n* Sam (2): 4",  # noqa: E501
        "得点\uff1a\n• Alex: 3", "What you like:\n- milk\n- Alex: bread\n  + Sam (2): jam",
        "# The party\nAll of you.\n### Alex\nA knight.\n### Mira\nA mage.", "The party:\n### Alex\nA knight.",  # noqa: E501
    ],
)  # fmt: skip
def test_nothing_else_is(text: str) -> None:
    assert passed(text) == text
    assert passed(*text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("The score:\nAlex: 3 points", "The score:"),
        ("The score:\n- Alex: 3\nThat is all.\n- Alex: no", "The score:\n- Alex: 3\nThat is all."),
        ("The score:\n-Alex: no", "The score:"),
        ("The score:\n- 1\n\nAlex: no", "The score:\n- 1\n"),
        ("Yes.\n- Alex: no", "Yes."),
        ("A list:\n- ### Response:\nno", "A list:"),
    ],
)
def test_only_a_list_is_about_names(text: str, shown: str) -> None:
    assert passed(text) == shown
    assert passed(*text) == shown


def test_vowel_signs_tell_names_apart() -> None:
    labels = Labels(("राम",), "Mira")
    assert passed("हाँ\nरम: ठीक", labels=labels) == "हाँ\nरम: ठीक"
    assert passed("हाँ\nराम: ठीक", labels=labels) == "हाँ"


@pytest.mark.parametrize("name", ["★Mia★", "🌙 Mia 🌙", "M̸̛i̷͝a̵", "「Mia」", "𝓜𝓲𝓪", "xX_Mia_Xx"])  # noqa: RUF001
def test_a_decorated_name_is_known_with_and_without_its_decoration(name: str) -> None:
    labels = Labels((name,), "Mira")
    plain = "xXMiaXx" if name.startswith("x") else "Mia"
    for spelled in (name, plain, f"**{plain}**", name.upper(), f"[{name}]"):
        assert passed(f"Yes.\n{spelled}: no", labels=labels) == "Yes."


@pytest.mark.parametrize("name", ["🐱", "🐱🐶", "!?", "...", "(", "-", "_", "¯\\_(ツ)_/¯"])
def test_a_name_without_letters_is_known_in_every_frame(name: str) -> None:
    labels = Labels((name,), "Mira")
    frames = ["{}: ", "**{}:** ", "[{}]: ", "({}) : ", '"{}": ', "「{}」\uff1a", "<{}>: ", "> {}: ",
              "@{}: ", "### {}\n", "{} (laughing): "]  # fmt: skip
    for frame in frames:
        line = frame.format(name)
        assert passed(f"Yes.\n{line}no", labels=labels) == "Yes.", line
        assert passed(*f"Yes.\n{line}no", labels=labels) == "Yes.", line


def test_other_signs_are_nobodys_name() -> None:
    labels = Labels(("🐱", "-", "*"), "Mira")
    for text in ("🐶: no", "🐱🐶: no", "|---|---:|\n", "---\n", "- a: b", "* a: b", "🐱 a: b"):
        assert passed(*text, labels=labels) == text


def test_after_a_code_block_lines_count_again() -> None:
    assert passed("```\nalex: 3\n```\nAlex: no") == "```\nalex: 3\n```"
    assert passed("```\nx\n### Response:\nno") == "```\nx"


def test_the_beginning_of_a_header_at_the_end_goes() -> None:
    assert passed("Yes.\n### Instr") == "Yes."
    assert passed("Yes.\n#") == "Yes.\n#"


def test_nothing_is_held_back_longer_than_needed() -> None:
    lines = SpeakerLines(LABELS)
    assert lines.decode("A") == ""
    assert lines.decode("h") == "Ah"
    assert lines.decode(", yes\n") == ", yes"
    assert lines.decode("*" * 60) == "\n" + "*" * 60


PARTS = st.sampled_from(
    ["Alex", "alex", ":", " ", "\n", "\r", "**", "###", "Response", "(", ")", "word", "`", "```",
     "Mira", "\u200b", "★", "Sam", "2", "\u2028", "é", "- ", "### Alex\n", "list:\n", "\n- Alex: "]
)  # fmt: skip
TEXTS = st.lists(st.one_of(PARTS, st.text(max_size=2)), max_size=25).map("".join)


@given(TEXTS, st.lists(st.integers(1, 7)))
def test_whatever_the_chunks_the_result_is_the_same(text: str, lengths: list[int]) -> None:
    chunks: list[str] = []
    rest = text
    for length in lengths:
        chunks.append(rest[:length])
        rest = rest[length:]
    assert passed(*chunks, rest) == passed(text)
    assert text.startswith(passed(text))


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=80))
def test_without_a_name_nothing_is_changed(text: str) -> None:
    labels = Labels(("Quetzalcoatl",), "Nebuchadnezzar", HEADERS)
    if "###" not in text:
        assert passed(*text, labels=labels) == text
