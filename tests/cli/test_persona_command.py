"""`python -m bot persona list|show|check`."""

import argparse
from pathlib import Path
from types import SimpleNamespace

import pytest

from bot.cli.persona import add_arguments, run
from bot.errors import NotFound, PersonaError

SHIPPED = Path(__file__).parents[2] / "personas"


def command(*words: str, folder: Path = SHIPPED) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run(parser.parse_args(words), SimpleNamespace(personas_dir=folder))


def test_list_names_every_persona_and_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Caduceus (default): The bot itself")
    assert [line.split(":")[0] for line in lines[1:]] == ["Mira Solenne", "Quill"]


def test_list_says_which_files_cannot_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.toml").write_text('name = "A"\ndescription = "First line.\\nMore."')
    (tmp_path / "b.toml").write_text("x")
    assert command("list", folder=tmp_path) == 2
    output = capsys.readouterr()
    assert output.out == "A: First line.\n"
    assert "b.toml, line 1" in output.err


def test_show_tells_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("show", "QUILL") == 0
    output = capsys.readouterr().out
    for heading in ("description", "personality", "scenario", "greeting", "example dialogue"):
        assert f"[{heading}]" in output


def test_show_of_nobody_says_who_there_is() -> None:
    with pytest.raises(NotFound, match=r"«nix».*Caduceus, Mira Solenne, Quill"):
        command("show", "nix")


def test_check_says_what_a_file_has_or_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("check", str(SHIPPED / "mira.toml")) == 0
    assert "«Mira Solenne» can be used. It has: description" in capsys.readouterr().out
    broken = tmp_path / "card.json"
    broken.write_text('{"char_name": "A"\n"description": "x"}')
    with pytest.raises(PersonaError, match=r"card\.json, line 2: expected a comma"):
        command("check", str(broken))


@pytest.mark.parametrize("name", ["mira", "MIRA", "file:mira", "Mira Solenne", "mira  s"])
def test_show_takes_a_name_its_beginning_or_the_files(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("show", name) == 0
    assert capsys.readouterr().out.startswith("Mira Solenne\n")


def test_a_beginning_that_several_names_have_is_nobodys(tmp_path: Path) -> None:
    for file, name in (("x", "Ada One"), ("y", "Ada Two")):
        (tmp_path / f"{file}.toml").write_text(f'name = "{name}"')
    with pytest.raises(NotFound, match="Ada One, Ada Two"):
        command("show", "ada", folder=tmp_path)


def test_every_file_is_checked_and_the_last_fault_ends_the_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in ("a.toml", "c.toml"):
        (tmp_path / file).write_text("x")
    (tmp_path / "b.toml").write_text('name = "B"')
    with pytest.raises(PersonaError, match=r"c\.toml, line 1"):
        command("check", *(str(tmp_path / file) for file in ("a.toml", "b.toml", "c.toml")))
    output = capsys.readouterr()
    assert "«B» can be used" in output.out
    assert output.err.startswith("a.toml, line 1: ")
    with pytest.raises(PersonaError, match=r"a\.toml, line 1"):
        command("check", str(tmp_path / "a.toml"), str(tmp_path / "b.toml"))
    output = capsys.readouterr()
    assert "«B» can be used" in output.out
    assert not output.err


def test_a_fault_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "b.toml").write_text("x")
    command("list", folder=tmp_path)
    assert capsys.readouterr().err.count("b.toml") == 1
    assert not caplog.records


def test_what_is_no_persona_at_all_is_named(tmp_path: Path) -> None:
    with pytest.raises(PersonaError, match="is a folder without persona files"):
        command("check", str(tmp_path))
