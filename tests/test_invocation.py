"""What messages tell people to type can be typed."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from bot import invocation
from bot.invocation import command, pip, program, setup

ROOT = Path(__file__).parents[1]


@pytest.fixture
def _python_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    python = tmp_path / "my bot" / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("PATH", os.defpath)
    return python


def test_a_command_is_short_where_the_program_is(
    _python_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(_python_in.parents[2])
    assert command("db check") == "`.venv/bin/python -m bot db check`"
    assert command() == "`.venv/bin/python -m bot`"
    assert pip("install x") == "`.venv/bin/python -m pip install x`"


def test_elsewhere_it_is_whole_and_quoted(
    _python_in: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert shlex.split(program()) == [str(_python_in), "-m", "bot"]


def test_where_the_environment_is_activated_python_will_do(
    _python_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(_python_in.parent))
    assert program() == "python -m bot"


def test_extras_are_installed_by_make_where_the_clone_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(ROOT)
    assert setup("gpu", "postgres") == "`make setup EXTRAS=gpu,postgres`"
    monkeypatch.chdir(tmp_path)
    assert shlex.split(setup("gpu").strip("`"))[:3] == ["make", "-C", str(ROOT)]


def test_in_an_image_another_image_has_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(invocation, "ROOT", tmp_path)
    assert "caduceus[gpu]" in setup("gpu")
    (tmp_path / "requirements.lock").touch()
    assert setup("gpu") == "`docker compose up -d --build bot-gpu`"


def test_it_can_be_typed() -> None:
    words = [*shlex.split(program()), "--version"]
    told = subprocess.run(
        words, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert told.stdout.startswith("Caduceus ")


def test_no_message_names_a_python_of_its_own() -> None:
    """Outside of docstrings and comments, :mod:`bot.invocation` alone says how we are called."""
    for path in [*ROOT.glob("bot/**/*.py"), *ROOT.glob("cogs/**/*.py")]:
        code = re.sub(r'"""[\s\S]*?"""', "", path.read_text())
        if path.name != "invocation.py":
            assert "python -m bot" not in code, path
