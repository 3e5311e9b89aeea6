"""Folders that appear whole or not at all."""

import os
import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from bot.errors import ModelError

_ABANDONED_SECONDS = 24 * 3600
_TEMPORARY = ".making-"
_REMOVALS = 20
_in_the_making: set[Path] = set()


@contextmanager
def making_folder(target: Path) -> Generator[Path]:
    """A new folder to fill, which becomes `target` when the block ends well.

    When another process made `target` meanwhile, that one stays. Raises ModelError when the disk
    does not let us.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target.parent)
        making = target.parent / f"{_TEMPORARY}{target.name}-{uuid4().hex[:8]}"
        making.mkdir()
        _in_the_making.add(making)
        try:
            yield making
            _flush(making)
            try:
                making.rename(target)
            except OSError:
                if not target.is_dir():
                    raise
        finally:
            shutil.rmtree(making, ignore_errors=True)
            _in_the_making.discard(making)
    except OSError as error:
        raise ModelError(
            f"{target} cannot be written: {error.strerror or error}.",
            "Make room on that disk, or set DATA_DIR to a folder that can be written.",
        ) from error


def remove_unfinished() -> None:
    """Take away what is being made, whoever is at it: the process ends now."""
    for making in list(_in_the_making):
        for _ in range(_REMOVALS):  # another file may have come meanwhile
            shutil.rmtree(making, ignore_errors=True)
            if not making.exists():
                break


def _flush(folder: Path) -> None:
    """See to it that a power cut after the rename leaves no empty files under the final name."""
    for file in folder.iterdir():
        if file.is_symlink():
            continue
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sweep(parent: Path) -> None:
    """Take away what a process that was killed left half made."""
    for folder in parent.glob(f"{_TEMPORARY}*"):
        if time.time() - folder.stat().st_mtime > _ABANDONED_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
