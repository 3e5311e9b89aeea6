"""Lays a model folder out as transformers reads it, without changing the folder itself.

AutoGPTQ's files differ from what transformers expects in three ways: the weights go by another name
than `model.safetensors`, how they are quantized stands in `quantize_config.json` and not in
`config.json`, and `g_idx` may be missing (transformers would leave it uninitialised). A staged
folder links to the files, has a `config.json` of its own and, where `g_idx` was missing, one more
file of weights with it.
"""

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path

from bot.engine.models.folders.folder import (
    INDEX_NAME,
    QUANTIZE_CONFIG_NAME,
    ModelFolder,
    read_model_folder,
)
from bot.engine.models.folders.making import making_folder
from bot.engine.models.folders.weight_files import TensorEntry
from bot.engine.models.gptq.layout import GptqLayout, in_features
from bot.errors import ModelError

G_IDX_NAME = "caduceus-g_idx.safetensors"
_VERSION = 2  # of what is written here; an older stage is made again
_LEFT_OUT = (".safetensors", ".safetensors.index.json", ".bin", ".pt", ".pth")
_WRITTEN = ("config.json", QUANTIZE_CONFIG_NAME)  # what these say stands in our config.json


def stage(folder: ModelFolder, *, data_dir: Path) -> ModelFolder:
    """The folder itself when it is laid out rightly, else its stage under `data_dir`/staging.

    A stage is kept and used again while the folder's files stay what they were. Raises ModelError.
    """
    if not folder.needs_staging:
        return folder
    target = data_dir / "staging" / f"{folder.path.name[:60]}-{_fingerprint(folder)}"
    if target.is_dir():
        try:
            return read_model_folder(target)
        except ModelError:
            # The links lead nowhere, or somebody changed it: another name is free of both.
            target = target.with_name(f"{target.name}-again")
    with making_folder(target) as making:
        _fill(folder, making)
    return read_model_folder(target)


def _fill(folder: ModelFolder, making: Path) -> None:
    for file in folder.path.iterdir():
        left_out = file.name in _WRITTEN or file.name.endswith(_LEFT_OUT)
        if file.is_file() and not left_out:
            (making / file.name).symlink_to(file.resolve())
    # Beside a `model.safetensors` transformers would not look at the index. It takes files in the
    # order of their names, and of two that hold the same tensor the last: that is to be ours.
    links = {file: f"0-{file.name}" for file in folder.weight_files}
    for file, name in links.items():
        (making / name).symlink_to(file.resolve())
    weight_map = {name: links[tensor.file] for name, tensor in folder.tensors.items()}
    if folder.gptq and folder.gptq.without_g_idx:
        names = _write_g_idx(making / G_IDX_NAME, folder.gptq, folder.tensors)
        weight_map |= dict.fromkeys(names, G_IDX_NAME)
    (making / INDEX_NAME).write_text(
        json.dumps({"metadata": {}, "weight_map": weight_map}), encoding="utf-8"
    )
    (making / "config.json").write_text(
        json.dumps(_staged_config(folder), indent=2), encoding="utf-8"
    )


def _staged_config(folder: ModelFolder) -> dict[str, object]:
    config = dict(folder.config)
    if folder.gptq:
        layout = folder.gptq
        config["quantization_config"] = {
            **{k: v for k, v in folder.quantize_settings.items() if v is not None},
            "quant_method": "gptq",
            "bits": layout.bits,
            "group_size": layout.group_size,
            "desc_act": layout.desc_act,
            "sym": layout.sym,
            "checkpoint_format": layout.checkpoint_format,
        }
    return config


def _write_g_idx(path: Path, layout: GptqLayout, tensors: Mapping[str, TensorEntry]) -> list[str]:
    """Write the missing `g_idx` as a safetensors file: input i belongs to group i // group_size."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    data = bytearray()
    names: list[str] = []
    packed: dict[int, bytes] = {}
    for layer in layout.without_g_idx:
        inputs = in_features(layout, layer, tensors)
        if inputs not in packed:
            size = inputs if layout.group_size == -1 else layout.group_size
            packed[inputs] = struct.pack(f"<{inputs}i", *(i // size for i in range(inputs)))
        name = f"{layer}.g_idx"
        names.append(name)
        header[name] = {
            "dtype": "I32",
            "shape": [inputs],
            "data_offsets": [len(data), len(data) + len(packed[inputs])],
        }
        data += packed[inputs]
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)  # the data is to be aligned
    path.write_bytes(len(encoded).to_bytes(8, "little") + encoded + data)
    return names


def _fingerprint(folder: ModelFolder) -> str:
    """Changes when the folder's files do."""
    digest = hashlib.sha256(f"{_VERSION}\n{folder.path.resolve()}\n".encode())
    digest.update("\n".join(file.name for file in folder.weight_files).encode())
    for file in sorted(folder.path.iterdir()):
        if file.is_file():
            status = file.stat()
            digest.update(f"{file.name}\n{status.st_size}\n{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]
