"""Keys between slashes mean what they mean in JavaScript, and cost little to compile."""

import time

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from bot.chat.personas.lore.patterns import (
    NotAPattern,
    RegexKey,
    TooCostly,
    compile_key,
    regex_key,
)


def compiled(key: str) -> "regex.Pattern[str]":
    found = regex_key(key)
    assert found is not None
    return compile_key(found)


@pytest.mark.parametrize(
    ("key", "found", "missed"),
    [
        ("/drag(on|ons)/i", ["DRAGONS"], ["cat"]),
        ("/Drag/", ["Dragon"], ["dragon"]),
        (r"/\bcat\b/", ["a cat."], ["cats", "concat"]),
        (r"/\Bcat/", ["concat"], ["a cat"]),
        (r"/^a$/", ["a"], ["a\n", "b\na"]),
        (r"/^a$/m", ["b\na\nc"], ["ab"]),
        ("/a.b/", ["axb"], ["a\nb"]),
        ("/a.b/s", ["a\nb"], ["ab"]),
        ("/a/y", ["ab"], ["ba"]),
        ("/[]/", [], ["a", ""]),
        ("/[^]/", ["a", "\n"], [""]),
        (r"/[\d\-a]/", ["-", "a", "3"], ["b"]),
        (r"/[\W]/", ["é", "!"], ["a", "_", "Z", "0"]),
        (r"/[\S]/", ["é", "!"], ["\u3000", " "]),
        (r"/[\w-]+x/", ["a-x"], [" x"]),
        ("/[a-z&&[b]]/", ["&]", "c]"], ["c"]),
        (r"/a\.b/", ["a.b"], ["axb"]),
        (r"/a\/b/", ["a/b"], ["ab"]),
        ("/a{,3}/", ["a{,3}"], ["aaa"]),
        ("/a{2,}/", ["aaa"], ["a"]),
        ("/^a{2}$/", ["aa"], ["a", "aaa"]),
        ("/a+?b/", ["aab"], ["b"]),
        (r"/(a)\1/", ["aa"], ["ab"]),
        (r"/(?:(a)|b)\1c/", ["aac", "bc"], ["ac"]),
        (r"/(?<year>\d+)-\k<year>/", ["12-12"], ["12-13"]),
        ("/(?<=a)b/", ["ab"], ["cb"]),
        ("/(?<!a)b/", ["cb"], ["ab"]),
        ("/a(?!b)/", ["ac"], ["ab"]),
        (r"/\u{1F409}/u", ["🐉"], ["u"]),
        (r"/\ud83d\udc09/", ["🐉"], ["x"]),
        (r"/\x41\u0042\cJ/", ["AB\n"], ["AB"]),
        (r"/^\1\101$/", ["\x01A"], ["1101"]),
        (r"/^\p{L}+$/u", ["дракон"], ["1"]),
        (r"/\d/", ["3"], ["٣"]),
    ],
)
def test_patterns_as_in_javascript(key: str, found: list[str], missed: list[str]) -> None:
    pattern = compiled(key)
    assert [text for text in found if not pattern.search(text)] == []
    assert [text for text in missed if pattern.search(text)] == []


@pytest.mark.parametrize("key", ["dragon", "/", "//", "/a/b/", "/a/gg", "/a/x", "/a", "a/b/"])
def test_plain_keys_are_no_patterns(key: str) -> None:
    assert regex_key(key) is None


@pytest.mark.parametrize(
    "key",
    ["/(/", "/)/", "/a**/", "/a++/", "/*a/", "/(?P<n>a)/", "/(?i)a/", "/[z-a]/", "/a{3,2}/", "/[a/",
     r"/\k<z>(?<y>a)/", r"/(?<y>a)(?<y>b)/", r"/\2(a)/u", "/}/u", r"/\q/u", r"/\p{Nonsense}/u",
     r"/\u{FFFFFF}/u", r"/^*/", r"/a\/"],
)  # fmt: skip
def test_what_javascript_refuses_is_no_pattern(key: str) -> None:
    found = regex_key(key)
    if found is not None:
        with pytest.raises(NotAPattern):
            compile_key(found)


@pytest.mark.parametrize(
    "pattern",
    ["a{1000000}", "(a{1,1000}){1,1000}", "((a{100}){100}){100}", "(" * 40 + "a" + ")" * 40,
     "a" * 1_001, "(a)" * 201, "(?:a?){999999999}", "((((((a{9}){9}){9}){9}){9}){9}"],
)  # fmt: skip
def test_what_would_take_long_to_compile_is_refused_at_once(pattern: str) -> None:
    begun = time.perf_counter()
    with pytest.raises(TooCostly):
        compile_key(RegexKey(pattern))
    assert time.perf_counter() - begun < 1


def test_the_costliest_that_is_taken_compiles_soon() -> None:
    begun = time.perf_counter()
    compile_key(RegexKey("(?:(?:a|b)?){240}" * 2))
    compile_key(RegexKey("((a{9}){10}){18}"))
    assert time.perf_counter() - begun < 2


@given(st.text(st.sampled_from("ab|()[]{}*+?^$.\\dwsbkux123,-<>=!:/ é"), max_size=30))
def test_any_pattern_compiles_or_is_refused(pattern: str) -> None:
    for flags in ("", "iu"):
        try:
            found = compile_key(RegexKey(pattern, flags))
            found.search("ab 12", timeout=1)
        except (NotAPattern, TooCostly):
            pass


@given(st.text(max_size=10))
def test_an_escaped_text_matches_itself(text: str) -> None:
    spelled = "".join(f"\\u{{{ord(character):x}}}" for character in text)
    if not any("\ud800" <= character <= "\udfff" for character in text):
        assert compile_key(RegexKey(f"^{spelled}$", "u")).search(text)
