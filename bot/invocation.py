"""How our commands are called here: what messages tell people to type."""

import os
import shlex
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def command(words: str = "") -> str:
    """A command of ours, such as `.venv/bin/python -m bot db check`, in backticks."""
    return f"`{f'{program()} {words}'.rstrip()}`"


def program() -> str:
    """`python -m bot`, with the Python that runs now."""
    return f"{_python()} -m bot"


def pip(words: str) -> str:
    """A command of the package installer that serves the Python that runs now, in backticks."""
    return f"`{_python()} -m pip {words}`"


def setup(*extras: str) -> str:
    """The command that installs extras of `pyproject.toml`, in backticks.

    Our image for containers has neither a Makefile nor room for libraries: the extra `gpu` is
    another image, and all others are in both. A package that was installed has its extras.
    """
    if (ROOT / "Makefile").is_file():
        where = "" if Path.cwd() == ROOT else f"-C {shlex.quote(str(ROOT))} "
        return f"`make {where}setup EXTRAS={','.join(extras)}`"
    if (ROOT / "requirements.lock").is_file():
        return "`docker compose up -d --build bot-gpu`"
    return pip(f"install 'caduceus[{','.join(extras)}]'")


def _python() -> str:
    """The Python that runs now, as short as it can be typed in this folder."""
    if not sys.executable:  # an embedded interpreter does not know where it is
        return "python"
    here, found = Path(sys.executable), shutil.which("python")
    if found and Path(os.path.abspath(found)) == here:
        return "python"  # in a container, or where the environment is activated
    folder = Path.cwd()
    short = here.relative_to(folder) if here.is_relative_to(folder) else here
    return shlex.quote(str(short))
