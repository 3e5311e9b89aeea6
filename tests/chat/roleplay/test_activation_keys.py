"""Which keys are found: words of every script, logics, patterns, depth, what is scanned."""

import time

import pytest
from lore_given import book, chat, entry, fire, fired, why_not

from bot.chat.personas.lore.book import Logic
from bot.chat.roleplay.activation.outcome import Cause, Reason
from bot.chat.roleplay.activation.request import Surroundings


@pytest.mark.parametrize(
    ("key", "text", "is_there"),
    [
        ("dragon", "A Dragon!", True),
        ("dragon", "dragons", False),
        ("dragon", "the dragon's lair, _dragon_", True),
        ("dragon", "_dragon_ **dragon**", True),
        ("dragon", "dragon_slayer", False),
        ("dragon", "dragonとは何か", True),
        ("дракон", "Вот Дракон.", True),
        ("дракон", "драконы", False),
        ("δράκος", "ΔΡΆΚΟΣ!", True),
        ("straße", "STRASSE", True),
        ("istanbul", "İstanbul'da", True),
        ("İSTANBUL", "istanbul", True),
        ("\u0131\u015f\u0131k", "IŞIK", True),
        ("café", "cafe\u0301s", False),
        ("café", "un cafe\u0301.", True),
        ("cafe", "un cafe\u0301.", False),
        ("राम", "राम आया", True),
        ("राम", "रामायण", False),
        ("שלום", "(שלום)", True),
        ("سلام", "سلام!", True),
        ("龙", "那条龙来了", True),
        ("りゅう", "このりゅうは", True),
        ("ドラゴン", "赤いドラゴンだ", True),
        ("드래곤", "드래곤을 봤다", True),
        ("มังกร", "เห็นมังกรตัวใหญ่", True),
        ("รัก", "ศุภรัก\u0e4c", False),
        ("🐉", "a 🐉!", True),
        ("👨", "👨\u200d👩\u200d👧", False),
        ("❤", "I ❤\ufe0f you", True),
        ("C++", "I like C++.", True),
        ("elf", "a half-elf", True),
        ("dark lord", "The Dark\nLords", True),
        ("dark lord", "dark, lord", False),
        ("  dragon  ", "dragon", True),
        ("", "anything", False),
        ("   ", "a   b", False),
        ("2B", "unit 2B.", True),
        ("v1.0", "v1.0.3", True),
    ],
)
def test_whole_words_in_every_script(key: str, text: str, is_there: bool) -> None:
    assert fired(fire(entry("e", key), said=text)) == (["e"] if is_there else [])


def test_parts_of_words_where_the_settings_or_the_entry_say_so() -> None:
    assert fired(fire(entry("e", "dragon"), said="dragons", whole_words=False)) == ["e"]
    assert fired(fire(entry("e", "dragon", whole_words=False), said="dragons")) == ["e"]
    whole = entry("e", "dragon", whole_words=True)
    assert fired(fire(whole, said="dragons", whole_words=False)) == []
    part = entry("e", "dragon", content="@@match_partial_word\nx")
    assert fired(fire(part, said="dragons")) == ["e"]


def test_case_counts_where_it_is_said() -> None:
    exact = entry("e", "Rose", case_sensitive=True)
    assert fired(fire(exact, said="a rose")) == []
    assert fired(fire(exact, said="Rose came")) == ["e"]
    assert fired(fire(entry("e", "Rose"), said="a rose", case_sensitive=True)) == []


@pytest.mark.parametrize(
    ("logic", "none", "one", "all_of_them"),
    [
        (Logic.AND_ANY, False, True, True),
        (Logic.AND_ALL, False, False, True),
        (Logic.NOT_ALL, True, True, False),
        (Logic.NOT_ANY, True, False, False),
    ],
)
def test_the_four_logics(logic: Logic, none: bool, one: bool, all_of_them: bool) -> None:
    made = entry("e", "dragon", secondary_keys=("fire", "ice"), selective=True, logic=logic)
    for text, fires in (
        ("dragon", none), ("dragon of fire", one), ("dragon: fire, ice", all_of_them),
        ("fire, ice", False),
    ):  # fmt: skip
        assert bool(fired(fire(made, said=text))) is fires, text
    refused = fire(
        made, said="dragon of fire" if not one else "dragon" if not none else "dragon fire ice"
    )
    assert why_not(refused) == {"e": Reason.SECONDARY}
    assert refused.left_out[0].hits[0].key == "dragon"


def test_selective_without_secondary_keys_goes_by_the_first_ones() -> None:
    assert fired(fire(entry("e", "dragon", selective=True), said="dragon")) == ["e"]
    unselective = entry("e", "dragon", secondary_keys=("fire",))
    assert fired(fire(unselective, said="dragon")) == ["e"]


def test_patterns_go_by_their_flags() -> None:
    assert fired(fire(entry("e", "/drag(on|ons)/"), said="dragons")) == ["e"]
    assert fired(fire(entry("e", "/drag/"), said="DRAG")) == []
    assert fired(fire(entry("e", "/drag/i", case_sensitive=True), said="DRAG")) == ["e"]
    by_name = entry("e", r"/\x01Alex:[^\x01]*dragon/")
    assert fired(fire(by_name, said="a dragon")) == ["e"]
    assert fired(fire(by_name, said=("a dragon", "what?"), scan_depth=5)) == []
    assert fired(fire(by_name, said="x\x01Alex: dragon")) == ["e"]  # Alex said it, in one message


def test_a_slash_or_a_bad_pattern_is_plain_text() -> None:
    assert fired(fire(entry("e", "/a/b/"), said="see /a/b/ there")) == ["e"]
    assert fired(fire(entry("e", "/(/"), said="see /(/ there")) == ["e"]


def test_use_regex_as_v3_has_it() -> None:
    made = entry("e", "drag[oa]n", use_regex=True)
    assert fired(fire(made, said="a Dragan")) == ["e"]
    bad = fire(entry("e", "drag(", use_regex=True), said="drag(")
    assert fired(bad) == []
    assert "no regular expression" in bad.given_up[0].why
    # Real books have it on every entry: constant and secondary keys still count.
    assert fired(fire(entry("e", use_regex=True, constant=True))) == ["e"]
    both = entry("e", "dragon", secondary_keys=("fire",), selective=True, use_regex=True)
    assert fired(fire(both, said="dragon")) == []
    more = entry("e", "x", content="@@additional_keys drag.n\ny", use_regex=True)
    assert fired(fire(more, said="dragon")) == ["e"]


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$",
        "(?:a|aa)+$",
        "(a|a)*[xy]",
        "a*a*a*a*a*a*a*[xy]",
        "([^b]*)*[xy]$",
        "(a{1,30}){1,30}$",
    ],
)
def test_a_pattern_never_holds_up_a_reply(pattern: str) -> None:
    begun = time.perf_counter()
    made = fire(
        entry("slow", f"/{pattern}/"),
        entry("quick", "/a!/"),
        said="a" * 20_000 + "!",
        include_names=False,
    )
    assert time.perf_counter() - begun < 5
    assert fired(made) == ["quick"]
    assert [(one.entry_id.uid, one.key) for one in made.given_up] == [("slow", f"/{pattern}/")]
    assert why_not(made) == {"slow": Reason.GIVEN_UP}


def test_many_slow_patterns_share_one_time() -> None:
    begun = time.perf_counter()
    many = [entry(str(at), f"/(a+)+{at}$/") for at in range(200)]
    made = fire(*many, entry("plain", "word"), said="a" * 2_000 + " word!")
    assert time.perf_counter() - begun < 10
    assert fired(made) == ["plain"]
    assert len(made.given_up) == 200


def test_a_costly_pattern_is_given_up_before_it_is_compiled() -> None:
    made = fire(entry("e", "/(a{1,1000}){1,1000}/", "word"), said="word")
    assert fired(made) == ["e"]  # by its other key
    assert "repeats" in made.given_up[0].why


def test_macros_in_keys_and_a_name_that_looks_like_a_pattern() -> None:
    def expand(text: str) -> str:
        return text.replace("{{user}}", "A+ (x")

    assert fired(fire(entry("e", "{{user}}"), said="A+ (x came", expand=expand)) == ["e"]
    assert fired(fire(entry("e", "/^.{{user}}/m"), said="x", expand=expand)) == []
    assert fired(fire(entry("e", "/hi {{user}}/"), said="hi A+ (x", expand=expand)) == ["e"]


# Where keys are looked for --------------------------------------------------------------------


def test_the_newest_messages_are_scanned() -> None:
    said = ("dragon", "b", "c")
    assert fired(fire(entry("e", "dragon"), said=said)) == []
    assert fired(fire(entry("e", "dragon"), said=said, scan_depth=3)) == ["e"]
    assert fired(fire(entry("e", "dragon", scan_depth=3), said=said)) == ["e"]
    assert fired(fire(book(entry("e", "dragon"), scan_depth=3), said=said)) == ["e"]
    shallow = book(entry("e", "dragon", scan_depth=2), scan_depth=3)
    assert fired(fire(shallow, said=said)) == []
    assert fired(fire(entry("e", "dragon", content="@@scan_depth 3\nx"), said=said)) == ["e"]
    assert fired(fire(entry("e", "/dragon/", scan_depth=3), said=said)) == ["e"]
    assert fired(fire(entry("e", "/dragon/", scan_depth=2), said=said)) == []
    assert fired(fire(entry("e", "dragon", scan_depth=0), said="dragon")) == []


def test_a_key_does_not_run_over_from_one_message_into_the_next() -> None:
    assert fired(fire(entry("e", "a b"), said=("b", "a"), include_names=False)) == []


def test_names_are_scanned_unless_they_are_not_wanted() -> None:
    assert fired(fire(entry("e", "Alex"), said="hello")) == ["e"]
    assert fired(fire(entry("e", "Alex"), said="hello", include_names=False)) == []


def test_other_texts_are_scanned_where_the_entry_asks() -> None:
    around = Surroundings(scenario="A cave.", character_description="A dragon.")
    asks = entry("e", "cave", match_scenario=True)
    made = fire(asks, entry("f", "cave"), entry("g", "dragon"), said="hi", around=around)
    assert fired(made) == ["e"]
    assert made.fired[0].hits[0].where == "the scenario"
    pattern = entry("e", "/cav/", match_scenario=True)
    assert fired(fire(pattern, said="hi", around=around)) == ["e"]


def test_it_is_told_which_key_was_found_where() -> None:
    made = fire(entry("e", "lamp", "Dragon"), said=("a dragon", "hi"))
    (one,) = made.fired
    assert (one.cause, one.book_name) == (Cause.KEY, "b")
    assert [(hit.key, hit.where) for hit in one.hits] == [("Dragon", "message 2")]


def test_what_has_no_keys_or_text_never_fires() -> None:
    made = fire(
        entry("none"), entry("blank", " "), entry("off", "a", enabled=False),
        entry("empty", "a", content="@@depth 3"), entry("vectors", vectorized=True), said="a",
    )  # fmt: skip
    assert fired(made) == []
    assert why_not(made) == {
        "none": Reason.NO_KEYS, "blank": Reason.NO_KEYS, "off": Reason.DISABLED,
        "empty": Reason.EMPTY, "vectors": Reason.NO_KEYS,
    }  # fmt: skip


def test_min_activations_look_further_back() -> None:
    entries = [entry(word, word) for word in ("one", "two", "three")]
    said = ("three", "two", "one", "hi")
    assert fired(fire(*entries, said=said, scan_depth=1)) == []
    assert fired(fire(*entries, said=said, scan_depth=1, min_activations=2)) == ["one", "two"]
    limited = {"min_activations": 3, "min_activations_depth": 3}
    assert fired(fire(*entries, said=said, scan_depth=1, **limited)) == ["one", "two"]


def test_an_empty_chat() -> None:
    assert fired(fire(entry("e", "a"), entry("c", constant=True))) == ["c"]
    assert chat() == ()
