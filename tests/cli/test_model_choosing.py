"""`model suggest`, `fetch` and `use`, as a newcomer types them, against a hub on this machine."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from checkpoints import make_float, write_new_layout
from gguf_files import llama
from hub_server import HubServer, serving

from bot import __main__ as program
from bot.cli.model import suggesting
from bot.engine.machine.hardware import Gpu, Machine
from bot.engine.models.suggest.catalogue import catalogue, named
from bot.engine.models.suggest.fit import Pace, Place, fit, order, pick

ROOT = Path(__file__).parents[2]
GB = 1_000_000_000
LAPTOP = Machine(16 * GB, 12 * GB, 4)
TWELVE_GB_CARD = Gpu("NVIDIA GeForce RTX 3060", 12 * GB, 11 * GB)
PLAYER = Machine(16 * GB, GB, 4, (TWELVE_GB_CARD,))
ID = "someone/tiny-GGUF"
FILE = "tiny-Q4_K_M.gguf"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh clone's folder, without a .env."""
    folder = tmp_path / "clone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    for name in ("MODEL", "ENGINE", "DATA_DIR", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    (folder / ".env.example").write_text("# The model\n#MODEL=demo\n\n#ENGINE=local\n")
    return folder


@pytest.fixture
def hub(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with serving(
        HubServer({ID: {FILE: llama().write(tmp_path / "tiny.gguf").read_bytes()}})
    ) as server:
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


def test_fetch_then_use(hub: HubServer, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["model", "fetch", ID]) == 0
    said = capsys.readouterr()
    assert f"{ID}:{FILE} is ready: data/models/{ID}/{FILE}" in said.out
    assert f"model use {ID}:{FILE}" in said.out
    assert "delete data/models/someone/tiny-GGUF" in said.out
    assert said.err.count("Downloading") == 1
    assert program.main(["model", "fetch", f"{ID}:{FILE}"]) == 0
    assert "is here already" in capsys.readouterr().out
    assert program.main(["model", "use", ID]) == 0
    said = capsys.readouterr()
    assert f"MODEL={ID}:{FILE} is in .env, which was made from .env.example." in said.out
    assert "by llama.cpp" in said.out
    assert (home / ".env").read_text() == (
        f"# The model\n#MODEL=demo\nMODEL={ID}:{FILE}\n\n#ENGINE=local\n"
    )
    assert program.main(["model", "use", "demo"]) == 0
    assert "a toy for trying out" in capsys.readouterr().out
    assert "\nMODEL=demo\n" in (home / ".env").read_text()


def test_what_is_not_here_is_not_written(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["model", "use", "llama-3.1-8b"]) == 2
    said = capsys.readouterr().err
    assert "is not on this machine" in said
    assert "model fetch llama-3.1-8b`" in said
    assert program.main(["model", "use", "./nowhere"]) == 2
    assert not (home / ".env").exists()


def test_a_wrong_model_in_env_can_be_put_right(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / ".env").write_text("MODEL=./nowhere.gguf\n")
    assert program.main(["model", "inspect"]) == 2
    assert program.main(["model", "use", "demo"]) == 0
    assert (home / ".env").read_text() == "MODEL=demo\n"


def test_careful_words(
    hub: HubServer,
    home: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program.main(["model", "fetch", ID])
    monkeypatch.setenv("MODEL", "demo")
    monkeypatch.setattr("bot.cli.model.using.look_at_machine", lambda: Machine(GB, 1000, 1))
    capsys.readouterr()
    assert program.main(["model", "use", ID]) == 0
    said = capsys.readouterr().out
    assert "set in the environment too" in said
    assert "GB are free now" in said


def test_a_folder_of_safetensors_names_the_extra_that_it_needs(
    hub: HubServer,
    home: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = write_new_layout(make_float(), tmp_path / "served")
    for name in ("a/b", "c/d"):
        hub.repositories[name] = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert program.main(["model", "fetch", "c/d"]) == 0
    for module in ("extras", "source"):
        name = f"bot.engine.models.{module}.missing_gpu_libraries"
        monkeypatch.setattr(name, lambda: ("torch",))
    monkeypatch.setattr("bot.cli.model.fetching.missing_gpu_libraries", lambda: ("torch",))
    capsys.readouterr()
    # Here already, or gigabytes that are better not downloaded before it can be loaded.
    assert program.main(["model", "fetch", "c/d"]) == 0
    assert "EXTRAS=gpu" in capsys.readouterr().out
    for action, model in (("fetch", "a/b"), ("use", "c/d")):
        assert program.main(["model", action, model]) == 2
        assert "EXTRAS=gpu" in capsys.readouterr().err
    assert not list((home / "data").glob("**/a/b/*.safetensors"))
    assert not (home / ".env").exists()


def test_short_names_that_are_none(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for action in ("fetch", "use"):
        assert program.main(["model", action, "llama9"]) == 2
        assert "model suggest` lists the short names" in capsys.readouterr().err
        assert program.main(["model", action, "qwen3-4bb"]) == 2
        assert "Is it qwen3-4b?" in capsys.readouterr().err


def test_a_damaged_model_is_not_offered(
    hub: HubServer, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.repositories[ID][FILE] = b"GGUF" + random.Random(2).randbytes(20_000)
    assert program.main(["model", "fetch", ID]) == 2
    assert "would not load" in capsys.readouterr().err


@pytest.mark.slow
def test_interrupting_keeps_what_has_come(hub: HubServer, home: Path) -> None:
    hub.stalls_after = 15_000
    command = [sys.executable, "-m", "bot", "model", "fetch", ID]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert hub.started_sending.wait(60)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "what has come is kept" in said
    assert not list(home.rglob("*.gguf"))
    hub.stalls_after = None
    assert program.main(["model", "fetch", ID]) == 0


def test_offline_in_one_line(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["model", "fetch", ID]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) <= 2
    assert "HF_HUB_OFFLINE" in said[-1]


@pytest.fixture
def laptop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suggesting, "look_at_machine", lambda: LAPTOP)


def test_the_table_fits_80_columns_and_names_what_to_type(
    laptop: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(["model", "suggest"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert "16.0 GB of memory (12.0 free), 4 cores" in lines[0]
    best = next(line for line in lines if line.startswith("*")).split()[1]
    assert lines[-2].endswith(f"model fetch {best}")
    assert lines[-1].endswith(f"model use {best}")
    for model in catalogue():
        assert any(line[2:].startswith(model.name) for line in lines)


def test_the_same_for_programs(laptop: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["model", "suggest", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["models"]) == len(catalogue())
    assert document["models"][0]["name"] == document["best"]


def test_every_figure_has_a_source() -> None:
    names = [model.name for model in catalogue()]
    assert len(set(names)) == len(names) >= 10
    for model in catalogue():
        assert model.licence_source.startswith("https://huggingface.co/")
        assert model.shape_source.startswith("https://huggingface.co/")
        assert model.hub in model.size_source or model.size_source.startswith("reckoned")
        assert len(model.name) <= 16
        assert named(model.name.upper()) is model


@dataclass(frozen=True)
class Case:
    name: str
    machine: Machine
    cards: tuple[Gpu, ...]
    place: Place
    pace: Pace | None


@pytest.mark.parametrize(
    "case",
    [
        Case("llama-3.1-8b", LAPTOP, (), Place.CPU, Pace.FAIR),
        Case("mistral-24b", LAPTOP, (), Place.NOWHERE, None),
        Case("llama-3.2-3b", Machine(2 * GB, GB, 1), (), Place.NOWHERE, None),
        Case("llama-3.1-8b", LAPTOP, (TWELVE_GB_CARD,), Place.GPU, Pace.FAST),
        Case("qwen2.5-14b", LAPTOP, (TWELVE_GB_CARD,), Place.GPU, Pace.FAST),
        Case("mistral-24b", LAPTOP, (TWELVE_GB_CARD,), Place.PARTLY, Pace.FAIR),
        Case("nous-hermes-13b", LAPTOP, (), Place.NOWHERE, None),
        Case(
            "nous-hermes-13b", Machine(16 * GB, GB, 4, (TWELVE_GB_CARD,)), (), Place.GPU, Pace.FAST
        ),
    ],
    ids=lambda case: f"{case.name}-{case.place.value}",
)
def test_where_a_model_runs(case: Case) -> None:
    model = named(case.name)
    assert model is not None
    found = fit(model, case.machine, case.cards)
    assert (found.place, found.pace) == (case.place, case.pace)
    assert found.fits or found.lacking_bytes > 0


def test_memory_that_other_programs_hold_is_a_tight_fit() -> None:
    model = named("llama-3.1-8b")
    assert model is not None
    assert fit(model, Machine(16 * GB, 2 * GB, 4)).is_tight


def test_the_pick_is_the_strongest_that_runs_well() -> None:
    fits = [fit(model, LAPTOP) for model in catalogue()]
    best = pick(fits)
    assert best is not None
    assert best.pace in (Pace.FAST, Pace.FAIR)
    assert order(fits)[0] is best
    assert sorted(map(id, order(fits))) == sorted(map(id, fits))
    nothing = [fit(model, Machine(GB, GB // 2, 1)) for model in catalogue()]
    assert pick(nothing) is None


def test_more_and_longer_conversations_take_more_memory() -> None:
    for model in catalogue():
        one, eight = model.memory_bytes(2048, 1), model.memory_bytes(2048, 8)
        assert one is not None
        assert eight is not None
        assert model.bytes < one < eight
        assert model.memory_bytes(model.context + 1, 1) is None


def test_nothing_that_fits_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(suggesting, "look_at_machine", lambda: Machine(GB, GB // 2, 1))
    assert program.main(["model", "suggest"]) == 0
    assert "None of them fits here" in capsys.readouterr().out
