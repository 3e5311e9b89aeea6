"""A lorebook goes out as it came; what is edited changes, and nothing else does."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.chat.personas.lore.book import BookKind, Lorebook, LoreEntry, Position
from bot.chat.personas.lore.character_book import write_character_book
from bot.chat.personas.lore.reading import book_in_card, lorebook_of, read_lorebook
from bot.chat.personas.lore.writing import BookFormat, document_of, own_format, write_lorebook
from bot.errors import LorebookError

FORMATS: tuple[BookFormat, ...] = ("v3", "world_info")


def cards() -> Path | None:
    """The folder of real cards and lorebooks, where this machine has it."""
    found = (parent / "shared" / "cards" for parent in Path(__file__).resolve().parents)
    return next((folder for folder in found if folder.is_dir()), None)


def real_files() -> list[Path]:
    folder = cards()
    return sorted(folder.rglob("*.*")) if folder else []


def plain(book: Lorebook) -> list[LoreEntry]:
    return [replace(entry, extensions={}, raw={}) for entry in book.entries]


def again(book: Lorebook, book_format: BookFormat) -> Lorebook:
    return read_lorebook("again.json", write_lorebook(book, book_format))


@pytest.mark.parametrize("path", real_files(), ids=lambda path: path.name)
def test_real_books_go_out_as_they_came(path: Path) -> None:
    content = path.read_bytes()
    try:
        book = read_lorebook(path.name, content)
    except LorebookError as error:
        assert path.parent.name not in ("st_world", "novelai") or path.name == "tk_invalid.json"
        assert "\n" not in str(error)
        return
    own = own_format(book)
    if own is not None:
        assert list(json.loads(write_lorebook(book, own)).items()) == list(
            json.loads(content).items()
        )
    for book_format in FORMATS:
        kept = again(book, book_format)
        assert [(entry.keys, entry.content) for entry in kept.entries] == [
            (entry.keys, entry.content) for entry in book.entries
        ]
        if own is not None:
            assert plain(kept) == plain(book)


def card_books() -> list[tuple[str, dict[str, Any]]]:
    """The books inside of the real cards that are plain JSON."""
    found: list[tuple[str, dict[str, Any]]] = []
    for path in real_files():
        if path.suffix == ".json" and path.name != "tk_invalid.json":
            data = json.loads(path.read_bytes()).get("data")
            if isinstance(data, dict) and data.get("character_book"):
                found.append((path.name, data["character_book"]))
    return found


@pytest.mark.parametrize(("name", "document"), card_books())
def test_books_inside_of_real_cards(name: str, document: dict[str, Any]) -> None:
    book = book_in_card(name, document)
    assert len(book.entries) == len(document["entries"])
    assert json.dumps(write_character_book(book)) == json.dumps(document)
    assert plain(again(book, "world_info")) == plain(book)


def world(**entry: Any) -> dict[str, Any]:
    return {
        "entries": {"7": {"uid": 7, "key": ["a"], "content": "x", "odd": [1, None], "order": 3}
                    | entry},
        "odd": {"z": 1, "a": 2},
    }  # fmt: skip


def v3(**entry: Any) -> dict[str, Any]:
    return {
        "spec": "lorebook_v3",
        "data": {
            "entries": [
                {"keys": ["a"], "content": "x", "extensions": {"odd/one": {"b": 1}}, "odd": 1.5,
                 "enabled": True, "insertion_order": 3, "use_regex": False, "id": "n", **entry}
            ],
            "extensions": {"odd/two": None},
            "odd": "é\ud800",
        },
    }  # fmt: skip


@pytest.mark.parametrize("document", [world(), v3(), v3(position="after_char_defs")])
def test_unknown_keys_and_their_order_are_kept(document: dict[str, Any]) -> None:
    book = lorebook_of("b", document)
    own = own_format(book)
    assert own is not None
    assert json.dumps(json.loads(write_lorebook(book, own))) == json.dumps(document)


def test_what_is_no_entry_is_kept_where_it_stands() -> None:
    document = {"entries": [{"keys": ["a"], "content": "x"}, None, 3]}
    assert write_character_book(lorebook_of("b", document)) == document


def test_only_what_was_edited_changes() -> None:
    book = lorebook_of("b", world())
    (entry,) = book.entries
    edited = replace(book, entries=(replace(entry, content="y", sticky=2, enabled=False),))
    document = document_of(edited, "world_info")
    assert document["odd"] == {"z": 1, "a": 2}
    assert document["entries"] == {
        "7": {"uid": 7, "key": ["a"], "content": "y", "odd": [1, None], "order": 3, "sticky": 2,
              "disable": True}
    }  # fmt: skip


def test_edits_of_a_card_s_book_stand_where_the_field_stood() -> None:
    book = lorebook_of("b", v3(position="before_char"))
    (entry,) = book.entries
    edited = replace(entry, position=Position.AFTER_PERSONA, case_sensitive=True)
    document: Any = document_of(replace(book, entries=(edited,)), "v3")
    written = document["data"]["entries"][0]
    assert (written["position"], written["odd"]) == ("after_char", 1.5)
    assert again(replace(book, entries=(edited,)), "v3").entries == (edited,)
    deep = replace(entry, position=Position.AT_DEPTH, depth=2)
    assert again(replace(book, entries=(deep,)), "v3").entries == (deep,)


def test_entries_are_added_and_deleted() -> None:
    book = lorebook_of("b", world())
    new = LoreEntry("new", keys=("b",), content="z")
    both: Any = document_of(replace(book, entries=(*book.entries, new)), "world_info")
    assert list(both["entries"]) == ["7", "0"]
    assert both["entries"]["0"]["key"] == ["b"]
    assert document_of(replace(book, entries=()), "world_info")["entries"] == {}


def test_what_the_other_format_lacks_comes_back() -> None:
    book = lorebook_of("b", world(addMemo=True, characterFilter={"names": ["Ada"], "tags": []}))
    back: Any = document_of(again(book, "v3"), "world_info")
    (entry,) = back["entries"].values()
    assert entry["odd"] == [1, None]
    assert entry["addMemo"] is True
    assert entry["characterFilter"] == {"names": ["Ada"], "tags": []}
    assert back["odd"] == {"z": 1, "a": 2}
    card = lorebook_of("b", v3(priority=4, name="N"))
    forth: Any = document_of(again(card, "world_info"), "v3")
    (entry,) = forth["data"]["entries"]
    assert (entry["odd"], entry["priority"], entry["name"]) == (1.5, 4, "N")
    assert entry["extensions"]["odd/one"] == {"b": 1}
    assert forth["data"]["odd"] == "é\ud800"


def test_a_v2_book_becomes_a_v3_file_with_all_that_v3_demands() -> None:
    book = lorebook_of("b", {"name": "N", "entries": [{"keys": ["a"], "content": "x"}]})
    document: Any = document_of(book, "v3")
    demanded = {"keys", "content", "extensions", "enabled", "insertion_order", "use_regex"}
    assert demanded <= document["data"]["entries"][0].keys()
    assert document["data"]["extensions"] == {}


def test_a_book_made_here_goes_out_in_both() -> None:
    entry = LoreEntry(
        "0", ("a",), "x", comment="c", order=5, sticky=2, position=Position.AT_DEPTH, role="bot"
    )
    book = Lorebook(BookKind.WORLD_INFO, "N", scan_depth=3, recursive=False, entries=(entry,))
    written: Any = document_of(book, "world_info")
    assert (written["entries"]["0"]["sticky"], written["entries"]["0"]["delay"]) == (2, None)
    for book_format in FORMATS:
        kept = again(book, book_format)
        assert plain(kept) == plain(book)
        assert (kept.name, kept.scan_depth, kept.recursive) == ("N", 3, False)


def test_a_foreign_entry_is_kept_whole_beside_its_fields() -> None:
    raw = {"text": "T", "keys": ["k"], "loreBiasGroups": [{"bias": 0}], "displayName": "D"}
    book = lorebook_of("b", {"lorebookVersion": 4, "entries": [raw], "settings": {"x": 1}})
    for book_format in FORMATS:
        kept = again(book, book_format)
        assert kept.entries[0].extensions == {"caduceus": {"novelai": raw}}
        assert kept.extensions["caduceus"] == {
            "novelai": {"lorebookVersion": 4, "settings": {"x": 1}}
        }


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 999) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
names = st.sampled_from(
    ["key", "keys", "content", "uid", "id", "position", "role", "order", "extensions", "comment",
     "enabled", "disable", "selectiveLogic", "characterFilter", "odd", "sticky", "probability",
     "delayUntilRecursion", "insertion_order", "constant", "case_sensitive"]
)  # fmt: skip
raw_entries = st.dictionaries(names, json_values, max_size=8)


@given(st.dictionaries(st.text(max_size=3), raw_entries, max_size=3), json_values)
def test_any_world_info_is_the_same_in_and_out(slots: dict[str, Any], odd: object) -> None:
    document = {"odd": odd, "entries": slots}
    book = lorebook_of("b", json.loads(json.dumps(document)))
    assert json.dumps(document_of(book, "world_info")) == json.dumps(document)


@given(st.lists(raw_entries, max_size=3), json_values)
def test_any_v3_book_is_the_same_in_and_out(listed: list[Any], odd: object) -> None:
    data = {"odd": odd, "entries": listed}
    document = {"spec": "lorebook_v3", "data": data, "spec_version": "3.0", "odd": odd}
    book = lorebook_of("b", json.loads(json.dumps(document)))
    assert json.dumps(document_of(book, "v3")) == json.dumps(document)


@given(
    st.dictionaries(st.text(max_size=3), raw_entries, max_size=3),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9),
)
def test_an_edit_is_all_that_changes(slots: dict[str, Any], content: str) -> None:
    book = lorebook_of("b", {"entries": slots})
    edited = replace(book, entries=tuple(replace(e, content=content) for e in book.entries))
    written: Any = document_of(edited, "world_info")
    for slot, raw in slots.items():
        rest = {key: value for key, value in written["entries"][slot].items() if key != "content"}
        assert rest == {key: value for key, value in raw.items() if key != "content"}
    assert [entry.content for entry in lorebook_of("b", written).entries] == [content] * len(slots)
