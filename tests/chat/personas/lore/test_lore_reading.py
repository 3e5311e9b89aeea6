"""Lorebooks of every program are read; what is none is named; hostile ones cost little."""

import base64
import json
import struct
import time
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making_cards import archive, chunk, picture_bytes
from making_cards import png as picture_png

from bot.chat.personas.lore.book import BookKind, Logic, Lorebook, LoreEntry, Position
from bot.chat.personas.lore.kinds import book_kind
from bot.chat.personas.lore.reading import book_in_card, lorebook_of, read_lorebook
from bot.chat.personas.lore.writing import write_lorebook
from bot.errors import LorebookError


def read(document: object) -> Lorebook:
    return read_lorebook("book.json", json.dumps(document).encode())


def only(document: object) -> LoreEntry:
    (entry,) = read(document).entries
    return entry


def world(**entry: Any) -> dict[str, Any]:
    return {"entries": {"0": {"uid": 0, "key": ["dragon"], "content": "Dragons."} | entry}}


def card_book(**entry: Any) -> dict[str, Any]:
    base = {"keys": ["dragon"], "content": "Dragons.", "extensions": {}, "enabled": True}
    return {"entries": [base | {"insertion_order": 5} | entry], "extensions": {}}


# World Info -----------------------------------------------------------------------------------


def test_world_info_with_every_field() -> None:
    entry = only(
        world(
            keysecondary=["fire"], comment="Drakes", constant=True, selective=True,
            selectiveLogic=3, order=7, position=4, disable=True, depth=2, role=2, probability=40,
            useProbability=True, group="beasts, big", groupOverride=True, groupWeight=50,
            useGroupScoring=True, scanDepth=9, caseSensitive=True, matchWholeWords=False, sticky=3,
            cooldown=4, delay=5, excludeRecursion=True, preventRecursion=True,
            delayUntilRecursion=2, ignoreBudget=True, outletName="there", matchScenario=True,
            characterFilter={"isExclude": True, "names": ["Ada"], "tags": ["elf"]},
            triggers=["swipe"], vectorized=True, automationId="a1", displayIndex=3,
        )
    )  # fmt: skip
    assert entry.keys == ("dragon",)
    assert entry.secondary_keys == ("fire",)
    assert (entry.logic, entry.position) == (Logic.AND_ALL, Position.AT_DEPTH)
    assert (entry.order, entry.depth, entry.role) == (7, 2, "bot")
    assert (entry.enabled, entry.constant, entry.selective) == (False, True, True)
    assert (entry.probability, entry.group, entry.group_override) == (40, "beasts, big", True)
    assert (entry.group_weight, entry.group_scoring, entry.scan_depth) == (50, True, 9)
    assert (entry.case_sensitive, entry.whole_words) == (True, False)
    assert (entry.sticky, entry.cooldown, entry.delay) == (3, 4, 5)
    assert (entry.exclude_recursion, entry.prevent_recursion) == (True, True)
    assert (entry.delay_until_recursion, entry.ignore_budget) == (2, True)
    assert (entry.outlet, entry.match_scenario, entry.triggers) == ("there", True, ("swipe",))
    assert entry.character_exclude
    assert (entry.character_names, entry.character_tags) == (("Ada",), ("elf",))


def test_an_old_world_info_entry_has_silly_taverns_defaults() -> None:
    entry = only(world(keysecondary=["fire"]))
    assert entry.selective
    assert entry.enabled
    assert (entry.order, entry.probability, entry.position) == (100, 100, Position.BEFORE_PERSONA)


@pytest.mark.parametrize(
    "names",
    [("scan_depth", "token_budget", "recursive_scanning"), ("scanDepth", "tokenBudget",
     "recursiveScanning")],
)  # fmt: skip
def test_a_book_of_world_info_may_have_settings_of_its_own(names: tuple[str, ...]) -> None:
    book = read({**world(), **dict(zip(names, (4, 512, False), strict=True)), "name": "W"})
    assert (book.scan_depth, book.token_budget, book.recursive, book.name) == (4, 512, False, "W")


def test_keys_in_one_text_have_commas_between() -> None:
    assert only(world(key="a, b,")).keys == ("a", "b")
    assert only(world(key="/a{1,2}/i")).keys == ("/a{1,2}/i",)


def test_flat_character_filters_are_read() -> None:
    assert only(world(characterFilterNames=["Ada"])).character_names == ("Ada",)


def test_entries_of_one_number_stay_apart() -> None:
    book = read({"entries": [{"uid": 1, "key": ["a"], "content": "x"}] * 300})
    assert len({entry.uid for entry in book.entries}) == 300


# A card's book --------------------------------------------------------------------------------


def test_a_number_in_the_extensions_beats_the_spec_s_word() -> None:
    entry = only(card_book(position="before_char", extensions={"position": 4, "depth": 1}))
    assert (entry.position, entry.depth) == (Position.AT_DEPTH, 1)
    assert only(card_book(position="after_char_defs")).position is Position.AFTER_PERSONA


def test_silly_taverns_use_regex_says_nothing() -> None:
    assert not only(card_book(use_regex=True, extensions={"selectiveLogic": 0})).use_regex
    assert only(card_book(use_regex=True)).use_regex


def test_a_v3_file_and_a_bare_book_hold_the_same() -> None:
    data = card_book(name="Drakes", priority=3, id="x", secondary_keys=["a"], selective=True)
    assert read({"spec": "lorebook_v3", "data": data}).entries == read(data).entries
    assert read({"data": data}).entries == read(data).entries
    entry = only(data)
    assert (entry.name, entry.priority, entry.uid) == ("Drakes", 3, "x")


@pytest.mark.parametrize(
    "changed",
    [{"extensions": None}, {"keys": None}, {"insertion_order": "soon"}, {"enabled": None},
     {"id": []}, {"secondary_keys": "a, b"}, {"priority": "high"}, {"content": None}],
)  # fmt: skip
def test_fields_of_the_wrong_kind_have_their_defaults(changed: dict[str, Any]) -> None:
    entry = only(card_book(**changed))
    assert entry.enabled
    assert entry.priority is None


# Others ---------------------------------------------------------------------------------------


def test_novelai() -> None:
    book = read(
        {
            "lorebookVersion": 5,
            "categories": [{"id": "c", "enabled": False}],
            "entries": [
                {"text": "T", "keys": ["k"], "displayName": "D", "id": "i", "enabled": True,
                 "forceActivation": True, "contextConfig": {"budgetPriority": 7}},
                {"text": "U", "keys": [], "category": "c", "enabled": True},
            ],
        }
    )  # fmt: skip
    first, second = book.entries
    assert book.kind is BookKind.NOVELAI
    assert (first.content, first.keys, first.name, first.order) == ("T", ("k",), "D", 7)
    assert first.constant
    assert not second.enabled


def test_agnai_with_wildcards() -> None:
    entry = only(
        {"kind": "memory", "name": "M", "entries": [
            {"name": "N", "entry": "E", "keywords": ["drag*", "cat"], "weight": 2, "priority": 9,
             "enabled": True}]}
    )  # fmt: skip
    assert (entry.name, entry.content, entry.order, entry.priority) == ("N", "E", 2, 9)
    assert entry.keys[0].startswith("/")
    assert entry.keys[1] == "cat"


def test_risu_and_its_folders() -> None:
    book = read(
        {"type": "risu", "ver": 1, "data": [
            {"key": "a, b", "secondkey": "c", "content": "C", "comment": "N", "insertorder": 3,
             "alwaysActive": False, "selective": True, "activationPercent": 30},
            {"key": "f", "mode": "folder", "content": ""},
            {"key": "/x, y/i", "useRegex": True, "content": "R", "mode": "normal"}]}
    )  # fmt: skip
    first, second = book.entries
    assert (first.keys, first.secondary_keys, first.selective) == (("a", "b"), ("c",), True)
    assert (first.probability, first.use_probability, first.order) == (30, True, 3)
    assert (second.keys, second.use_regex) == (("/x, y/i",), True)


def png(keyword: bytes, text: bytes) -> bytes:
    body = b"tEXt" + keyword + b"\0" + text
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + chunk


def test_a_novelai_picture() -> None:
    book = {"lorebookVersion": 3, "entries": [{"text": "T", "keys": ["k"]}]}
    content = base64.b64encode(json.dumps(book).encode())
    assert read_lorebook("p.png", png(b"naidata", content)).entries[0].content == "T"
    with pytest.raises(LorebookError, match="damaged"):
        read_lorebook("p.png", png(b"naidata", b"?"))


# What is no lorebook --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"spec": "chara_card_v2", "data": {"name": "A", "character_book": card_book()}}, "card"),
        ({"spec": "chara_card_v3", "data": {"name": "A"}}, "card"),
        ({"name": "A", "description": "d", "first_mes": "Hi", **world()}, "card"),
        ({"char_name": "A", "char_persona": "p"}, "card"),
        ({"name": "A", "description": "d"}, "card"),
        ({"data": {"name": "A", "personality": ""}}, "card"),
        ([{"mes": "Hi", "is_user": True}], "chat log"),
        ({"data": {"name": "A", "description": "d"}}, "card"),
        ({"temperature": 1, "top_p": 0.9}, "preset"),
        ({"gamestarted": True, "entries": None}, "KoboldAI"),
        ([1, 2], "a list"),
        (3, "single value"),
        ({"worldInfo": []}, "another kind"),
    ],
)
def test_what_is_no_lorebook_is_named(document: object, said: str) -> None:
    with pytest.raises(LorebookError, match=f"book.json is .*{said}.*, not a lorebook") as caught:
        read(document)
    assert caught.value.fix


def test_pictures_and_archives_of_cards_are_named() -> None:
    with pytest.raises(LorebookError, match="character card as a picture"):
        read_lorebook("a.png", png(b"Chara", b"e30="))
    with pytest.raises(LorebookError, match="picture without"):
        read_lorebook("a.png", picture_bytes())
    with pytest.raises(LorebookError, match="cut off"):
        read_lorebook("a.png", b"\x89PNG\r\n\x1a\n" + b"\xff\xff\xff\xfftEXt")
    with pytest.raises(LorebookError, match="zip archive"):
        read_lorebook("a.charx", b"PK\x03\x04...")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{ invalid", "line 1: this is not JSON"),
        (b'{"entries": {}, "entries": {}}', "«entries» stands there twice"),
        (b'{"entries": [NaN]}', "number"),
        (b'{"entries": [1e999]}', "number"),
        (b'{"entries": [' + b"9" * 5000 + b"]}", "number"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a":' * 200_000, "nested too deeply"),
        (b'{"entries": [' + b"0," * 1_000_000 + b"0]}", "more than"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b" " * (8 * 1024 * 1024 + 1), "larger than 8 MiB"),
        (b"", "an empty file"),
        (b'{\n"entries": [NaN]}', "line 2: «NaN» is no number"),
        (b"%PDF-1.4", "a PDF document, not a lorebook"),
        (b"\x1f\x8b\x08\0" + bytes(20), "packed with gzip, not a lorebook"),
        (b"<!DOCTYPE html>\n<html>", "a web page"),
        (b"\xff\xd8\xff\xe0", "a picture, not a lorebook"),
        (picture_bytes(kind="JPEG") + archive({"card.json": b"{}"}), "a zip archive, as cards"),
    ],
)
def test_broken_and_hostile_files_have_one_line(content: bytes, said: str) -> None:
    begun = time.perf_counter()
    with pytest.raises(LorebookError, match=said) as caught:
        read_lorebook("book.json", content)
    assert "\n" not in str(caught.value)
    assert time.perf_counter() - begun < 5  # far less; a shared machine may be slow


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ([{"keys": ["dragon"], "content": "Big."}], BookKind.CHARACTER_BOOK),
        ([{"key": ["dragon"], "content": "Big."}], BookKind.WORLD_INFO),
    ],
)
def test_a_list_of_entries_is_a_book(document: object, kind: BookKind) -> None:
    book = read(document)
    assert book.kind is kind
    assert [one.keys for one in book.entries] == [("dragon",)]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"spec": "lorebook_v3"}, "a V3 lorebook"),
        ({"kind": "memory", "name": "x"}, "a memory book of Agnai"),
        ({"entries": 5}, "World Info"),
        ({"entries": {"0": 1}}, "World Info"),
        ({"entries": [1]}, "a character's lorebook"),
        ({"type": "risu", "data": {}}, "a lorebook of Risu"),
    ],
)
def test_a_broken_book_is_not_sent_from_one_command_to_the_other(
    document: object, said: str
) -> None:
    with pytest.raises(LorebookError, match=f"looks like .*{said}.*, but has no entries"):
        read(document)


def test_halves_of_characters_are_neither_shown_nor_stored() -> None:
    half = "a\ud800\0b"
    document = world(uid=half, key=[half], comment=half, content=half) | {"name": half}
    book = read(document)
    [entry] = book.entries
    for text in (book.name, entry.uid, entry.title, entry.content, *entry.keys):
        assert text == "a\ufffd\ufffdb"
    assert json.loads(write_lorebook(book, "world_info")) == document


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_book_is_read_in_whatever_encoding_windows_saved_it(encoding: str) -> None:
    content = json.dumps(world(content="Дракон"), ensure_ascii=False).encode(encoding)
    assert read_lorebook("book.json", content).entries[0].content == "Дракон"


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt"])
def test_a_card_in_any_text_chunk_is_no_book(kind: bytes) -> None:
    lead = {b"tEXt": b"chara\0", b"zTXt": b"chara\0\0", b"iTXt": b"chara\0\0\0\0\0"}[kind]
    with pytest.raises(LorebookError, match="a character card as a picture"):
        read_lorebook("a.png", picture_png(chunk(kind, lead + b"e30=")))


def test_novelais_picture_may_hold_its_book_packed() -> None:
    text = base64.b64encode(json.dumps({"lorebookVersion": 5, "entries": []}).encode())
    packed = chunk(b"zTXt", b"naidata\0\0" + zlib.compress(text))
    assert read_lorebook("a.png", picture_png(packed)).kind is BookKind.NOVELAI
    bomb = chunk(b"zTXt", b"naidata\0\0" + zlib.compress(bytes(40_000_000)))
    with pytest.raises(LorebookError, match="unpacks to more than"):
        read_lorebook("a.png", picture_png(bomb))


def test_a_book_of_too_many_entries_is_refused() -> None:
    many = [{"keys": [], "content": ""}] * 20_001
    for document in ({"entries": many}, {"spec": "lorebook_v3", "data": {"entries": many}}):
        with pytest.raises(LorebookError, match="20,001 entries"):
            lorebook_of("book.json", document)
    with pytest.raises(LorebookError, match="20,001 entries"):
        book_in_card("card.png", {"entries": many})
    assert len(book_in_card("card.png", {"entries": many[1:]}).entries) == 20_000


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)
KEYS = ("key", "keys", "content", "uid", "id", "position", "role", "order", "extensions", "depth",
        "enabled", "disable", "selectiveLogic", "characterFilter", "text", "keywords", "entry",
        "sticky", "probability", "delayUntilRecursion", "insertion_order", "triggers")  # fmt: skip
entries = st.dictionaries(st.sampled_from(KEYS), json_values)


@given(st.lists(entries, max_size=4) | st.dictionaries(st.text(max_size=3), entries))
def test_whatever_entries_hold_they_are_read_or_refused(found: object) -> None:
    document = {"entries": found}
    try:
        book = lorebook_of("book.json", document)
    except LorebookError:
        assert book_kind(document) is None
    else:
        uids = [entry.uid for entry in book.entries]
        assert len(set(uids)) == len(uids)
