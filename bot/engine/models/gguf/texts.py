"""The vocabulary of a GGUF file: how each token is spelled, and what kind it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from bot.engine.models.gguf.container import (
    TOKEN_TYPES_KEY,
    TOKENS_KEY,
    Damaged,
    GgufArray,
    GgufValue,
    read_container,
)
from bot.engine.models.gguf.words import text_of

MAGIC_BYTES = 4


class Kind(IntEnum):
    """LLAMA_TOKEN_TYPE_..."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True, slots=True)
class TokenName:
    """A token as its file spells it."""

    name: str
    kind: int


@dataclass(frozen=True, slots=True)
class FileVocabulary:
    """All tokens of a file. `is_byte_level`: spelled in GPT-2's alphabet of bytes."""

    tokens: tuple[TokenName, ...]
    is_byte_level: bool


def read_vocabulary(path: Path) -> FileVocabulary:
    """Of a file that was checked. Raises OSError, or Damaged where it is another one by now."""
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(MAGIC_BYTES)
        return _vocabulary(read_container(stream, size).metadata)


def _vocabulary(metadata: Mapping[str, GgufValue]) -> FileVocabulary:
    names, kinds = metadata.get(TOKENS_KEY), metadata.get(TOKEN_TYPES_KEY)
    if not isinstance(names, GgufArray):
        raise Damaged("has no vocabulary")
    said = kinds.items if isinstance(kinds, GgufArray) else ()
    spelled = [name.decode("utf-8", "replace") for name in names.items if isinstance(name, bytes)]
    known = [int(kind) for kind in said if not isinstance(kind, bytes)]
    known += [Kind.NORMAL] * (len(spelled) - len(known))
    tokens = tuple(map(TokenName, spelled, known))
    return FileVocabulary(tokens, text_of(metadata, "tokenizer.ggml.model") == "gpt2")
