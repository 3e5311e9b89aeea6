"""Writes one setting into `.env`, and leaves every other byte of it as it was."""

import os
import re
import tempfile
from io import StringIO
from pathlib import Path

from dotenv.parser import parse_stream

from bot.errors import SettingsError

EXAMPLE = Path(".env.example")
SECRET_MODE = 0o600
BYTE_ORDER_MARK = "\ufeff"
_PLAIN = re.compile(r"[\w./:@%+,=~-]+")
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
_BARE = re.compile(r"[^\r\n]*?(?=[^\S\r\n]+#|[^\S\r\n]*(?:\r|\n|$))")


def with_setting(text: str, name: str, value: str) -> str:
    """The text of an `.env` in which `name` is `value`. Pure.

    The last line that sets it is changed; else it comes after the line that names it as a comment,
    as in `.env.example`; else at the end. Raises SettingsError where it would not be read there, as
    after a quote that nobody closed.
    """
    changed = _with_line(text, name, value)
    bindings = parse_stream(StringIO(changed.removeprefix(BYTE_ORDER_MARK), newline=""))
    read = [binding.value for binding in bindings if (binding.key or "").upper() == name]
    if read[-1:] != [value]:
        raise SettingsError(
            ".env has a line before it that is no setting, or a quote that is not closed.",
            f"Put that right, or put {name}={_written(value)} into it by hand.",
        )
    return changed


def _with_line(text: str, name: str, value: str) -> str:
    mark = BYTE_ORDER_MARK if text.startswith(BYTE_ORDER_MARK) else ""
    body = text.removeprefix(BYTE_ORDER_MARK)
    written = _written(value)
    pieces = [binding.original.string for binding in parse_stream(StringIO(body, newline=""))]
    keys = [binding.key for binding in parse_stream(StringIO(body, newline=""))]
    if "".join(pieces) != body:
        raise SettingsError(
            ".env is not written in a way that can be changed safely.",
            f"Put {name}={written} into it by hand.",
        )
    for number in range(len(pieces) - 1, -1, -1):
        if (keys[number] or "").upper() == name:
            pieces[number] = _replaced(pieces[number], name, written)
            return mark + "".join(pieces)
    newline = "\r\n" if "\r\n" in body else "\n"
    line = f"{name}={written}{newline}"
    comment = re.compile(rf"^#[ \t]*{name}[ \t]*=[^\r\n]*(\r\n|\n|\r|$)", re.MULTILINE)
    for number, piece in enumerate(pieces):
        # A comment stands alone, or before the setting that follows it in the same piece.
        found = comment.search(piece) if keys[number] is None else None
        if found is not None:
            before = piece[: found.end()]
            before += "" if found[1] else newline
            pieces[number] = before + line + piece[found.end() :]
            return mark + "".join(pieces)
    end = "" if not body or body.endswith(("\n", "\r")) else newline
    return f"{mark}{body}{end}{line}"


def _replaced(piece: str, name: str, written: str) -> str:
    beginning = re.match(
        rf"\s*(?:export[^\S\r\n]+)?'?{name}'?[^\S\r\n]*(=?)[^\S\r\n]*", piece, re.IGNORECASE
    )
    if beginning is None:
        raise SettingsError(
            f".env sets {name} in a way that cannot be changed safely.",
            f"Put {name}={written} into it by hand.",
        )
    start = beginning.end()
    old = _QUOTED.match(piece, start) or _BARE.match(piece, start)
    end = old.end() if old else start
    equals = "" if beginning[1] else "="
    return f"{piece[:start]}{equals}{written}{piece[end:]}"


def _written(value: str) -> str:
    """A value as python-dotenv reads it back."""
    if not value.isprintable():
        raise SettingsError("The model's name has characters that no setting can hold.")
    if _PLAIN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def write_setting(path: Path, name: str, value: str) -> bool:
    """Write it, all at once. Returns whether the file was made (from `.env.example`).

    Its rights stay as they are; a new file is its owner's alone, for it will hold secrets. Raises
    SettingsError.
    """
    target = Path(os.path.realpath(path))
    is_new = not target.exists()
    try:
        source = EXAMPLE if is_new and EXAMPLE.is_file() else target
        text = source.read_bytes().decode("utf-8") if source.is_file() else ""
        changed = with_setting(text, name, value).encode("utf-8")
        _write(target, changed, SECRET_MODE if is_new else target.stat().st_mode & 0o7777)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{path} cannot be changed: {error}.", f"Put {name}={value} into it by hand."
        ) from error
    return is_new


def _write(target: Path, content: bytes, mode: int) -> None:
    descriptor, name = tempfile.mkstemp(prefix=".env-", dir=target.parent)
    new = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.chmod(mode)
        if target.exists() and os.geteuid() == 0:
            status = target.stat()
            os.chown(new, status.st_uid, status.st_gid)
        new.replace(target)
    finally:
        new.unlink(missing_ok=True)
