"""Names that Discord takes, changed as little as needed, and told apart in a channel."""

import unicodedata

import pytest
from api_document import described
from hypothesis import example, given
from hypothesis import strategies as st

from cogs.showing.webhooks.names import FILLER, HAIR_SPACE, ChannelNames, webhook_name


def wide(text: str) -> str:
    """In letters of full width."""
    return "".join(chr(ord(character) + 0xFEE0) for character in text)


SIGNS = "aA cClLyYdDeEiIsSoOrR\u200b\u200c\u200d\ufeff\u2060\u202e\u3164\u2800\x00\n\u034f"
WORDS = ["clyde", "DISCORD", wide("discord"), "dis\u200dcord", "everyone", "here", "```"]
CLUSTERS = ["👩\u200d🚀", "e\u0301", "🇩🇪"]
PIECES = st.sampled_from([*SIGNS, *WORDS, *CLUSTERS])
NAMES = st.one_of(st.text(max_size=120), st.lists(PIECES, max_size=120).map("".join))


def plainly(name: str) -> str:
    kept = (c for c in name if unicodedata.category(c) not in ("Cf", "Mn"))
    return unicodedata.normalize("NFKC", "".join(kept)).casefold()


@given(NAMES)
def test_every_name_becomes_one_that_discord_takes(name: str) -> None:
    made = webhook_name(name)
    assert 2 <= len(made) <= 80
    assert made == made.strip()
    assert "  " not in made
    for plain in (made.lower(), plainly(made)):
        assert "clyde" not in plain
        assert "discord" not in plain
        assert "```" not in plain
        assert plain not in ("everyone", "here")
    assert any(unicodedata.category(c)[0] in "LNPS" for c in made)
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in made)
    assert webhook_name(made) == made


@pytest.mark.parametrize(
    "name",
    [
        *(
            "Ada",
            "Ada Lovelace",
            "漢字",
            "Жанна д'Арк",
            "O'Neil: the 3rd #1",
            "@ada",
            "\u0645\u06cc\u200c\u062e\u0648",
        ),
        *("👩\u200d🚀 Pilot", "❤\ufe0f", "Clyd", "disc ord", "everyone!", "hereby", "A" * 80),
        "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f Rob",
    ],
)
def test_a_name_that_discord_takes_stays(name: str) -> None:
    assert webhook_name(name) == name or len(name) == 1


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("Clyde", f"C{HAIR_SPACE}lyde"),
        ("Bonnie and CLYDE!", f"Bonnie and C{HAIR_SPACE}LYDE!"),
        ("Discordia", f"D{HAIR_SPACE}iscordia"),
        ("DiscordClyde", f"D{HAIR_SPACE}iscordC{HAIR_SPACE}lyde"),
        ("cl\u200byde", f"c{HAIR_SPACE}lyde"),
        ("Everyone", f"E{HAIR_SPACE}veryone"),
        ("here", f"h{HAIR_SPACE}ere"),
        ("A```B", f"A`{HAIR_SPACE}``B"),
        ("Z", f"Z{FILLER}"),
        (" \t Ada \n  Lovelace ", "Ada Lovelace"),
        ("Ada\u202e\u200b", "Ada"),
        ("", "Someone"),
        ("\u200b\u3164 \u2800", "Someone"),
        ("\u0301", "Someone"),
        ("x" * 300, "x" * 80),
        ("x" * 79 + "e\u0301", "x" * 79),
    ],
)
def test_the_least_is_changed(name: str, made: str) -> None:
    assert webhook_name(name) == made


@given(st.lists(st.tuples(st.integers(0, 5), NAMES), max_size=12))
@example([(0, "\u00af"), (1, "\u00af"), (0, "Ada (2)"), (1, "Ada"), (2, "Ada")])
def test_two_personas_never_look_the_same_in_a_channel(said: list[tuple[int, str]]) -> None:
    names = ChannelNames()
    last: tuple[int, str] | None = None
    for persona, name in said:
        shown = names.take(1, str(persona), name)
        assert webhook_name(shown) == shown
        if last is not None and last[0] != persona:
            assert shown != last[1]
        last = (persona, shown)


def test_a_number_stays_with_its_persona() -> None:
    names = ChannelNames()
    assert names.take(1, "a", "Ada") == "Ada"
    assert names.take(1, "b", "ADA") == "ADA (2)"
    assert names.take(1, "c", wide("Ada")) == wide("Ada") + " (3)"
    assert names.take(1, "a", "Ada") == "Ada"
    assert names.take(1, "b", "ADA") == "ADA (2)"
    assert names.take(2, "b", "ADA") == "ADA"
    assert names.take(1, "a", "Grace") == "Grace"
    assert names.take(1, "d", "x" * 80) == "x" * 80
    assert names.take(1, "e", "x" * 80) == "x" * 76 + " (2)"


def test_the_limit_is_that_of_the_api_document() -> None:
    schemas = described()["components"]["schemas"]
    username = schemas["IncomingWebhookRequestPartial"]["properties"]["username"]
    assert username["maxLength"] == 80
    assert username["minLength"] <= 2
