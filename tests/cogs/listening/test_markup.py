"""Discord's markup in plain words."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogs.listening.markup import GROWTH_CHARACTERS, Spelling, code_spans, readable

ME, BOB, CREW, GENERAL = 1, 2, 3, 4
NAMES = {("@", ME): "Ada", ("@", BOB): "Bob", ("@&", CREW): "@Crew", ("#", GENERAL): "#general"}


def read(content: str) -> str:
    spelling = Spelling(lambda sigil, number: NAMES.get((sigil, number)))
    return readable(content, spelling, frozenset({ME}))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("<@2>", "Bob"),
        ("<@!2> of <@&3> in <#4>", "Bob of @Crew in #general"),
        ("<@77> and <#78>", "someone and a channel"),
        ("<a:party:5> <:x:6>", ":party: :x:"),
        ("</chat reset:42> does it", "/chat reset does it"),
        ("<t:0>", "1970-01-01 00:00 UTC"),
        *[(f"<t:0:{style}>", "1970-01-01 00:00 UTC") for style in "tdDfFRs"],
        *[(f"<t:7:{style}>", "1970-01-01 00:00:07 UTC") for style in "TS"],
        ("<t:-86400:R>", "1969-12-31 00:00 UTC"),
        ("<t:999999999999>", "some day"),
        ("<id:customize>", "Channels & Roles"),
        ("<id:browse> or <id:guide>", "Browse Channels or Server Guide"),
        ("<id:linked-roles> <id:linked-roles:123>", "Linked Roles Linked Roles"),
        ("code:\n    <b>", "code:\n    <b>"),
        ("<@12", "<@12"),
    ],
)
def test_markup_is_what_a_person_would_read(content: str, text: str) -> None:
    assert read(content) == text


@pytest.mark.parametrize(
    "content",
    [
        "`<@2>`",
        "a `<t:0:R>` b",
        "``x`<@2>`y``",
        "```\n<@2> <:x:6> <id:browse>\n```",
        "```py\nsend('<#4>')\n```",
        "one ```<@2>``` line",
        r"\<@2> is how it is written",
        r"`\` <@2>".replace("<@2>", "x"),
    ],
)
def test_code_and_what_is_escaped_is_left_alone(content: str) -> None:
    assert read(content) == content


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("`<@2>` <@2>", "`<@2>` Bob"),
        ("`<@2>", "`Bob"),  # nothing closes it
        ("`` ` <@2>", "`` ` Bob"),
        (r"\`<@2>`", r"\`Bob`"),
        (r"\\<@2>", r"\\Bob"),  # the backslash is the escaped one
        ("```\n<@2>\n``` <@2> `<@2>`", "```\n<@2>\n``` Bob `<@2>`"),
    ],
)
def test_what_stands_beside_code_is_read(content: str, text: str) -> None:
    assert read(content) == text


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("<@1> hi", "hi"),
        ("<@!1>, hi", "hi"),
        ("<@1>! hi", "hi"),
        ("<@1> And of Italy?", "And of Italy?"),
        ("  <@1>  ", ""),
        ("<@1> <@1>: hi", "hi"),
        ("<@1>\n- one\n- two", "- one\n- two"),
        ("<@1> // aside", "// aside"),
        ("What is it, <@1>?", "What is it?"),
        ("Tell me. <@1>", "Tell me."),
        ("Tell me. <@1> <@1>!", "Tell me."),
        ("see :) <@1>", "see :)"),
        ("and now\n<@1>", "and now"),
        ("as in </chat reset:42> <@1>", "as in /chat reset"),
    ],
)
def test_a_mention_that_only_addresses_is_taken_out(content: str, text: str) -> None:
    assert read(content) == text


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("Who is taller, <@1> or <@2>?", "Who is taller, Ada or Bob?"),
        ("What is <@1>'s job?", "What is Ada's job?"),
        ("<@1>'s job is what?", "Ada's job is what?"),
        ("<@1> and <@2>: who is taller?", "Ada and Bob: who is taller?"),
        ("<@1> & <@2> are friends", "Ada & Bob are friends"),
        ("what do you think of <@1>?", "what do you think of Ada?"),
        ("who made <@1>", "who made Ada"),
        ("friends: <@2> <@1>", "friends: Bob Ada"),
        ("<@1> hi, are you <@1>?", "hi, are you Ada?"),
        ("yes (<@1> said so) <@2>", "yes (Ada said so) Bob"),
    ],
)
def test_a_mention_inside_a_sentence_is_a_name(content: str, text: str) -> None:
    assert read(content) == text


PARTS = st.sampled_from(
    [*"`<>\\ \n,?", "``", "```", "<@1>", "<@2>", "<#4>", "<t:1:R>", "<:x:6>", "</a:1>"]
) | st.sampled_from(["word", "<id:browse>", "\u0301", "\U0001f600"])


@given(st.lists(PARTS | st.text(max_size=4), max_size=40).map("".join))
def test_whatever_is_written_code_stays_and_nothing_is_raised(content: str) -> None:
    text = readable(content, Spelling(lambda *_: "N"))
    for start, end in code_spans(content):
        assert content[start:end].strip() in text
    assert read(content) == read(content).strip()


@given(st.lists(PARTS, max_size=40).map("".join))
def test_code_spans_are_in_order_and_begin_and_end_with_backticks(content: str) -> None:
    at = 0
    for start, end in code_spans(content):
        assert at <= start < end
        assert content[start] == content[end - 1] == "`"
        at = end


@given(st.lists(st.lists(PARTS, max_size=40).map("".join), max_size=5), st.text(max_size=300))
def test_names_lengthen_all_parts_of_a_message_by_a_bounded_amount(
    parts: list[str], name: str
) -> None:
    spelling = Spelling(lambda *_: name)
    words = [readable(part, spelling) for part in parts]
    assert sum(map(len, words)) <= sum(map(len, parts)) + GROWTH_CHARACTERS


def test_names_are_whole_as_long_as_there_is_room_and_then_as_short_as_their_mentions() -> None:
    mention, name = f"<@&{10**17}>", "R" * 100
    spelling = Spelling(lambda *_: name)
    words = readable(" ".join([mention] * 90), spelling).split(" ")
    whole = GROWTH_CHARACTERS // (100 - len(mention))
    assert words[:whole] == [name] * whole
    assert words[whole:] == ["R" * (len(mention) - 1) + "…"] * (90 - whole)
    assert readable("<t:0>", Spelling(lambda *_: None)) == "1970-01-01 00:00 UTC"
    assert readable("<t:0> " * 400, spelling).endswith("<t:0> <t:0>")


@pytest.mark.parametrize(
    "content",
    [
        f"a{' ' * 100_000}b{' ' * 100_000}<@1>c",
        "x." + " <@1>" * 30_000,
        "x" + "<@1>" * 30_000,
        "<@1> " * 30_000,
        "`" * 100_000,
        "` " * 50_000,
        "`` ` " * 30_000,
        "".join("`" * length + " " for length in range(400)),
        "\\" * 100_000 + "<@1>",
        "\\`" * 50_000,
        "<@" * 100_000,
        "</" + "a" * 100_000,
    ],
)
def test_long_texts_are_read_at_once(content: str) -> None:
    before = time.perf_counter()
    read(content)
    assert time.perf_counter() - before < 3
