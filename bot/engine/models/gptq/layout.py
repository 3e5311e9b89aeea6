"""GPTQ weights as they lie in a file: which layers, how many bits, in which groups. No torch.

A quantized layer of `in` by `out` features has four tensors (`bits` of 4, groups of 128 shown):
`qweight` int32 [in / 8, out], `qzeros` int32 [in / 128, out / 8], `scales` [in / 128, out] and
`g_idx` int32 [in], the group of every input. A weight is (code - zero) * scale. In the first format
(`gptq`, all that AutoGPTQ wrote) zeros are stored minus one; in `gptq_v2` as they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bot.engine.models.folders.config import JsonObject, whole_number
from bot.engine.models.folders.weight_files import TensorEntry, read_integers
from bot.errors import ModelError

BITS = (2, 3, 4, 8)
GROUP_SIZES = (-1, 16, 32, 64, 128, 256, 512, 1024)  # what gptqmodel's kernels take
FORMATS = ("gptq", "gptq_v2")
WORD_BITS = 32


@dataclass(frozen=True, slots=True)
class GptqLayout:
    """How a folder's weights are quantized. `group_size` -1 is one group a layer."""

    bits: int
    group_size: int
    desc_act: bool  # inputs were quantized in order of activation: groups are not contiguous
    sym: bool
    checkpoint_format: str
    layers: tuple[str, ...]  # names of the quantized layers
    without_g_idx: tuple[str, ...]  # those of them whose g_idx is missing, or empty: all zeros

    @property
    def words(self) -> str:
        """For people: «GPTQ 4 bits, group 128»."""
        group = "no groups" if self.group_size == -1 else f"group {self.group_size}"
        extra = (", act order" if self.desc_act else "") + ("" if self.sym else ", asymmetric")
        return f"GPTQ {self.bits} bits, {group}{extra}"


def read_gptq_layout(
    source: Path, settings: JsonObject, tensors: Mapping[str, TensorEntry]
) -> GptqLayout:
    """The layout that `settings` (a quantize config, from the file `source`) and tensors agree on.

    Raises ModelError, naming file and tensor, where they do not.
    """
    bits = _choice(source, "bits", settings.get("bits"), BITS)
    group_size = _choice(source, "group_size", settings.get("group_size", -1), GROUP_SIZES)
    checkpoint_format = settings.get("checkpoint_format") or settings.get("format") or "gptq"
    if checkpoint_format not in FORMATS:
        raise ModelError(
            f"{source}: the weights are in the format {str(checkpoint_format)[:40]}.",
            "Only GPTQ's own formats are read: gptq and gptq_v2.",
        )
    layers = tuple(
        name.removesuffix(".qweight") for name in sorted(tensors) if name.endswith(".qweight")
    )
    if not layers:
        raise ModelError(
            f"{source} says the weights are GPTQ, but none of them is.",
            "The weights and the quantize config belong to different models.",
        )
    layout = GptqLayout(
        bits=bits,
        group_size=group_size,
        desc_act=_flag(source, settings, "desc_act", default=False),
        sym=_flag(source, settings, "sym", default=True),
        checkpoint_format=checkpoint_format,
        layers=layers,
        without_g_idx=tuple(layer for layer in layers if f"{layer}.g_idx" not in tensors),
    )
    _check_order(source, layout)
    for layer in layers:
        _check_layer(source, layout, layer, tensors)
    return layout


def without_empty_g_idx(
    source: Path, layout: GptqLayout, tensors: Mapping[str, TensorEntry]
) -> GptqLayout:
    """The layout with every g_idx looked at: one of zeros alone says nothing, so it is missing.

    Raises ModelError for one that does not put each input into a group of the right size: the
    weights would come out wrong, and nobody would be told.
    """
    names = {f"{layer}.g_idx": layer for layer in layout.layers if f"{layer}.g_idx" in tensors}
    empty: set[str] = set()
    for name, groups in read_integers(names, tensors):
        inputs = len(groups)
        size = inputs if layout.group_size == -1 else layout.group_size
        if groups == [index // size for index in range(inputs)]:
            continue
        if not any(groups):
            empty.add(names[name])
        elif sorted(groups) != [index // size for index in range(inputs)]:
            raise ModelError(
                f"{tensors[name].file}: {name} does not put {size} inputs into each group.",
                "The file is damaged, or made by a faulty tool: download the model again.",
            )
    if not empty:
        return layout
    missing = tuple(n for n in layout.layers if n in empty or n in layout.without_g_idx)
    found = replace(layout, without_g_idx=missing)
    _check_order(source, found)
    return found


def in_features(layout: GptqLayout, layer: str, tensors: Mapping[str, TensorEntry]) -> int:
    """How many inputs a quantized layer takes."""
    return tensors[f"{layer}.qweight"].shape[0] * WORD_BITS // layout.bits


def _check_order(source: Path, layout: GptqLayout) -> None:
    if layout.desc_act and layout.without_g_idx and layout.group_size != -1:
        raise ModelError(
            f"{source} says the model has act order (`desc_act`), but "
            f"{layout.without_g_idx[0]}.g_idx is missing or empty.",
            "Without it the weights cannot be put in order: download the model again.",
        )


def _check_layer(
    source: Path, layout: GptqLayout, layer: str, tensors: Mapping[str, TensorEntry]
) -> None:
    weight = tensors[f"{layer}.qweight"]
    for part in ("scales", "qzeros"):
        if f"{layer}.{part}" not in tensors:
            raise ModelError(
                f"{weight.file}: {layer}.{part} is missing.", "Download that file again."
            )
    if weight.dtype != "I32" or len(weight.shape) != 2:
        raise ModelError(
            f"{weight.file}: {layer}.qweight is not packed as GPTQ packs ({weight.dtype}).",
            "Only weights packed into 32-bit words are read.",
        )
    inputs = in_features(layout, layer, tensors)
    outputs = weight.shape[1]
    group_size = inputs if layout.group_size == -1 else layout.group_size
    if inputs % group_size:
        raise ModelError(
            f"{source}: a group of {group_size} does not divide the {inputs} inputs of {layer}.",
            "Quantize the model again with a group size that does (32 or 64 mostly do).",
        )
    groups = inputs // group_size
    expected = {
        "scales": (groups, outputs),
        "qzeros": (groups, outputs * layout.bits // WORD_BITS),
        "g_idx": (inputs,),
    }
    for part, shape in expected.items():
        tensor = tensors.get(f"{layer}.{part}")
        if part == "g_idx" and tensor is not None and tensor.dtype not in ("I32", "I64"):
            raise ModelError(
                f"{tensor.file}: {layer}.g_idx holds {tensor.dtype}, not whole numbers.",
                "Download that file again.",
            )
        if tensor is not None and tensor.shape != shape:
            raise ModelError(
                f"{source} does not fit the weights: {layer}.{part} in {tensor.file.name} is "
                f"{list(tensor.shape)}; {layout.bits} bits and group {layout.group_size} "
                f"make {list(shape)}.",
                "Use the quantize config that came with these weights.",
            )


def _choice(source: Path, key: str, value: object, choices: tuple[int, ...]) -> int:
    number = whole_number(value)
    if number not in choices:
        raise ModelError(
            f"{source}: `{key}` is {str(value)[:40]}.",
            f"It can be {', '.join(map(str, choices))}.",
        )
    return number


def _flag(source: Path, settings: JsonObject, key: str, *, default: bool) -> bool:
    value = settings.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise ModelError(f"{source}: `{key}` is {str(value)[:40]}.", "It can be true or false.")
    return value
