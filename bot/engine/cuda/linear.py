# pyright: basic
"""A matrix product by the fastest kernel that is there: dense, packed, Marlin, Triton or unpacked.

The packed product is our own (:mod:`bot.engine.cuda.packed`), compiled at start without a compiler.
Where it cannot be used there is Marlin (https://arxiv.org/abs/2408.11743), which is gptqmodel's and
compiled by nvcc at first use, and the Triton product, which needs no compiler. Hundreds of rows
are bound by arithmetic instead of memory: then cuBLAS multiplies by 16-bit weights, which are kept
where memory is ample, and otherwise unpacked into scratch memory, once a product.
"""

from collections.abc import Sequence
from typing import Protocol

import torch

from bot.engine.cuda.gptq import BITS, BLOCK_INPUTS, GptqTensors, dequantize, multiply
from bot.engine.cuda.packed import PackedWeights
from bot.engine.models.gptq.quiet import import_gptqmodel


class Linear(Protocol):
    """[rows, in] -> [rows, out]."""

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """The product."""
        ...


class DenseLinear:
    """Weights as they are, [out, in]."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        self.weight = weight
        self.bias = bias

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """The product, by cuBLAS."""
        return torch.nn.functional.linear(x, self.weight, self.bias)


class QuantizedLinear:
    """Several products of the same weights, each for so many rows at most."""

    def __init__(
        self, products: Sequence[tuple[int, Linear]], bias: torch.Tensor | None = None
    ) -> None:
        """`products`: (most rows, product), the fewest rows first. The last one takes any."""
        self._products = products
        self._bias = bias

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """The product."""
        rows = len(x)
        last = self._products[-1][1]
        product = next((found for most, found in self._products if rows <= most), last)
        out = product(x)
        return out if self._bias is None else out + self._bias


class SideBySide:
    """Layers with the same input that could not be merged into one."""

    def __init__(self, layers: Sequence[Linear], bias: torch.Tensor | None = None) -> None:
        self._layers = layers
        self._bias = bias

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Their products, one beside the other."""
        out = torch.cat([layer(x) for layer in self._layers], -1)
        return out if self._bias is None else out + self._bias


class UnpackedProduct:
    """4-bit weights kept as 16-bit numbers too: for prompts, where memory is ample."""

    def __init__(self, weights: GptqTensors) -> None:
        elements = weights.in_features * weights.out_features
        memory = torch.empty(elements, dtype=weights.scales.dtype, device=weights.words.device)
        self._weight = dequantize(weights, memory)
        self._order = weights.order

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """The product, by cuBLAS."""
        return _ordered(x, self._order) @ self._weight


class Scratch:
    """Memory for one layer's unpacked weights, shared by all layers: they run in turn."""

    def __init__(self, elements: int, dtype: torch.dtype, device: torch.device) -> None:
        """Takes nothing until the first layer asks."""
        self._elements, self._dtype, self._device = elements, dtype, device
        self._memory: torch.Tensor | None = None

    def take(self) -> torch.Tensor:
        """[elements]."""
        if self._memory is None:
            self._memory = torch.empty(self._elements, dtype=self._dtype, device=self._device)
        return self._memory


class DequantizedProduct:
    """4-bit weights, unpacked into scratch memory for every product."""

    def __init__(self, weights: GptqTensors, scratch: Scratch) -> None:
        self._weights = weights
        self._memory = scratch.take()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """The product, by cuBLAS."""
        return _ordered(x, self._weights.order) @ dequantize(self._weights, self._memory)


class PackedNumbersProduct:
    """Packed weights, unpacked into scratch memory for every product."""

    def __init__(self, weights: PackedWeights, scratch: Scratch) -> None:
        self._weights = weights
        self._memory = scratch.take()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """The product, by cuBLAS."""
        return _ordered(x, self._weights.order) @ self._weights.numbers(self._memory).T


class TritonProduct:
    """4-bit weights, unpacked in registers."""

    def __init__(self, weights: GptqTensors, processors: int) -> None:
        self._weights = weights
        self._processors = processors

    @staticmethod
    def takes(weights: GptqTensors) -> bool:
        """Whether the inputs come in whole blocks."""
        return weights.in_features % BLOCK_INPUTS == 0

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """The product."""
        return multiply(x, self._weights, self._processors)


def _ordered(x: torch.Tensor, order: torch.Tensor | None) -> torch.Tensor:
    """The inputs by group, for weights with act-order."""
    return x if order is None else x[:, order]


class MarlinProduct:
    """gptqmodel's Marlin layer, fed with tensors in GPTQ's own layout. Symmetric 4-bit only."""

    def __init__(self, weights: GptqTensors) -> None:
        import_gptqmodel("gptqmodel.nn_modules.qlinear.marlin")
        from gptqmodel.nn_modules.qlinear.marlin import MarlinLinear

        inputs = weights.in_features
        places = torch.arange(inputs, device=weights.words.device, dtype=torch.int32)
        self._order = weights.order
        layer = MarlinLinear(
            bits=BITS,
            group_size=weights.group_size,
            desc_act=False,
            sym=True,
            in_features=inputs,
            out_features=weights.out_features,
            dtype=weights.scales.dtype,
        )
        tensors = {
            "qweight": weights.words,
            "scales": weights.scales,
            "qzeros": torch.zeros(0, dtype=torch.int32, device=weights.words.device),
            "g_idx": places // weights.group_size,
        }
        for name, tensor in tensors.items():
            setattr(layer, name, torch.nn.Parameter(tensor, requires_grad=False))
        layer.to(weights.words.device)
        layer.post_init()
        layer.fp32 = False  # reduce in float16: 12% faster at one row (GPU.md), within rounding
        self._layer = layer.eval()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """The product."""
        return self._layer(_ordered(x, self._order))
