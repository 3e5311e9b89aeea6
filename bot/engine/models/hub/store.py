"""Where downloaded models lie, and how they are found again.

Ours are in DATA_DIR/models/OWNER/NAME, under the names that they have on the hub: a person finds
and deletes them there. A file stands under its name only when it is whole and checked; what is
still coming is in the hidden folder beside it. A folder of several files counts once its record
names them all. What other programs left in the hub's own cache is used too, never changed.
"""

import json
import os
import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from bot.engine.models.hub.listing import SUGGESTED_QUANTIZATION, RepoFile
from bot.engine.models.hub.names import (
    HubName,
    is_gguf,
    is_model_gguf,
    is_safe_path,
    is_split,
    quantization,
)
from bot.errors import ModelError

RECORD = ".fetched.json"
UNFINISHED = ".unfinished"
MOST_RECORD_BYTES = 4 << 20
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Found:
    """A model on this machine: a GGUF file, or a folder."""

    name: HubName  # with the file's name for a GGUF
    path: Path

    @property
    def is_gguf(self) -> bool:
        """Whether it is one file."""
        return bool(self.name.file)


def folder_of(data_dir: Path, name: HubName) -> Path:
    """Where a model of the hub lies, or would."""
    return data_dir / "models" / name.owner / name.name


def find(data_dir: Path, name: HubName) -> Found | None:
    """A model that is here, whole; None where it is not. Raises ModelError where several are."""
    return _find_ours(folder_of(data_dir, name), name) or _find_cached(name)


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a folder of ours: what came whole, and what is to be there in the end."""

    files: Mapping[str, RepoFile] = field(default_factory=dict[str, RepoFile])
    planned: frozenset[str] = frozenset()

    def has_folder(self, folder: Path) -> bool:
        """Whether a model of several files is whole."""
        planned = [path for path in self.planned if not is_gguf(path)]
        return any(path.endswith(".safetensors") for path in planned) and all(
            path in self.files and is_here(folder, self.files[path]) for path in planned
        )


def read_record(folder: Path) -> Record:
    """The record of a folder; empty where there is none, or a damaged one."""
    try:
        with (folder / RECORD).open("rb") as file:
            document: object = json.loads(file.read(MOST_RECORD_BYTES))
    except (OSError, ValueError, RecursionError):
        return Record()
    whole = cast("dict[str, object]", document) if isinstance(document, dict) else {}
    raw_files, raw_planned = whole.get("files"), whole.get("planned")
    found: dict[str, RepoFile] = {}
    for path, raw in (
        cast("dict[str, Any]", raw_files) if isinstance(raw_files, dict) else {}
    ).items():
        entry = cast("dict[str, Any]", raw) if isinstance(raw, dict) else {}
        size, sha256, sha1 = entry.get("size"), entry.get("sha256"), entry.get("git_sha1")
        if isinstance(size, int) and is_safe_path(path):
            found[path] = RepoFile(path, size, str(sha256 or ""), str(sha1 or ""))
    planned = cast("list[object]", raw_planned) if isinstance(raw_planned, list) else []
    return Record(found, frozenset(path for path in planned if isinstance(path, str)))


def write_record(folder: Path, record: Record) -> None:
    """Raises OSError."""
    document = {
        "planned": sorted(record.planned),
        "files": {
            path: {"size": file.size, "sha256": file.sha256, "git_sha1": file.git_sha1}
            for path, file in sorted(record.files.items())
        },
    }
    new = folder / f"{RECORD}.new"
    with new.open("w", encoding="utf-8") as stream:
        json.dump(document, stream, indent=1)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(folder / RECORD)


def is_here(folder: Path, file: RepoFile) -> bool:
    """Whether a file stands under its name, in its size."""
    path = folder / file.path
    try:
        return path.is_file() and (file.size is None or path.stat().st_size == file.size)
    except OSError:
        return False


def _find_ours(folder: Path, name: HubName) -> Found | None:
    record = read_record(folder)
    here = [path for path, file in record.files.items() if is_here(folder, file)]
    if name.file in record.planned and name.file not in here:
        return None  # not come whole, cut off, or changed
    if not name.file and record.has_folder(folder):
        return Found(name, folder)
    return _pick(name, folder, here)


def _find_cached(name: HubName) -> Found | None:
    repository = cache_folder() / f"models--{name.owner}--{name.name}"
    try:
        commit = (repository / "refs" / "main").read_text(encoding="ascii")[:64].strip()
        if not _COMMIT.fullmatch(commit):
            return None
        snapshot = repository / "snapshots" / commit
        weights = any(snapshot.glob("*.safetensors"))
        if not name.file and weights and (snapshot / "config.json").is_file():
            return Found(name, snapshot)
        files = [path.relative_to(snapshot).as_posix() for path in snapshot.rglob("*.gguf")]
    except (OSError, ValueError):
        return None
    return _pick(name, snapshot, files)


def _pick(name: HubName, folder: Path, paths: Sequence[str]) -> Found | None:
    """The GGUF that is meant among those that are here. Raises ModelError where several are."""
    if is_gguf(name.file):
        path = folder / name.file
        return Found(name, path) if path.is_file() else None
    ggufs = sorted(path for path in paths if is_model_gguf(path) and not is_split(path))
    if name.file:
        ggufs = [path for path in ggufs if quantization(path) == name.file.upper()]
    elif len(ggufs) > 1:
        suggested = [path for path in ggufs if quantization(path) == SUGGESTED_QUANTIZATION]
        ggufs = suggested if len(suggested) == 1 else ggufs
    if len(ggufs) > 1:
        raise ModelError(
            f"Several files of {name.id} are here: {', '.join(ggufs)}.",
            f"Name one, such as {name.id}:{ggufs[0]}.",
        )
    return Found(HubName(name.id, ggufs[0]), folder / ggufs[0]) if ggufs else None


def cache_folder() -> Path:
    """The hub's own cache (https://huggingface.co/docs/huggingface_hub/guides/manage-cache)."""
    if named := os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE"):
        return Path(named).expanduser()
    return home_folder() / "hub"


def home_folder() -> Path:
    """Where the hub's own programs keep what is theirs."""
    if named := os.environ.get("HF_HOME"):
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "huggingface"


@contextmanager
def locked(folder: Path) -> Generator[bool]:
    """One process at a time: whether this one has the folder. Raises OSError."""
    import fcntl

    place = folder / UNFINISHED
    place.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(place / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
