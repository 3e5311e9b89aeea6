# pyright: basic, reportMissingImports=false, reportIndexIssue=false
"""Small fused steps between the matrix products, one Triton launch each.

Triton's kernels are untyped by nature: their arguments are documented in the functions that launch
them. All take float16 or bfloat16 rows and calculate in float32, as Llama does in transformers.
"""

import math

import torch
import triton
import triton.language as tl

from bot.engine.cuda.pages import LayerCache

ROTARY_WARPS = 4
ROTARY_HEADS = 8  # a program, at most
ROTARY_MANY_ROWS = 16
NORM_WARPS = 8
SILU_BLOCK = 1024


@triton.jit
def _add_norm_kernel(x, residual, weight, out, size, eps, ADD: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    mask = column < size
    value = tl.load(x + row * size + column, mask=mask, other=0.0).to(tl.float32)
    if ADD:
        value += tl.load(residual + row * size + column, mask=mask, other=0.0).to(tl.float32)
        # The sum is rounded before the norm, as it is when the residual is a tensor of its own.
        value = value.to(residual.dtype.element_ty).to(tl.float32)
    tl.store(residual + row * size + column, value.to(residual.dtype.element_ty), mask=mask)
    scale = tl.rsqrt(tl.sum(value * value, 0) / size + eps)
    weights = tl.load(weight + column, mask=mask, other=0.0).to(tl.float32)
    normed = (value * scale).to(out.dtype.element_ty).to(tl.float32)
    tl.store(out + row * size + column, (normed * weights).to(out.dtype.element_ty), mask=mask)


def add_norm(
    x: torch.Tensor, residual: torch.Tensor, weight: torch.Tensor, eps: float, *, add: bool = True
) -> torch.Tensor:
    """`residual += x` (or `= x` without `add`), and its RMSNorm, new.

    x, residual: [rows, hidden]; weight: [hidden]. RMSNorm: https://arxiv.org/abs/1910.07467.
    """
    out = torch.empty_like(x)
    rows, size = x.shape
    block = triton.next_power_of_2(size)
    _add_norm_kernel[(rows,)](x, residual, weight, out, size, eps, add, block, num_warps=NORM_WARPS)
    return out


@triton.jit
def _silu_multiply_kernel(gate_up, out, size, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mask = column < size
    gate = tl.load(gate_up + row * 2 * size + column, mask=mask, other=0.0).to(tl.float32)
    up = tl.load(gate_up + row * 2 * size + size + column, mask=mask, other=0.0).to(tl.float32)
    activated = (gate * tl.sigmoid(gate)).to(out.dtype.element_ty).to(tl.float32)
    tl.store(out + row * size + column, (activated * up).to(out.dtype.element_ty), mask=mask)


def silu_multiply(gate_up: torch.Tensor) -> torch.Tensor:
    """SwiGLU's middle: [rows, 2 * size] (gate, then up) -> silu(gate) * up, [rows, size]."""
    rows, double = gate_up.shape
    size = double // 2
    out = torch.empty(rows, size, device=gate_up.device, dtype=gate_up.dtype)
    _silu_multiply_kernel[(rows, triton.cdiv(size, SILU_BLOCK))](gate_up, out, size, SILU_BLOCK)
    return out


@triton.jit
def _rotate_and_store_kernel(
    qkv,
    query,
    keys,
    values,
    key_scales,
    value_scales,
    pages,
    positions,
    slots,
    cosines,
    sines,
    pages_per_slot,
    HEADS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    BLOCK: tl.constexpr,  # heads; a block has queries, keys or values alone
    HALF: tl.constexpr,
    PAGE: tl.constexpr,
    QUANTIZED: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    block = tl.program_id(1) * BLOCK
    head = block + tl.arange(0, BLOCK)[:, None]
    half = tl.arange(0, HALF)[None, :]
    source = qkv + (row * (HEADS + 2 * KV_HEADS) + head) * 2 * HALF + half
    first = tl.load(source)
    second = tl.load(source + HALF)
    position = tl.load(positions + row)
    if block < HEADS + KV_HEADS:
        cosine = tl.load(cosines + position * HALF + half)
        sine = tl.load(sines + position * HALF + half)
        a, b = first.to(tl.float32), second.to(tl.float32)
        first = (a * cosine - b * sine).to(qkv.dtype.element_ty)
        second = (b * cosine + a * sine).to(qkv.dtype.element_ty)
    if block < HEADS:
        target = query + (row * HEADS + head) * 2 * HALF + half
        tl.store(target, first)
        tl.store(target + HALF, second)
    else:
        slot = tl.load(slots + row).to(tl.int64)
        page = tl.load(pages + slot * pages_per_slot + position // PAGE).to(tl.int64)
        if block < HEADS + KV_HEADS:
            base = keys
            scales = key_scales
            kv_head = head - HEADS
        else:
            base = values
            scales = value_scales
            kv_head = head - HEADS - KV_HEADS
        place = (page * KV_HEADS + kv_head) * PAGE + position % PAGE
        kept = base + place * 2 * HALF + half
        if QUANTIZED:
            a, b = first.to(tl.float32), second.to(tl.float32)
            greatest = tl.max(tl.maximum(tl.abs(a), tl.abs(b)), 1)[:, None]
            scale = tl.maximum(greatest, 1e-20) / 127.0
            tl.store(scales + place, scale)
            tl.store(kept, tl.floor(a / scale + 0.5).to(tl.int8))
            tl.store(kept + HALF, tl.floor(b / scale + 0.5).to(tl.int8))
        else:
            tl.store(kept, first)
            tl.store(kept + HALF, second)


def rotate_and_store(
    qkv: torch.Tensor,
    cache: LayerCache,
    positions: torch.Tensor,
    slots: torch.Tensor,
    rotary: tuple[torch.Tensor, torch.Tensor],
    heads: int,
) -> torch.Tensor:
    """Rotary embedding of queries and keys; keys and values go into the cache's pages.

    qkv: [rows, (heads + 2 * kv_heads) * size]; positions, slots: [rows] int32; rotary: cosines and
    sines, float32 [context, size / 2]. Returns the queries, [rows, heads, size]. Rotary embedding:
    https://arxiv.org/abs/2104.09864, in Llama's half-split order.
    """
    rows = qkv.shape[0]
    _, kv_heads, page_tokens, size = cache.keys.shape
    query = torch.empty(rows, heads, size, device=qkv.device, dtype=qkv.dtype)
    block = head_block(rows, heads, kv_heads)
    _rotate_and_store_kernel[(rows, (heads + 2 * kv_heads) // block)](
        qkv,
        query,
        cache.keys,
        cache.values,
        cache.key_scales,
        cache.value_scales,
        cache.table,
        positions,
        slots,
        rotary[0],
        rotary[1],
        cache.table.shape[1],
        heads,
        kv_heads,
        block,
        size // 2,
        page_tokens,
        cache.is_quantized,
        num_warps=1 if block == 1 else ROTARY_WARPS,
    )
    return query


def head_block(rows: int, heads: int, kv_heads: int) -> int:
    """How many heads one program takes: several where there are programs enough.

    Eight a program, measured on an H100 with 40 heads, us: 64 rows 6.3 -> 2.7, 512 39 -> 11.
    """
    if rows < ROTARY_MANY_ROWS:
        return 1
    return math.gcd(ROTARY_HEADS, heads, kv_heads)
