"""Which models run where: the one list that loading, inspecting and `doctor` go by.

There are two runners of our own: the portable one (any device of torch) and the fast one (one
NVIDIA GPU). Both compute models shaped like Llama; what they do not compute is told from config
and headers, before any weight is read. What the fast one computes, the portable one does too: a
model runs on every machine or on none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any, cast

from bot.engine.models.folders.config import JsonObject, transformers_config, whole_number
from bot.engine.models.folders.folder import ModelFolder
from bot.engine.models.folders.tokenizers import check_tokenizer_file
from bot.engine.models.gptq.layout import GptqLayout
from bot.engine.models.gptq.quiet import silence_libraries
from bot.errors import ModelError


class Window(Enum):
    """When a kind of model attends over a sliding window, where its config lists no layers."""

    NEVER = auto()
    UNLESS_NULL = auto()  # unless `sliding_window` says so
    IF_ASKED = auto()  # by `use_sliding_window`, and then only in the last layers


@dataclass(frozen=True, slots=True)
class Architecture:
    """What is known of a kind of model that the portable runner computes."""

    fast: bool  # whether the fast runner computes it too
    window: Window


ARCHITECTURES: Mapping[str, Architecture] = {  # by `model_type`; every other kind runs nowhere
    "llama": Architecture(fast=True, window=Window.NEVER),
    "mistral": Architecture(fast=True, window=Window.UNLESS_NULL),
    "qwen2": Architecture(fast=False, window=Window.IF_ASKED),
    "qwen3": Architecture(fast=False, window=Window.IF_ASKED),
}
ROPE_TYPES = ("default", "linear", "llama3", "yarn")  # those whose angles do not depend on length

# Of the fast runner's kernels:
FAST_BITS = 4
FAST_GROUP_SIZES = (32, 64, 128)
FAST_HEAD_SIZES = (32, 64, 128)
FAST_VOCABULARY = 1 << 17  # more logits than this do not fit the sampler's registers

# What transformers assumes where a config does not say.
_QWEN_LAYERS = 32
_QWEN_FULL_LAYERS = 28  # `max_window_layers`


# What every layer of such a model has, and the model around them.
_LAYER_PARTS = (
    "input_layernorm",
    *(f"self_attn.{part}_proj" for part in "qkvo"),
    "post_attention_layernorm",
    *(f"mlp.{part}_proj" for part in ("gate", "up", "down")),
)
_SHOWN_NAMES = 3  # of weights that are missing, in an error


def check_runs(folder: ModelFolder) -> Any:
    """The config of a folder that the runners take, as transformers' PretrainedConfig.

    Reads no weights, but brings torch. Raises ModelError, saying why, for any other folder.
    """
    silence_libraries()
    config = transformers_config(folder.path, folder.config)
    check_portable(folder.path, folder.config)
    check_tokenizer_file(folder.path)
    missing = _missing_weights(folder)
    if missing:
        more = " ..." if len(missing) > _SHOWN_NAMES else ""
        raise ModelError(
            f"{folder.path} lacks {len(missing)} of the model's weights: "
            f"{', '.join(missing[:_SHOWN_NAMES])}{more}.",
            "Download the model again, all of its files.",
        )
    return config


def _missing_weights(folder: ModelFolder) -> list[str]:
    layers = whole_number(folder.config.get("num_hidden_layers")) or 0
    # A model saved without its head has no such prefix.
    prefix = "" if "embed_tokens.weight" in folder.tensors else "model."
    needed = [f"{prefix}embed_tokens", f"{prefix}norm"]
    needed += [f"{prefix}layers.{n}.{part}" for n in range(layers) for part in _LAYER_PARTS]
    if not folder.config.get("tie_word_embeddings", False):
        needed.append("lm_head")
    return [
        f"{name}.weight"
        for name in needed
        if f"{name}.weight" not in folder.tensors and f"{name}.qweight" not in folder.tensors
    ]


def check_portable(path: Path, config: JsonObject) -> None:
    """Raises ModelError, naming the folder, for a model of a kind that no runner computes."""
    kind = _kind(config)
    if kind not in ARCHITECTURES:
        raise ModelError(
            f"{path}: the engine cannot run models of the kind «{kind[:100]}».",
            f"It runs {', '.join(ARCHITECTURES)}; serve others with vLLM and ENGINE=openai.",
        )
    rope = _rope_type(config)
    if rope not in ROPE_TYPES:
        raise ModelError(
            f"{path}: the engine cannot stretch positions the way this model asks for "
            f"(«{rope[:100]}»).",
            f"It knows {', '.join(ROPE_TYPES)}; serve this model with vLLM and ENGINE=openai.",
        )
    if _has_window(config):
        raise ModelError(
            f"{path}: this model attends over a sliding window, which the engine does not compute.",
            "Take a model with full attention, or serve this one with vLLM and ENGINE=openai.",
        )


def why_not_fast(config: JsonObject, gptq: GptqLayout | None) -> str:
    """What of a model the fast runner does not compute, in words; "" when it computes all."""
    kind = _kind(config)
    if kind not in ARCHITECTURES or not ARCHITECTURES[kind].fast:
        return f"models of the kind {kind[:100]}"
    if _has_window(config):
        return "a sliding window"
    activation = config.get("hidden_act", "silu")
    if activation != "silu":
        return f"the activation {str(activation)[:100]}"
    head_size = _head_size(config)
    if head_size is not None and head_size not in FAST_HEAD_SIZES:
        return f"heads of {head_size}"
    vocabulary = whole_number(config.get("vocab_size"))
    if vocabulary is not None and vocabulary > FAST_VOCABULARY:
        return f"a vocabulary of {vocabulary}"
    if gptq is not None and (gptq.bits != FAST_BITS or gptq.group_size not in FAST_GROUP_SIZES):
        return gptq.words
    return ""


def _kind(config: JsonObject) -> str:
    return str(config.get("model_type", "unknown"))


def _rope_type(config: JsonObject) -> str:
    """How positions are stretched. Older configs have other names for the same."""
    found: object = config.get("rope_parameters") or config.get("rope_scaling")
    parameters: JsonObject = cast("JsonObject", found) if isinstance(found, dict) else {}
    return str(parameters.get("rope_type") or parameters.get("type") or "default")


def _has_window(config: JsonObject) -> bool:
    """Whether some layers see only the latest tokens."""
    layers = config.get("layer_types")
    if isinstance(layers, list) and any(
        layer != "full_attention" for layer in cast("list[object]", layers)
    ):
        return True
    architecture = ARCHITECTURES.get(_kind(config))
    window = Window.NEVER if architecture is None else architecture.window
    if window is Window.UNLESS_NULL:
        return bool(config.get("sliding_window", True))
    if window is Window.NEVER or isinstance(layers, list) or not config.get("use_sliding_window"):
        return False
    count = whole_number(config.get("num_hidden_layers")) or _QWEN_LAYERS
    full = whole_number(config.get("max_window_layers"))
    in_last_layers = count > (_QWEN_FULL_LAYERS if full is None else full)
    return in_last_layers and config.get("sliding_window", True) is not None


def _head_size(config: JsonObject) -> int | None:
    own = whole_number(config.get("head_dim"))
    heads = whole_number(config.get("num_attention_heads"))
    width = whole_number(config.get("hidden_size"))
    if own or not heads or not width:
        return own
    return width // heads
