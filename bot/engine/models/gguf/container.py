"""Reads a GGUF container: metadata and the list of tensors, never the weights themselves.

Everything is bounded before it is believed: counts, lengths, offsets. A hostile file costs a
fraction of a second and some tens of megabytes, whatever it claims.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import BinaryIO, TypeAlias

from bot.engine.models.gguf.weight_types import TENSOR_TYPES

VERSIONS = (2, 3)
MOST_KEYS = 4096  # real files have some dozens
MOST_TENSORS = 65_536  # and up to a few thousand of these
MOST_HEADER_BYTES = 128 * 1024 * 1024  # before the weights; a large vocabulary takes some 15 MB
MOST_FILE_BYTES = 16 * 1024**4
MOST_TOKENS = 524_288  # of a vocabulary; the largest known have 262,144
MOST_STRINGS = 2_000_000  # in all lists together: tokens, merges, labels
MOST_TEXT_BYTES = 16 * 1024  # that is kept of one key
MOST_TEMPLATE_BYTES = 1024 * 1024
MOST_TEMPLATES = 16
MOST_NAME_BYTES = 63  # of a tensor: GGML_MAX_NAME with its zero
MOST_DIMENSIONS = 4  # GGML_MAX_DIMS
MOST_KEPT_NUMBERS = 4096  # of a list: one a layer, at most 512 of them
DEFAULT_ALIGNMENT = LEAST_ALIGNMENT = 32  # llama.cpp's TENSOR_ALIGNMENT, which it asserts

TOKENS_KEY = "tokenizer.ggml.tokens"
TOKEN_TYPES_KEY = "tokenizer.ggml.token_type"  # noqa: S105
TEMPLATE_KEY = "tokenizer.chat_template"

_MOST_ELEMENTS = 2**63 - 1
_WINDOW_BYTES = 1024 * 1024
_STRING, _ARRAY = 8, 9
_LENGTH = struct.Struct("<Q")
# GGUF's kinds of numbers: what a file calls them -> (name for people, struct's letter).
_NUMBERS: Mapping[int, tuple[str, str]] = {
    0: ("uint8", "B"),
    1: ("int8", "b"),
    2: ("uint16", "H"),
    3: ("int16", "h"),
    4: ("uint32", "I"),
    5: ("int32", "i"),
    6: ("float32", "f"),
    7: ("bool", "?"),
    10: ("uint64", "Q"),
    11: ("int64", "q"),
    12: ("float64", "d"),
}


class CutOff(Exception):  # noqa: N818 - says what the file is
    """The file ends before what it says it holds."""

    def __init__(self, missing_bytes: int) -> None:
        """`missing_bytes`: at least so many are not there."""
        super().__init__(missing_bytes)
        self.missing_bytes = missing_bytes


class Damaged(ValueError):  # noqa: N818
    """The file contradicts itself; the message says how, in words that complete «it ...»."""


class OtherEndian(Exception):  # noqa: N818
    """The numbers are written for big-endian processors."""


class OtherVersion(Exception):  # noqa: N818
    """A version of GGUF that llama.cpp does not read."""

    def __init__(self, version: int) -> None:
        """`version` as the file has it."""
        super().__init__(version)
        self.version = version


@dataclass(frozen=True, slots=True)
class GgufArray:
    """A list in the metadata. `items` are empty where nobody needs them."""

    kind: str  # "string", or a number's kind
    count: int
    items: Sequence[int | float | bytes] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class GgufScalar:
    """A number or truth value with the kind that the file gives it: llama.cpp insists on it."""

    kind: str
    value: int | float | bool


@dataclass(frozen=True, slots=True)
class GgufText:
    """A text. `text` is "" where it is longer than anybody needs."""

    text: str
    length: int  # bytes


GgufValue: TypeAlias = GgufScalar | GgufText | GgufArray


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """One tensor as the file describes it."""

    shape: tuple[int, ...]  # the fastest dimension first, as GGUF has it
    type_number: int  # GGML_TYPE_...
    offset: int  # bytes from where the weights begin
    bytes: int

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class GgufContents:
    """A whole container, consistent in itself."""

    version: int
    metadata: Mapping[str, GgufValue] = field(repr=False)
    tensors: Mapping[str, GgufTensor] = field(repr=False)


def read_container(stream: BinaryIO, size: int) -> GgufContents:
    """Read what follows the magic `GGUF` in a file of `size` bytes.

    Raises CutOff, Damaged, OtherEndian, OtherVersion or OSError.
    """
    reader = _Reader(stream, size)
    version = reader.number("I")
    if version & 0xFFFF == 0:
        raise OtherEndian
    if version not in VERSIONS:
        raise OtherVersion(version)
    tensor_count, key_count = reader.number("Q"), reader.number("Q")
    if key_count > MOST_KEYS or tensor_count > MOST_TENSORS:
        raise Damaged(f"claims to hold {tensor_count} tensors and {key_count} keys")
    metadata: dict[str, GgufValue] = {}
    for _ in range(key_count):
        key = reader.text(MOST_TEXT_BYTES)
        if not key or key in metadata:
            raise Damaged(f"has the key «{shown(key)}» twice" if key else "has a key without name")
        metadata[key] = _value(reader, key)
    alignment = _alignment(metadata)
    tensors = _tensors(reader, tensor_count, alignment)
    _check_end(reader, tensors, alignment, size)
    return GgufContents(version, metadata, tensors)


def shown(text: str) -> str:
    """A text out of a file as part of one plain line."""
    cut = text if len(text) <= 60 else f"{text[:60]}..."
    return "".join(letter if letter.isprintable() else "?" for letter in cut)


def _alignment(metadata: Mapping[str, GgufValue]) -> int:
    found = metadata.get("general.alignment")
    if found is None:
        return DEFAULT_ALIGNMENT
    value = found.value if isinstance(found, GgufScalar) and found.kind == "uint32" else 0
    if not isinstance(value, int) or not 0 < value <= 1 << 20 or value & (value - 1):
        raise Damaged("has an alignment that is no power of two")
    if value % LEAST_ALIGNMENT:
        raise Damaged(f"has its weights at places where they cannot be computed with ({value})")
    return value


def _value(reader: "_Reader", key: str) -> GgufValue:
    kind = reader.number("I")
    if kind == _STRING:
        is_template = key == TEMPLATE_KEY or key.startswith(f"{TEMPLATE_KEY}.")
        return reader.optional_text(MOST_TEMPLATE_BYTES if is_template else MOST_TEXT_BYTES)
    if kind != _ARRAY:
        name, letter = _number_kind(kind, key)
        return GgufScalar(name, reader.number(letter))
    item_kind, count = reader.number("I"), reader.number("Q")
    if item_kind == _STRING:
        return GgufArray("string", count, reader.strings(count, key))
    if item_kind == _ARRAY:
        raise Damaged(f"has lists within lists («{shown(key)}»)")
    name, letter = _number_kind(item_kind, key)
    most = MOST_TOKENS if key == TOKEN_TYPES_KEY else MOST_KEPT_NUMBERS
    return GgufArray(name, count, reader.numbers(letter, count, keep=count <= most))


def _number_kind(kind: int, key: str) -> tuple[str, str]:
    if kind not in _NUMBERS:
        raise Damaged(f"has a value of the unknown kind {kind} («{shown(key)}»)")
    return _NUMBERS[kind]


def _tensors(reader: "_Reader", count: int, alignment: int) -> dict[str, GgufTensor]:
    """Every tensor, each beginning where the one before it ends, as llama.cpp insists."""
    tensors: dict[str, GgufTensor] = {}
    expected = 0
    for _ in range(count):
        name = reader.text(MOST_NAME_BYTES)
        if name in tensors:
            raise Damaged(f"has the tensor «{shown(name)}» twice")
        dimensions = reader.number("I")
        if dimensions > MOST_DIMENSIONS:
            raise Damaged(f"has a tensor of {dimensions} dimensions («{shown(name)}»)")
        shape = tuple(reader.number("Q") for _ in range(dimensions))
        type_number, offset = reader.number("I"), reader.number("Q")
        if type_number not in TENSOR_TYPES:
            raise Damaged(
                f"has weights of a kind that llama.cpp does not know (number {type_number}, "
                f"«{shown(name)}»)"
            )
        kind = TENSOR_TYPES[type_number]
        row = shape[0] if shape else 1
        if not all(shape) or prod(shape) > _MOST_ELEMENTS or row % kind.block:
            raise Damaged(f"has a tensor of an impossible size («{shown(name)}»)")
        if offset != expected:
            raise Damaged(f"has tensors that overlap or leave gaps («{shown(name)}»)")
        tensor_bytes = prod(shape) // kind.block * kind.block_bytes
        tensors[name] = GgufTensor(shape, type_number, offset, tensor_bytes)
        expected += _padded(tensor_bytes, alignment)
    return tensors


def _check_end(
    reader: "_Reader", tensors: Mapping[str, GgufTensor], alignment: int, size: int
) -> None:
    if not tensors:
        return
    last = list(tensors.values())[-1]  # they lie in this order
    needed = _padded(reader.place, alignment) + last.offset + last.bytes
    if needed > MOST_FILE_BYTES:
        raise Damaged("claims more weights than fit any disk")
    if size < needed:
        raise CutOff(needed - size)


def _padded(count: int, alignment: int) -> int:
    return -(-count // alignment) * alignment


class _Reader:
    """A file's beginning, through a window of a megabyte."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._size = size
        self._window = b""
        self._start = stream.tell()  # where the window lies in the file
        self._at = 0  # within the window
        self._strings_left = MOST_STRINGS
        self._templates_left = MOST_TEMPLATES

    @property
    def place(self) -> int:
        """Bytes from the beginning of the file."""
        return self._start + self._at

    def number(self, letter: str) -> int:
        """One number of struct's kind `letter`."""
        form = struct.Struct(f"<{letter}")
        self._have(form.size)
        (found,) = form.unpack_from(self._window, self._at)
        self._at += form.size
        return found

    def text(self, most: int) -> str:
        """A text of at most `most` bytes."""
        length = self._length()
        if length > most:
            raise Damaged(f"has a name of {length} bytes")
        return _decoded(self._take(length))

    def optional_text(self, most: int) -> GgufText:
        """A text; only its length where it has more than `most` bytes."""
        length = self._length()
        if most == MOST_TEMPLATE_BYTES:
            self._templates_left -= 1
            if self._templates_left < 0 or length > most:
                raise Damaged("has more or longer chat templates than can be")
        if length <= most:
            return GgufText(_decoded(self._take(length)), length)
        self._skip(length)
        return GgufText("", length)

    def strings(self, count: int, key: str) -> Sequence[bytes]:
        """A list of texts: kept for the vocabulary, else passed over."""
        self._strings_left -= count
        if self._strings_left < 0 or (key == TOKENS_KEY and count > MOST_TOKENS):
            raise Damaged(f"claims {count} texts in the list «{shown(key)}»")
        self._check_room(count * _LENGTH.size)
        if key == TOKENS_KEY:
            return [self._take(self._length()) for _ in range(count)]
        unpack = _LENGTH.unpack_from
        for _ in range(count):  # the quick way past some hundred thousands
            if self._at + _LENGTH.size > len(self._window):
                self._have(_LENGTH.size)
            (length,) = unpack(self._window, self._at)
            self._at += _LENGTH.size
            if length > len(self._window) - self._at:
                self._skip(length)
            else:
                self._at += length
        return ()

    def numbers(self, letter: str, count: int, *, keep: bool) -> Sequence[int | float]:
        """A list of numbers; empty where they are not to be kept."""
        width = struct.calcsize(f"<{letter}")
        self._check_room(count * width)
        if not keep:
            self._skip(count * width)
            return ()
        return struct.unpack(f"<{count}{letter}", self._take(count * width))

    def _length(self) -> int:
        self._have(_LENGTH.size)
        (length,) = _LENGTH.unpack_from(self._window, self._at)
        self._at += _LENGTH.size
        self._check_room(length)
        return length

    def _check_room(self, count: int) -> None:
        """Raises where `count` more bytes cannot be there."""
        if self.place + count > MOST_HEADER_BYTES:
            raise Damaged("claims more about itself than fits any model")
        if self.place + count > self._size:
            raise CutOff(self.place + count - self._size)

    def _take(self, count: int) -> bytes:
        self._have(count)
        found = self._window[self._at : self._at + count]
        self._at += count
        return found

    def _skip(self, count: int) -> None:
        self._check_room(count)
        target = self.place + count
        if target - self._start <= len(self._window):
            self._at += count
            return
        self._stream.seek(target)
        self._window, self._start, self._at = b"", target, 0

    def _have(self, count: int) -> None:
        """See to it that the window holds the next `count` bytes."""
        if self._at + count <= len(self._window):
            return
        self._check_room(count)
        rest = self._window[self._at :]
        read = self._stream.read(max(_WINDOW_BYTES, count - len(rest)))
        self._start += self._at
        self._window, self._at = rest + read, 0
        if len(self._window) < count:
            raise CutOff(count - len(self._window))


def _decoded(found: bytes) -> str:
    try:
        return found.decode()
    except UnicodeDecodeError as error:
        raise Damaged("has names or texts that are not UTF-8") from error
