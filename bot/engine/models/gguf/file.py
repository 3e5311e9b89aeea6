"""GGUF files, checked by their headers before llama.cpp sees them. Imports no torch.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from bot.engine.models.folders.generation import known_sampling
from bot.engine.models.gguf import checks, words
from bot.engine.models.gguf.container import (
    CutOff,
    Damaged,
    GgufContents,
    GgufScalar,
    OtherEndian,
    OtherVersion,
    read_container,
)
from bot.engine.models.gguf.memory import MemoryNeed, ModelShape, memory_need
from bot.engine.models.gguf.shape import Numbers, read_shape
from bot.engine.models.gguf.weight_types import FILE_TYPES, TENSOR_TYPES
from bot.errors import ModelError

MAGIC = b"GGUF"
_DOWNLOAD_AGAIN = "Download that file again."
_LITTLE_ENDIAN = "Get the usual little-endian file of this model."
_NEWER = "Get a newer file of this model, as GGUF."
_AS_GGUF = "Get the model as safetensors or GGUF."
_BEGINNING_BYTES = 64
# What other files begin with, what they are, and what to do.
_FOREIGN: tuple[tuple[bytes, str, str], ...] = (
    (b"FUGG", "a big-endian GGUF, made for other processors", _LITTLE_ENDIAN),
    (b"<", "a web page, not the model", "Download the file itself, by its link «download»."),
    (
        b"version https://git-lfs",
        "a pointer to the model, not the model",
        "Download the file itself (`git lfs pull`, or `model fetch`).",
    ),
    (b"{", "JSON, perhaps an error message of the server", _DOWNLOAD_AGAIN),
    *(
        (old, "a model in llama.cpp's format of before GGUF (GGML)", _NEWER)
        for old in (b"lmgg", b"fmgg", b"tjgg", b"algg")
    ),
    (b"PK", "a zip, perhaps a pickle of PyTorch's; those are never read", _AS_GGUF),
    (b"\x80", "a pickle; pickles can run code and are never read", _AS_GGUF),
    (b"\x1f\x8b", "packed by gzip", "Unpack it first."),
    (b"\0" * _BEGINNING_BYTES, "empty inside: nothing but zeros", _DOWNLOAD_AGAIN),
)


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What a GGUF file says of itself, checked. Texts that it does not say are ""."""

    path: Path
    bytes: int  # the file's size
    architecture: str
    name: str
    license: str  # as the file writes it, mostly an SPDX identifier
    quantization: str  # "Q4_K_M", "F16" ...
    parameters: int
    context_tokens: int  # that the model was made for
    chat_template: str | None  # Jinja; the one to take
    named_templates: Mapping[str, str] = field(repr=False)  # all of them, the default first
    special_tokens: tuple[str, ...] = field(repr=False)  # spelled out
    bos_token: str
    eos_token: str
    end_tokens: tuple[str, ...]  # spelled out: end of sequence, of turn, of message
    adds_bos: bool  # whether llama.cpp begins a text with the beginning of sequence
    sampling_defaults: Mapping[str, float]  # by Sampling's field names
    shape: ModelShape

    def memory(self, context_tokens: int, sequences: int, cache_bits: int = 16) -> MemoryNeed:
        """What it takes with so many conversations of so many tokens each."""
        return memory_need(self.shape, self.bytes, context_tokens, sequences, cache_bits)


def _is_text(path: Path) -> bool:
    """llama.cpp is told the path as text."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def is_gguf_inside(path: Path) -> bool:
    """Whether a file begins as a GGUF does, whatever its name."""
    try:
        with path.open("rb") as stream:
            return stream.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def read_gguf_header(path: Path) -> GgufHeader:
    """Check a GGUF file and read what it says. Raises ModelError, naming the file."""
    if not _is_text(path):
        name = str(path).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        raise ModelError(f"{name} has a name that is not UTF-8.", "Rename the file.")
    try:
        with _opened(path) as stream:
            size = os.fstat(stream.fileno()).st_size
            beginning = stream.read(_BEGINNING_BYTES)
            if not beginning.startswith(MAGIC):
                raise ModelError(*_foreign(path, beginning))
            stream.seek(len(MAGIC))
            return _header(path, size, read_container(stream, size))
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read: {error.strerror or error}.",
            "Check that the file is there and may be read.",
        ) from error
    except CutOff as error:
        raise ModelError(
            f"{path} is a broken-off download: {_amount(error.missing_bytes)} of it are missing.",
            "Download that file again and check its size.",
        ) from error
    except Damaged as error:
        raise ModelError(f"{path} is a damaged GGUF file: it {error}.", _DOWNLOAD_AGAIN) from error
    except OtherEndian as error:
        raise ModelError(
            f"{path} is a big-endian GGUF, made for other processors.",
            _LITTLE_ENDIAN,
        ) from error
    except OtherVersion as error:
        raise ModelError(
            f"{path} is GGUF of version {error.version}; 2 and 3 are read.",
            _NEWER,
        ) from error


def _foreign(path: Path, beginning: bytes) -> tuple[str, str]:
    """(what a file is that is no GGUF, what to do)."""
    if not beginning:
        return f"{path} is empty.", _DOWNLOAD_AGAIN
    for start, what, fix in _FOREIGN:
        if beginning.lstrip().startswith(start):
            return f"{path} is no GGUF file: it is {what}.", fix
    if beginning[8:9] == b"{":  # after the length of its header
        return (
            f"{path} is no GGUF file: it is a safetensors file by another name.",
            "Name it *.safetensors, in a folder with its config.json and tokenizer.",
        )
    return f"{path} is no GGUF file.", _DOWNLOAD_AGAIN


def _opened(path: Path) -> BinaryIO:
    """The file, opened; never waits at a pipe. Raises ModelError for what is no file."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ModelError(f"{path} is no file.", "Set MODEL to a model's folder or GGUF file.")
    return os.fdopen(descriptor, "rb")


def _header(path: Path, size: int, contents: GgufContents) -> GgufHeader:
    metadata = contents.metadata
    architecture = checks.check_kind(path, metadata)
    checks.check_tokenizer(path, metadata)
    tokens = words.read_tokens(metadata)
    checks.check_numbers(architecture, metadata, tokens.count)
    shape = read_shape(architecture, metadata, tokens.count)
    checks.check_weights(contents, shape)
    templates = words.read_templates(metadata)
    return GgufHeader(
        path=path,
        bytes=size,
        architecture=architecture,
        name=words.plain(words.text_of(metadata, "general.name")) or path.stem,
        license=words.plain(words.text_of(metadata, "general.license")),
        quantization=_quantization(contents),
        parameters=sum(tensor.elements for tensor in contents.tensors.values()),
        context_tokens=Numbers(architecture, metadata).one("context_length"),
        chat_template=next(iter(templates.values()), None),
        named_templates=templates,
        special_tokens=tokens.special,
        bos_token=tokens.bos,
        eos_token=tokens.eos,
        end_tokens=tokens.ends,
        adds_bos=tokens.adds_bos,
        sampling_defaults=words.read_sampling(metadata) or known_sampling(path.stem),
        shape=shape,
    )


def _quantization(contents: GgufContents) -> str:
    """As the file names it, else by the kind that most of its weights have."""
    said = contents.metadata.get("general.file_type")
    number = said.value if isinstance(said, GgufScalar) else None
    if isinstance(number, int) and number in FILE_TYPES:
        return FILE_TYPES[number]
    elements: dict[int, int] = {}
    for tensor in contents.tensors.values():
        elements[tensor.type_number] = elements.get(tensor.type_number, 0) + tensor.elements
    if not elements:
        return ""
    return TENSOR_TYPES[max(elements, key=lambda kind: elements[kind])].name


def _amount(count: int) -> str:
    """Bytes in words."""
    if count < 10**6:
        return f"{count:,} bytes"
    return f"{count / 10**6:,.0f} MB" if count < 10**10 else f"{count / 10**9:,.1f} GB"
