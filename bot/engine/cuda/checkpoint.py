# pyright: basic
"""Reads a checked Llama folder into the decoder's layers: dense or GPTQ, straight onto the GPU."""

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from bot.engine.cuda.gptq import (
    GptqTensors,
    can_merge,
    in_group_order,
    merge,
    unpack_zeros,
)
from bot.engine.cuda.linear import (
    DenseLinear,
    DequantizedProduct,
    Linear,
    MarlinProduct,
    PackedNumbersProduct,
    QuantizedLinear,
    Scratch,
    SideBySide,
    TritonProduct,
    UnpackedProduct,
)
from bot.engine.cuda.llama import LlamaDecoder, LlamaLayer, LlamaShape
from bot.engine.cuda.packed import PackedProduct, PackedWeights
from bot.engine.cuda.products import ANY_ROWS, PACKED_BEFORE_MARLIN, FewRows, few_rows
from bot.engine.models.folders.folder import ModelFolder
from bot.engine.models.progress import Progress

VOCABULARY_MULTIPLE = 64  # cuBLAS wants rows of whole tiles


def read_shape(config: Any) -> LlamaShape:
    """The numbers of a transformers config."""
    heads = int(config.num_attention_heads)
    return LlamaShape(
        layers=int(config.num_hidden_layers),
        hidden=int(config.hidden_size),
        heads=heads,
        kv_heads=int(getattr(config, "num_key_value_heads", None) or heads),
        head_size=int(getattr(config, "head_dim", None) or config.hidden_size // heads),
        vocabulary=int(config.vocab_size),
        norm_eps=float(config.rms_norm_eps),
    )


class CheckpointReader:
    """Opens a folder's weight files once; tensors come to the device in the dtype asked for."""

    def __init__(self, folder: ModelFolder, device: torch.device, dtype: torch.dtype) -> None:
        self._folder = folder
        self._device = device
        self._dtype = dtype
        self._stack = ExitStack()
        self._files: dict[Path, Any] = {}

    def __enter__(self) -> "CheckpointReader":
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def has(self, name: str) -> bool:
        """Whether there is such a tensor."""
        return name in self._folder.tensors

    def raw(self, name: str) -> torch.Tensor:
        """A tensor as it is stored."""
        file = self._folder.tensors[name].file
        if file not in self._files:
            opened = safe_open(str(file), "pt", device=str(self._device))
            self._files[file] = self._stack.enter_context(opened)
        return self._files[file].get_tensor(name)

    def dense(self, name: str) -> torch.Tensor:
        """A tensor as numbers of the model's dtype."""
        return self.raw(name).to(self._dtype).contiguous()

    def bias(self, names: list[str]) -> torch.Tensor | None:
        """The biases of merged layers side by side; None where there are none, or only zeros."""
        found = [self.raw(f"{name}.bias") for name in names if self.has(f"{name}.bias")]
        if len(found) != len(names) or not any(bool(bias.any()) for bias in found):
            return None
        return torch.cat(found).to(self._dtype)


class LayerReader:
    """Makes linear layers out of a checkpoint's tensors."""

    def __init__(
        self,
        reader: CheckpointReader,
        folder: ModelFolder,
        device: torch.device,
        *,
        few: FewRows,
        marlin_too: bool,
        scratch: Scratch | None,
        unpacked_bytes: int,
    ) -> None:
        """`marlin_too`: beside our own kernel, for the rows where it is faster.

        For the products of many rows, layers are kept unpacked in so many bytes.

        The rest are kept packed for `scratch`; without one (memory is short) Marlin does all.
        """
        self._reader = reader
        self._layout = folder.gptq
        self._few = few
        self._marlin_too = marlin_too
        self._scratch = scratch
        self._unpacked_bytes_left = unpacked_bytes
        self._processors = torch.cuda.get_device_properties(device).multi_processor_count

    def linear(self, *names: str) -> Linear:
        """The layers of these names, which share their input, as one."""
        bias = self._reader.bias(list(names))
        if not self._reader.has(f"{names[0]}.qweight"):
            weights = [self._reader.dense(f"{name}.weight") for name in names]
            return DenseLinear(torch.cat(weights), bias)
        parts = [self._gptq(name) for name in names]
        if can_merge(parts):
            return self._quantized(merge(parts), bias)
        return SideBySide([self._quantized(part) for part in parts], bias)

    def _quantized(self, stored: GptqTensors, bias: torch.Tensor | None = None) -> Linear:
        unpacked = self._unpacked(stored)
        most = partial(few_rows, unpacked=unpacked is not None)
        products: list[tuple[int, Linear]] = []
        many = unpacked
        if self._few is FewRows.PACKED and PackedWeights.takes(stored):
            packed = PackedWeights(stored)
            own = PackedProduct(packed)
            if self._marlin_too:
                products.append((PACKED_BEFORE_MARLIN, own))
                products.append((most(FewRows.MARLIN), MarlinProduct(stored)))
            else:
                products.append((most(FewRows.PACKED), own))
            if many is None and self._scratch is not None:
                many = PackedNumbersProduct(packed, self._scratch)
        else:
            if many is None and self._scratch is not None:
                many = DequantizedProduct(stored, self._scratch)
            if self._few is FewRows.MARLIN:
                products.append((most(FewRows.MARLIN), MarlinProduct(stored)))
            elif many is None or TritonProduct.takes(stored):
                few = TritonProduct(stored, self._processors)
                products.append((most(FewRows.TRITON), few))
        if many is not None:
            products.append((ANY_ROWS, many))
        return QuantizedLinear(products, bias)

    def _unpacked(self, weights: GptqTensors) -> Linear | None:
        needed = weights.in_features * weights.out_features * weights.scales.element_size()
        if needed > self._unpacked_bytes_left:
            return None
        self._unpacked_bytes_left -= needed
        return UnpackedProduct(weights)

    def _gptq(self, name: str) -> GptqTensors:
        layout = self._layout
        if layout is None:
            raise ValueError(f"{name} is quantized, the folder is not")
        words = self._reader.raw(f"{name}.qweight")
        g_idx = self._reader.raw(f"{name}.g_idx") if self._reader.has(f"{name}.g_idx") else None
        ordered, order = in_group_order(words, g_idx, layout.group_size)
        scales = self._reader.dense(f"{name}.scales")
        zeros = unpack_zeros(
            self._reader.raw(f"{name}.qzeros"),
            scales.dtype,
            stored_less_one=layout.checkpoint_format == "gptq",
        )
        return GptqTensors(ordered.contiguous(), scales, zeros, layout.group_size, order)


def read_decoder(
    reader: CheckpointReader,
    layers: LayerReader,
    config: Any,
    context_tokens: int,
    report: Progress,
) -> LlamaDecoder:
    """All of a model. The caller has asked `why_not_fast`."""
    shape = read_shape(config)
    read: list[LlamaLayer] = []
    for index in range(shape.layers):
        report("Reading the weights", index / shape.layers)
        name = f"model.layers.{index}"
        read.append(
            LlamaLayer(
                input_norm=reader.dense(f"{name}.input_layernorm.weight"),
                qkv=layers.linear(*(f"{name}.self_attn.{part}_proj" for part in "qkv")),
                out=layers.linear(f"{name}.self_attn.o_proj"),
                post_norm=reader.dense(f"{name}.post_attention_layernorm.weight"),
                gate_up=layers.linear(f"{name}.mlp.gate_proj", f"{name}.mlp.up_proj"),
                down=layers.linear(f"{name}.mlp.down_proj"),
            )
        )
    embedding = reader.dense("model.embed_tokens.weight")
    head = reader.dense("lm_head.weight") if reader.has("lm_head.weight") else embedding
    missing = -len(head) % VOCABULARY_MULTIPLE
    if missing:
        head = torch.cat([head, head.new_zeros(missing, head.shape[1])])
    rotary = rotary_table(config, context_tokens, embedding.device)
    norm = reader.dense("model.norm.weight")
    return LlamaDecoder(shape, embedding, read, norm, head, rotary)


def rotary_table(
    config: Any, context_tokens: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines, float32 [context, size / 2], by transformers' own frequencies."""
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    rotary = LlamaRotaryEmbedding(config)
    frequencies = rotary.inv_freq.to(device=device, dtype=torch.float32)
    angles = torch.outer(torch.arange(context_tokens, device=device).float(), frequencies)
    scaling = float(rotary.attention_scaling)
    return (angles.cos() * scaling).contiguous(), (angles.sin() * scaling).contiguous()
