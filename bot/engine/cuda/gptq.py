# pyright: basic, reportMissingImports=false, reportIndexIssue=false
"""GPTQ's 4-bit weights as tensors, and two Triton ways to multiply by them.

The layout is AutoGPTQ's: `qweight` int32 [in / 8, out], eight consecutive inputs in a word, lowest
bits first; `scales` [groups, out]; `qzeros` int32 [groups, out / 8], stored less one (format
"gptq") or as they are ("gptq_v2"). GPTQ: https://arxiv.org/abs/2210.17323.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import triton
import triton.language as tl

BITS = 4
PER_WORD = 32 // BITS
SMALLEST_DOT = 16  # columns of a tensor core's tile
BLOCK_INPUTS = SMALLEST_DOT * PER_WORD  # a product's inputs come in blocks of so many


@dataclass(frozen=True, slots=True)
class GptqTensors:
    """One layer's weights. `zeros` are unpacked: [groups, out], in the scales' dtype.

    `order` is the inputs' order by group when act-order was used ([in] int64), else None.
    """

    words: torch.Tensor
    scales: torch.Tensor
    zeros: torch.Tensor
    group_size: int
    order: torch.Tensor | None = None

    @property
    def in_features(self) -> int:
        """Inputs."""
        return self.words.shape[0] * PER_WORD

    @property
    def out_features(self) -> int:
        """Outputs."""
        return self.words.shape[1]


def unpack_zeros(
    qzeros: torch.Tensor, dtype: torch.dtype, *, stored_less_one: bool
) -> torch.Tensor:
    """[groups, out / 8] int32 -> [groups, out]."""
    shifts = torch.arange(0, 32, BITS, device=qzeros.device, dtype=torch.int32)
    zeros = (qzeros.unsqueeze(-1) >> shifts) & 15
    return (zeros.flatten(1) + int(stored_less_one)).to(dtype)


def in_group_order(
    words: torch.Tensor, g_idx: torch.Tensor | None, group_size: int
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Sort the inputs by group, so that those of one stand together: words and order."""
    inputs = words.shape[0] * PER_WORD
    if g_idx is None:
        return words, None
    plain = torch.arange(inputs, device=g_idx.device) // group_size
    if torch.equal(g_idx.long(), plain):
        return words, None
    order = torch.argsort(g_idx.long(), stable=True)
    shifts = torch.arange(0, 32, BITS, device=words.device, dtype=torch.int32)
    rows = ((words.unsqueeze(1) >> shifts[None, :, None]) & 15).flatten(0, 1)[order]
    packed = torch.zeros_like(words)
    for index in range(PER_WORD):
        packed |= rows[index::PER_WORD] << (BITS * index)
    return packed, order


def can_merge(parts: Sequence[GptqTensors]) -> bool:
    """Whether these layers' inputs are grouped alike: act-order may give each its own order."""
    first = parts[0]
    return all(
        part.group_size == first.group_size and _same(part.order, first.order) for part in parts
    )


def merge(parts: Sequence[GptqTensors]) -> GptqTensors:
    """Layers with the same input as one, their outputs side by side. The caller has asked."""
    return GptqTensors(
        torch.cat([part.words for part in parts], 1).contiguous(),
        torch.cat([part.scales for part in parts], 1).contiguous(),
        torch.cat([part.zeros for part in parts], 1).contiguous(),
        parts[0].group_size,
        parts[0].order,
    )


def _same(one: torch.Tensor | None, other: torch.Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    return torch.equal(one, other)


@triton.jit
def _multiply_kernel(
    x,
    words,
    scales,
    zeros,
    out,
    rows,
    inputs,
    outputs,
    words_per_group,
    x_stride,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_OUT: tl.constexpr,
    BLOCK_WORDS: tl.constexpr,
    SPLITS: tl.constexpr,
    FINE: tl.constexpr,  # a block of words spans several groups
):
    column = tl.program_id(0) * BLOCK_OUT + tl.arange(0, BLOCK_OUT)
    row = tl.program_id(1) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    split = tl.program_id(2)
    word = tl.arange(0, BLOCK_WORDS)
    column_mask = column < outputs
    row_mask = row < rows
    total = tl.zeros([BLOCK_ROWS, BLOCK_OUT], tl.float32)
    blocks = inputs // (BLOCK_WORDS * 8)
    for block in range(split, blocks, SPLITS):
        packed = tl.load(
            words + (block * BLOCK_WORDS + word[:, None]).to(tl.int64) * outputs + column[None, :],
            mask=column_mask[None, :],
            other=0,
        )
        if FINE:
            group = (block * BLOCK_WORDS + word) // words_per_group
            place = group[:, None] * outputs + column[None, :]
            scale = tl.load(scales + place, mask=column_mask[None, :], other=0.0)
            zero = tl.load(zeros + place, mask=column_mask[None, :], other=0.0)
        else:
            place = (block * BLOCK_WORDS // words_per_group) * outputs + column
            scale = tl.load(scales + place, mask=column_mask, other=0.0)[None, :]
            zero = tl.load(zeros + place, mask=column_mask, other=0.0)[None, :]
        inner = tl.zeros([BLOCK_ROWS, BLOCK_OUT], tl.float32)
        # The sum over inputs may take them in any order: every eighth one together, so that no
        # word is loaded twice.
        for nibble in tl.static_range(8):
            # 0x6400 is the float16 1024.0, to which its low bits add.
            code = ((packed >> (4 * nibble)) & 15) | 0x6400
            weight = code.to(tl.int16).to(tl.float16, bitcast=True) - 1024.0
            weight = weight - zero.to(tl.float16)
            if FINE:
                weight = weight * scale.to(tl.float16)
            values = tl.load(
                x + row[:, None] * x_stride + (block * BLOCK_WORDS + word[None, :]) * 8 + nibble,
                mask=row_mask[:, None],
                other=0.0,
            )
            inner = tl.dot(values, weight.to(values.dtype), inner)
        if FINE:
            total += inner
        else:
            total += inner * scale.to(tl.float32)
    target = out + (split * rows + row[:, None]).to(tl.int64) * outputs + column[None, :]
    tl.store(target, total.to(out.dtype.element_ty), mask=row_mask[:, None] & column_mask[None, :])


def multiply(x: torch.Tensor, weights: GptqTensors, processors: int) -> torch.Tensor:
    """x [rows, in] times the weights, dequantized on the way: [rows, out]. For few rows."""
    if weights.order is not None:
        x = x[:, weights.order]
    rows, inputs = x.shape
    outputs = weights.out_features
    block_rows = min(64, max(16, triton.next_power_of_2(rows)))
    block_out = 64 if block_rows <= 32 else 128
    block_words = SMALLEST_DOT  # words of eight inputs
    tiles = triton.cdiv(outputs, block_out) * triton.cdiv(rows, block_rows)
    blocks = inputs // (block_words * PER_WORD)
    splits = max(1, min(blocks // 4, 4 * processors // tiles))
    out = torch.empty(
        splits,
        rows,
        outputs,
        device=x.device,
        dtype=torch.float32 if splits > 1 else x.dtype,
    )
    grid = (triton.cdiv(outputs, block_out), triton.cdiv(rows, block_rows), splits)
    _multiply_kernel[grid](
        x,
        weights.words,
        weights.scales,
        weights.zeros,
        out,
        rows,
        inputs,
        outputs,
        weights.group_size // PER_WORD,
        x.stride(0),
        block_rows,
        block_out,
        block_words,
        splits,
        weights.group_size < block_words * PER_WORD,
        num_warps=4,
        num_stages=4,
    )
    return out.sum(0, dtype=torch.float32).to(x.dtype) if splits > 1 else out[0]


@triton.jit
def _dequantize_kernel(
    words,
    scales,
    zeros,
    out,
    outputs,
    words_per_group,
    BLOCK_WORDS: tl.constexpr,
    BLOCK_OUT: tl.constexpr,
):
    word = tl.program_id(0) * BLOCK_WORDS + tl.arange(0, BLOCK_WORDS)
    column = tl.program_id(1) * BLOCK_OUT + tl.arange(0, BLOCK_OUT)
    mask = (column < outputs)[None, :]
    packed = tl.load(
        words + word[:, None].to(tl.int64) * outputs + column[None, :], mask=mask, other=0
    )
    group = word // words_per_group
    scale = tl.load(scales + group[:, None] * outputs + column[None, :], mask=mask, other=0.0)
    zero = tl.load(zeros + group[:, None] * outputs + column[None, :], mask=mask, other=0.0)
    for nibble in tl.static_range(8):
        code = ((packed >> (4 * nibble)) & 15).to(tl.float32)
        weight = ((code - zero.to(tl.float32)) * scale.to(tl.float32)).to(out.dtype.element_ty)
        target = (word[:, None] * 8 + nibble).to(tl.int64) * outputs + column[None, :]
        tl.store(out + target, weight, mask=mask)


def dequantize(weights: GptqTensors, out: torch.Tensor) -> torch.Tensor:
    """The weights as numbers: [in, out], in `out`'s memory (at least in * out long, any dtype)."""
    target = out[: weights.in_features * weights.out_features].view(
        weights.in_features, weights.out_features
    )
    block_words, block_out = 4, 256
    grid = (weights.words.shape[0] // block_words, triton.cdiv(weights.out_features, block_out))
    _dequantize_kernel[grid](
        weights.words,
        weights.scales,
        weights.zeros,
        target,
        weights.out_features,
        weights.group_size // PER_WORD,
        block_words,
        block_out,
    )
    return target
