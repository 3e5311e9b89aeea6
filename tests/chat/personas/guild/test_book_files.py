"""Files that people bring as lorebooks: the book, its name, and what is refused by its name."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making_cards import as_json, card_chunk, chunk, png, v2, v3

from bot.chat.personas.guild.book_files import (
    BOOK_NAME_CHARACTERS,
    book_name,
    checked_book_name,
    read_book_file,
)
from bot.chat.personas.lore.book import BookKind
from bot.chat.personas.lore.reading import read_lorebook
from bot.errors import LorebookError

HARBOUR = {"keys": ["harbour"], "content": "Grey.", "enabled": True, "insertion_order": 1}


def world_info(*entries: dict[str, Any], **extra: Any) -> bytes:
    return json.dumps({"entries": dict(enumerate(entries)), **extra}).encode()


def test_a_book_keeps_its_own_name_or_takes_its_files() -> None:
    found = read_book_file("World_One.json", world_info({"uid": 0, "key": ["a"], "content": "b"}))
    assert (found.name, found.card, found.preview.entries) == ("World One", "", 1)
    named = read_book_file("x.json", world_info(name="  The\nHarbour "))
    assert named.name == "The Harbour"
    assert named.draft().document == world_info(name="  The\nHarbour ")
    assert named.draft(" The  Sea ").name_key == "the sea"


def test_the_book_inside_a_card_is_offered_alone() -> None:
    card = v3(name="Ada", character_book={"name": "Sea", "entries": [HARBOUR], "odd": {"kept": 1}})
    for name, content in (
        ("ada.json", as_json(card)),
        ("ada.png", png(card_chunk("ccv3", card))),
    ):
        found = read_book_file(name, content)
        assert (found.name, found.card) == ("Sea", "a V3 character card of «Ada»")
        stored = json.loads(found.content)
        assert stored["data"]["odd"] == {"kept": 1}
        again = read_lorebook("stored", found.content)
        assert again.kind is BookKind.LOREBOOK_V3
        assert [entry.keys for entry in again.entries] == [("harbour",)]


def test_a_book_in_a_card_may_have_its_entries_by_number() -> None:
    card = v2(name="Ada", character_book={"entries": {"3": {"keys": ["cat"], "content": "Purrs."}}})
    found = read_book_file("ada.json", as_json(card))
    assert found.name == "Ada's lorebook"
    entries = read_lorebook("stored", found.content).entries
    assert [(each.keys, each.content) for each in entries] == [(("cat",), "Purrs.")]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("ada.json", as_json(v2(name="Ada")), "a V2 character card, not a lorebook"),
        ("ada.png", png(card_chunk("chara", v2(name="Ada"))), "a V2 character card"),
        ("ada.toml", b'name = "Ada"\ndescription = "A person."\n', "a persona file"),
        ("ada.yaml", b"name: Ada\ncontext: A person.\n", "text-generation-webui"),
        ("chat.json", b'[{"mes": "hi", "is_user": true}]', "a chat log"),
        ("preset.json", b'{"temperature": 1, "top_p": 0.5}', "a preset"),
        ("cut.json", b'{"entries": {', "not JSON"),
        ("picture.png", png(), "a picture without a lorebook"),
    ],
)
def test_what_is_no_lorebook_is_refused_by_what_it_is(name: str, content: bytes, said: str) -> None:
    with pytest.raises(LorebookError) as raised:
        read_book_file(name, content)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_picture_of_novelai_is_a_book() -> None:
    book = {"lorebookVersion": 4, "entries": [{"text": "Grey.", "keys": ["harbour"]}]}
    data = chunk(b"tEXt", b"naidata\0" + base64.b64encode(json.dumps(book).encode()))
    found = read_book_file("book.png", png(data))
    assert found.preview.kind == BookKind.NOVELAI.value
    assert found.content.startswith(b"\x89PNG")


def test_the_preview_says_what_is_not_used() -> None:
    entries: list[dict[str, Any]] = [
        {"uid": 0, "key": ["a"], "content": "12345678"},
        {"uid": 1, "key": [], "content": "no way to it"},
        {"uid": 2, "key": ["b"], "content": " "},
        {"uid": 3, "key": ["c"], "content": "x", "disable": True},
        {"uid": 4, "key": [], "content": "1234", "constant": True},
        {"uid": 5, "key": ["d"], "content": "m", "vectorized": True},
        {"uid": 6, "key": ["/a{100000}/"], "content": "y"},
    ]
    preview = read_book_file("x.json", world_info(*entries)).preview
    assert (preview.entries, preview.disabled, preview.constant) == (7, 1, 1)
    assert preview.constant_tokens == 1
    assert [" ".join(warning.split()[:3]) for warning in preview.warnings] == [
        "1 entry found", "1 entry without", "1 entry without", "The key «/a{100000}/»",
    ]  # fmt: skip


def test_a_name_that_shows_nothing_is_none() -> None:
    assert book_name("\u200b", "\u200b.json") == "Lorebook"
    assert book_name("a\u202eb: c", "x") == checked_book_name(" a\u202eb:  c ") == "ab: c"
    for name in ("", " \n", "\u200b", "a\x00", "x" * (BOOK_NAME_CHARACTERS + 1)):
        with pytest.raises(LorebookError):
            checked_book_name(name)


@given(st.text(max_size=300), st.text(max_size=60))
def test_every_book_gets_a_name_that_can_be_typed_again(wanted: str, file_name: str) -> None:
    name = book_name(wanted, file_name)
    assert checked_book_name(name) == name
