"""`python -m bot persona import|export|check`: cards into the folder and out of it."""

import argparse
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from making_cards import archive, as_json, card_chunk, png, v2, v3

from bot.chat.personas.files import read_card_file
from bot.cli.persona import add_arguments, run
from bot.errors import NotFound, PersonaError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "personas"
    path.mkdir()
    return path


def command(folder: Path, *words: object) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run(
        parser.parse_args([str(word) for word in words]), SimpleNamespace(personas_dir=folder)
    )


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def given(tmp_path: Path, name: str, content: bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def test_an_import_shows_the_card_and_puts_it_in_as_it_came(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = png(card_chunk("chara", v2(
        description="d" * 1_234, first_mes="hi", alternate_greetings=["a"], creator_notes="Enjoy!",
        character_book={"entries": [{"keys": ["k"]}]}, extensions={"regex_scripts": [1]},
    )))  # fmt: skip
    assert command(folder, "import", given(tmp_path, "x.bin", content)) == 0
    said = capsys.readouterr().out
    for part in (
        "«Mira»", "V2", "picture: yes", "greetings: 2", "lore entries: 1", "Mira.png",
        "description: 1,234 characters, about 309 tokens",
        "in every prompt: about 309 tokens", "notes: Enjoy!", "! Its scripts",
    ):  # fmt: skip
        assert part in said
    assert (folder / "Mira.png").read_bytes() == content
    assert command(folder, "show", "mira") == 0


@pytest.mark.parametrize(
    ("content", "file"),
    [
        (as_json(v3()), "Nova.json"),
        (archive({"card.json": as_json(v3())}), "Nova.charx"),
        (b"name: Yam\ncontext: c\n", "Yam.yaml"),
        (as_json({"name": "Yam", "context": "c"}), "Yam.json"),
        (b'name = "../Tom"\n', "_Tom.toml"),
        (archive({"manifest.json": b'{"characters": ["c"]}', "c": b'{"name": "B"}'}), "B.byaf"),
    ],
)
def test_a_file_is_named_by_its_persona_and_its_kind(
    tmp_path: Path, folder: Path, content: bytes, file: str
) -> None:
    assert command(folder, "import", given(tmp_path, "x", content)) == 0
    assert files(folder) == [file]
    assert command(folder, "check", folder) == 0


@pytest.mark.parametrize(
    "content",
    [
        as_json(v2(x=1)), as_json({"char_name": "Mira", "x": 1}), b'name = "Mira"\n',
        png(card_chunk("ccv3", v3(name="Mira", x=1))), b"name: Mira\ngreeting: x\n",
        archive({"card.json": as_json(v3(name="Mira", x=1))}),
        archive({"manifest.json": b'{"characters": ["c"]}', "c": b'{"name": "Mira"}'}),
    ],
)  # fmt: skip
def test_a_taken_name_is_not_overwritten_but_renamed_or_replaced_when_told(
    tmp_path: Path, folder: Path, content: bytes
) -> None:
    (folder / "old.toml").write_text('name = "mira"\ndescription = "old"')
    path = given(tmp_path, "x", content)
    with pytest.raises(PersonaError, match=r"«mira» already.*--name 'Mira \(2\)'.*--replace"):
        command(folder, "import", path)
    assert files(folder) == ["old.toml"]
    assert command(folder, "import", path, "--name", "Other One") == 0
    [new] = [name for name in files(folder) if name != "old.toml"]
    renamed, before = read_card_file(folder / new), read_card_file(path)
    assert renamed.persona == before.persona.model_copy(update={"name": "Other One"})
    assert renamed.data.get("x") == before.data.get("x")
    assert renamed.document.get("x") == before.document.get("x")
    assert (renamed.picture is None) == (before.picture is None)
    assert command(folder, "import", path, "--replace") == 0
    assert [Path(name).stem for name in files(folder)] == ["Other One", "old"]
    assert read_card_file(folder / files(folder)[1]).persona == before.persona


def test_a_new_persona_takes_no_other_files_place(tmp_path: Path, folder: Path) -> None:
    (folder / "Nova.toml").write_text('name = "Somebody else"')
    (folder / "nova (2).json").write_text("broken")
    assert command(folder, "import", given(tmp_path, "x", as_json(v3()))) == 0
    assert files(folder) == ["Nova (3).json", "Nova.toml", "nova (2).json"]


@pytest.mark.parametrize("name", ["file:mira", "", "a\nb"])
def test_a_name_that_nobody_could_call_is_not_given(
    tmp_path: Path, folder: Path, name: str
) -> None:
    with pytest.raises(PersonaError):
        command(folder, "import", given(tmp_path, "x", as_json(v3())), "--name", name)
    assert files(folder) == []


def test_a_lorebook_is_not_imported(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(PersonaError, match=r"World Info.*/lore import"):
        command(folder, "import", given(tmp_path, "x", b'{"name": "B", "entries": {}}'))
    assert files(folder) == []


@pytest.mark.parametrize("format", ["toml", "v1", "v2", "v3", "png", "charx"])
def test_a_persona_is_exported_in_every_format(
    tmp_path: Path, folder: Path, format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "n.png").write_bytes(png(card_chunk("ccv3", v3(description="d", x=1))))
    target = tmp_path / "out"
    assert command(folder, "export", "nova", format, target) == 0
    assert read_card_file(target).persona == read_card_file(folder / "n.png").persona
    assert ("The picture is not in it" in capsys.readouterr().out) == (
        format not in ("png", "charx")
    )
    with pytest.raises(PersonaError, match="exists already"):
        command(folder, "export", "nova", format, target)
    assert command(folder, "export", "file:n", format, target, "--replace") == 0
    assert command(folder, "export", "nova", format, folder.parent) == 0
    assert any(path.name.startswith("Nova.") for path in folder.parent.iterdir())


def test_an_export_goes_into_the_present_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (folder / "n.json").write_bytes(as_json(v2(x=[1])))
    assert command(folder, "export", "mira", "v2") == 0
    assert json.loads((tmp_path / "Mira.json").read_bytes()) == v2(x=[1])
    with pytest.raises(NotFound, match="There are: Mira"):
        command(folder, "export", "nobody", "v2")


def test_every_file_of_a_folder_is_checked(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "a.json").write_bytes(as_json(v2(name="Clyde")))
    (folder / "b.json").write_bytes(b'{"entries": {}, "name": "B"}')
    (folder / "c.png").write_bytes(b"x")
    (folder / "d.charx").write_bytes(archive({"card.json": as_json(v3())}))
    with pytest.raises(PersonaError, match=r"c\.png is not a persona file"):
        command(folder, "check", folder)
    output = capsys.readouterr()
    assert "«Clyde» can be used" in output.out
    assert "! Discord refuses the name «Clyde»" in output.out
    assert "«Nova» can be used" in output.out
    assert "b.json is a lorebook of SillyTavern" in output.err
    assert command(folder, "list") == 2


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, folder: Path) -> None:
    path = given(tmp_path, "x", as_json(v3()))
    with pytest.raises(PersonaError, match="cannot be written"):
        command(path, "import", path)


def test_a_picture_that_cannot_be_shown_is_named(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = png(card_chunk("chara", v2())).replace(b"IDAT", b"IDAX")
    assert command(folder, "import", given(tmp_path, "x", content)) == 0
    assert command(folder, "check", folder) == 0
    assert capsys.readouterr().out.count("picture is broken") == 2
