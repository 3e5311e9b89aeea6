# pyright: basic
"""A matrix product by the fastest kernel that is there: dense, Marlin, Triton or dequantized.

Marlin (https://arxiv.org/abs/2408.11743) is gptqmodel's, compiled by nvcc at first use. The Triton
product needs no compiler. Hundreds of rows are bound by arithmetic instead of memory: then the
weights are dequantized into scratch memory, once a product, and cuBLAS does the rest.
"""

from typing import Protocol

import torch

from bot.engine.cuda.gptq import BITS, BLOCK_INPUTS, GptqTensors, dequantize, multiply

# From here on dequantizing and cuBLAS win (measured on an H200, all layers of a 13B model, ms:
# Marlin 10.4 at 128 rows, 20 at 256; Triton's 12.4 at 16, 38 at 32; dequantized 15 to 19).
DENSE_ROWS = 256
DENSE_ROWS_WITHOUT_MARLIN = 20


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


class Scratch:
    """Memory for one layer's dequantized weights, shared by all layers: they run in turn."""

    def __init__(self, elements: int, dtype: torch.dtype, device: torch.device) -> None:
        self.memory = torch.empty(elements, dtype=dtype, device=device)


class QuantizedLinear:
    """4-bit weights: `few` rows by Marlin or Triton, many by dequantizing."""

    def __init__(
        self,
        weights: GptqTensors | None,
        scratch: Scratch | None,
        processors: int,
        marlin: "MarlinProduct | None" = None,
        bias: torch.Tensor | None = None,
    ) -> None:
        """Without `weights` (memory is short), Marlin does many rows too."""
        if weights is None and marlin is None:
            raise ValueError("A quantized layer needs weights in one layout at least.")
        self._weights = weights
        self._scratch = scratch
        self._processors = processors
        self._marlin = marlin
        self._bias = bias
        self._dense_rows = DENSE_ROWS if marlin is not None else DENSE_ROWS_WITHOUT_MARLIN
        if marlin is None and weights is not None and weights.in_features % BLOCK_INPUTS:
            self._dense_rows = 1

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """The product."""
        out = self._product(x)
        return out if self._bias is None else out + self._bias

    def _product(self, x: torch.Tensor) -> torch.Tensor:
        if self._weights is not None and self._scratch is not None and len(x) >= self._dense_rows:
            ordered = x if self._weights.order is None else x[:, self._weights.order]
            return ordered @ dequantize(self._weights, self._scratch.memory)
        if self._marlin is not None:
            return self._marlin(x)
        return multiply(x, self._weights, self._processors)  # type: ignore[arg-type]


class MarlinProduct:
    """gptqmodel's Marlin layer, fed with tensors in GPTQ's own layout. Symmetric 4-bit only."""

    def __init__(self, weights: GptqTensors) -> None:
        from gptqmodel.nn_modules.qlinear.marlin import MarlinLinear

        inputs = weights.in_features
        places = torch.arange(inputs, device=weights.words.device, dtype=torch.int32)
        self._order = weights.order  # act-order: the words stand by group, and so must the inputs
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
        return self._layer(x if self._order is None else x[:, self._order])
