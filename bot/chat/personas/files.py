"""Persona files on the disk: read with a bound, of whatever kind they are."""

import os
import stat
from pathlib import Path

from bot.chat.persona import PersonaText
from bot.chat.personas.cards.card import Card
from bot.chat.personas.cards.reading import ENDINGS, read_card
from bot.chat.personas.documents import FILE_BYTES
from bot.errors import PersonaError


def read_persona(path: Path) -> PersonaText:
    """The persona in a TOML file or a character card. Blocking. Raises PersonaError."""
    return read_card_file(path).persona


def read_card_file(path: Path) -> Card:
    """The card in a file, with picture and warnings. Blocking. Raises PersonaError."""
    return read_card(read_bytes(path), path.name or str(path))


def is_persona_file(path: Path) -> bool:
    """Whether the name says that it may be one."""
    return path.suffix.lower() in ENDINGS and not path.name.startswith((".", "~", "#"))


def read_bytes(path: Path) -> bytes:
    """A plain file's first 8 MiB, and a byte more where there is one. Raises PersonaError."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a device may do something already
            raise PersonaError(f"{path.name or path} is not a plain file.")
        # The file may be another one by now. Opening a pipe so does not wait for who writes to it.
        with open(path, "rb", opener=_open_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise PersonaError(f"{path.name or path} is not a plain file.")
            return file.read(FILE_BYTES + 1)
    except OSError as error:
        raise PersonaError(
            f"{path.name} cannot be read: {error.strerror}.", "Check that it is there and readable."
        ) from error


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
