"""GGUF files as MODEL and as what `model inspect` looks at: alone, in folders, in parts."""

import os
import sys
from pathlib import Path

import pytest
from gguf_files import llama

from bot.engine.models.inspection import inspect_model
from bot.engine.models.progress import no_progress
from bot.engine.models.source import SourceKind, fetch, identify
from bot.engine.models.suggest.catalogue import named
from bot.errors import ModelError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    llama().write(tmp_path / "tiny.Q4_0.gguf")
    return tmp_path


def test_inspecting_tells_what_it_takes_and_writes_nothing(folder: Path) -> None:
    before = sorted(folder.iterdir())
    found = inspect_model(str(folder / "tiny.Q4_0.gguf"), data_dir=Path("nowhere"))
    assert found.loads
    assert (found.architecture, found.weights, found.license) == ("llama", "GGUF F32", "mit")
    assert (found.context_tokens, found.has_chat_template) == (512, True)
    assert [length for length, _ in found.memory] == [512]  # it has no more
    assert sorted(folder.iterdir()) == before
    demo = inspect_model("demo", data_dir=Path("nowhere"))
    assert [length for length, _ in demo.memory] == [2048, 8192]
    assert 200e6 < demo.memory[0][1] < demo.memory[1][1] < 400e6


def test_a_folder_around_one_file_is_that_file(folder: Path) -> None:
    source = identify(str(folder))
    assert (source.kind, source.name) == (SourceKind.GGUF, "tiny.Q4_0")
    llama().write(folder / "mmproj-tiny.gguf")
    assert identify(str(folder)).gguf == folder / "tiny.Q4_0.gguf"


@pytest.mark.parametrize("name", ["sha256-0123", "model.bin", "model.gguf.1", "MODEL.GGUF"])
def test_a_file_under_another_name_is_known_by_what_is_in_it(name: str, tmp_path: Path) -> None:
    llama().write(tmp_path / name)
    source = identify(str(tmp_path / name))
    assert (source.kind, source.gguf) == (SourceKind.GGUF, tmp_path / name)
    assert inspect_model(str(tmp_path / name), data_dir=Path("nowhere")).loads


def test_a_name_is_shown_without_what_a_terminal_would_obey(tmp_path: Path) -> None:
    llama().write(tmp_path / "a\n\x1b[31mb.gguf")
    assert identify(str(tmp_path / "a\n\x1b[31mb.gguf")).name == "a??[31mb"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are UTF-8")
def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"bad\xff.gguf")
    llama().write(path)
    (problem,) = inspect_model(str(path), data_dir=Path("nowhere")).problems
    assert "not UTF-8. Rename" in problem
    assert problem.isprintable()


def test_a_pickle_is_still_none(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"PK\x03\x04GGUF")
    with pytest.raises(ModelError, match="pickle"):
        identify(str(tmp_path / "model.bin"))


def test_a_file_that_is_not_there_is_called_a_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"There is no file .*other\.gguf\. .*to a file that is"):
        identify(str(tmp_path / "other.gguf"))


@pytest.mark.parametrize("name", ["x" * 300, f"{'x' * 300}.gguf", f"./{'x' * 300}"])
def test_a_name_too_long_for_any_file_is_no_fault_of_ours(name: str) -> None:
    with pytest.raises(ModelError, match="cannot be looked at: File name too long"):
        identify(name)


def test_a_folder_that_is_not_for_us_is_no_fault_of_ours(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_dir", refuse)  # as where a folder on the way is another's
    (problem,) = inspect_model(str(folder / "tiny.gguf"), data_dir=Path("nowhere")).problems
    assert "cannot be looked at: Permission denied" in problem


def test_the_home_of_nobody_is_said() -> None:
    with pytest.raises(ModelError, match="not known here"):
        identify("~nobody-of-that-name/model.gguf")


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes with names")
def test_a_pipe_is_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    with pytest.raises(ModelError, match=r"pipe\.gguf is neither a file nor a folder"):
        identify(str(tmp_path / "pipe.gguf"))


def test_a_short_name_is_what_suggest_means_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    suggested = named("qwen3-4b")
    assert suggested is not None
    source = identify("Qwen3-4B")
    assert (source.kind, source.hub) == (SourceKind.HUB, suggested.hub_name)
    assert not inspect_model("qwen3-4b", data_dir=tmp_path, ask_hub=False).is_known
    llama().write(tmp_path / "qwen3-4b")
    assert identify("qwen3-4b").kind is SourceKind.GGUF  # what lies here goes before


def test_of_several_one_has_to_be_named(folder: Path) -> None:
    llama().write(folder / "TINY.GGUF")
    with pytest.raises(ModelError, match=r"several GGUF files: TINY\.GGUF, tiny\.Q4_0\.gguf"):
        identify(str(folder))
    found = inspect_model(str(folder), data_dir=Path("nowhere"))
    assert not found.loads
    assert "Set MODEL to one of them" in found.problems[0]


def test_a_folder_of_parts_says_what_to_do_with_parts(tmp_path: Path) -> None:
    for number in (1, 2):
        llama().write(tmp_path / f"big-0000{number}-of-00002.gguf")
    found = inspect_model(str(tmp_path), data_dir=Path("nowhere"))
    assert "split into 2 files" in found.problems[0]
    assert "llama-gguf-split" in found.problems[0]


def test_what_does_not_load_says_why(folder: Path) -> None:
    llama().write(folder / "tiny.Q4_0.gguf", without_bytes=100)
    assert (
        "a broken-off download" in inspect_model(str(folder), data_dir=Path("nowhere")).problems[0]
    )


def test_what_needs_a_folder_says_so(folder: Path) -> None:
    with pytest.raises(ModelError, match="is a GGUF file; this needs a model's folder"):
        fetch(identify(str(folder)), data_dir=folder / "data", progress=no_progress)
