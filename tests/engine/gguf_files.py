"""Small GGUF files, right ones and ones that lie: written by hand, byte by byte."""

import struct
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

NUMBERS = {
    "uint8": (0, "B"),
    "int8": (1, "b"),
    "uint16": (2, "H"),
    "int16": (3, "h"),
    "uint32": (4, "I"),
    "int32": (5, "i"),
    "float32": (6, "f"),
    "bool": (7, "?"),
    "uint64": (10, "Q"),
    "int64": (11, "q"),
    "float64": (12, "d"),
}
STRING, ARRAY = 8, 9
F32, F16, Q4_0, Q8_0 = 0, 1, 2, 8
BLOCKS = {F32: (1, 4), F16: (1, 2), Q4_0: (32, 18), Q8_0: (32, 34)}
ALIGNMENT = 32


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def value(kind: str, found: Any) -> bytes:
    """A metadata value with its kind: "string", "uint32", "[string]", "[int32]" ..."""
    if kind == "string":
        return struct.pack("<I", STRING) + text(found)
    if kind == "[string]":
        head = struct.pack("<IIQ", ARRAY, STRING, len(found))
        return head + b"".join(text(item) for item in found)
    if kind.startswith("["):
        number, letter = NUMBERS[kind[1:-1]]
        packed = struct.pack(f"<{len(found)}{letter}", *found)
        return struct.pack("<IIQ", ARRAY, number, len(found)) + packed
    number, letter = NUMBERS[kind]
    return struct.pack("<I", number) + struct.pack(f"<{letter}", found)


@dataclass(frozen=True)
class Tensor:
    name: str | bytes
    shape: tuple[int, ...]
    type_number: int = F32
    offset: int | None = None  # None: where it belongs
    data: bytes = b""  # "" is zeros

    @property
    def bytes(self) -> int:
        block, width = BLOCKS.get(self.type_number, (1, 4))
        elements = 1
        for size in self.shape:
            elements *= size
        return elements // block * width


@dataclass(frozen=True)
class GgufFile:
    """A file to be written; `replace` it to make it lie."""

    metadata: dict[str, tuple[str, Any]]
    tensors: tuple[Tensor, ...]
    magic: bytes = b"GGUF"
    version: int = 3
    key_count: int | None = None
    tensor_count: int | None = None
    more_keys: tuple[bytes, ...] = field(default=())  # raw, after the others

    def having(self, **changes: tuple[str, Any] | None) -> "GgufFile":
        """With other metadata; `__` in a name is a dot, None takes a key away."""
        metadata = dict(self.metadata)
        for name, change in changes.items():
            key = name.replace("__", ".")
            metadata.pop(key, None)
            if change is not None:
                metadata[key] = change
        return replace(self, metadata=metadata)

    def header(self) -> bytes:
        keys = [text(key) + value(*found) for key, found in self.metadata.items()]
        keys += self.more_keys
        tensors, offset = [], 0
        for tensor in self.tensors:
            head = text(tensor.name) + struct.pack("<I", len(tensor.shape))
            head += struct.pack(f"<{len(tensor.shape)}Q", *tensor.shape)
            place = offset if tensor.offset is None else tensor.offset
            tensors.append(head + struct.pack("<IQ", tensor.type_number, place))
            offset += padded(tensor.bytes)
        counts = struct.pack(
            "<IQQ",
            self.version,
            len(tensors) if self.tensor_count is None else self.tensor_count,
            len(keys) if self.key_count is None else self.key_count,
        )
        return self.magic + counts + b"".join(keys) + b"".join(tensors)

    def write(self, path: Path, *, without_bytes: int = 0) -> Path:
        """To `path`, its weights sparse; `without_bytes` are left off at its end."""
        header = self.header()
        place = end = padded(len(header))
        with path.open("wb") as stream:
            stream.write(header)
            for tensor in self.tensors:
                if tensor.data:
                    stream.seek(place)
                    stream.write(tensor.data)
                end = place + tensor.bytes
                place += padded(tensor.bytes)
            stream.truncate(end - without_bytes)
        return path


def padded(count: int) -> int:
    return -(-count // ALIGNMENT) * ALIGNMENT


def byte_letters() -> list[str]:
    """GPT-2's 256 letters for bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = [byte for byte in range(256) if byte not in plain]
    letters = {byte: chr(byte) for byte in plain}
    letters |= {byte: chr(256 + number) for number, byte in enumerate(other)}
    return [letters[byte] for byte in range(256)]


def llama(
    *,
    architecture: str = "llama",
    layers: int = 2,
    embedding: int = 64,
    feed_forward: int = 96,
    heads: int = 4,
    kv_heads: int = 2,
    vocabulary: int = 0,
    context: int = 512,
    type_number: int = F32,
) -> GgufFile:
    """A whole model of Llama's kind with weights of zero, which llama.cpp loads and runs."""
    tokens = ["<unk>", "<s>", "</s>", *byte_letters(), "ab"]
    tokens += [f"<extra{number}>" for number in range(vocabulary - len(tokens))]
    kinds = [2, 3, 3] + [1] * (len(tokens) - 3)
    length = embedding // heads
    a = architecture
    metadata: dict[str, tuple[str, Any]] = {
        "general.architecture": ("string", a),
        "general.type": ("string", "model"),
        "general.name": ("string", "Tiny"),
        "general.license": ("string", "mit"),
        "general.file_type": ("uint32", {F32: 0, F16: 1, Q4_0: 2, Q8_0: 7}[type_number]),
        f"{a}.block_count": ("uint32", layers),
        f"{a}.context_length": ("uint32", context),
        f"{a}.embedding_length": ("uint32", embedding),
        f"{a}.feed_forward_length": ("uint32", feed_forward),
        f"{a}.attention.head_count": ("uint32", heads),
        f"{a}.attention.head_count_kv": ("uint32", kv_heads),
        f"{a}.attention.layer_norm_rms_epsilon": ("float32", 1e-5),
        f"{a}.rope.dimension_count": ("uint32", length),
        "tokenizer.ggml.model": ("string", "gpt2"),
        "tokenizer.ggml.pre": ("string", "smollm"),
        "tokenizer.ggml.tokens": ("[string]", tokens),
        "tokenizer.ggml.token_type": ("[int32]", kinds),
        "tokenizer.ggml.merges": ("[string]", ["a b"]),
        "tokenizer.ggml.bos_token_id": ("uint32", 1),
        "tokenizer.ggml.eos_token_id": ("uint32", 2),
        "tokenizer.ggml.unknown_token_id": ("uint32", 0),
        "tokenizer.chat_template": ("string", "{{ messages }}"),
    }
    tensors = [Tensor("token_embd.weight", (embedding, len(tokens)), type_number)]
    for layer in range(layers):
        b = f"blk.{layer}."
        tensors += [
            Tensor(f"{b}attn_norm.weight", (embedding,)),
            Tensor(f"{b}attn_q.weight", (embedding, length * heads), type_number),
            Tensor(f"{b}attn_k.weight", (embedding, length * kv_heads), type_number),
            Tensor(f"{b}attn_v.weight", (embedding, length * kv_heads), type_number),
            Tensor(f"{b}attn_output.weight", (length * heads, embedding), type_number),
            Tensor(f"{b}ffn_norm.weight", (embedding,)),
            Tensor(f"{b}ffn_gate.weight", (embedding, feed_forward), type_number),
            Tensor(f"{b}ffn_up.weight", (embedding, feed_forward), type_number),
            Tensor(f"{b}ffn_down.weight", (feed_forward, embedding), type_number),
        ]
    tensors.append(Tensor("output_norm.weight", (embedding,)))
    return GgufFile(metadata, tuple(tensors))
