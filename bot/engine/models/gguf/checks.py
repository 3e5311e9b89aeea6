"""Refuses GGUF files that llama.cpp would not load, or that would end its process.

What llama.cpp asserts: `src/llama-model.cpp` (load_hparams), `src/llama-vocab.cpp` (load) of the
build that :mod:`bot.engine.models.gguf.known` names.
"""

import re
from collections.abc import Mapping
from math import isfinite, prod
from pathlib import Path

from bot.engine.models.gguf.container import (
    Damaged,
    GgufArray,
    GgufContents,
    GgufScalar,
    GgufTensor,
    GgufValue,
    shown,
)
from bot.engine.models.gguf.known import (
    BYTE_PAIR_MODELS,
    OTHER_ARCHITECTURES,
    PRE_TOKENIZERS,
    RECURRENT_ARCHITECTURES,
    TEXT_ARCHITECTURES,
    TOKENIZER_MODELS,
)
from bot.engine.models.gguf.memory import ModelShape
from bot.engine.models.gguf.shape import Numbers
from bot.engine.models.gguf.weight_types import FLOAT32, WEIGHT_TYPES
from bot.engine.models.gguf.words import text_of
from bot.errors import ModelError

_PART_NAME = re.compile(r"-(\d{5})-of-(\d{5})\.gguf", re.IGNORECASE)
_INSTRUCT = "Get an instruct or chat model as GGUF."
_NOT_MODELS = {
    "adapter": "an adapter (LoRA), only what was changed of a model",
    "mmproj": "the part of a model that looks at pictures (mmproj)",
    "imatrix": "a record for quantizing (imatrix)",
    "vocab": "a vocabulary alone",
}
_ROWS = ("_norm.weight", "_norm_2.weight")
_ROPE_TYPES = ("none", "linear", "yarn", "longrope")
_MOST_EXPERTS = 1024  # LLAMA_MAX_EXPERTS
# llama.cpp ends its process where these have no experts or sections, and insists that the whole of
# a head turns with the position in the last ones.
_OF_EXPERTS = ("bailingmoe2", "smallthinker", "glm4moe", "grovemoe")
_SECTIONED = ("qwen2vl", "qwen3vl", "qwen3vlmoe", "qwen35", "qwen35moe", "qwen4exp", "paddleocr")
_WHOLE_ROTATION = ("llama", "deci", "falcon", "llama-embed")


def is_part(path: Path) -> bool:
    """Whether a file is one of several that a model is split into, by its name."""
    named = _PART_NAME.search(path.name)
    return named is not None and int(named[2]) > 1


def check_kind(path: Path, metadata: Mapping[str, GgufValue]) -> str:
    """The architecture of a file that is a whole model and writes text. Raises ModelError."""
    _check_whole(path, metadata)
    kind = text_of(metadata, "general.type")
    if kind not in ("", "model") or "adapter.type" in metadata:
        what = _NOT_MODELS.get(kind or "adapter", f"of the kind «{shown(kind)}»")
        raise ModelError(f"{path} is no whole model: it is {what}.", _INSTRUCT)
    architecture = text_of(metadata, "general.architecture")
    if not architecture:
        raise Damaged("does not name its architecture")
    if architecture in OTHER_ARCHITECTURES:
        raise ModelError(f"{path} is {OTHER_ARCHITECTURES[architecture]}.", _INSTRUCT)
    if architecture not in TEXT_ARCHITECTURES:
        raise ModelError(
            f"{path}: llama.cpp, as Caduceus has it, does not know models of the kind "
            f"«{shown(architecture)}».",
            "Update Caduceus, or take another model.",
        )
    _check_writes(path, architecture, metadata)
    return architecture


def _check_whole(path: Path, metadata: Mapping[str, GgufValue]) -> None:
    named = _PART_NAME.search(path.name)
    count = metadata.get("split.count")
    parts = count.value if isinstance(count, GgufScalar) else int(named[2]) if named else 1
    if parts > 1:
        number = f"part {int(named[1])}" if named else "one part"
        raise ModelError(
            f"{path} is {number} of a model that is split into {parts} files.",
            "Get the model in one file, or join the parts with `llama-gguf-split --merge` and set "
            "MODEL to the result.",
        )


def _check_writes(path: Path, architecture: str, metadata: Mapping[str, GgufValue]) -> None:
    """An embedding model of an architecture that could write, too, says so in other ways."""
    pooling = metadata.get(f"{architecture}.pooling_type")
    causal = metadata.get(f"{architecture}.attention.causal")
    if isinstance(pooling, GgufScalar) and pooling.value:
        raise ModelError(
            f"{path} is an embedding or ranking model: it turns texts into numbers and writes "
            "none.",
            _INSTRUCT,
        )
    if isinstance(causal, GgufScalar) and not causal.value:
        raise ModelError(f"{path} does not write one token after the other.", _INSTRUCT)
    if any(key.startswith(f"{architecture}.classifier.") for key in metadata):
        raise ModelError(f"{path} is a classifier: it writes no text.", _INSTRUCT)


def check_tokenizer(path: Path, metadata: Mapping[str, GgufValue]) -> None:
    """Raises ModelError or Damaged where llama.cpp could not cut texts into tokens."""
    model = text_of(metadata, "tokenizer.ggml.model")
    if model in ("", "none", "no_vocab"):
        raise ModelError(f"{path} has no tokenizer.", _INSTRUCT)
    if model not in TOKENIZER_MODELS:
        raise ModelError(
            f"{path}: llama.cpp, as Caduceus has it, does not know its tokenizer "
            f"(«{shown(model)}»).",
            "Update Caduceus, or take another model.",
        )
    pre = text_of(metadata, "tokenizer.ggml.pre")
    if model not in BYTE_PAIR_MODELS:
        return
    if pre and pre not in PRE_TOKENIZERS:
        raise ModelError(
            f"{path}: llama.cpp, as Caduceus has it, does not know how its tokenizer cuts words "
            f"(«{shown(pre)}»).",
            "Update Caduceus, or take another model.",
        )
    merges = metadata.get("tokenizer.ggml.merges")
    if merges is None and pre == "kimi-k2":
        return
    if not isinstance(merges, GgufArray) or merges.kind != "string":
        raise Damaged("has a vocabulary without its merges")


def check_numbers(architecture: str, metadata: Mapping[str, GgufValue], tokens: int) -> None:
    """Raises Damaged for numbers that llama.cpp would trip over."""
    numbers = Numbers(architecture, metadata)
    if not numbers.one("context_length"):
        raise Damaged("says that its context has no room for a single token")
    layers = numbers.one("block_count")
    if numbers.one("nextn_predict_layers") >= layers:
        raise Damaged("has no layers but those that guess ahead")
    numbers.one("embedding_length_out")
    _check_heads(architecture, numbers, layers)
    _check_experts(architecture, numbers, layers)
    _check_fractions(architecture, metadata)
    _check_sections(architecture, numbers)
    scaling = text_of(metadata, f"{architecture}.rope.scaling.type")
    if numbers.has("rope.scaling.type") and scaling not in _ROPE_TYPES:
        raise Damaged(f"stretches positions in an unknown way («{shown(scaling)}»)")
    scores = metadata.get("tokenizer.ggml.scores")
    if scores is not None and (
        not isinstance(scores, GgufArray)
        or scores.kind not in ("float32", "int32")
        or scores.count < tokens
    ):
        raise Damaged("has fewer scores than tokens")


def _check_heads(architecture: str, numbers: Numbers, layers: int) -> None:
    heads = numbers.each("attention.head_count", layers)
    kv_heads = numbers.each("attention.head_count_kv", layers, -1)
    if not any(heads):
        if architecture in RECURRENT_ARCHITECTURES:
            return
        raise Damaged("has no attention heads")
    for own, kept in zip(heads, kv_heads, strict=True):
        if kept > 0 and (not own or own % kept):
            raise Damaged(f"has {own} attention heads for {kept} of keys")
    length = numbers.one("attention.key_length", numbers.one("embedding_length") // max(heads))
    if not length:
        raise Damaged("has attention heads without width")
    turned = numbers.one("rope.dimension_count", length)
    if architecture in _WHOLE_ROTATION and turned != length:
        raise Damaged(f"turns {turned} of the {length} numbers of an attention head")


def _check_fractions(architecture: str, metadata: Mapping[str, GgufValue]) -> None:
    for key, found in metadata.items():
        if not key.startswith(f"{architecture}.") or not isinstance(found, GgufScalar):
            continue
        if not isfinite(found.value) or (key.endswith("epsilon") and found.value < 0):
            raise Damaged(f"has an impossible value of «{shown(key)}»")


def _check_sections(architecture: str, numbers: Numbers) -> None:
    """Models that look at pictures turn heads in sections, one for each direction."""
    if architecture in _SECTIONED:
        sections = numbers.items("rope.dimension_sections") or ()
        if not any(isinstance(size, int) and size > 0 for size in sections[:3]):
            raise Damaged("does not say how positions turn (rope.dimension_sections)")


def _check_experts(architecture: str, numbers: Numbers, layers: int) -> None:
    experts, groups = numbers.one("expert_count"), numbers.one("expert_group_count")
    used = max(numbers.each("expert_used_count", layers))
    groups_used = numbers.one("expert_group_used_count")
    if not experts and architecture in _OF_EXPERTS:
        raise Damaged("has no experts")
    if experts > _MOST_EXPERTS or used > experts or (experts and not used):
        raise Damaged(f"uses {used} of {experts} experts")
    if groups and groups >= experts:
        raise Damaged(f"has {experts} experts in {groups} groups")
    if groups > 1 and (experts % groups or not 0 < groups_used < groups):
        raise Damaged(f"has {experts} experts in {groups} groups, of which it uses {groups_used}")


def check_weights(contents: GgufContents, shape: ModelShape) -> None:
    """Raises Damaged where weights are missing, or of a shape or kind that cannot be."""
    tensors = contents.tensors
    if not tensors:
        raise Damaged("holds a vocabulary and no weights")
    table = tensors.get("token_embd.weight")
    if table is None:
        raise Damaged("lacks the weights of its vocabulary (token_embd)")
    if table.shape != (shape.embedding, shape.vocabulary):
        raise Damaged(
            f"describes {shape.vocabulary} tokens of {shape.embedding} numbers and holds "
            f"{' of '.join(str(size) for size in reversed(table.shape))}"
        )
    layers = {name.split(".")[1] for name in tensors if name.startswith("blk.")}
    missing = [layer for layer in range(shape.layers) if str(layer) not in layers]
    if missing:
        raise Damaged(f"lacks the weights of {len(missing)} of its {shape.layers} layers")
    for name, tensor in tensors.items():
        _check_type(name, tensor)


def _check_type(name: str, tensor: GgufTensor) -> None:
    # What is added to or scales a whole row is never rounded: llama.cpp aborts at anything else.
    is_row = name.endswith((*_ROWS, ".bias")) and prod(tensor.shape[1:]) == 1
    is_wrong = tensor.type_number not in WEIGHT_TYPES and name.endswith((".weight", ".bias"))
    if is_wrong or (is_row and tensor.type_number != FLOAT32):
        raise Damaged(f"has weights of a kind that cannot be computed with («{shown(name)}»)")
