"""A model's raw text becomes the bot's own words, however it arrives."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.chat.prompt.formats import FORMATS
from bot.chat.text.reply_filter import ReplyFilter

STOPS = (*FORMATS["alpaca"].stops, "</s>", "<|im_end|>")
OTHERS = ("Alex", "Sam (2)")


def filtered(*chunks: str, continuing: bool = False) -> str:
    replies = ReplyFilter("Mira", OTHERS, STOPS, continuing=continuing)
    return "".join([*(replies.decode(chunk) for chunk in chunks), replies.flush()])


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("Hello there.", "Hello there."),
        (" \n Hello there. \n\n", "Hello there."),
        ("Mira: Hello.", "Hello."),
        (" Mira: Mira: Hello.", "Hello."),
        ("**Mira:** Hello.", "Hello."),
        ("\n\nMira: \nMira: Hello.", "Hello."),
        ("Hello.\nMira: And I?", "Hello."),
        ("Mira: Hello.\n\n**Mira:** And I?", "Hello."),
        ("Hello.\nMiranda: And I?", "Hello.\nMiranda: And I?"),
        ("Miranda: Hello.", "Miranda: Hello."),
        ("I am Mira: hello", "I am Mira: hello"),
        ("Mir", "Mir"),
        ("Hello.\nAlex: And I?", "Hello."),
        ("Hello.\n**Sam (2):** And I?", "Hello."),
        ("Alex: I speak for you.", ""),
        ("I asked Alex: no.", "I asked Alex: no."),
        ("Hello.\n\n### Instruction:\nMore", "Hello."),
        ("### Response:\nHello.", ""),
        ("Hello.</s>\nMore", "Hello."),
        ("Hello.\n### Instr", "Hello."),
        ("Hello.<|im_", "Hello."),
        ("Hello. </", "Hello."),
        ("It is 1 <", "It is 1 <"),
        ("Best?\nAlex", "Best?\nAlex"),
        ("", ""),
        (" \n ", ""),
    ],
)
def test_what_is_shown(raw: str, shown: str) -> None:
    assert filtered(raw) == shown
    assert filtered(*raw) == shown


@pytest.mark.parametrize("raw", ["Alex", "The best of all?\nSam (2)", "\n\nSam (", "**Alex"])
def test_a_name_at_the_end_is_no_stop_even_where_its_line_would_be_one(raw: str) -> None:
    stops = (*STOPS, *(f"\n{name}:" for name in OTHERS))  # as a prompt has them
    replies = ReplyFilter("Mira", OTHERS, stops)
    assert "".join([*map(replies.decode, raw), replies.flush()]) == raw.strip()


@pytest.mark.parametrize("raw", ["I live in the US", "All of it is new, AS", "Dear USER"])
def test_a_word_at_the_end_is_no_header_cut_off(raw: str) -> None:
    replies = ReplyFilter("Mira", OTHERS, FORMATS["vicuna"].stops)
    assert "".join([*map(replies.decode, raw), replies.flush()]) == raw


def test_a_reply_that_goes_on_keeps_its_beginning() -> None:
    assert filtered(" and so on. ", continuing=True) == " and so on."
    assert filtered("Mira: is my name", continuing=True) == "Mira: is my name"


def test_it_says_when_the_reply_has_ended() -> None:
    replies = ReplyFilter("Mira", OTHERS, STOPS)
    assert replies.decode("Yes.\nAl") == "Yes."
    assert not replies.ended
    assert replies.decode("ex: no") == ""
    assert replies.ended
    assert replies.decode("more") == ""


def test_nothing_is_held_back_longer_than_needed() -> None:
    replies = ReplyFilter("Mira", OTHERS, STOPS)
    assert replies.decode("M") == ""
    assert replies.decode("y dear") == "My dear"
    assert replies.decode(" friend\n") == " friend"
    assert replies.decode("Alfred") == "\nAlfred"


_SCRAPS = st.sampled_from(
    ["Mira", ":", " ", "\n", "**", "Alex", "Alex:", "###", " Instruction:", "</", "s>", "<", "word",
     "é", "\u200b", "Sam", " (2)", "Mira: ", "\n### Resp", "\n\n"]
)  # fmt: skip
RAW = st.lists(st.one_of(_SCRAPS, st.text(max_size=3)), max_size=20).map("".join)


@given(RAW, st.lists(st.integers(1, 9)), st.booleans())
def test_whatever_the_chunks_the_text_is_the_same(
    raw: str, lengths: list[int], continuing: bool
) -> None:
    chunks: list[str] = []
    rest = raw
    for length in lengths:
        chunks.append(rest[:length])
        rest = rest[length:]
    assert filtered(*chunks, rest, continuing=continuing) == filtered(raw, continuing=continuing)


# Without what may begin a name, a header or a thought, which an unfinished one is held back for.
@given(st.text(st.characters(exclude_characters=":#<*[\u25c1"), max_size=60))
def test_nothing_of_an_honest_reply_is_lost(raw: str) -> None:
    assert filtered(*raw) == raw.strip()


@given(RAW)
def test_what_is_shown_holds_no_stop_and_no_other_speakers_line(raw: str) -> None:
    shown = filtered(raw)
    assert not any(stop in f"\n{shown}" for stop in STOPS)
    assert "\nAlex:" not in shown
    assert "\nMira:" not in shown
    assert shown == shown.strip()


@pytest.mark.parametrize("hostile", ["\n", " ", "Mira:", "#", "\nAlex", "*", "<"])
def test_hostile_text_takes_linear_time(hostile: str) -> None:
    before = time.perf_counter()
    filtered(*([hostile] * 20_000))
    assert time.perf_counter() - before < 20


def of_no_names(raw: str) -> str:
    replies = ReplyFilter("Mira", ("Alex", "Note"), FORMATS["alpaca"].stops, names=False)
    return "".join([*map(replies.decode, raw), replies.flush()])


@pytest.mark.parametrize(
    "raw",
    [
        "Boil it.\n\nNote: older eggs peel better.",
        "Alex: put it into boiling water.",
        "The score:\nAlex: 3 points\nMira: 4 points",
        "### Instructions:\nBoil it.\n## Response\nNone.\n# Input: eggs",
    ],
)
def test_where_the_prompt_writes_no_names_a_name_ends_nothing(raw: str) -> None:
    assert of_no_names(raw) == raw


def test_a_reply_that_begins_with_its_speakers_name_writes_names() -> None:
    assert of_no_names("Mira: Indeed.\nAlex: And what else?\nMira: Nothing.") == "Indeed."


def test_headers_end_a_reply_all_the_same() -> None:
    assert of_no_names("Yes.\n### instruction:\nMore") == "Yes."


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("MIRA : Hello.", "Hello."),
        ("*Mira*: Hello.", "Hello."),
        ("[Mira]\uff1a Hello.", "Hello."),
        ('"Mira: Hello."', '"Hello."'),
        ("***Mira:*** Hello.", "Hello."),
        ("<think>\nAlex: asks\n### Response:\n</think>\n\nMira: Four.", "Four."),
        ("<think>Hm.", ""),
        ("Say \u200bhi: `[I\u200bNST]`", "Say hi: `[INST]`"),
        ("Like so:\n### R\u200besponse:\nhi", "Like so:\n### Response:\nhi"),
        (
            "👩\u200d👩\u200d👧 \u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
            "👩\u200d👩\u200d👧 \u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        ),
        ("ភាសា\u200bខ្មែរ", "ភាសា\u200bខ្មែរ"),
        ("Hello.<|IM_END|>\nMore", "Hello."),
    ],
)
def test_more_of_what_is_shown(raw: str, shown: str) -> None:
    assert filtered(raw) == shown
    assert filtered(*raw) == shown


def test_a_looping_reply_ends() -> None:
    replies = ReplyFilter("Mira", OTHERS, STOPS)
    shown = replies.decode("I am here for you, always. " * 60)
    assert replies.ended
    assert shown == "I am here for you, always. I am here for you, always."


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<think>Hm.</think>\n\nand then.", " and then."),
        ("<think>Hm.</think> and then.", " and then."),
        ("<think>Hm.</think>, and then.", ", and then."),
        (" and then.", " and then."),
    ],
)
@pytest.mark.parametrize("step", [1, 3, 100])
def test_a_blank_stays_between_what_was_there_and_what_follows_a_thought(
    text: str, shown: str, step: int
) -> None:
    reply = ReplyFilter("Ada", (), (), continuing=True)
    passed = "".join(reply.decode(text[at : at + step]) for at in range(0, len(text), step))
    assert passed + reply.flush() == shown
