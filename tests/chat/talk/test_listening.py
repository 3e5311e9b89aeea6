"""Who is meant."""

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.chat.definitions import ChannelSettings
from bot.chat.messages import ChannelKey, IncomingMessage, Speaker
from bot.chat.talk.listening import is_addressed
from bot.chat.text.asides import is_out_of_character
from bot.chat.text.words import has_wake_word

TRIGGERS = ("mention", "always", "wakeword", "chance", "off")


def message(
    text: str = "hello",
    *,
    direct: bool = False,
    mention: bool = False,
    reply: bool = False,
    bot: bool = False,
) -> IncomingMessage:
    return IncomingMessage(
        message_id="1",
        channel=ChannelKey("discord", "1", is_direct=direct),
        author=Speaker("bob", "Bob", bot),
        text=text,
        sent_at=datetime.now(UTC),
        mentions_bot=mention,
        replies_to_bot=reply,
    )


@pytest.mark.parametrize(
    "text",
    [
        "((brb))",
        "\uff08\uff08brb\uff09\uff09",
        "  ((brb)) \n",
        "((one)) ((two))",
        "((one))\n((two))",
        "((haha :) see you))",
        "((f(x)) is a function))",
        "((a (nested (aside))))",
        "((see :) you (: ))",
        "(( (2+3)*(4+5) ))",
        "((hi ;-)))",
        "((: hello))",
        "(())",
        "// brb",
        "  //brb",
        "//",
    ],
)
def test_asides_are_out_of_character(text: str) -> None:
    assert is_out_of_character(text)


@pytest.mark.parametrize(
    "text",
    [
        "hello",
        "",
        "(hello)",
        "((hello)",
        "(hello))",
        "(()",
        "(((",
        "((aside)) and more",
        "more ((aside))",
        "((aside)) more ((aside))",
        "((aside)) (more) ((aside))",
        "((2+3)*(4+5))",
        "((1 + 2) * 3 - (4))",
        "((a+b)*(c+d)) ((aside))",
        "((lambda x: x)(3))",
        "((1, 2), (3, 4))",
        "((yes) or (no))",
        "https://example.org",
        "/ / hm",
        "a // b",
    ],
)
def test_the_rest_is_in_character(text: str) -> None:
    assert not is_out_of_character(text)


@given(st.text())
def test_anything_in_double_parentheses_is_an_aside_unless_it_leaves_them(text: str) -> None:
    if "(" not in text:
        assert is_out_of_character(f"(({text}))")


@pytest.mark.parametrize("trigger", TRIGGERS)
@pytest.mark.parametrize("way", ["direct", "mention", "reply"])
def test_being_spoken_to_counts_unless_the_bot_is_off(trigger: str, way: str) -> None:
    settings = ChannelSettings(trigger=trigger)
    for text in ("hello", ""):
        assert is_addressed(message(text, **{way: True}), settings, 0.99) == (trigger != "off")


@pytest.mark.parametrize("trigger", TRIGGERS)
@pytest.mark.parametrize("spoken_to", [True, False])
def test_bots_and_asides_never_count(trigger: str, spoken_to: bool) -> None:
    settings = ChannelSettings(trigger=trigger, wake_words=("hello",), chance=1)
    assert not is_addressed(message(bot=True, mention=spoken_to), settings, 0)
    assert not is_addressed(message("((hello))", mention=spoken_to), settings, 0)
    assert not is_addressed(message("// hello", mention=spoken_to), settings, 0)


def test_what_each_trigger_takes_up() -> None:
    def takes(text: str, roll: float, **settings: object) -> bool:
        return is_addressed(message(text), ChannelSettings(**settings), roll)  # type: ignore[arg-type]

    assert not takes("hello", 0, trigger="mention")
    assert takes("hello", 0.99, trigger="always")
    assert not takes(" ", 0, trigger="always")
    assert takes("hey Ada!", 0.99, trigger="wakeword", wake_words=("ada",))
    assert not takes("hey there", 0, trigger="wakeword", wake_words=("ada",))
    assert not takes("hey there", 0, trigger="wakeword")
    named = message("Ada Lovelace, hello")
    settings = ChannelSettings(trigger="wakeword")
    assert is_addressed(named, settings, 0, ["Ada Lovelace"])
    assert not is_addressed(named, settings, 0, ["Bram"])
    assert not is_addressed(named, ChannelSettings(trigger="mention"), 0, ["Ada Lovelace"])
    assert takes("hey", 0.09, trigger="chance", chance=0.1)
    assert not takes("hey", 0.1, trigger="chance", chance=0.1)


@given(st.floats(0, 1, exclude_max=True))
def test_chance_zero_is_never_and_one_always(roll: float) -> None:
    assert not is_addressed(message(), ChannelSettings(trigger="chance", chance=0), roll)
    assert is_addressed(message(), ChannelSettings(trigger="chance", chance=1), roll)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("ada", "ada"),
        ("ADA?", "ada"),
        ("well, Ada: hello", "ada"),
        ("adamant ada", "ada"),
        ("Ada's book", "ada"),
        ("hey  bot... hey bot!", "hey bot"),
        ("STRASSE", "straße"),
        ("CAFÉ", "cafe\u0301"),
        ("\uff22\uff4f\uff54\uff01", "bot"),
        ("ну, Бот, привет", "бот"),
        ("カドゥケウスさん、こんにちは", "カドゥケウス"),
        ("小助手你好", "小助手"),
        ("สวัสดีบอทครับ", "บอท"),
        ("hello 🤖!", "🤖"),
        ("c++ is fun", "c++"),
        ("@ada look", "ada"),
        ("this:ada: yes", "ada"),
        ("https://example.org ada?", "ada"),
        ("[ada](https://example.org)", "ada"),
    ],
)
def test_wake_words_wake(text: str, word: str) -> None:
    assert has_wake_word(text, [word])


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("adamant", "ada"),
        ("canada", "ada"),
        ("ada_lovelace", "ada"),
        ("ada2", "ada"),
        ("हिन्दी", "हिन्द"),  # the next sign is part of the word
        ("", "ada"),
        ("hello", ""),
        ("hello", "  "),
        ("робот", "бот"),
        ("see https://example.org/ada/x", "ada"),
        ("HTTPS://ADA.example.org", "ada"),
        ("see ada.co.uk", "ada"),
        ("on ada.ai, perhaps", "ada"),
        ("<https://example.org/?q=ada>", "ada"),
        ("www.ada.org", "ada"),
        ("ada.com is down", "ada"),
        ("en.wikipedia.org/wiki/ada", "ada"),
        ("write to ada@example.org", "ada"),
        ("lol :ada: :ada_wave:", "ada"),
    ],
)
def test_wake_words_are_whole_words(text: str, word: str) -> None:
    assert not has_wake_word(text, [word])


words = st.text(st.characters(categories=["Lu", "Ll", "Nd"], max_codepoint=0x24F), min_size=1)


@given(st.lists(words), words, st.lists(words))
def test_a_word_among_words_is_found_whatever_the_case(
    before: list[str], word: str, after: list[str]
) -> None:
    text = " ".join([*before, word, *after])
    assert has_wake_word(text, [word])
    assert has_wake_word(text.upper(), [word.upper()])


@given(words, words)
def test_a_word_within_a_word_is_not_found(word: str, more: str) -> None:
    folded = word.casefold()
    if folded not in more.casefold():
        assert not has_wake_word(f"{more}{word}{more}", [word])


@given(st.text(), st.lists(st.text()))
def test_any_text_will_do(text: str, wake_words: list[str]) -> None:
    has_wake_word(text, wake_words)
    is_out_of_character(text)


def test_hostile_text_takes_no_longer() -> None:
    began = time.perf_counter()
    has_wake_word("a" * 100_000, ["a" * 100] * 20)
    has_wake_word("a " * 50_000, ["a a a a b"] * 20)
    is_out_of_character("((" * 50_000 + "))" * 50_000)
    is_out_of_character("((" + "))((" * 50_000 + "))")
    assert time.perf_counter() - began < 10  # quadratic, it would take minutes
