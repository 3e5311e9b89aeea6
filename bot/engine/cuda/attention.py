# pyright: basic, reportMissingImports=false, reportIndexIssue=false
"""Attention over pages, reading only the real lengths: of one new token a row, and of prompts.

One token a row is split over the sequence as in Flash-Decoding (https://crfm.stanford.edu/2023/10/12/flashdecoding):
with few rows a head's tokens are shared out to several programs, whose parts are then combined.
Prompts go tile by tile as in FlashAttention (https://arxiv.org/abs/2205.14135), any number of them
in one launch: which tile belongs to whom stands in tensors, so that the launch can be captured.
"""

import torch
import triton
import triton.language as tl

WARPS = 4
STAGES = 3
PROGRAMS_PER_PROCESSOR = 4  # how many programs keep a multiprocessor's memory pipes busy
SPLITS_MAXIMUM = 32
SMALLEST_DOT = 16  # rows of a tensor core's tile
TILE_TOKENS = 64  # of a prompt
LOG2_E = 1.4426950408889634


@triton.jit
def _decode_kernel(
    query,
    keys,
    values,
    pages,
    slots,
    lengths,
    out,
    partial,
    partial_sum,
    pages_per_slot,
    scale,
    KV_HEADS: tl.constexpr,
    GROUP: tl.constexpr,
    GROUP_PADDED: tl.constexpr,
    SIZE: tl.constexpr,
    PAGE: tl.constexpr,
    SPLITS: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    kv_head = tl.program_id(1)
    split = tl.program_id(2)
    slot = tl.load(slots + row).to(tl.int64)
    length = tl.load(lengths + slot) + 1  # the new token's key is stored already
    page_count = tl.cdiv(length, PAGE)
    pages_each = tl.cdiv(page_count, SPLITS)
    first_page = split * pages_each
    last_page = tl.minimum(first_page + pages_each, page_count)

    size = tl.arange(0, SIZE)
    token = tl.arange(0, PAGE)
    group = tl.arange(0, GROUP_PADDED)
    heads = row * KV_HEADS * GROUP + kv_head * GROUP + group
    q = tl.load(
        query + heads[:, None] * SIZE + size[None, :], mask=group[:, None] < GROUP, other=0.0
    )
    highest = tl.full([GROUP_PADDED], float("-inf"), tl.float32)
    total = tl.zeros([GROUP_PADDED], tl.float32)
    mixed = tl.zeros([GROUP_PADDED, SIZE], tl.float32)
    for index in range(first_page, last_page):
        page = tl.load(pages + slot * pages_per_slot + index).to(tl.int64)
        tile = ((page * KV_HEADS + kv_head) * PAGE + token[:, None]) * SIZE + size[None, :]
        inside = index * PAGE + token < length
        k = tl.load(keys + tile, mask=inside[:, None], other=0.0)
        v = tl.load(values + tile, mask=inside[:, None], other=0.0)
        scores = tl.dot(q, tl.trans(k)) * scale
        scores = tl.where(inside[None, :], scores, float("-inf"))
        new_highest = tl.maximum(highest, tl.max(scores, 1))
        shrink = tl.exp(highest - new_highest)
        weights = tl.exp(scores - new_highest[:, None])
        total = total * shrink + tl.sum(weights, 1)
        added = tl.dot(weights.to(v.dtype), v)
        mixed = mixed * shrink[:, None] + added
        highest = new_highest
    mask = group < GROUP
    if SPLITS == 1:
        result = mixed / total[:, None]
        target = out + heads[:, None] * SIZE + size[None, :]
        tl.store(target, result.to(out.dtype.element_ty), mask=mask[:, None])
    else:
        part = heads * SPLITS + split
        safe = tl.where(total > 0.0, total, 1.0)
        target = partial + part[:, None] * SIZE + size[None, :]
        tl.store(target, mixed / safe[:, None], mask=mask[:, None])
        logarithm = tl.where(total > 0.0, highest + tl.log(safe), float("-inf"))
        tl.store(partial_sum + part, logarithm, mask=mask)


@triton.jit
def _combine_kernel(partial, partial_sum, out, SIZE: tl.constexpr, SPLITS: tl.constexpr):
    head = tl.program_id(0).to(tl.int64)
    split = tl.arange(0, SPLITS)
    size = tl.arange(0, SIZE)
    logarithms = tl.load(partial_sum + head * SPLITS + split)
    weights = tl.exp(logarithms - tl.max(logarithms, 0))
    parts = tl.load(partial + (head * SPLITS + split[:, None]) * SIZE + size[None, :])
    mixed = tl.sum(parts * weights[:, None], 0) / tl.sum(weights, 0)
    tl.store(out + head * SIZE + size, mixed.to(out.dtype.element_ty))


def splits_for(programs: int, processors: int) -> int:
    """Into how many parts a head's tokens are split: a power of two that fills the GPU."""
    wanted = max(1, PROGRAMS_PER_PROCESSOR * processors // programs)
    return min(SPLITS_MAXIMUM, 1 << (wanted.bit_length() - 1))


def decode_attention(
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    pages: torch.Tensor,
    slots: torch.Tensor,
    lengths: torch.Tensor,
    splits: int,
) -> torch.Tensor:
    """One token a row against its slot's keys and values, its own (just stored) included.

    query: [rows, heads, size]; keys, values: [pages, kv_heads, page_tokens, size]; pages: [slots,
    pages_per_slot] int32; slots: [rows] int32; lengths: [slots] int32, tokens before the new one.
    Returns [rows, heads * size].
    """
    rows, heads, size = query.shape
    _, kv_heads, page_tokens, _ = keys.shape
    group = heads // kv_heads
    out = torch.empty(rows, heads * size, device=query.device, dtype=query.dtype)
    partial = torch.empty(rows * heads, splits, size, device=query.device, dtype=torch.float32)
    partial_sum = torch.empty(rows * heads, splits, device=query.device, dtype=torch.float32)
    # Also for one head a group the tensor cores are worth it: 15 idle rows cost less than sums
    # over registers do (measured on an H200: 284 -> 195 us at 64 rows of 40 heads).
    padded = max(SMALLEST_DOT, triton.next_power_of_2(group))
    _decode_kernel[(rows, kv_heads, splits)](
        query,
        keys,
        values,
        pages,
        slots,
        lengths,
        out,
        partial,
        partial_sum,
        pages.shape[1],
        size**-0.5,
        kv_heads,
        group,
        padded,
        size,
        page_tokens,
        splits,
        num_warps=WARPS,
        num_stages=STAGES,
    )
    if splits > 1:
        _combine_kernel[(rows * heads,)](partial, partial_sum, out, size, splits, num_warps=1)
    return out


@triton.jit
def _prompt_kernel(
    query,
    keys,
    values,
    pages,
    tile_slots,
    tile_begins,
    tile_counts,
    tile_positions,
    out,
    pages_per_slot,
    scale,
    HEADS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    SIZE: tl.constexpr,
    PAGE: tl.constexpr,
    TILE: tl.constexpr,
):
    tile = tl.program_id(0)
    head = tl.program_id(1)
    count = tl.load(tile_counts + tile)
    if count > 0:
        slot = tl.load(tile_slots + tile).to(tl.int64)
        begin = tl.load(tile_begins + tile).to(tl.int64)
        position = tl.load(tile_positions + tile)
        kv_head = head // (HEADS // KV_HEADS)
        size = tl.arange(0, SIZE)
        row = tl.arange(0, TILE)
        token = tl.arange(0, PAGE)
        place = ((begin + row[:, None]) * HEADS + head) * SIZE + size[None, :]
        mask = (row < count)[:, None]
        q = tl.load(query + place, mask=mask, other=0.0)
        highest = tl.full([TILE], float("-inf"), tl.float32)
        total = tl.zeros([TILE], tl.float32)
        mixed = tl.zeros([TILE, SIZE], tl.float32)
        for index in range(tl.cdiv(position + count, PAGE)):
            page = tl.load(pages + slot * pages_per_slot + index).to(tl.int64)
            block = ((page * KV_HEADS + kv_head) * PAGE + token[:, None]) * SIZE + size[None, :]
            inside = index * PAGE + token < position + count
            k = tl.load(keys + block, mask=inside[:, None], other=0.0)
            v = tl.load(values + block, mask=inside[:, None], other=0.0)
            scores = tl.dot(q, tl.trans(k)) * scale
            earlier = (index * PAGE + token)[None, :] <= (position + row)[:, None]
            scores = tl.where(earlier, scores, float("-inf"))
            new_highest = tl.maximum(highest, tl.max(scores, 1))
            shrink = tl.exp2(highest - new_highest)
            weights = tl.exp2(scores - new_highest[:, None])
            total = total * shrink + tl.sum(weights, 1)
            mixed = mixed * shrink[:, None] + tl.dot(weights.to(v.dtype), v)
            highest = new_highest
        result = mixed / total[:, None]
        tl.store(out + place, result.to(out.dtype.element_ty), mask=mask)


def prompt_attention(
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    pages: torch.Tensor,
    tiles: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor],
) -> torch.Tensor:
    """Prompt tokens of several rows, each against its slot's earlier tokens and itself.

    query: [tokens, heads, size]; keys, values, pages as in :func:`decode_attention`; tiles: slot,
    first token in `query`, number of tokens (at most TILE_TOKENS; 0 for none), and the position of
    the first one, each [tiles] int32. Returns [tokens, heads * size]; tokens of no tile: undefined.
    """
    tokens, heads, size = query.shape
    _, kv_heads, page_tokens, _ = keys.shape
    out = torch.empty(tokens, heads * size, device=query.device, dtype=query.dtype)
    _prompt_kernel[(len(tiles[0]), heads)](
        query,
        keys,
        values,
        pages,
        *tiles,
        out,
        pages.shape[1],
        size**-0.5 * LOG2_E,
        heads,
        kv_heads,
        size,
        page_tokens,
        TILE_TOKENS,
        num_warps=WARPS,
        num_stages=2,
    )
    return out
