# pyright: basic
"""A product for few rows by our own kernel, which reads 4-bit weights once and little else."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from bot.engine.cuda.compiling import CompiledKernel
from bot.engine.cuda.gptq import BITS, PER_WORD, GptqTensors
from bot.engine.cuda.products import HOPPER

HERE = Path(__file__).parent
COMMON = HERE / "packed_common.cuh"
SYMMETRIC_ZERO = 8
TILE_OUTPUTS = 64
STEP_INPUTS = 16
TILE_ROWS = 8
ROW_TILES = (1, 2, 4, 8)  # what kernels are made for
ROWS = 64  # what one launch takes at once; more go in several passes over the weights
NUMBERS_WARPS = 8
NUMBERS_PAIRS = 4  # of steps, a warp
WIDE_OUTPUTS = 256  # of a block
WIDE_ROWS = 64
WIDE_FROM_ROWS = 33
WIDE_THREADS = 128
WIDE_CLUSTER_MOST = 8
WIDE_BLOCKS_EACH = 1.2  # blocks for a processor, at least
PACK_OUTPUTS = 1024  # at a time, so that packing takes little memory
GROUPS = (32, 64, 128)


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a product is shared out; see the kernel."""

    input_warps: int
    output_warps: int
    cluster: int
    blocks: int


# By 8, 16, 32 and 64 rows; measured on an H100, which has 132 processors, with the shapes of 13B.
WIDE = (Schedule(4, 1, 1, 4), Schedule(2, 2, 1, 3), Schedule(2, 4, 1, 1), Schedule(2, 4, 1, 1))
MIDDLE = (Schedule(8, 1, 1, 2), Schedule(4, 1, 1, 3), Schedule(4, 1, 1, 2), Schedule(4, 1, 1, 2))
NARROW = (Schedule(8, 1, 1, 1), Schedule(8, 1, 1, 1), Schedule(8, 1, 1, 1), Schedule(8, 1, 1, 1))
DEEP = (Schedule(4, 1, 4, 3), Schedule(4, 1, 4, 3), Schedule(4, 1, 4, 3), Schedule(8, 1, 1, 1))
WIDE_TILES = 3.0  # a processor
MIDDLE_TILES = 1.5
DEEP_GROUPS = 64


def schedule_for(
    row_tiles: int, tiles: int, groups: int, processors: int, *, clusters: bool
) -> Schedule:
    """For so many rows / 8, outputs / 64 and groups of inputs."""
    each = tiles / processors
    if each >= WIDE_TILES:
        row = WIDE
    elif each >= MIDDLE_TILES:
        row = MIDDLE
    else:
        row = DEEP if clusters and groups >= DEEP_GROUPS else NARROW
    found = row[ROW_TILES.index(row_tiles)]
    return found if tiles % found.output_warps == 0 else MIDDLE[ROW_TILES.index(row_tiles)]


@lru_cache
def _few_kernel(
    row_tiles: int, group_steps: int, schedule: Schedule, *, zeros: bool
) -> CompiledKernel:
    sums = 4 * row_tiles * 4 * 32 * 4  # bytes of a warp's
    halves = max(schedule.input_warps // 2, 1)
    defines = {
        "ROW_TILES": row_tiles,
        "INPUT_WARPS": schedule.input_warps,
        "OUTPUT_WARPS": schedule.output_warps,
        "CLUSTER": schedule.cluster,
        "BLOCKS": schedule.blocks,
        "GROUP_STEPS": group_steps,
        "SCALE_WEIGHTS": int(row_tiles > 2 or zeros),
        "ZEROS": int(zeros),
    }
    sources = (COMMON, HERE / "packed_product.cu")
    shared_bytes = schedule.output_warps * halves * sums
    return CompiledKernel(sources, "packed_product", defines, shared_bytes=shared_bytes)


@lru_cache
def _wide_kernel(cluster: int, group_steps: int, *, zeros: bool) -> CompiledKernel:
    return CompiledKernel(
        (COMMON, HERE / "packed_wide.cu"),
        "wide_product",
        {"CLUSTER": cluster, "GROUP_STEPS": group_steps, "ZEROS": int(zeros)},
        shared_bytes=WIDE_OUTPUTS * WIDE_ROWS * 4,  # the sums of a block
        own_instructions=True,
    )


@lru_cache
def _numbers_kernel(group_steps: int, *, zeros: bool) -> CompiledKernel:
    defines = {"CLUSTER": 1, "GROUP_STEPS": group_steps, "ZEROS": int(zeros)}
    return CompiledKernel((COMMON, HERE / "packed_numbers.cu"), "packed_numbers", defines)


def pack(weights: GptqTensors) -> torch.Tensor:
    """The words in the kernel's order, [in / 16, out * 2] int32.

    64 outputs of 16 inputs, a step, are one stretch. Of it a lane of a warp (4 * g + t) has four
    words, one for each 16 outputs; in each of them are the outputs g and g + 8 of four inputs. Of
    the 32 inputs of two steps these are 8t to 8t + 3 in the first, and the next four in the second.
    """
    inputs, outputs = weights.in_features, weights.out_features
    shifts = torch.arange(0, 32, BITS, device=weights.words.device, dtype=torch.int32)
    packed = torch.empty(
        inputs // STEP_INPUTS,
        outputs // TILE_OUTPUTS,
        32 * 4,
        dtype=torch.int32,
        device=weights.words.device,
    )
    for first in range(0, outputs, PACK_OUTPUTS):
        words = weights.words[:, first : first + PACK_OUTPUTS]
        codes = (words.unsqueeze(1) >> shifts[None, :, None]) & 15
        # Inputs: pairs of steps, t, step, second pair, odd. Outputs: tiles, sixteenths, half, g.
        codes = codes.view(inputs // STEP_INPUTS // 2, 4, 2, 2, 2, -1, 4, 2, 8)
        # A word's codes lie by odd, half and second pair.
        codes = codes.permute(0, 2, 5, 8, 1, 6, 4, 7, 3).flatten(-3).flatten(0, 1)
        places = torch.zeros_like(codes[..., 0])
        for nibble in range(PER_WORD):
            places |= codes[..., nibble] << (BITS * nibble)
        begin = first // TILE_OUTPUTS
        packed[:, begin : begin + places.shape[1]] = places.flatten(2)
    return packed.flatten(1)


class PackedWeights:
    """One layer's 4-bit weights as the kernel reads them, with their float16 scales and zeros."""

    def __init__(self, weights: GptqTensors) -> None:
        self.words = pack(weights)
        self.scales = weights.scales.contiguous()
        self.has_zeros = bool((weights.zeros != SYMMETRIC_ZERO).any())
        self.zeros = weights.zeros.contiguous() if self.has_zeros else self.scales  # not read then
        self.order = weights.order
        self.in_features, self.out_features = weights.in_features, weights.out_features
        self.group_steps = weights.group_size // STEP_INPUTS

    @staticmethod
    def takes(weights: GptqTensors) -> bool:
        """Whether there are whole tiles and groups, and the scales are float16."""
        return (
            weights.scales.dtype == torch.float16
            and weights.group_size in GROUPS
            and weights.in_features % weights.group_size == 0
            and weights.out_features % TILE_OUTPUTS == 0
        )

    def numbers(self, memory: torch.Tensor) -> torch.Tensor:
        """The weights as numbers: [out, in], in float16 `memory` at least so long."""
        pairs = self.in_features // STEP_INPUTS // 2
        kernel = _numbers_kernel(self.group_steps, zeros=self.has_zeros)
        kernel.launch(
            (-(-pairs // (NUMBERS_WARPS * NUMBERS_PAIRS)), self.out_features // TILE_OUTPUTS, 1),
            32 * NUMBERS_WARPS,
            (self.words, self.scales, self.zeros, memory, self.in_features, self.out_features),
        )
        return memory[: self.in_features * self.out_features].view(
            self.out_features, self.in_features
        )


def is_wide(device: torch.device) -> bool:
    """Whether the card has the products of a warpgroup, for dozens of rows."""
    return torch.cuda.get_device_capability(device) == HOPPER


def wide_cluster(outputs: int, groups: int, processors: int) -> int:
    """Of how many blocks a cluster is, so that there is work for every processor."""
    columns, cluster = outputs // WIDE_OUTPUTS, 1
    while cluster < WIDE_CLUSTER_MOST and 2 * cluster <= groups:
        if columns * cluster >= WIDE_BLOCKS_EACH * processors:
            break
        cluster *= 2
    return cluster


class PackedProduct:
    """The product for few rows. Raises CannotCompile where the kernel cannot be used."""

    def __init__(self, weights: PackedWeights) -> None:
        self._weights = weights
        device = weights.words.device
        self._clusters = torch.cuda.get_device_capability(device) >= HOPPER
        self._processors = torch.cuda.get_device_properties(device).multi_processor_count
        self._wide = is_wide(device) and weights.out_features % WIDE_OUTPUTS == 0

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """The product."""
        weights = self._weights
        x = (x if weights.order is None else x[:, weights.order]).contiguous()
        out = torch.empty(len(x), weights.out_features, device=x.device, dtype=x.dtype)
        arguments = (
            x,
            weights.words,
            weights.scales,
            weights.zeros,
            out,
            len(x),
            weights.in_features,
            weights.out_features,
        )
        if self._wide and len(x) >= WIDE_FROM_ROWS:
            self._launch_wide(len(x), arguments)
        else:
            self._launch_few(len(x), arguments)
        return out

    def _launch_few(self, rows: int, arguments: tuple[torch.Tensor | int, ...]) -> None:
        weights = self._weights
        row_tiles = next(n for n in ROW_TILES if n * TILE_ROWS >= min(rows, ROWS))
        tiles, groups = weights.out_features // TILE_OUTPUTS, len(weights.scales)
        schedule = schedule_for(row_tiles, tiles, groups, self._processors, clusters=self._clusters)
        kernel = _few_kernel(row_tiles, weights.group_steps, schedule, zeros=weights.has_zeros)
        passes = -(-rows // (row_tiles * TILE_ROWS))
        grid = (tiles // schedule.output_warps, schedule.cluster, passes)
        kernel.launch(grid, 32 * schedule.input_warps * schedule.output_warps, arguments)

    def _launch_wide(self, rows: int, arguments: tuple[torch.Tensor | int, ...]) -> None:
        weights = self._weights
        cluster = wide_cluster(weights.out_features, len(weights.scales), self._processors)
        kernel = _wide_kernel(cluster, weights.group_steps, zeros=weights.has_zeros)
        grid = (weights.out_features // WIDE_OUTPUTS, cluster, -(-rows // WIDE_ROWS))
        kernel.launch(grid, WIDE_THREADS, arguments)
