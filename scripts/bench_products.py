"""Milliseconds that each kind of matrix product takes over all layers of a 13B model, by rows.

The numbers behind `few_rows` in bot/engine/cuda/products.py. Needs a GPU of 48 GB:

    PYTHONPATH=. python scripts/bench_products.py
"""

# pyright: basic
import sys

import torch

if not torch.cuda.is_available():
    sys.exit("There is no CUDA device.")

from triton.testing import do_bench_cudagraph

from bot.bench.checkpoint import LLAMA_13B as MODEL
from bot.engine.cuda.gptq import PER_WORD, GptqTensors
from bot.engine.cuda.linear import (
    DequantizedProduct,
    Linear,
    MarlinProduct,
    Scratch,
    TritonProduct,
    UnpackedProduct,
)
from bot.engine.cuda.packed import PackedProduct, PackedWeights

ROWS = (1, 2, 4, 8, 16, 32, 48, 64, 80, 96, 128, 192, 256, 512, 1024, 2048)
MOST_ROWS = {"Triton": 64, "our own": 256}
LAYERS = 10  # of the model's 40: far more bytes than the second-level cache holds
SHAPES = (  # inputs, outputs: q, k and v; o; gate and up; down
    (MODEL.hidden, 3 * MODEL.hidden),
    (MODEL.hidden, MODEL.hidden),
    (MODEL.hidden, 2 * MODEL.intermediate),
    (MODEL.intermediate, MODEL.hidden),
)


def random_weights(inputs: int, outputs: int, device: torch.device) -> GptqTensors:
    """Symmetric, in groups as the model's."""
    size = (inputs // PER_WORD, outputs)
    words = torch.randint(-(2**31), 2**31 - 1, size, dtype=torch.int32, device=device)
    scales = torch.rand(inputs // MODEL.group_size, outputs, device=device).half() * 0.002
    return GptqTensors(words, scales, torch.full_like(scales, 8), MODEL.group_size)


def milliseconds(products: list[list[Linear]], inputs: list[torch.Tensor]) -> float:
    """The median of some launches as a graph, scaled to the whole model."""

    def run() -> None:
        for layer in products:
            for x, product in zip(inputs, layer, strict=True):
                product(x)

    found = do_bench_cudagraph(run, return_mode="median")
    return found * MODEL.layers / LAYERS  # type: ignore[operator]


def main() -> None:
    """Print the table."""
    device = torch.device("cuda", 0)
    processors = torch.cuda.get_device_properties(device).multi_processor_count
    layers = [[random_weights(*shape, device) for shape in SHAPES] for _ in range(LAYERS)]
    largest = max(inputs * outputs for inputs, outputs in SHAPES)
    scratch = Scratch(largest, torch.float16, device)
    kinds = {
        "our own": lambda weights: PackedProduct(PackedWeights(weights)),
        "Marlin": lambda weights: MarlinProduct(weights),
        "Triton": lambda weights: TritonProduct(weights, processors),
        "unpacked": lambda weights: UnpackedProduct(weights),
        "dequantized": lambda weights: DequantizedProduct(weights, scratch),
    }
    products = {
        name: [[make(weights) for weights in layer] for layer in layers]
        for name, make in kinds.items()
    }
    print(torch.cuda.get_device_name(device), "| rows |", " | ".join(kinds))  # noqa: T201
    for rows in ROWS:
        inputs = [torch.randn(rows, shape[0], device=device).half() for shape in SHAPES]
        found = [
            "" if rows > MOST_ROWS.get(name, rows) else f"{milliseconds(layers_of, inputs):.2f}"
            for name, layers_of in products.items()
        ]
        print(f"| {rows} |", " | ".join(found), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
