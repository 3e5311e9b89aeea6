"""The persona folder is read again when it changes, and a broken edit breaks nothing."""

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from making_cards import archive, as_json, card_chunk, png, v2, v3

from bot.chat.persona import Persona, PersonaText
from bot.chat.personas import library as module
from bot.chat.personas.library import FALLBACK, PersonaLibrary
from bot.errors import PersonaError

SHIPPED = Path(__file__).parents[3] / "personas"


class Folder:
    """A folder of personas whose every write is a change for certain."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._time = 1_700_000_000

    def write(self, file: str, content: str) -> None:
        self._time += 1
        draft = self.path / f".{file}"
        draft.write_text(content)
        os.utime(draft, (self._time, self._time))
        draft.replace(self.path / file)

    def persona(self, file: str, name: str, description: str = "") -> None:
        self.write(file, f'name = "{name}"\ndescription = "{description}"\n')


def refuse(path: Path) -> PersonaText:
    raise PersonaError(f"{path.name} cannot be read: Permission denied.")


async def names_of(library: PersonaLibrary) -> list[str]:
    return [persona.name for persona in await library.listed(None)]


def names(library: PersonaLibrary) -> list[str]:
    return asyncio.run(names_of(library))


def found_by(library: PersonaLibrary, reference: str) -> Persona | None:
    return asyncio.run(library.find(None, reference))


def default_of(library: PersonaLibrary) -> Persona:
    return asyncio.run(library.default())


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    path = tmp_path / "personas"
    path.mkdir()
    return Folder(path)


def test_names_are_sorted_and_found_whatever_the_case(folder: Folder) -> None:
    folder.persona("z.toml", "alpha")
    folder.persona("a.toml", "Zoë Möller")
    folder.write("b.json", '{"char_name": "Mira"}')
    folder.write("notes.md", "not one")
    folder.write(".hidden.toml", "not one")
    library = PersonaLibrary(folder.path)
    assert names(library) == ["alpha", "Mira", "Zoë Möller"]
    assert library.problems() == {}
    for name in ("MIRA", " mira ", "ｍira"):  # noqa: RUF001
        found = found_by(library, name)
        assert found is not None
        assert found.name == "Mira"
    assert found_by(library, "nobody") is None


def test_the_shipped_default_speaks_as_the_bot_itself() -> None:
    library = PersonaLibrary(SHIPPED)
    assert default_of(library).name == "Caduceus"
    assert default_of(library) is found_by(library, "caduceus")
    assert library.problems() == {}


def test_without_the_defaults_file_a_built_in_one_speaks(folder: Folder) -> None:
    folder.persona("a.toml", "Mira")
    assert default_of(PersonaLibrary(folder.path)) is FALLBACK
    assert default_of(PersonaLibrary(folder.path, default="mira")).name == "Mira"


def test_the_built_in_one_has_an_id_of_its_own_but_cannot_be_chosen(folder: Folder) -> None:
    library = PersonaLibrary(folder.path)
    assert found_by(library, FALLBACK.id) is FALLBACK
    assert names(library) == []
    assert found_by(library, FALLBACK.name) is None


def test_an_id_is_the_files_and_outlasts_edits_and_new_names(folder: Folder) -> None:
    folder.persona("Mira.toml", "Mira", "old")
    library = PersonaLibrary(folder.path)
    before = found_by(library, "mira")
    assert before is not None
    assert (before.id, before.guild_id) == ("file:Mira", None)
    folder.persona("Mira.toml", "Miranda", "old")
    assert library.load()
    renamed = found_by(library, "FILE:mira")
    assert renamed is not None
    assert (renamed.id, renamed.name) == (before.id, "Miranda")
    assert renamed.version != before.version
    folder.persona("Mira.toml", "Mira", "old")
    assert library.load()
    assert found_by(library, before.id) == before
    assert found_by(library, before.id).version == before.version  # type: ignore[union-attr]


def test_the_default_stays_the_default_under_another_name(folder: Folder) -> None:
    folder.persona("caduceus.toml", "Hermes")
    library = PersonaLibrary(folder.path)
    assert default_of(library).name == "Hermes"
    (folder.path / "caduceus.toml").unlink()
    folder.persona("other.toml", "Caduceus")
    library.load()
    assert default_of(library).id == "file:other"


def test_an_id_goes_before_a_name(folder: Folder) -> None:
    folder.persona("a.toml", "file:b")
    folder.persona("b.toml", "Mira")
    found = found_by(PersonaLibrary(folder.path), "file:b")
    assert found is not None
    assert found.name == "Mira"


def test_of_two_files_that_differ_in_their_ending_alone_the_first_counts(folder: Folder) -> None:
    folder.write("mira.json", '{"name": "Mira"}')
    folder.persona("mira.toml", "Miranda")
    library = PersonaLibrary(folder.path)
    assert names(library) == ["Mira"]
    assert "left out" in library.problems()["mira.toml"]


def test_a_file_cannot_give_itself_an_id(folder: Folder) -> None:
    folder.write("a.toml", 'name = "Mira"\nid = "file:b"\n')
    assert "no key «id»" in PersonaLibrary(folder.path).problems()["a.toml"]


async def test_an_edit_a_new_file_and_a_deletion_are_seen(folder: Folder) -> None:
    await asyncio.to_thread(folder.persona, "a.toml", "Mira", "old")
    library = await asyncio.to_thread(PersonaLibrary, folder.path)
    assert not await library.refresh()
    await asyncio.to_thread(folder.persona, "a.toml", "Mira", "new")
    await asyncio.to_thread(folder.persona, "b.toml", "Quill")
    assert await library.refresh()
    assert await names_of(library) == ["Mira", "Quill"]
    found = await library.find(None, "mira")
    assert found is not None
    assert found.description == "new"
    await asyncio.to_thread((folder.path / "a.toml").unlink)
    assert await library.refresh()
    assert await names_of(library) == ["Quill"]


def test_a_broken_edit_keeps_the_last_good_version_until_it_is_mended(folder: Folder) -> None:
    folder.persona("a.toml", "Mira", "good")
    library = PersonaLibrary(folder.path)
    folder.write("a.toml", 'name = "Mira\n')
    assert library.load()
    found = found_by(library, "Mira")
    assert found is not None
    assert found.description == "good"
    assert "a.toml, line 1" in library.problems()["a.toml"]
    folder.persona("a.toml", "Mira", "fixed")
    assert library.load()
    assert library.problems() == {}


def test_a_file_that_becomes_readable_is_read(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.persona("a.toml", "Mira")
    with monkeypatch.context() as patch:
        patch.setattr(module, "read_persona", refuse)
        library = PersonaLibrary(folder.path)
        assert names(library) == []
    (folder.path / "a.toml").chmod(0o640)  # leaves the time of the last change alone
    assert library.load()
    assert names(library) == ["Mira"]


def test_a_file_name_that_is_no_text_is_spelled_so_that_it_can_be_sent(folder: Folder) -> None:
    Path(os.fsdecode(os.fsencode(folder.path) + b"/\xff.toml")).write_text("nonsense")
    library = PersonaLibrary(folder.path)
    ((name, problem),) = library.problems().items()
    assert name.encode() == b"\\udcff.toml"
    assert problem.encode().startswith(b"\\udcff.toml, line 1")


def test_a_file_that_never_was_good_is_a_problem_and_nothing_else(folder: Folder) -> None:
    folder.write("a.toml", "nonsense")
    folder.persona("b.toml", "Mira")
    library = PersonaLibrary(folder.path)
    assert names(library) == ["Mira"]
    assert list(library.problems()) == ["a.toml"]


def test_of_two_files_with_one_name_the_first_counts(folder: Folder) -> None:
    folder.persona("b.toml", "MIRA", "second")
    folder.persona("a.toml", "Mira", "first")
    library = PersonaLibrary(folder.path)
    found = found_by(library, "mira")
    assert found is not None
    assert found.description == "first"
    assert "another file has a «Mira» already" in library.problems()["b.toml"]
    assert names(library) == ["Mira"]
    chosen_before = found_by(library, "file:b")
    assert chosen_before is not None
    assert chosen_before.description == "second"


def test_links_may_not_lead_out_of_the_folder(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "secret.toml").write_text('name = "Secret"')
    folder.persona("real.toml", "Mira")
    (folder.path / "out.toml").symlink_to(tmp_path / "secret.toml")
    (folder.path / "loop.toml").symlink_to(folder.path / "loop.toml")
    library = PersonaLibrary(folder.path)
    assert names(library) == ["Mira"]
    assert "leads out of the folder" in library.problems()["out.toml"]
    assert "cannot be read" in library.problems()["loop.toml"]


def test_more_files_than_allowed_are_left_out(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_FILES", 2)
    for name in "abc":
        folder.persona(f"{name}.toml", name)
    library = PersonaLibrary(folder.path)
    assert names(library) == ["a", "b"]
    assert "more than 2 files" in library.problems()["c.toml"]


def test_a_missing_folder_is_a_problem_and_keeps_what_was_read(folder: Folder) -> None:
    folder.persona("a.toml", "Mira")
    library = PersonaLibrary(folder.path)
    folder.path.rename(folder.path.with_name("away"))
    assert library.load()
    assert names(library) == ["Mira"]
    assert any("cannot be read" in problem for problem in library.problems().values())


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Files that the disk does not give, for as long as they are named in the set."""
    names: set[str] = set()
    goes_on = threading.Event()
    read = module.read_persona

    def slow_read(path: Path) -> PersonaText:
        if path.name in names:
            goes_on.wait()
        return read(path)

    monkeypatch.setattr(module, "read_persona", slow_read)
    yield names
    goes_on.set()


def test_a_file_that_the_disk_does_not_give_holds_up_no_other(
    folder: Folder, hanging: set[str]
) -> None:
    for file, name in (("a.toml", "Ada"), ("b.toml", "Bo"), ("c.toml", "Cy")):
        folder.persona(file, name)
    library = PersonaLibrary(folder.path, read_seconds=0.5)
    hanging.add("b.toml")
    for file, name in (("a.toml", "Ada 2"), ("b.toml", "Bo 2"), ("c.toml", "Cy 2")):
        folder.persona(file, name)
    assert library.load()
    assert names(library) == ["Ada 2", "Bo", "Cy 2"]
    assert library.problems() == {"b.toml": "b.toml cannot be read: the disk does not answer."}
    threads = threading.active_count()
    assert not library.load()  # nobody waits for it a second time
    assert threading.active_count() <= threads


def test_when_several_files_hang_the_others_are_not_begun(
    folder: Folder, hanging: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_HANGING", 2)
    for number in range(20):
        folder.persona(f"{number:02}.toml", f"P{number}")
    hanging |= {f"{number:02}.toml" for number in range(20)}
    began = time.monotonic()
    library = PersonaLibrary(folder.path, read_seconds=0.2)
    assert time.monotonic() - began < 2
    assert len(library.problems()) == 20


def test_a_folder_that_the_disk_does_not_list_is_a_problem(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.persona("a.toml", "Ada")
    library = PersonaLibrary(folder.path, read_seconds=0.2)
    goes_on = threading.Event()
    monkeypatch.setattr(Path, "iterdir", lambda _self: goes_on.wait() and iter(()))
    assert library.load()
    assert "the disk does not answer" in library.problems()[str(folder.path)]
    assert names(library) == ["Ada"]
    goes_on.set()


async def test_the_watch_sees_a_change(folder: Folder) -> None:
    changed = asyncio.Event()

    class Watched(PersonaLibrary):
        async def refresh(self) -> bool:
            found = await super().refresh()
            if found:
                changed.set()
            return found

    library = await asyncio.to_thread(Watched, folder.path)
    watching = asyncio.create_task(library.watch(interval_seconds=0.01))
    await asyncio.to_thread(folder.persona, "a.toml", "Mira")
    async with asyncio.timeout(10):
        await changed.wait()
    assert await names_of(library) == ["Mira"]
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching


def test_cards_of_every_kind_in_the_folder_are_personas(folder: Folder) -> None:
    picture = png(card_chunk("chara", v2(alternate_greetings=["hi"])))
    (folder.path / "a.png").write_bytes(picture)
    (folder.path / "b.charx").write_bytes(archive({"card.json": as_json(v3())}))
    folder.write("c.yaml", "name: Yam\ncontext: c\n")
    folder.write("d.json", '{"name": "Book", "entries": {}}')
    library = PersonaLibrary(folder.path)
    assert names(library) == ["Mira", "Nova", "Yam"]
    assert "World Info" in library.problems()["d.json"]
    found = found_by(library, "mira")
    assert found is not None
    assert (found.id, found.alternate_greetings) == ("file:a", ("hi",))
    card = asyncio.run(library.card("FILE:a"))
    assert card is not None
    assert card.picture == png()
    assert library.file_of("file:b") == folder.path / "b.charx"
    assert asyncio.run(library.card("file:nobody")) is None


def test_a_file_that_did_not_change_keeps_its_very_persona(folder: Folder) -> None:
    folder.persona("a.toml", "Mira")
    library = PersonaLibrary(folder.path)
    before = found_by(library, "mira")
    folder.persona("b.toml", "Other")
    assert library.load()
    assert found_by(library, "mira") is before
