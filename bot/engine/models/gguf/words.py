"""What a GGUF's metadata says in words: templates, special tokens, sampling, its name."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

from bot.engine.models.folders.generation import END_NAMES
from bot.engine.models.gguf.container import (
    TEMPLATE_KEY,
    TOKEN_TYPES_KEY,
    TOKENS_KEY,
    Damaged,
    GgufArray,
    GgufScalar,
    GgufText,
    GgufValue,
    shown,
)
from bot.engine.models.gguf.known import MODELS_WITH_BOS, PRE_ALWAYS_WITH_BOS, PRE_WITH_BOS

MOST_SPECIAL_TOKENS = 65_536  # the largest known, with all its unused ones, have some thousands

_UNKNOWN, _CONTROL, _USER_DEFINED = 2, 3, 4  # LLAMA_TOKEN_TYPE_...
# llama.cpp ends a reply at these, whatever the file calls them (`special_eog_ids`).
_ENDS = END_NAMES | frozenset(
    [
        "<|return|>",
        "<|call|>",
        "<|flush|>",
        "<|calls|>",
        "<|eom_id|>",
        "<EOT>",
        "_<EOT>",
        "[EOT]",
        "[EOS]",
        "<end_of_utterance>",
        "<eos>",
        "<turn|>",
        "<|tool_response>",
        "<\uff5cend\u2581of\u2581sentence\uff5c>",
    ]
)
_MARKER = re.compile(r"<[^<>\s]{1,60}>|\[/?[A-Z][A-Z0-9_]{1,40}\]")
# Gemma's vocabulary has HTML's tags as tokens of their own: text like any other.
_HTML = re.compile(
    r"</?(?:table|caption|thead|tbody|tfoot|tr|th|td|h[1-6]|blockquote|strong|em|b|i|u|sub|sup|"
    r"code|ul|ol|li|p|br|a|img|div|span|pre)>"
)
_SAMPLING = {  # llama.cpp's words -> ours
    "temp": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "penalty_repeat": "repetition_penalty",
}


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a file says of single tokens, spelled out; "" where it names none."""

    bos: str
    eos: str
    ends: tuple[str, ...]  # eos, eot and eom: whatever the file names as an end
    special: tuple[str, ...]  # taken for one token whatever stands around them
    count: int
    adds_bos: bool  # whether llama.cpp begins a text with bos


def text_of(metadata: Mapping[str, GgufValue], key: str) -> str:
    """A text of the metadata; "" where there is none, or another kind of value."""
    found = metadata.get(key)
    return found.text if isinstance(found, GgufText) else ""


def read_templates(metadata: Mapping[str, GgufValue]) -> Mapping[str, str]:
    """Chat templates by name, the default first (its name is `default`)."""
    templates: dict[str, str] = {}
    default = text_of(metadata, TEMPLATE_KEY)
    if default:
        templates["default"] = default
    for key in metadata:
        name = key.removeprefix(f"{TEMPLATE_KEY}.")
        if name != key and (text := text_of(metadata, key)):
            templates.setdefault(name, text)
    return templates


def read_sampling(metadata: Mapping[str, GgufValue]) -> Mapping[str, float]:
    """How the model's makers choose its tokens (`general.sampling.*`), in Sampling's words."""
    found: dict[str, float] = {}
    for theirs, ours in _SAMPLING.items():
        value = metadata.get(f"general.sampling.{theirs}")
        if isinstance(value, GgufScalar) and value.kind != "bool" and isfinite(value.value):
            number = round(value.value, 6)  # a float32 is 0.20000000298
            found[ours] = int(number) if ours == "top_k" else number
    return found


def read_tokens(metadata: Mapping[str, GgufValue]) -> Tokens:
    """Raises Damaged where the vocabulary cannot be used."""
    pieces = _pieces(metadata)
    kinds = _kinds(metadata, len(pieces))
    model = text_of(metadata, "tokenizer.ggml.model")

    def named(role: str, otherwise: int = -1) -> str:
        value = metadata.get(f"tokenizer.ggml.{role}_token_id")
        numbers = (value.value if isinstance(value, GgufScalar) else -1, otherwise)
        known = (pieces[int(number)] for number in numbers if 0 <= number < len(pieces))
        return next(known, b"").decode()

    adds_bos = _adds_bos(metadata, model)
    adds_eos = _says(metadata, "tokenizer.ggml.add_eos_token")
    # llama.cpp's defaults, for sentencepiece and for byte pairs.
    bos = named("bos", 1 if model == "llama" else 11 if adds_bos and model == "gpt2" else -1)
    eos = named("eos", 2 if model == "llama" else -1)
    if (adds_bos and not bos) or (adds_eos and not eos):  # it would end the process
        raise Damaged("adds a token to every text and does not name it")
    ends = [eos, named("eot"), named("eom")]
    special = dict.fromkeys(piece.decode() for piece in _special(pieces, kinds))
    special |= dict.fromkeys([bos, *ends])
    special.pop("", None)
    return Tokens(
        bos=bos,
        eos=eos,
        ends=tuple(dict.fromkeys(end for end in ends if end)),
        special=tuple(special),
        count=len(pieces),
        adds_bos=adds_bos,
    )


def _pieces(metadata: Mapping[str, GgufValue]) -> list[bytes]:
    found = metadata.get(TOKENS_KEY)
    if not isinstance(found, GgufArray) or found.kind != "string" or not found.count:
        raise Damaged("has no vocabulary")
    pieces = [piece for piece in found.items if isinstance(piece, bytes)]
    # llama.cpp reads up to a zero byte, names empty ones itself, and would end the process.
    read = {piece.partition(b"\0")[0] or b"[EMPTY_%d]" % at for at, piece in enumerate(pieces)}
    if len(read) < len(pieces):
        raise Damaged("has the same token twice in its vocabulary")
    try:
        b"\0".join(pieces).decode()
    except UnicodeDecodeError as error:
        raise Damaged("has tokens that are not UTF-8") from error
    return pieces


def _kinds(metadata: Mapping[str, GgufValue], count: int) -> tuple[int, ...]:
    found = metadata.get(TOKEN_TYPES_KEY)
    if found is None:
        return ()
    if not isinstance(found, GgufArray) or found.kind != "int32" or found.count < count:
        raise Damaged("has fewer kinds of tokens than tokens")
    return tuple(int(kind) for kind in found.items[:count])


def _special(pieces: list[bytes], kinds: tuple[int, ...]) -> list[bytes]:
    ends = {end.encode() for end in _ENDS}
    special = [piece for piece in pieces if piece in ends]
    for piece, kind in zip(pieces, kinds, strict=False):
        if kind == _CONTROL or (kind in (_UNKNOWN, _USER_DEFINED) and _is_marker(piece.decode())):
            special.append(piece)
    if len(special) > MOST_SPECIAL_TOKENS:
        raise Damaged(f"has {len(special)} special tokens")
    return special


def _is_marker(piece: str) -> bool:
    return _MARKER.fullmatch(piece) is not None and _HTML.fullmatch(piece) is None


def _adds_bos(metadata: Mapping[str, GgufValue], model: str) -> bool:
    """What llama.cpp makes of a file; older ones do not say it."""
    pre = text_of(metadata, "tokenizer.ggml.pre")
    if pre in PRE_ALWAYS_WITH_BOS or model in PRE_ALWAYS_WITH_BOS:
        return True
    said = _says(metadata, "tokenizer.ggml.add_bos_token")
    if said is not None:
        return said
    return model in MODELS_WITH_BOS or (model == "gpt2" and pre in PRE_WITH_BOS)


def _says(metadata: Mapping[str, GgufValue], key: str) -> bool | None:
    """A truth value of the metadata; None where there is none."""
    found = metadata.get(key)
    return bool(found.value) if isinstance(found, GgufScalar) and found.kind == "bool" else None


def plain(text: str) -> str:
    """A name or licence of the file, fit for one line."""
    return shown(" ".join(text.split()))
