"""Safetensors headers: what the library will read is let through, all else is named and refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from bot.engine.models.folders.weight_files import read_weight_file
from bot.errors import ModelError


def write(path: Path, header: dict[str, Any], data: bytes, length: int = 0) -> Path:
    encoded = json.dumps(header).encode().ljust(length)
    path.write_bytes(len(encoded).to_bytes(8, "little") + encoded + data)
    return path


def tensor(begin: int, end: int) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [(end - begin) // 4], "data_offsets": [begin, end]}


# The header's length stands first in the file: these begin as pickles of protocol 2 and 4 do.
@pytest.mark.parametrize("length", [0x0280, 0x0480, 0x10280])
def test_a_header_whose_length_looks_like_a_pickle_is_read(length: int, tmp_path: Path) -> None:
    path = write(tmp_path / "model.safetensors", {"a": tensor(0, 8)}, bytes(8), length)
    assert read_weight_file(path)["a"].shape == (2,)


@pytest.mark.parametrize(
    ("header", "size"),
    [
        ({"a": tensor(0, 8), "b": tensor(0, 8)}, 8),
        ({"a": tensor(0, 8), "b": tensor(4, 12)}, 12),
        ({"a": tensor(8, 16)}, 16),
        ({"a": tensor(0, 8), "b": tensor(12, 20)}, 20),
    ],
)
def test_tensors_that_overlap_or_leave_holes_are_refused(
    header: dict[str, Any], size: int, tmp_path: Path
) -> None:
    path = write(tmp_path / "model.safetensors", header, bytes(size))
    with pytest.raises(ModelError, match=r"model\.safetensors is damaged"):
        read_weight_file(path)


@pytest.mark.parametrize("metadata", [{"format": 1}, [], "pt"])
def test_metadata_that_is_no_map_of_texts_is_refused(metadata: object, tmp_path: Path) -> None:
    header = {"__metadata__": metadata, "a": tensor(0, 8)}
    path = write(tmp_path / "model.safetensors", header, bytes(8))
    with pytest.raises(ModelError, match=r"model\.safetensors is not a safetensors file"):
        read_weight_file(path)


def test_tensors_may_be_described_in_any_order_and_be_empty(tmp_path: Path) -> None:
    header = {
        "__metadata__": {"format": "pt"},
        "b": tensor(8, 16),
        "none": tensor(8, 8),
        "a": tensor(0, 8),
    }
    path = write(tmp_path / "model.safetensors", header, bytes(16))
    assert set(read_weight_file(path)) == {"a", "b", "none"}
