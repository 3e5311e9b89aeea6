"""Files that are written whole or not at all, and never in the place of another. Blocking."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Generator
from pathlib import Path

from bot.errors import PersonaError


def write_file(target: Path, content: bytes) -> None:
    """Write a file so that nobody ever reads half of it. Raises PersonaError."""
    with _draft(target, content) as draft:
        with contextlib.suppress(FileNotFoundError):
            shutil.copymode(target, draft)
        os.replace(draft, target)


def write_new(target: Path, content: bytes) -> None:
    """The same for a file that is not there yet. Raises FileExistsError if it is, PersonaError."""
    with _draft(target, content) as draft:
        try:
            os.link(draft, target)
        except FileExistsError:
            raise
        except OSError:  # a disk without links
            with open(target, "xb"):
                pass
            os.replace(draft, target)


@contextlib.contextmanager
def _draft(target: Path, content: bytes) -> Generator[Path]:
    draft = target.with_name(f".{secrets.token_hex(8)}.draft")
    try:
        _make_folder(target.parent)
        with open(draft, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield draft
    except FileExistsError:
        raise
    except OSError as error:
        raise unwritable(target, error) from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:  # a file has its name
        raise unwritable(folder, error) from error


def unwritable(path: Path, error: OSError) -> PersonaError:
    """What is raised where a file cannot be written."""
    return PersonaError(
        f"{path} cannot be written: {error.strerror}.", "Check the folder and its rights."
    )


def followed(path: Path, folder: Path) -> Path:
    """The file itself where `path` is a link; those that lead out of the folder are not read."""
    found = path.resolve()
    return found if found.is_relative_to(folder.resolve()) else path


def unused(path: Path) -> Path:
    """The path, or the first of `path-2`, `path-3` where nothing is."""
    number, found = 1, path
    while found.exists():
        number += 1
        found = path.with_name(f"{path.name}-{number}")
    return found
