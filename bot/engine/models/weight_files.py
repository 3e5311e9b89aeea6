"""Safetensors files, checked by their headers before anything loads them. Imports no torch.

Format: https://github.com/huggingface/safetensors#format (the header's length in eight bytes, the
header as JSON, the data).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import cast

from bot.errors import ModelError

HEADER_BYTES = 100_000_000  # the safetensors library refuses more
LENGTH_BYTES = 8

DTYPE_BITS: Mapping[str, int] = {
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "I64": 64,
    "U64": 64,
    "F64": 64,
}

_DOWNLOAD_AGAIN = "Download that file again and check its size."


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One tensor as its file's header describes it."""

    file: Path
    dtype: str  # a key of DTYPE_BITS
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)


def read_weight_file(path: Path) -> dict[str, TensorEntry]:
    """The tensors that a safetensors file describes, by name.

    Raises ModelError, naming the file, when it is missing, cut off, or something else.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            beginning = stream.read(LENGTH_BYTES)
            _refuse_foreign(path, beginning + stream.read(64))
            length = int.from_bytes(beginning, "little")
            if len(beginning) < LENGTH_BYTES or length > HEADER_BYTES:
                raise ModelError(f"{path} is not a safetensors file.", _DOWNLOAD_AGAIN)
            stream.seek(LENGTH_BYTES)
            header = stream.read(length)
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read: {error.strerror or error}.",
            "Check that the file is there and may be read.",
        ) from error
    if len(header) < length:
        raise _cut_off(path, f"its header alone has {length} bytes, the file {size}")
    described, end = _parse_header(path, header)
    expected = LENGTH_BYTES + length + end
    if size < expected:
        raise _cut_off(path, f"it has {size} of {expected} bytes")
    if size > expected:
        raise ModelError(
            f"{path} is damaged: it has {size - expected} bytes after its last tensor.",
            _DOWNLOAD_AGAIN,
        )
    return described


def _parse_header(path: Path, header: bytes) -> tuple[dict[str, TensorEntry], int]:
    """The tensors, and where the last one ends within the data."""
    try:
        parsed: object = json.loads(header)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not a safetensors file.", _DOWNLOAD_AGAIN) from error
    if not isinstance(parsed, dict):
        raise ModelError(f"{path} is not a safetensors file.", _DOWNLOAD_AGAIN)
    entries = cast("dict[str, object]", parsed)
    if not _is_map_of_texts(entries.pop("__metadata__", {})):
        raise ModelError(f"{path} is not a safetensors file.", _DOWNLOAD_AGAIN)
    tensors: dict[str, TensorEntry] = {}
    places: list[tuple[int, int]] = []
    for name, entry in entries.items():
        tensors[name], place = _parse_entry(path, name, entry)
        places.append(place)
    return tensors, _end_of_data(path, places)


def _is_map_of_texts(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    return all(isinstance(text, str) for text in cast("dict[str, object]", value).values())


def _end_of_data(path: Path, places: list[tuple[int, int]]) -> int:
    """Tensors lie one behind the other: the library reads nothing else."""
    end = 0
    for begin, next_end in sorted(places):
        if begin != end:
            raise ModelError(
                f"{path} is damaged: its tensors overlap or leave holes.", _DOWNLOAD_AGAIN
            )
        end = next_end
    return end


def _parse_entry(path: Path, name: str, entry: object) -> tuple[TensorEntry, tuple[int, int]]:
    fields = cast("dict[str, object]", entry) if isinstance(entry, dict) else {}
    dtype, shape, offsets = fields.get("dtype"), fields.get("shape"), fields.get("data_offsets")
    if not (isinstance(dtype, str) and dtype in DTYPE_BITS):
        raise ModelError(
            f"{path}: the tensor {name[:100]} has the unknown type {str(dtype)[:20]}.",
            "This model needs a newer Caduceus, or the file is damaged.",
        )
    sizes = _whole_numbers(shape)
    places = _whole_numbers(offsets)
    if sizes is None or places is None or len(places) != 2:
        raise ModelError(f"{path}: the tensor {name[:100]} is not described.", _DOWNLOAD_AGAIN)
    begin, end = places
    if (end - begin) * 8 != prod(sizes) * DTYPE_BITS[dtype]:
        raise ModelError(
            f"{path}: the size of the tensor {name[:100]} contradicts itself.", _DOWNLOAD_AGAIN
        )
    return TensorEntry(path, dtype, sizes), (begin, end)


def _whole_numbers(value: object) -> tuple[int, ...] | None:
    if not isinstance(value, list):
        return None
    numbers: list[int] = []
    for number in cast("list[object]", value):
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            return None
        numbers.append(number)
    return tuple(numbers)


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


def _cut_off(path: Path, how: str) -> ModelError:
    return ModelError(f"{path} is cut off: {how}.", _DOWNLOAD_AGAIN)
