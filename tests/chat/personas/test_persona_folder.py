"""The owner's folder as it is changed: nothing written over, nothing lost, nothing half written."""

import os
import threading
from pathlib import Path

import pytest
from making_cards import (
    archive,
    as_json,
    card_chunk,
    picture_bytes,
    png,
    shared_cards,
    text_chunk,
    v2,
    v3,
)

from bot.chat.persona import NAME_CHARACTERS, Persona
from bot.chat.personas.cards.reading import read_card
from bot.chat.personas.cards.writing import Format
from bot.chat.personas.files import read_card_file
from bot.chat.personas.folder import NameTaken, PersonaChanged, PersonaFolder, Written
from bot.chat.personas.library import FALLBACK, PersonaLibrary
from bot.errors import CaduceusError, NotFound, PersonaError

NOW = 1_700_000_000


@pytest.fixture
def folder(tmp_path: Path) -> PersonaFolder:
    (tmp_path / "personas").mkdir()
    return PersonaFolder(PersonaLibrary(tmp_path / "personas"), clock=lambda: NOW)


def taken(folder: PersonaFolder, content: bytes, **options: object) -> Written:
    return folder.take(read_card(content, "x"), content, **options)  # type: ignore[arg-type]


def files(folder: PersonaFolder) -> list[str]:
    return sorted(os.listdir(folder.library.folder))


def test_many_at_once_take_each_a_file_of_their_own(folder: PersonaFolder) -> None:
    """Two programs on one folder, which know nothing of each other."""
    others = [PersonaFolder(PersonaLibrary(folder.library.folder)) for _ in range(4)]
    start = threading.Barrier(len(others))
    done: list[Path] = []

    def make(one: PersonaFolder, number: int) -> None:
        start.wait()
        done.append(one.create({"name": f"N/{number}"}).path)

    threads = [
        threading.Thread(target=make, args=pair) for pair in zip(others, "?*<>", strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(done)) == 4
    assert len(files(folder)) == 4
    assert {read_card_file(path).persona.name for path in done} == {"N/?", "N/*", "N/<", "N/>"}


def test_a_v3_card_in_a_picture_keeps_both_its_sides_and_other_texts(
    folder: PersonaFolder,
) -> None:
    before = taken(
        folder,
        png(
            text_chunk("Comment", b"mine"),
            card_chunk("chara", v2(name="Nova")),
            card_chunk("ccv3", v3(x=[1], modification_date=5)),
        ),
    )
    after = folder.edit(before.persona.id, {"scenario": "Fog."}, before.persona.version)
    assert after.persona.id == before.persona.id
    content = after.path.read_bytes()
    assert content.count(b"chara\0") == content.count(b"ccv3\0") == 1
    assert b"Comment\0mine" in content
    document = v3(x=[1], modification_date=NOW, scenario="Fog.")
    assert read_card(content, "x").document == document


def test_an_edit_that_changes_nothing_writes_nothing(folder: PersonaFolder) -> None:
    content = b'{"name":"Mira" ,  "description":"d"}'
    written = taken(folder, content)
    folder.edit(written.persona.id, {"description": "d"}, written.persona.version)
    assert written.path.read_bytes() == content


def test_an_edit_of_what_was_not_seen_is_refused(folder: PersonaFolder) -> None:
    written = taken(folder, as_json(v2(name="Mira")))
    newer = as_json(v2(name="Mira", description="newer"))
    written.path.write_bytes(newer)
    with pytest.raises(PersonaChanged, match="changed since"):
        folder.edit(written.persona.id, {"scenario": "s"}, written.persona.version)
    assert written.path.read_bytes() == newer


def test_a_name_that_another_has_is_not_taken_by_an_edit(folder: PersonaFolder) -> None:
    taken(folder, as_json(v2(name="Mira")))
    nova = taken(folder, as_json(v3()))
    with pytest.raises(NameTaken) as refused:
        folder.edit(nova.persona.id, {"name": "MIRA"}, nova.persona.version)
    assert refused.value.free_name == "MIRA (2)"
    renamed = folder.edit(nova.persona.id, {"name": "nova"}, nova.persona.version)
    assert (renamed.persona.name, renamed.path) == ("nova", nova.path)


def test_a_kind_that_is_never_written_stays_beside_its_edit(folder: PersonaFolder) -> None:
    content = archive({"manifest.json": b'{"characters": ["c"]}', "c": b'{"name": "Bya"}'})
    written = taken(folder, content)
    (folder.library.folder / "Bya.byaf.original").write_bytes(b"older")
    edited = folder.edit(written.persona.id, {"scenario": "s"}, written.persona.version)
    assert edited.persona.id == written.persona.id
    assert edited.original is not None
    assert edited.original.read_bytes() == content
    assert files(folder) == ["Bya.byaf.original", "Bya.byaf.original-2", "Bya.charx"]


def test_another_file_is_never_written_over_by_an_edit(folder: PersonaFolder) -> None:
    written = taken(folder, b"name: Yam\ncontext: c\n")
    (folder.library.folder / "Yam.json").write_bytes(b"somebody's")
    with pytest.raises(PersonaError, match="in the way"):
        folder.edit(written.persona.id, {"scenario": "s"}, written.persona.version)
    assert (folder.library.folder / "Yam.json").read_bytes() == b"somebody's"
    assert written.path.exists()


def test_a_link_within_the_folder_stays_a_link(folder: PersonaFolder) -> None:
    place = folder.library.folder
    (place / "deep").mkdir()
    (place / "deep" / "a.json").write_bytes(as_json(v2(name="Mira")))
    (place / "b.json").symlink_to(place / "deep" / "a.json")
    folder.library.load()
    persona = folder.library.held("file:b")
    assert persona is not None
    folder.edit("file:b", {"scenario": "s"}, persona.version)
    assert (place / "b.json").is_symlink()
    assert read_card_file(place / "deep" / "a.json").persona.scenario == "s"


def test_a_disk_that_is_full_leaves_the_file_as_it_was(
    folder: PersonaFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = taken(folder, as_json(v2(name="Mira")))
    before = written.path.read_bytes()

    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PersonaError, match="No space left"):
        folder.edit(written.persona.id, {"scenario": "s"}, written.persona.version)
    with pytest.raises(PersonaError, match="No space left"):
        folder.create({"name": "Zoe"})
    assert files(folder) == ["Mira.json"]
    assert written.path.read_bytes() == before


def test_free_names_are_names(folder: PersonaFolder) -> None:
    long = "x" * NAME_CHARACTERS
    folder.create({"name": long})
    free = folder.free_name(long)
    assert len(free) == NAME_CHARACTERS
    assert free.endswith(" (2)")
    folder.create({"name": "\N{FACE WITH TEARS OF JOY}" * NAME_CHARACTERS})


def test_what_is_not_there_is_named(folder: PersonaFolder) -> None:
    for call in (
        lambda: folder.card("file:nobody"),
        lambda: folder.edit("file:nobody", {}, ""),
        lambda: folder.edit(FALLBACK.id, {"scenario": "s"}, FALLBACK.version),
    ):
        with pytest.raises(NotFound):
            call()
    assert folder.export(FALLBACK.id, Format.V2).file_name == "Caduceus.json"


@pytest.mark.skipif(shared_cards() is None, reason="no real cards are here")
def test_real_cards_are_edited_without_loss(folder: PersonaFolder) -> None:
    for path in sorted((shared_cards() or Path()).glob("*/*")):
        content = path.read_bytes()
        try:
            card = read_card(content, path.name)
        except CaduceusError:
            continue
        if len(content) > 1_000_000:
            continue  # minutes of pictures
        written = folder.take(card, content, name=folder.free_name(card.persona.name))
        after = folder.edit(written.persona.id, {"scenario": "S"}, written.persona.version)
        expected = written.persona.model_copy(update={"scenario": "S"})
        assert after.persona == expected, path
        assert Persona(**dict(folder.card(after.persona.id).persona)).version == (
            after.persona.version
        ), path


CHARX = archive(
    {
        "card.json": as_json(
            v3(name="P", assets=[{"type": "icon", "uri": "embeded://i.png", "name": "main"}])
        ),
        "i.png": picture_bytes((7, 7)),
    }
)


@pytest.mark.parametrize(
    ("content", "pictured", "bare"),
    [
        (b'# Keep me.\nname = "P"\nsummary = "s"\n', "P.png", "P.json"),
        (as_json(v2(name="P", extensions={"x": [1]})), "P.png", "P.json"),
        (png(card_chunk("chara", v2(name="P")), text_chunk("a", b"b")), "P.png", "P.json"),
        (CHARX, "P.charx", "P.charx"),
    ],
    ids=["toml", "json", "png", "charx"],
)
def test_a_picture_is_set_and_removed_in_the_kind_of_file_that_holds_one(
    folder: PersonaFolder, content: bytes, pictured: str, bare: str
) -> None:
    before = taken(folder, content)
    card = read_card_file(before.path)
    jpeg = picture_bytes((30, 50), "JPEG", comment=b"secret place")
    done = folder.set_picture(before.persona.id, jpeg, before.persona.version)
    assert (done.path.name, done.persona) == (pictured, before.persona)
    with_one = read_card_file(done.path)
    assert with_one.document.keys() >= card.document.keys()
    assert with_one.chunks == card.chunks
    assert with_one.picture is not None
    assert b"secret" not in done.path.read_bytes()
    if done.original is not None:
        assert done.original.read_bytes() == content
    done = folder.set_picture(before.persona.id, None, before.persona.version)
    assert (done.path.name, done.persona) == (bare, before.persona)
    assert read_card_file(done.path).picture is None
    assert folder.set_picture(before.persona.id, None, before.persona.version).original is None


def test_a_picture_that_cannot_be_shown_or_comes_too_late_changes_no_file(
    folder: PersonaFolder,
) -> None:
    made = taken(folder, as_json(v2(name="P"))).persona
    with pytest.raises(PersonaError, match="not a picture"):
        folder.set_picture(made.id, b"hello", made.version)
    with pytest.raises(PersonaChanged):
        folder.set_picture(made.id, picture_bytes(), "another")
    with pytest.raises(NotFound):
        folder.set_picture(FALLBACK.id, picture_bytes(), FALLBACK.version)
    assert files(folder) == ["P.json"]
