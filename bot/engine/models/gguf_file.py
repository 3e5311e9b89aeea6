"""GGUF files, checked by their headers. Imports no torch.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO

from bot.engine.models.config import JsonObject
from bot.errors import ModelError

VERSIONS = (2, 3)
# Kinds of vocabularies (`tokenizer.ggml.pre`) that put a beginning of sequence first, said or not.
PRE_WITH_BOS = ("llama3", "llama-v3", "llama-bpe", "falcon3", "pixtral", "tekken", "chameleon")
# What transformers calls an architecture, where llama.cpp calls it otherwise.
MODEL_TYPES = {
    "qwen2moe": "qwen2_moe",
    "qwen3moe": "qwen3_moe",
    "gpt-oss": "gpt_oss",
    "command-r": "cohere",
}
MOST_ENTRIES = 1_000_000  # tensors or metadata keys; real files have hundreds
MOST_STRING_BYTES = 16 * 1024 * 1024
MOST_ARRAY_ITEMS = 16_000_000

_STRING, _ARRAY = 8, 9
_SCALAR_FORMATS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What a GGUF file says of itself."""

    path: Path
    architecture: str
    name: str
    context_tokens: int  # 0 when not said
    parameters: int
    chat_template: str | None
    adds_bos: bool | None  # whether a text begins with the beginning of sequence; None: not said
    config: JsonObject  # as much as it says of what a config.json would


def read_gguf_header(path: Path) -> GgufHeader:
    """Check a GGUF file and read what it says. Raises ModelError, naming the file."""
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            if stream.read(4) != b"GGUF":
                raise ModelError(f"{path} is not a GGUF file.", "Download that file again.")
            return _read(path, size, stream)
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read: {error.strerror or error}.",
            "Check that the file is there and may be read.",
        ) from error
    except EOFError as error:
        raise _cut_off(path) from error
    except (ValueError, KeyError) as error:
        raise ModelError(
            f"{path} is a damaged GGUF file: {error}.", "Download that file again."
        ) from error


def _read(path: Path, size: int, stream: BinaryIO) -> GgufHeader:
    (version,) = _numbers(stream, "I")
    if version not in VERSIONS:
        raise ModelError(
            f"{path} is GGUF of version {version}; 2 and 3 are read.", "Get a newer file."
        )
    tensor_count, key_count = _numbers(stream, "QQ")
    if tensor_count > MOST_ENTRIES or key_count > MOST_ENTRIES:
        raise ValueError("it claims to hold millions of entries")
    metadata: dict[str, object] = {}
    for _ in range(key_count):
        key = _string(stream)
        (kind,) = _numbers(stream, "I")
        metadata[key] = _value(stream, kind)
    end, parameters = _tensor_sizes(stream, tensor_count)
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or not 0 < alignment <= 1 << 20:
        raise ValueError(f"its alignment is {alignment}")
    data_start = -(-stream.tell() // alignment) * alignment
    if size < data_start + end:
        raise _cut_off(path)
    architecture = metadata.get("general.architecture")
    if not isinstance(architecture, str):
        raise ValueError("it does not name its architecture")
    if isinstance(metadata.get("split.count"), int) and metadata["split.count"] != 1:
        raise ModelError(
            f"{path} is one part of a split model.", "Join the parts with llama-gguf-split."
        )
    context = metadata.get(f"{architecture}.context_length")
    name = metadata.get("general.name")
    template = metadata.get("tokenizer.chat_template")
    return GgufHeader(
        path=path,
        architecture=architecture,
        name=name if isinstance(name, str) else path.stem,
        context_tokens=context if isinstance(context, int) else 0,
        parameters=parameters,
        chat_template=template if isinstance(template, str) else None,
        adds_bos=_adds_bos(metadata),
        config=_config(architecture, metadata),
    )


def _adds_bos(metadata: JsonObject) -> bool | None:
    """What llama.cpp makes of a file; older ones do not say it."""
    said = metadata.get("tokenizer.ggml.add_bos_token")
    if isinstance(said, bool):
        return said
    if metadata.get("tokenizer.ggml.model") == "llama":
        return True
    return True if metadata.get("tokenizer.ggml.pre") in PRE_WITH_BOS else None


def _config(architecture: str, metadata: JsonObject) -> JsonObject:
    """In config.json's words, what decides whether a model of this kind can be computed."""
    said: dict[str, object] = {"model_type": MODEL_TYPES.get(architecture, architecture)}
    scaling = metadata.get(f"{architecture}.rope.scaling.type")
    if isinstance(scaling, str) and scaling != "none":
        said["rope_parameters"] = {"rope_type": scaling}
    # Mistral's is left out where there is none; its config.json would have to say so.
    said["sliding_window"] = metadata.get(f"{architecture}.attention.sliding_window")
    said["use_sliding_window"] = bool(said["sliding_window"])
    experts = metadata.get(f"{architecture}.expert_count")
    if isinstance(experts, int) and experts > 0:
        said["model_type"] = f"{said['model_type']} with experts"
    return said


def _tensor_sizes(stream: BinaryIO, count: int) -> tuple[int, int]:
    """(where the last tensor ends within the data, all elements)."""
    # Imported late: it brings numpy, which inspecting a folder of safetensors does not need.
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

    end = parameters = 0
    for _ in range(count):
        _string(stream)
        (dimensions,) = _numbers(stream, "I")
        if dimensions > 8:
            raise ValueError(f"a tensor has {dimensions} dimensions")
        elements = prod(_numbers(stream, "Q" * dimensions))
        kind, offset = _numbers(stream, "IQ")
        block, block_bytes = GGML_QUANT_SIZES[GGMLQuantizationType(kind)]
        end = max(end, offset + elements // block * block_bytes)
        parameters += elements
    return end, parameters


def _value(stream: BinaryIO, kind: int) -> object:
    """A metadata value; arrays are skipped over and come back as None."""
    if kind == _STRING:
        return _string(stream)
    if kind != _ARRAY:
        return _numbers(stream, _SCALAR_FORMATS[kind])[0]
    item_kind, count = _numbers(stream, "IQ")
    if count > MOST_ARRAY_ITEMS:
        raise ValueError(f"a list in it claims {count} items")
    if item_kind in _SCALAR_FORMATS:
        _skip(stream, count * struct.calcsize(f"<{_SCALAR_FORMATS[item_kind]}"))
    elif item_kind == _STRING:
        for _ in range(count):
            _skip(stream, _numbers(stream, "Q")[0])
    else:
        raise ValueError("it has lists of lists")
    return None


def _string(stream: BinaryIO) -> str:
    (length,) = _numbers(stream, "Q")
    if length > MOST_STRING_BYTES:
        raise ValueError(f"a text in it claims {length} bytes")
    return _bytes(stream, length).decode("utf-8", "replace")


def _numbers(stream: BinaryIO, form: str) -> tuple[int, ...]:
    return struct.unpack(f"<{form}", _bytes(stream, struct.calcsize(f"<{form}")))


def _skip(stream: BinaryIO, count: int) -> None:
    if count > MOST_ARRAY_ITEMS * 8:
        raise ValueError("a text in it is too long")
    stream.seek(count, 1)


def _bytes(stream: BinaryIO, count: int) -> bytes:
    found = stream.read(count)
    if len(found) < count:
        raise EOFError
    return found


def _cut_off(path: Path) -> ModelError:
    return ModelError(
        f"{path} is cut off: its tensors do not fit into {path.stat().st_size} bytes.",
        "Download that file again and check its size.",
    )
