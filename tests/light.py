"""A Python in which nothing but the light set is installed, made of links to what is here.

Its modules are exactly those of `requirements.lock` and the embedded model, so that an import of
anything else fails as it does on a laptop, in child processes too.
"""

import os
import sys
import venv
from importlib.metadata import distribution
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements.lock", "requirements-model.lock")


def make_light_python(folder: Path) -> Path:
    """The interpreter of a new environment in `folder`."""
    venv.EnvBuilder(symlinks=True).create(folder)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = folder / "lib" / version / "site-packages"
    for lock in LOCKS:
        for line in (ROOT / lock).read_text().splitlines():
            _link(line.partition("==")[0], packages)
    return folder / "bin" / "python"


def _link(name: str, packages: Path) -> None:
    installed = distribution(name)
    for top in {file.parts[0] for file in installed.files or []} - {"..", "__pycache__"}:
        if not (packages / top).exists():
            (packages / top).symlink_to(Path(str(installed.locate_file(top))))


def light_environment(folder: Path, **settings: str) -> dict[str, str]:
    """What the program is started with there: no `.env`, no data of anybody's."""
    known = ("PATH", "HOME", "LANG", "TMPDIR", "OMP_NUM_THREADS")
    kept = {name: os.environ[name] for name in known if name in os.environ}
    return kept | {
        "PYTHONPATH": str(ROOT),
        "PERSONAS_DIR": str(ROOT / "personas"),
        "DATA_DIR": str(folder / "data"),
        **({} if "HF_ENDPOINT" in settings else {"HF_HUB_OFFLINE": "1"}),
        **settings,
    }
