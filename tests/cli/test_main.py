"""The command line: which command, which exit code, which last line."""

import logging
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType

import pytest

from bot import __main__ as command_line
from bot import __version__
from bot.errors import EngineError, SettingsError
from bot.logs import StandardErrorHandler

ROOT = Path(__file__).parents[2]
TOKEN = "MTAwMDAwMDAwMDAwMDAwMDAwMA.GAbCdE." + "x" * 38


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)
    for handler in [h for h in root.handlers if isinstance(h, StandardErrorHandler)]:
        root.removeHandler(handler)
    logging.captureWarnings(False)


def replace_command(
    monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException | None = None
) -> list[object]:
    """Put a module in place of a command; what it was called with is in the list."""
    calls: list[object] = []
    module = ModuleType(f"bot.cli.{name}")

    def run(_args: object, settings: object) -> int:
        calls.append(settings)
        if error is not None:
            raise error
        return 0

    module.run = run  # type: ignore[attr-defined]
    module.add_arguments = lambda _parser: None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, f"bot.cli.{name}", module)
    return calls


def test_without_a_command_a_token_starts_the_bot(monkeypatch: pytest.MonkeyPatch) -> None:
    bot = replace_command(monkeypatch, "run")
    page = replace_command(monkeypatch, "workbench")
    assert command_line.main([]) == 0
    assert (len(bot), len(page)) == (0, 1)
    Path(".env").write_text(f"DISCORD_TOKEN={TOKEN}\n")
    assert command_line.main([]) == 0
    assert (len(bot), len(page)) == (1, 1)


def test_options_alone_are_for_the_command_that_is_meant(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = replace_command(monkeypatch, "workbench")
    module = sys.modules["bot.cli.workbench"]
    module.add_arguments = lambda parser: parser.add_argument("--port")  # type: ignore[attr-defined]
    assert command_line.main(["--port", "9000"]) == 0
    assert len(page) == 1
    assert command_line.main(["--prot", "9000"]) == command_line.EXIT_USERS
    assert "--prot" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SettingsError("That is wrong.", "Do this."), 2),
        (EngineError("The model broke.", "Do this."), 1),
    ],
)
def test_a_fault_ends_in_one_line_that_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    code: int,
) -> None:
    replace_command(monkeypatch, "workbench", error)
    assert command_line.main(["workbench"]) == code
    assert capsys.readouterr().err == f"caduceus: {error}\n"


@pytest.fixture
def _on_a_database_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE", "fake")
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))


@pytest.mark.usefixtures("_on_a_database_of_its_own")
@pytest.mark.parametrize(
    "words", [["workbench", "--port", "0"], ["db", "upgrade"], ["db", "export"]]
)
def test_a_database_of_a_newer_version_is_the_persons_to_fix(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line.main(["db", "upgrade"]) == 0
    with closing(sqlite3.connect(tmp_path / "data" / "caduceus.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    assert command_line.main(words) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "is newer than this program (revision 9999). Update Caduceus" in said


@pytest.mark.usefixtures("_on_a_database_of_its_own")
@pytest.mark.parametrize("words", [["workbench", "--port", "0"], ["db", "upgrade"]])
def test_a_data_folder_that_cannot_be_made_is_the_persons_to_fix(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").touch()
    assert command_line.main(words) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("caduceus: ")
    assert "DATA_DIR" in said


@pytest.mark.usefixtures("_on_a_database_of_its_own")
def test_an_export_that_cannot_be_written_is_the_persons_to_fix(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line.main(["db", "upgrade"]) == 0
    assert command_line.main(["db", "export", "-o", str(tmp_path / "no" / "x.json")]) == 2
    assert "Choose another file with --output" in capsys.readouterr().err.splitlines()[-1]


def test_the_traceback_is_there_at_debug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    replace_command(monkeypatch, "workbench", EngineError("The model broke.", "Do this."))
    monkeypatch.setenv("LOG_LEVEL", "debug")
    assert command_line.main(["workbench"]) == 1
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert said.splitlines()[-1] == "caduceus: The model broke. Do this."


def test_wrong_settings_stop_every_command_but_doctor(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = replace_command(monkeypatch, "workbench") + replace_command(monkeypatch, "doctor")
    monkeypatch.setenv("DISCORD_TOKN", TOKEN)
    assert command_line.main(["workbench"]) == 2
    assert command_line.main([]) == 2
    assert not calls
    said = capsys.readouterr().err
    assert "DISCORD_TOKEN: rename it" in said
    assert TOKEN not in said
    assert command_line.main(["doctor"]) == 0


@pytest.mark.parametrize(
    ("arguments", "what", "fix"),
    [
        (["fly"], "fly", " -m bot --help`"),
        (["--fly"], "--fly", " -m bot --help`"),
        (["workbench", "--port", "x"], "--port", " -m bot workbench --help`"),
    ],
)
def test_what_is_no_command_is_a_users_mistake(
    arguments: list[str], what: str, fix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line.main(arguments) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("caduceus: ")
    assert what in last
    assert fix in last


def test_the_last_line_is_one_line_whatever_it_names(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = SettingsError("MODEL is «a\n\x1b[31mb\u202e».", "Take another.")
    replace_command(monkeypatch, "workbench", error)
    assert command_line.main(["workbench"]) == 2
    said = capsys.readouterr().err
    assert said.splitlines()[-1] == "caduceus: MODEL is «a  [31mb ». Take another."


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command_line.main(["--version"])
    assert capsys.readouterr().out == f"Caduceus {__version__}\n"


def test_the_version_is_the_packages() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__


@pytest.mark.parametrize("command", sorted(command_line.COMMANDS))
def test_every_command_has_its_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        command_line.main([command, "--help"])
    assert end.value.code == 0
    said = capsys.readouterr().out
    assert command in said
    text = command_line.COMMANDS[command]
    assert f"{text[0].upper()}{text[1:]}." in " ".join(said.split())


def run_python(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True
    )


@pytest.mark.slow
def test_what_nobody_foresaw_ends_in_one_line_too(tmp_path: Path) -> None:
    code = (
        "import sys, bot.__main__ as m\nsys.excepthook = m.report_fault\n"
        "raise ZeroDivisionError('by\\nnothing')"
    )
    result = run_python(code, tmp_path)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("caduceus: this is a fault of Caduceus: ZeroDivisionError: by.")
    assert "LOG_LEVEL=debug" in line


@pytest.mark.slow
def test_nobody_reading_on_is_no_fault(tmp_path: Path) -> None:
    result = subprocess.run(
        f"{sys.executable} -m bot --help | head -1",
        shell=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert "usage" in result.stdout
    assert not result.stderr


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_disk_is_the_persons_to_fix(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        run = subprocess.run(
            [sys.executable, "-m", "bot", "model", "suggest"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
    assert run.returncode == command_line.EXIT_USERS
    (line,) = run.stderr.splitlines()
    assert "No space left on device. Make room" in line


def test_the_doctor_tells_of_a_server_that_is_away_once(tmp_path: Path) -> None:
    code = """
from bot.cli import doctor
from bot.settings import ProcessSettings
doctor.load_settings = lambda: ProcessSettings(
    engine="openai", openai_base_url="http://127.0.0.1:9/v1"
)
doctor.run(doctor.argparse.Namespace(offline=False), None)
"""
    result = run_python(code, tmp_path)
    assert (result.stdout + result.stderr).count(
        "cannot be reached (Cannot connect to host 127"
    ) == 1
