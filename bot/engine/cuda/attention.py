# pyright: basic, reportMissingImports=false, reportIndexIssue=false
"""Attention over pages, reading only the real lengths: of one new token a row, and of prompts.

One token a row is split over the sequence as in Flash-Decoding (https://crfm.stanford.edu/2023/10/12/flashdecoding):
with few rows a head's tokens are shared out to several programs, whose parts are then combined.
Prompts go tile by tile as in FlashAttention (https://arxiv.org/abs/2205.14135), any number of them
in one launch: which tile belongs to whom stands in tensors, so that the launch can be captured.
A short prompt, which may follow a long prefix, is split over the sequence too.

Keys and values in 8 bits are whole numbers with a scale a token: it multiplies the token's score,
or its weight, so that what is multiplied by matrices stays as it is read.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
import triton
import triton.language as tl

from bot.engine.cuda.pages import LayerCache
from bot.engine.cuda.prompts import TILE_TOKENS

PROGRAMS_PER_PROCESSOR = 4  # how many programs keep a multiprocessor's memory pipes busy
MANY_PROGRAMS_PER_PROCESSOR = 14  # from here on smaller programs, two for each head, are better
SPLITS_MAXIMUM = 32
SMALLEST_DOT = 16  # rows of a tensor core's tile
SHORT_PROMPT_TOKENS = 128
SHORT_PROMPT_SPLITS = 4
AMPLE_SHARED_BYTES = 160 << 10
LOG2_E = 1.4426950408889634


@dataclass(frozen=True, slots=True)
class DecodeSchedule:
    """How the work of one step's attention is shared out."""

    splits: int  # of a head's tokens; a power of two
    block_tokens: int = 64
    warps: int = 4
    stages: int = 3


@triton.jit
def _widened(x, LIKE: tl.constexpr):
    """Whole numbers of 8 bits as floats, four at a time: an integer's bits below those of 1024."""
    if x.dtype == tl.int8 and tl.float16 == LIKE:
        wide = tl.inline_asm_elementwise(
            """
            {
            .reg .b32 shifted, offset;
            xor.b32 shifted, $2, 0x80808080;
            mov.b32 offset, 0x64806480;
            prmt.b32 $0, shifted, 0x64646464, 0x4140;
            prmt.b32 $1, shifted, 0x64646464, 0x4342;
            sub.f16x2 $0, $0, offset;
            sub.f16x2 $1, $1, offset;
            }
            """,
            "=r,=r,r",
            [x],
            dtype=tl.float16,
            is_pure=True,
            pack=4,
        )
    else:
        wide = x.to(LIKE)
    return wide


@triton.jit
def _decode_kernel(
    query,
    keys,
    values,
    key_scales,
    value_scales,
    pages,
    slots,
    positions,
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
    BLOCK: tl.constexpr,
    SPLITS: tl.constexpr,
    QUANTIZED: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    kv_head = tl.program_id(1)
    split = tl.program_id(2)
    slot = tl.load(slots + row).to(tl.int64)
    length = tl.load(positions + row) + 1  # the new token's key is stored already
    blocks = tl.cdiv(length, BLOCK)
    blocks_each = tl.cdiv(blocks, SPLITS)
    first_block = split * blocks_each
    last_block = tl.minimum(first_block + blocks_each, blocks)
    # Blocks that are full need no mask.
    full_end = tl.maximum(tl.minimum(length // BLOCK, last_block), first_block)

    size = tl.arange(0, SIZE)
    token = tl.arange(0, BLOCK)
    group = tl.arange(0, GROUP_PADDED)
    heads = row * KV_HEADS * GROUP + kv_head * GROUP + group
    q = tl.load(
        query + heads[:, None] * SIZE + size[None, :], mask=group[:, None] < GROUP, other=0.0
    )
    highest = tl.full([GROUP_PADDED], float("-inf"), tl.float32)
    total = tl.zeros([GROUP_PADDED], tl.float32)
    mixed = tl.zeros([GROUP_PADDED, SIZE], tl.float32)
    for index in range(first_block, full_end):
        at = index * BLOCK
        page = tl.load(pages + slot * pages_per_slot + at // PAGE).to(tl.int64)
        place = (page * KV_HEADS + kv_head) * PAGE + at % PAGE + token
        tile = place[:, None] * SIZE + size[None, :]
        k = _widened(tl.load(keys + tile), q.dtype)
        v = _widened(tl.load(values + tile), q.dtype)
        scores = tl.dot(q, tl.trans(k)) * scale
        if QUANTIZED:
            scores *= tl.load(key_scales + place)[None, :]
        new_highest = tl.maximum(highest, tl.max(scores, 1))
        shrink = tl.exp2(highest - new_highest)
        weights = tl.exp2(scores - new_highest[:, None])
        total = total * shrink + tl.sum(weights, 1)
        if QUANTIZED:
            weights *= tl.load(value_scales + place)[None, :]
        mixed = mixed * shrink[:, None] + tl.dot(weights.to(q.dtype), v)
        highest = new_highest
    for index in range(full_end, last_block):
        at = index * BLOCK
        page = tl.load(pages + slot * pages_per_slot + at // PAGE).to(tl.int64)
        place = (page * KV_HEADS + kv_head) * PAGE + at % PAGE + token
        tile = place[:, None] * SIZE + size[None, :]
        inside = at + token < length
        k = _widened(tl.load(keys + tile, mask=inside[:, None], other=0), q.dtype)
        v = _widened(tl.load(values + tile, mask=inside[:, None], other=0), q.dtype)
        scores = tl.dot(q, tl.trans(k)) * scale
        if QUANTIZED:
            scores *= tl.load(key_scales + place, mask=inside, other=0.0)[None, :]
        scores = tl.where(inside[None, :], scores, float("-inf"))
        new_highest = tl.maximum(highest, tl.max(scores, 1))
        shrink = tl.exp2(highest - new_highest)
        weights = tl.exp2(scores - new_highest[:, None])
        total = total * shrink + tl.sum(weights, 1)
        if QUANTIZED:
            weights *= tl.load(value_scales + place, mask=inside, other=0.0)[None, :]
        mixed = mixed * shrink[:, None] + tl.dot(weights.to(q.dtype), v)
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
        logarithm = tl.where(total > 0.0, highest + tl.log2(safe), float("-inf"))
        tl.store(partial_sum + part, logarithm, mask=mask)


@triton.jit
def _combine_kernel(partial, partial_sum, out, SIZE: tl.constexpr, SPLITS: tl.constexpr):
    head = tl.program_id(0).to(tl.int64)
    split = tl.arange(0, SPLITS)
    size = tl.arange(0, SIZE)
    logarithms = tl.load(partial_sum + head * SPLITS + split)
    highest = tl.max(logarithms, 0)
    highest = tl.where(highest == float("-inf"), 0.0, highest)  # a padding row has no parts
    weights = tl.exp2(logarithms - highest)
    parts = tl.load(partial + (head * SPLITS + split[:, None]) * SIZE + size[None, :])
    total = tl.sum(weights, 0)
    mixed = tl.sum(parts * weights[:, None], 0) / tl.where(total > 0.0, total, 1.0)
    tl.store(out + head * SIZE + size, mixed.to(out.dtype.element_ty))


def decode_schedule(programs: int, processors: int, *, quantized: bool) -> DecodeSchedule:
    """How to share out the tokens of so many pairs of rows and heads."""
    wanted = max(1, PROGRAMS_PER_PROCESSOR * processors // programs)
    splits = min(SPLITS_MAXIMUM, 1 << (wanted.bit_length() - 1))
    if programs >= MANY_PROGRAMS_PER_PROCESSOR * processors and not quantized:
        return DecodeSchedule(2, block_tokens=32, warps=2, stages=2)
    if quantized and splits == 1:
        return DecodeSchedule(1, block_tokens=64, warps=2, stages=2)
    return DecodeSchedule(splits)


def decode_attention(
    query: torch.Tensor,
    cache: LayerCache,
    slots: torch.Tensor,
    positions: torch.Tensor,
    schedule: DecodeSchedule,
) -> torch.Tensor:
    """One token a row against its slot's keys and values, its own (just stored) included.

    query: [rows, heads, size]; slots, positions: [rows] int32. A position is the number of tokens
    before it. Returns [rows, heads * size].
    """
    rows, heads, size = query.shape
    _, kv_heads, page_tokens, _ = cache.keys.shape
    group, splits = heads // kv_heads, schedule.splits
    out = torch.empty(rows, heads * size, device=query.device, dtype=query.dtype)
    partial, partial_sum = _parts(query, splits)
    # Also for one head a group the tensor cores are worth it: 15 idle rows cost less than sums
    # over registers do (measured on an H200: 284 -> 195 us at 64 rows of 40 heads).
    padded = max(SMALLEST_DOT, triton.next_power_of_2(group))
    _decode_kernel[(rows, kv_heads, splits)](
        query,
        cache.keys,
        cache.values,
        cache.key_scales,
        cache.value_scales,
        cache.table,
        slots,
        positions,
        out,
        partial,
        partial_sum,
        cache.table.shape[1],
        size**-0.5 * LOG2_E,
        kv_heads,
        group,
        padded,
        size,
        page_tokens,
        schedule.block_tokens,
        splits,
        cache.is_quantized,
        num_warps=schedule.warps,
        num_stages=schedule.stages,
    )
    if splits > 1:
        _combine_kernel[(rows * heads,)](partial, partial_sum, out, size, splits, num_warps=1)
    return out


def _parts(query: torch.Tensor, splits: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Where the parts of each token's heads go, and the logarithms of their weights' sums."""
    tokens, heads, size = query.shape
    shape = (tokens * heads, splits) if splits > 1 else (1, 1)
    partial = torch.empty(*shape, size, device=query.device, dtype=torch.float32)
    return partial, torch.empty(shape, device=query.device, dtype=torch.float32)


@triton.jit
def _prompt_kernel(
    query,
    keys,
    values,
    key_scales,
    value_scales,
    pages,
    tile_slots,
    tile_begins,
    tile_counts,
    tile_positions,
    out,
    partial,
    partial_sum,
    pages_per_slot,
    scale,
    HEADS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    SIZE: tl.constexpr,
    PAGE: tl.constexpr,
    TILE: tl.constexpr,
    SPLITS: tl.constexpr,
    QUANTIZED: tl.constexpr,
):
    tile = tl.program_id(0)
    head = tl.program_id(1)
    split = tl.program_id(2)
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
        page_count = tl.cdiv(position + count, PAGE)
        pages_each = tl.cdiv(page_count, SPLITS)
        first_page = split * pages_each
        last_page = tl.minimum(first_page + pages_each, page_count)
        # Pages that end before the tile's first token are seen whole by all of it.
        full_end = tl.maximum(tl.minimum((position + 1) // PAGE, last_page), first_page)
        for index in range(first_page, full_end):
            page = tl.load(pages + slot * pages_per_slot + index).to(tl.int64)
            kept = (page * KV_HEADS + kv_head) * PAGE + token
            block = kept[:, None] * SIZE + size[None, :]
            k = _widened(tl.load(keys + block), q.dtype)
            v = _widened(tl.load(values + block), q.dtype)
            scores = tl.dot(q, tl.trans(k)) * scale
            if QUANTIZED:
                scores *= tl.load(key_scales + kept)[None, :]
            new_highest = tl.maximum(highest, tl.max(scores, 1))
            shrink = tl.exp2(highest - new_highest)
            weights = tl.exp2(scores - new_highest[:, None])
            total = total * shrink + tl.sum(weights, 1)
            if QUANTIZED:
                weights *= tl.load(value_scales + kept)[None, :]
            mixed = tl.dot(weights.to(q.dtype), v, mixed * shrink[:, None])
            highest = new_highest
        for index in range(full_end, last_page):
            page = tl.load(pages + slot * pages_per_slot + index).to(tl.int64)
            kept = (page * KV_HEADS + kv_head) * PAGE + token
            block = kept[:, None] * SIZE + size[None, :]
            inside = index * PAGE + token < position + count
            k = _widened(tl.load(keys + block, mask=inside[:, None], other=0), q.dtype)
            v = _widened(tl.load(values + block, mask=inside[:, None], other=0), q.dtype)
            scores = tl.dot(q, tl.trans(k)) * scale
            if QUANTIZED:
                scores *= tl.load(key_scales + kept, mask=inside, other=0.0)[None, :]
            earlier = (index * PAGE + token)[None, :] <= (position + row)[:, None]
            scores = tl.where(earlier, scores, float("-inf"))
            new_highest = tl.maximum(highest, tl.max(scores, 1))
            # A part may hold nothing that a tile's first tokens see.
            finite = tl.where(new_highest == float("-inf"), 0.0, new_highest)
            shrink = tl.exp2(highest - finite)
            weights = tl.exp2(scores - finite[:, None])
            total = total * shrink + tl.sum(weights, 1)
            if QUANTIZED:
                weights *= tl.load(value_scales + kept, mask=inside, other=0.0)[None, :]
            mixed = tl.dot(weights.to(q.dtype), v, mixed * shrink[:, None])
            highest = new_highest
        safe = tl.where(total > 0.0, total, 1.0)
        result = mixed / safe[:, None]
        if SPLITS == 1:
            tl.store(out + place, result.to(out.dtype.element_ty), mask=mask)
        else:
            part = ((begin + row) * HEADS + head) * SPLITS + split
            tl.store(partial + part[:, None] * SIZE + size[None, :], result, mask=mask)
            logarithm = tl.where(total > 0.0, highest + tl.log2(safe), float("-inf"))
            tl.store(partial_sum + part, logarithm, mask=row < count)


@lru_cache
def _prompt_stages(device: torch.device) -> int:
    """How many pages are under way at once: as many as the card's shared memory takes."""
    properties = torch.cuda.get_device_properties(device)
    return 3 if properties.shared_memory_per_block_optin >= AMPLE_SHARED_BYTES else 2


def prompt_attention(
    query: torch.Tensor,
    cache: LayerCache,
    tiles: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor],
) -> torch.Tensor:
    """Prompt tokens of several rows, each against its slot's earlier tokens and itself.

    query: [tokens, heads, size]; tiles: slot, first token in `query`, number of tokens (at most
    TILE_TOKENS; 0 for none), and the position of the first one, each [tiles] int32. Returns
    [tokens, heads * size]; tokens of no tile: undefined.
    """
    tokens, heads, size = query.shape
    _, kv_heads, page_tokens, _ = cache.keys.shape
    splits = SHORT_PROMPT_SPLITS if tokens <= SHORT_PROMPT_TOKENS else 1
    out = torch.empty(tokens, heads * size, device=query.device, dtype=query.dtype)
    partial, partial_sum = _parts(query, splits)
    _prompt_kernel[(len(tiles[0]), heads, splits)](
        query,
        cache.keys,
        cache.values,
        cache.key_scales,
        cache.value_scales,
        cache.table,
        *tiles,
        out,
        partial,
        partial_sum,
        cache.table.shape[1],
        size**-0.5 * LOG2_E,
        heads,
        kv_heads,
        size,
        page_tokens,
        TILE_TOKENS,
        splits,
        cache.is_quantized,
        num_warps=4,
        num_stages=_prompt_stages(query.device),
    )
    if splits > 1:
        _combine_kernel[(tokens * heads,)](partial, partial_sum, out, size, splits, num_warps=1)
    return out
