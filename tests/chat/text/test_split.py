"""A reply becomes Discord messages: nothing lost, fences whole, finished messages never change."""

import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.chat.text.split import LEAST_LIMIT, MESSAGE_CHARACTERS, MessageSplitter, split_message

LIMIT = LEAST_LIMIT


def test_what_fits_is_one_message() -> None:
    assert split_message("x" * MESSAGE_CHARACTERS) == ["x" * MESSAGE_CHARACTERS]
    assert split_message(" Hello. \n") == ["Hello."]
    assert split_message(" \n ") == []


@given(st.text(alphabet="ab \n.`*", max_size=600))
def test_the_first_message_may_have_less_room(text: str) -> None:
    first, limit = LIMIT, LIMIT + 40
    made = split_message(text, limit, first)
    assert all(len(piece) <= limit for piece in made)
    assert len("".join(made[:1])) <= first
    if len(text) <= first:
        assert made == split_message(text, limit)
    splitter = MessageSplitter(limit, first)
    grown = [piece for character in text for piece in splitter.decode(character)]
    assert [*grown, *splitter.flush()] == made


def test_characters_are_counted_as_discord_counts_them() -> None:
    assert len(split_message("🪽" * MESSAGE_CHARACTERS)) == 1  # code points, not UTF-16 units


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("a" * 40 + "\n\n" + "b. " * 10 + "\n" + "c" * 9, ["a" * 40, "b. " * 10 + "\n" + "c" * 9]),
        ("a" * 40 + "\n" + "b. " * 10, ["a" * 40, "b. " * 9 + "b."]),
        ("a" * 40 + ". " + "b" * 30, ["a" * 40 + ".", "b" * 30]),
        ("a" * 40 + '." ' + "b" * 30, ["a" * 40 + '."', "b" * 30]),
        ("漢" * 40 + "。" + "字" * 30, ["漢" * 40 + "。", "字" * 30]),
        ("a" * 40 + " " + "b" * 30, ["a" * 40, "b" * 30]),
        ("see " + "b" * 62, ["see", "b" * 62]),
        ("a" * 70, ["a" * 64, "a" * 6]),
        ("a" * 64 + "\n\n\n b", ["a" * 64, "b"]),
    ],
)
def test_it_ends_at_a_paragraph_a_line_a_sentence_a_word_or_anywhere(
    text: str, pieces: list[str]
) -> None:
    assert split_message(text, LIMIT) == pieces


@pytest.mark.parametrize("cluster", ["e\u0301", "👩\u200d👩\u200d👧", "👍🏽", "🇩🇪", "❤\ufe0f"])
def test_what_is_seen_as_one_character_stays_whole(cluster: str) -> None:
    for shift in range(6):
        text = "a" * shift + cluster * 60
        for piece in split_message(text, LIMIT)[1:]:
            assert piece.startswith(cluster)


def test_a_fence_is_closed_and_reopened_with_its_language() -> None:
    code = "".join(f"print({number})\n" for number in range(12))
    made = split_message(f"Look:\n```python\n{code}```\nDone.", LIMIT)
    assert made[0].startswith("Look:\n```python\nprint(0)\n")
    assert made[0].endswith(")\n```")
    assert all(piece.startswith("```python\nprint(") for piece in made[1:-1])
    assert made[-1].endswith("```\nDone.")
    assert all(piece.count("```") % 2 == 0 for piece in made)


def test_indentation_in_a_fence_is_kept() -> None:
    made = split_message("```\n" + "    indented line\n" * 8 + "```", LIMIT)
    lines = [line for piece in made for line in piece.splitlines() if "```" not in line]
    assert lines == ["    indented line"] * 8


def test_a_message_ends_before_a_fence_rather_than_within_it() -> None:
    made = split_message("Words " * 8 + "\n```py\nfirst()\nsecond()\nthird()\n```", LIMIT)
    assert made == [("Words " * 8).strip(), "```py\nfirst()\nsecond()\nthird()\n```"]


def test_a_fence_that_ends_where_the_message_does_is_not_opened_again() -> None:
    made = split_message("```\n" + "x" * 55 + "\n```\nAfter it there is more.", LIMIT)
    assert made == ["```\n" + "x" * 55 + "\n```", "After it there is more."]


def test_an_unclosed_fence_is_closed_while_it_is_shown() -> None:
    splitter = MessageSplitter(LIMIT)
    assert splitter.decode("```py\nprint(1)") == []
    assert splitter.current == "```py\nprint(1)\n```"
    splitter.decode("\n```")
    assert splitter.current == "```py\nprint(1)\n```"


def test_a_limit_without_room_for_a_fence_is_refused() -> None:
    with pytest.raises(ValueError, match="room"):
        MessageSplitter(10)


_SCRAPS = st.sampled_from(
    ["```", "```py\n", "``", "`", "\n", "\n\n", " ", "    ", "word", "w" * 30, "w" * 70, ". ", "!",
     "。", "é", "e\u0301", "🇩🇪", "👩\u200d👧", "**", "> ", "- item\n"]
)  # fmt: skip
STYLED = st.lists(
    st.sampled_from(
        ["**", "*", "_", "__", "~~", "||", "|", "***", "`", "``", " ", "\n", "\n\n", "word",
         "w" * 20, ". ", "- ", "> ", ">>> ", "1. ", "<:a:12>", "<:a", "[a b](https://e.org)", "[a",
         "](", "https://e.org/a_b", "\\*", "字" * 9]
    ),
    max_size=60,
).map("".join)  # fmt: skip
TEXTS = st.lists(st.one_of(_SCRAPS, st.text(max_size=5)), max_size=60).map("".join)


def bare(text: str) -> str:
    """Without blanks and the signs of styles."""
    return "".join(re.sub("[`*_~|>]", "", text).split())


@given(TEXTS, st.lists(st.integers(1, 40)))
def test_whatever_the_chunks_the_messages_are_the_same(text: str, lengths: list[int]) -> None:
    splitter = MessageSplitter(LIMIT)
    made: list[str] = []
    rest = text
    for length in lengths:
        made += splitter.decode(rest[:length])
        rest = rest[length:]
        assert len(splitter.current) <= LIMIT
    made += splitter.decode(rest) + splitter.flush()
    assert made == split_message(text, LIMIT)


@given(TEXTS)
@example("``" + "w" * 70 + "```" + "w" * 70)  # inline code never ends, and a block begins
@example("``" + "w" * 60 + "```" + "w" * 70)
@example("```\n``" + "w" * 70)  # a block in which something looks like inline code
def test_every_message_fits_and_is_never_empty(text: str) -> None:
    for piece in split_message(text, LIMIT):
        assert len(piece) <= LIMIT
        assert piece.strip()


@given(TEXTS)
def test_nothing_is_lost_but_blanks_at_the_cuts(text: str) -> None:
    """Without languages, which reopened fences repeat: the same letters and signs, in order."""
    text = re.sub("```[A-Za-z0-9_+.#-]+\n", "```\n", text)
    assert bare("".join(split_message(text, LIMIT))) == bare(text)


@given(st.one_of(TEXTS, STYLED))
def test_without_what_was_added_the_messages_are_the_text(text: str) -> None:
    if "```" in text:  # an empty block that was reopened stays closed as it was
        return
    splitter = MessageSplitter(LIMIT)
    made = "".join(piece.body for piece in [*splitter.pieces(text), *splitter.last_pieces()])
    assert "".join(made.split()) == "".join(text.split())


@given(STYLED)
def test_styled_messages_fit_and_are_the_same_however_the_text_comes(text: str) -> None:
    splitter = MessageSplitter(LIMIT)
    made: list[str] = []
    for character in text:
        made += splitter.decode(character)
        assert len(splitter.current) <= LIMIT
    made += splitter.flush()
    assert made == split_message(text, LIMIT)
    assert all(len(piece) <= LIMIT and piece.strip() for piece in made)


SECRET = st.text(st.sampled_from("abc ,.\n"), min_size=1, max_size=200).filter(str.strip)


@given(st.lists(st.tuples(st.text(st.sampled_from("xyz .\n*_"), max_size=90), SECRET), max_size=4))
def test_what_a_spoiler_hides_is_never_shown(parts: list[tuple[str, str]]) -> None:
    text = "".join(f"{plain}||{secret}||" for plain, secret in parts)
    splitter = MessageSplitter(LIMIT)
    for character in text:
        for piece in [*splitter.decode(character), splitter.current]:
            assert not set("abc") & set("".join(piece.split("||")[::2]))
            assert piece.count("||") % 2 == 0 or not set("abc") & set(piece.rpartition("||")[2])


@pytest.mark.parametrize("sign", ["**", "*", "_", "__", "~~", "||", "***", "`", "``"])
@pytest.mark.parametrize("words", ["word " * 60, "w" * 300, "Two sentences. And one. " * 9])
def test_a_style_is_closed_and_reopened(sign: str, words: str) -> None:
    made = split_message(f"Then {sign}{words.strip()}{sign} end.", LIMIT)
    assert len(made) > 3
    for piece in made:
        assert piece.count(sign) % 2 == 0
        assert len(piece) <= LIMIT
    assert made[1].startswith(sign)
    assert made[1].endswith(sign)


@pytest.mark.parametrize(
    "whole",
    [
        "[a label of several words](https://example.org/p)",
        "[label](<https://example.org/a_(b)>)",
        "[a [b] label](https://example.org/a)",
        '[label](https://example.org/a "The title of it")',
        '[a [b] label](<https://example.org/a_(b)> "The title")',
        "https://example.org/a/very/long/path",
        "<:wave:123456789012345678>",
        "<a:wave:123456789012345678>",
        "<@123456789012345678>",
        "<#123456789012345678>",
        "<t:1700000000:R>",
        "`inline code with blanks`",
        "**bold**",
        "||x||",
        "\n- item",
        "\n  12. item",
    ],
)
@pytest.mark.parametrize("filling", ["x", "x ", "字", "Yes. "])
def test_what_belongs_together_stays_whole(whole: str, filling: str) -> None:
    for length in range(4, LIMIT + 8):
        text = (filling * LIMIT)[:length].rstrip() + " " + whole + " " + "more " * 12
        assert sum(whole.strip() in piece for piece in split_message(text, LIMIT)) == 1, length


def test_emoji_in_a_row_stay_whole() -> None:
    emoji = "<:wave:123456789012345678>"
    for piece in split_message(emoji * 20, LIMIT):
        assert not piece.replace(emoji, "")


def test_a_message_does_not_begin_with_a_lists_inner_item_where_that_can_be_helped() -> None:
    made = split_message("- " + "a" * 33 + "\n- second\n  - inner\n  - inner, too", LIMIT)
    assert made == ["- " + "a" * 33, "- second\n  - inner\n  - inner, too"]


def test_a_quotation_goes_on_as_one() -> None:
    assert all(piece.startswith("> ") for piece in split_message("> " + "word " * 40, LIMIT))
    made = split_message(">>> " + "word " * 20 + "\n\n" + "word " * 20, LIMIT)
    assert all(piece.startswith(">>> ") for piece in made)
    assert split_message("> quoted\n" + "word " * 20, LIMIT)[1].startswith("word")


@pytest.mark.parametrize(
    "text", ["2 * 3 * 4", "a_b_c", "a ** b", "* item\n* item", "\\*not so", "-----"]
)
def test_signs_that_style_nothing_are_left_alone(text: str) -> None:
    made = split_message(f"{text} " + "word " * 30, LIMIT)
    assert "".join("".join(made).split()) == "".join(f"{text} {'word ' * 30}".split())


def test_a_growing_spoiler_is_shown_closed() -> None:
    splitter = MessageSplitter()
    splitter.decode("It was ||the gard")
    assert splitter.current == "It was ||the gard||"
    splitter.decode("ener|")
    assert splitter.current.startswith("It was ||the gardener")
    assert splitter.current.count("||") == 2
    splitter.decode("|.")
    assert splitter.current == "It was ||the gardener||."
    assert split_message("so a ||") == ["so a ||"]


@pytest.mark.parametrize("sign", ["``", "**", "||", "*", "__", "~~", "`"])
def test_a_style_that_opens_where_a_message_ends_opens_in_the_next_one(sign: str) -> None:
    styled = f"{sign}\n{'w' * (LIMIT - 4)}{sign}" if sign == "``" else f"{sign}{'w' * LIMIT}{sign}"
    for text in (styled, f"word {styled}", f"{'word ' * 12}{styled}", f"{'v' * 61} {styled}"):
        made = split_message(text, LIMIT)
        assert not any(sign * 2 in piece for piece in made), made
        assert bare("".join(made)) == bare(text)


@given(TEXTS)
@example("``\n" + "w" * 60)
def test_every_fence_is_closed_in_its_own_message(text: str) -> None:
    if "````" not in text:
        for piece in split_message(text, LIMIT):
            assert piece.count("```") % 2 == 0


@given(TEXTS, TEXTS)
def test_when_the_text_grows_all_but_the_last_message_stay(text: str, more: str) -> None:
    before = split_message(text, LIMIT)[:-1]
    assert split_message(text + more, LIMIT)[: len(before)] == before


@pytest.mark.parametrize(
    "hostile",
    ["`", "```", "\n", " ", "a", "a b", "```\n", "\u0301", "🇩", "||", "*a", "[a", "` ", "<:",
     "> a\n", "https://", "**a ", "- "],
)  # fmt: skip
def test_hostile_text_takes_linear_time(hostile: str) -> None:
    before = time.perf_counter()
    split_message(hostile * 100_000)
    assert time.perf_counter() - before < 10
