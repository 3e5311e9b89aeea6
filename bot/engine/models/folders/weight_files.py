"""Safetensors files, checked by their headers before anything loads them. Imports no torch.

The safetensors library reads the headers (https://github.com/huggingface/safetensors#format); here
is what people are told when it refuses one. It belongs to the extra `gpu`, so it is imported late.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, cast

from bot.engine.models.extras import OR_GGUF, require_gpu_libraries
from bot.errors import ModelError

LENGTH_BYTES = 8  # the header's length, at the beginning of the file

# What torch can hold; the library knows types of a few bits besides.
DTYPES = frozenset(
    [
        "BOOL",
        "U8",
        "I8",
        "F8_E4M3",
        "F8_E5M2",
        "I16",
        "U16",
        "F16",
        "BF16",
        "I32",
        "U32",
        "F32",
        "I64",
        "U64",
        "F64",
    ]
)

_DOWNLOAD_AGAIN = "Download that file again and check its size."
_UNFINISHED = "file not fully covered"  # the library's words for a wrong size, too small or large
# Its words for the rest, and ours.
_WORDS: Mapping[str, str] = {
    "header too small": "is not a safetensors file",
    "header too large": "is not a safetensors file",
    "invalid UTF-8": "is not a safetensors file",
    "invalid start": "is not a safetensors file",
    "unknown variant": "has a tensor of an unknown type, or is damaged",
    "invalid JSON": "is not a safetensors file",
    "invalid header length": "is cut off: its header alone is longer than the file",
    "invalid offset": "is damaged: its tensors overlap or leave holes",
    "invalid shape": "is damaged: the size of a tensor contradicts itself",
    "overflow": "is damaged: the size of a tensor contradicts itself",
}


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One tensor as its file's header describes it."""

    file: Path
    dtype: str  # one of DTYPES
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)


def read_weight_file(path: Path) -> dict[str, TensorEntry]:
    """The tensors that a safetensors file describes, by name.

    Raises ModelError, naming the file, when it is missing, cut off, or something else.
    """
    require_gpu_libraries(f"{path.parent}, a model of safetensors files,", OR_GGUF)
    from safetensors import SafetensorError, safe_open

    try:
        with path.open("rb") as stream:
            _refuse_foreign(path, stream.read(LENGTH_BYTES + 64))
        with cast("Any", safe_open(str(path), framework="np")) as opened:
            names = cast("list[str]", opened.keys())
            return {name: _entry(path, name, opened.get_slice(name)) for name in names}
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read: {error.strerror or error}.",
            "Check that the file is there and may be read.",
        ) from error
    except SafetensorError as error:
        raise _refused(path, str(error)) from error


def read_integers(
    names: Iterable[str], tensors: Mapping[str, TensorEntry]
) -> Iterator[tuple[str, list[int]]]:
    """Each of the named tensors of whole numbers, read from its file. Raises ModelError."""
    from safetensors import SafetensorError, safe_open

    by_file: dict[Path, list[str]] = {}
    for name in names:
        by_file.setdefault(tensors[name].file, []).append(name)
    for path, found in by_file.items():
        try:
            with cast("Any", safe_open(str(path), framework="np")) as opened:
                for name in found:
                    yield name, cast("list[int]", opened.get_tensor(name).tolist())
        except OSError as error:
            raise ModelError(
                f"{path} cannot be read: {error.strerror or error}.",
                "Check that the file is there and may be read.",
            ) from error
        except SafetensorError as error:
            raise _refused(path, str(error)) from error


def _entry(path: Path, name: str, tensor: Any) -> TensorEntry:
    dtype = cast("str", tensor.get_dtype())
    if dtype not in DTYPES:
        raise ModelError(
            f"{path}: the tensor {name[:100]} has the unknown type {dtype[:20]}.",
            "This model needs a newer Caduceus.",
        )
    return TensorEntry(path, dtype, tuple(cast("list[int]", tensor.get_shape())))


def _refused(path: Path, reason: str) -> ModelError:
    """What the library refused a file for, in our words."""
    if _UNFINISHED in reason:
        size, expected = path.stat().st_size, _expected_bytes(path)
        if size < expected:
            how = f"is cut off: it has {size} of {expected} bytes"
        else:
            how = f"is damaged: it has {size - expected} bytes after its last tensor"
        return ModelError(f"{path} {how}.", _DOWNLOAD_AGAIN)
    how = next((ours for theirs, ours in _WORDS.items() if theirs in reason), "")
    return ModelError(f"{path} {how or f'is damaged: {reason[:200]}'}.", _DOWNLOAD_AGAIN)


def _expected_bytes(path: Path) -> int:
    """How long a file should be whose header the library finds right. It does not tell."""
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(LENGTH_BYTES), "little")
        header = cast("dict[str, dict[str, list[int]]]", json.loads(stream.read(length)))
    header.pop("__metadata__", None)
    ends = [entry["data_offsets"][1] for entry in header.values()]
    return LENGTH_BYTES + length + max(ends, default=0)


def _refuse_foreign(path: Path, beginning: bytes) -> None:
    """Name what people really get in place of weights.

    A header's length may look like anything; a header begins with a brace, and they do not.
    """
    if beginning[LENGTH_BYTES:].startswith(b"{"):
        return
    if beginning.startswith(b"version https://git-lfs"):
        raise ModelError(
            f"{path} is only a Git LFS pointer, not the weights.",
            "Run `git lfs pull` in that folder, or download the file itself.",
        )
    if beginning.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x04")):
        raise ModelError(
            f"{path} is a PyTorch pickle by another name; pickles can run code and are never read.",
            "Get the model as safetensors.",
        )
    if beginning.startswith(b"GGUF"):
        raise ModelError(f"{path} is a GGUF file by another name.", "Rename it to end in .gguf.")
    if beginning.lstrip().lower().startswith((b"<!doctype", b"<html")):
        raise ModelError(f"{path} is a web page, not weights.", _DOWNLOAD_AGAIN)
