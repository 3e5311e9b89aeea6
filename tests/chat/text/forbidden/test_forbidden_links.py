"""`links plain`: no address behind other words, no invitations, not for a moment."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.chat.text.forbidden.links import INVITE_REMOVED, plain_links
from bot.chat.text.forbidden.redaction import Pipeline

PIECES = (
    "[", "]", "(", ")", "](", "https://", "http://a.b/c", "<", ">", " ", "\n", "x", "discord",
    ".gg/", "discord.gg/", "discord.com/invite/", "abc", "/", '"t"', "\u200b", "*", "\\", "www.",
    "tel:", "steam:/", "discord:", "%6f", "./",
)  # fmt: skip
MASKED = re.compile(r"\]\(\s*<?(?:(?:https?|discord|tel):|steam:/)")
INVITE = re.compile(r"discord\.gg/[\w-]", re.IGNORECASE)


def moments(text: str, size: int = 1) -> list[str]:
    links = Pipeline(plain_links())
    shown = [""]
    for at in range(0, len(text), size):
        shown.append(shown[-1] + links.decode(text[at : at + size]))
    return [*shown, shown[-1] + links.flush()]


def plain(text: str) -> str:
    return moments(text, 1_000_000)[-1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see [here](https://a.b/c).", "see [here] (<https://a.b/c>)."),
        ("[x](https://a.b/c_(d))", "[x] (<https://a.b/c_(d)>)"),
        ("[x](<https://a.b>)", "[x] (<https://a.b>)"),
        ('[x](https://a.b "title")', "[x] (<https://a.b>)"),
        ("[a [b] c](HTTPS://a.b)", "[a [b] c] (<HTTPS://a.b>)"),
        ("[x](https://never closed", "[x] (https://never closed"),
        ("[x](mailto:a@b.c)", "[x] (<mailto:a@b.c>)"),
        ("[x](tel:+123) [y](SMS:1)", "[x] (<tel:+123>) [y] (<SMS:1>)"),
        ("[x](steam://run/1)", "[x] (<steam://run/1>)"),
        ("[x](https\\://a.b)", "[x] (<https\\://a.b>)"),
        ("[x](ftp:\\//a.b)", "[x] (<ftp:\\//a.b>)"),
        ("[Int](repeating:0) and [x](note: this)", "[Int](repeating:0) and [x](note: this)"),
        ("f[0](x) and [a](b) and https://a.b", "f[0](x) and [a](b) and https://a.b"),
        ("come to discord.gg/abc now", f"come to {INVITE_REMOVED} now"),
        ("come to discord.gg\\abc now", f"come to {INVITE_REMOVED} now"),
        ("https:\\\\discord.gg\\abc", INVITE_REMOVED),
        ("discord\\.gg\\/abc", INVITE_REMOVED),
        ("https\\://discord%2Egg/abc", INVITE_REMOVED),
        ("<https://discord.gg/abc?e=1>", INVITE_REMOVED),
        ("[join](https://discord.com/invite/abc)", f"[join]({INVITE_REMOVED})"),
        ("DiscordApp.com/invite/some-vanity_name", INVITE_REMOVED),
        ("dis\u200bcord.g\u00adg/abc", INVITE_REMOVED),
        (
            "\uff44iscord\uff0egg\uff0fabc",
            INVITE_REMOVED,
        ),
        ("discord\u3002gg\\/abc", INVITE_REMOVED),
        ("https://discord.com/x/../invite//abc", INVITE_REMOVED),
        ("discord.gg/./../abc", INVITE_REMOVED),
        ("discord.gg/%2e/abc", INVITE_REMOVED),
        ("discord.gg/abc(https://a.b)", f"{INVITE_REMOVED} (<https://a.b>)"),
        ("https://disc%6Frd.g%47/abc", INVITE_REMOVED),
        ("https://discord.com/%69nvite/abc", INVITE_REMOVED),
        ("<discord://-/invite/abc>", INVITE_REMOVED),
        (
            "discord:///invite/abc and discord:\\-/invite/abc",
            f"{INVITE_REMOVED} and {INVITE_REMOVED}",
        ),
        ("[x](discord://-/invite/abc)", f"[x]({INVITE_REMOVED})"),
        ("discord.com/channels/1/2 is no invite, nor discord.gg/ alone",) * 2,
    ],
)
def test_links_are_written_out(text: str, expected: str) -> None:
    assert plain(text) == expected
    assert moments(text)[-1] == expected


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join), st.integers(1, 5))
def test_no_cut_shows_a_masked_link_or_an_invite(text: str, size: int) -> None:
    seen = moments(text, size)
    assert seen[-1] == plain(text)
    for moment in seen:
        assert seen[-1].startswith(moment)
        assert not MASKED.search(moment)
        assert not INVITE.search(moment)


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="ab [](). \n:/", max_size=80))
def test_other_text_stays_as_it_is(text: str) -> None:
    assert plain(text) == text
