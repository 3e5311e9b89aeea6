"""What a repository of the hub holds, and which of it a model needs. No network here.

The lists are those of https://huggingface.co/docs/hub/api: `GET /api/models/ID/revision/main` with
`blobs=true` (`siblings`), and `GET /api/models/ID/tree/REVISION`. Nothing in them is believed that
could lead out of a folder.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import PurePosixPath
from typing import Any, cast

from bot.engine.models.hub.names import (
    HubName,
    is_gguf,
    is_model_gguf,
    is_safe_path,
    is_split,
    quantization,
)
from bot.errors import ModelError
from bot.invocation import command

SUGGESTED_QUANTIZATION = "Q4_K_M"
MOST_FILES = 20_000
MOST_LISTED = 12  # files named in a message
GB = 1e9

# Never a pickle and no code, and nothing from subfolders (other precisions, other libraries).
BESIDE_WEIGHTS = (
    "config.json",
    "generation_config.json",
    "quantize_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.*",
)
UNWANTED_SUFFIXES = (".py", ".bin", ".pt", ".pth", ".pkl", ".ckpt")
INDEX = "model.safetensors.index.json"
WHOLE = "model.safetensors"
_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHA1 = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class RepoFile:
    """One file. What the list does not tell is None or empty."""

    path: str
    size: int | None = None  # bytes
    sha256: str = ""  # of what is in it
    git_sha1: str = ""  # of what is in it as git stores it; for small files, which have no sha256


@dataclass(frozen=True, slots=True)
class Listing:
    """A repository at one moment."""

    revision: str
    files: tuple[RepoFile, ...]

    @property
    def tells_sizes(self) -> bool:
        """Whether the list was made with sizes."""
        return bool(self.files) and all(file.size is not None for file in self.files)


@dataclass(frozen=True, slots=True)
class Choice:
    """What of a repository is wanted: one GGUF, named in `name`, or all that a folder needs."""

    name: HubName
    files: tuple[RepoFile, ...]

    @property
    def bytes(self) -> int:
        """The size of all of it, as far as it is known."""
        return sum(file.size or 0 for file in self.files)


def in_words(count: int) -> str:
    """A number of bytes as people read it."""
    return f"{count / GB:.2f} GB" if count >= GB / 10 else f"{count / 1e6:.1f} MB"


def read_info(document: object) -> Listing:
    """The answer to a question about the repository; odd entries are passed over."""
    info = cast("dict[str, object]", document) if isinstance(document, dict) else {}
    revision = info.get("sha")
    siblings = info.get("siblings")
    return Listing(
        revision if isinstance(revision, str) and _SHA1.fullmatch(revision) else "main",
        _files(siblings, "rfilename", "blobId", "sha256"),
    )


def read_tree(document: object) -> tuple[RepoFile, ...]:
    """One page of the list of files."""
    entries: list[object] = [
        entry
        for entry in (cast("list[object]", document) if isinstance(document, list) else [])
        if isinstance(entry, dict) and cast("dict[str, object]", entry).get("type") == "file"
    ]
    return _files(entries, "path", "oid", "oid")


def _files(entries: object, path_key: str, git_key: str, lfs_key: str) -> tuple[RepoFile, ...]:
    found: dict[str, RepoFile] = {}
    if not isinstance(entries, list):
        return ()
    for raw in cast("list[object]", entries)[:MOST_FILES]:
        if not isinstance(raw, dict):
            continue
        entry = cast("dict[str, Any]", raw)
        path = entry.get(path_key)
        if not isinstance(path, str) or not is_safe_path(path):
            continue
        lfs: Any = entry.get("lfs")
        stored = cast("dict[str, Any]", lfs) if isinstance(lfs, dict) else {}
        size = stored.get("size", entry.get("size"))
        sha256 = _hash(stored.get(lfs_key), _SHA256)
        found[path] = RepoFile(
            path,
            size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None,
            sha256,
            "" if stored else _hash(entry.get(git_key), _SHA1),
        )
    return tuple(found.values())


def _hash(value: object, shape: re.Pattern[str]) -> str:
    text = value.lower().removeprefix("sha256:") if isinstance(value, str) else ""
    return text if shape.fullmatch(text) else ""


def choose(name: HubName, listing: Listing) -> Choice:
    """What `name` means of a repository. Raises ModelError, saying what can be named instead."""
    ggufs = [file for file in listing.files if is_model_gguf(file.path)]
    if name.file:
        chosen = _named(name, ggufs)
        return Choice(HubName(name.id, chosen.path), (chosen,))
    weights = _safetensors(listing.files)
    if weights:
        return Choice(name, (*weights, *_beside(listing.files)))
    if ggufs:
        chosen = _best(name, ggufs)
        return Choice(HubName(name.id, chosen.path), (chosen,))
    pickled = [file.path for file in listing.files if file.path.endswith(UNWANTED_SUFFIXES[1:])]
    if pickled:
        raise ModelError(
            f"{name.id} has its weights only as pickles ({pickled[0]}), which can run code.",
            "Take a version of the model as GGUF or safetensors.",
        )
    raise ModelError(
        f"{name.id} holds neither a .gguf file nor .safetensors files.",
        f"It is not a model that can be loaded; {command('model suggest')} lists some that are.",
    )


def _named(name: HubName, ggufs: Sequence[RepoFile]) -> RepoFile:
    """The GGUF of that path, file name or packing."""
    wanted = name.file.lower()
    readings: tuple[Callable[[str], bool], ...] = (
        lambda path: path == name.file,
        lambda path: path.lower() == wanted,
        lambda path: PurePosixPath(path).name.lower() == wanted,
        lambda path: quantization(path).lower() == wanted and not is_split(path),
    )
    for is_it in readings:
        found = [file for file in ggufs if is_it(file.path)]
        if len(found) == 1:
            return _in_one_piece(found[0], ggufs)
    if not ggufs:
        what = "holds no .gguf files" if is_gguf(name.file) else f"has no {name.file}"
        raise ModelError(
            f"{name.id} {what}.", f"To take it whole, name it without a file: {name.id}."
        )
    raise ModelError(
        f"{name.id} has no file «{name.file}».", f"It has {_listed(ggufs)}. {_how(name)}"
    )


def _best(name: HubName, ggufs: Sequence[RepoFile]) -> RepoFile:
    """The only one, or the one in the packing that suits most."""
    if len(ggufs) == 1:
        return _in_one_piece(ggufs[0], ggufs)
    suggested = [file for file in ggufs if quantization(file.path) == SUGGESTED_QUANTIZATION]
    if len(suggested) == 1:
        return _in_one_piece(suggested[0], ggufs)
    if all(is_split(file.path) for file in ggufs):
        return _in_one_piece(ggufs[0], ggufs)
    raise ModelError(
        f"{name.id} has several files: {_listed(ggufs)}.",
        _how(name),
    )


def _in_one_piece(file: RepoFile, ggufs: Sequence[RepoFile]) -> RepoFile:
    if not is_split(file.path):
        return file
    whole = [one for one in ggufs if not is_split(one.path)]
    raise ModelError(
        f"{file.path} is one part of a model in several, which cannot be loaded.",
        f"Take a file in one piece: {_listed(whole)}." if whole else "Take another model.",
    )


def _listed(ggufs: Iterable[RepoFile]) -> str:
    """Files with their sizes, for a message; the smallest first."""
    files = sorted(
        (file for file in ggufs if not is_split(file.path)), key=lambda file: file.size or 0
    )
    texts = [
        f"{file.path} ({in_words(file.size)})" if file.size else file.path
        for file in files[:MOST_LISTED]
    ]
    if len(files) > MOST_LISTED:
        texts.append(f"{len(files) - MOST_LISTED} more")
    return ", ".join(texts) or "none in one piece"


def _how(name: HubName) -> str:
    return f"Name one: {command(f'model fetch {name.id}:FILE')}."


def _safetensors(files: Sequence[RepoFile]) -> tuple[RepoFile, ...]:
    """The weights of a folder, each once: a repository may hold them in two layouts."""
    if not any(file.path == "config.json" for file in files):
        return ()
    at_top = {
        file.path: file
        for file in files
        if file.path.endswith(".safetensors") and "/" not in file.path
    }
    index = next((file for file in files if file.path == INDEX), None)
    shards = [file for path, file in at_top.items() if _SHARD.fullmatch(path)]
    if index is not None and shards:
        return (*shards, index)
    if WHOLE in at_top:
        return (at_top[WHOLE],)
    return tuple(at_top.values())


def _beside(files: Sequence[RepoFile]) -> tuple[RepoFile, ...]:
    """Configuration and vocabulary."""
    return tuple(
        file
        for file in files
        if any(fnmatch(file.path, pattern) for pattern in BESIDE_WEIGHTS)
        and "/" not in file.path
        and not file.path.endswith(UNWANTED_SUFFIXES)
    )
