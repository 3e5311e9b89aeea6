"""A signal while a model is being prepared: it ends at once, and nothing half made is left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bot.cli import leaving
from bot.cli.leaving import run_interruptibly
from bot.engine.models.folders.making import making_folder, remove_unfinished
from bot.engine.models.gptq.marlin import BUILDS_VARIABLE, forget_build
from bot.errors import ModelError

ROOT = Path(__file__).parents[2]
AT_ONCE_SECONDS = 5  # it takes a tenth of one; the machine may be busy

# The real command, but for the library that makes a folder: it hears nothing until it is done.
STUCK = """
import sys, threading, time
from pathlib import Path
from bot.engine.models import source
from bot.engine.models.folders.making import making_folder

def read(path, weights=None):
    with making_folder(Path(sys.argv[1]) / "models" / "whole") as making:
        (making / "part").write_bytes(b"half")
        print("stuck", flush=True)
        while True:
            time.sleep(60)

source.read_model_folder = read
from bot.__main__ import leave, main
code = main(sys.argv[2:])
leave(code)
sys.exit(code)
"""

pytestmark = pytest.mark.slow  # each starts another process


def stuck(data_dir: Path, *command: str) -> "subprocess.Popen[str]":
    model = data_dir.parent / "model"
    model.mkdir()
    for name in ("config.json", "model.safetensors"):
        (model / name).touch()
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK, str(data_dir), *command],
        cwd=data_dir.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT), "DATA_DIR": str(data_dir), "MODEL": str(model)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line == "stuck\n":
            return process
    assert process.stderr is not None
    raise AssertionError(process.stderr.read())


@pytest.mark.parametrize(
    ("command", "number", "code"),
    [
        (("workbench", "--port", "0"), signal.SIGTERM, 0),
        (("workbench", "--port", "0"), signal.SIGINT, 0),
    ],
)
def test_a_signal_ends_the_preparing_of_a_model_at_once(
    command: tuple[str, ...], number: signal.Signals, code: int, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    with stuck(data_dir, *command) as process:
        try:
            assert list((data_dir / "models").iterdir())
            began = time.monotonic()
            process.send_signal(number)
            assert process.wait(60) == code
            assert time.monotonic() - began < AT_ONCE_SECONDS
        finally:
            process.kill()
    assert list((data_dir / "models").iterdir()) == []


def test_what_is_being_made_is_taken_away(tmp_path: Path) -> None:
    with pytest.raises(ModelError), making_folder(tmp_path / "kept"):
        pass_over = tmp_path / "other"
        pass_over.mkdir()
        remove_unfinished()
        assert list(tmp_path.iterdir()) == [pass_over]
        raise FileNotFoundError
    with making_folder(tmp_path / "kept"):
        pass
    remove_unfinished()
    assert (tmp_path / "kept").is_dir()


def test_interruptible_work_gives_what_it_gives() -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert run_interruptibly(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        run_interruptibly(lambda: 1 // 0)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_build_that_was_broken_off_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BUILDS_VARIABLE, str(tmp_path))
    lock = tmp_path / "marlin_fp16" / "py312" / "lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    forget_build()
    assert not lock.exists()
    assert leaving.SIGNALS
