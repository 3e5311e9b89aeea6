# pyright: basic, reportMissingImports=false, reportIndexIssue=false
"""Penalties by count, DRY and banned words on the GPU: what the portable runner's steering does.

Small kernels stand around the one that chooses, in every step and every graph; for a slot that has
none of it on, each is over after reading one flag. All state lies on the GPU by slot, so a step can
still be launched before the tokens of the one before it are known here. What is changed is written
back as the logits came, in half precision.

DRY keeps, for each distance k, how many tokens at the end equal those that stand k before them:
see :func:`~bot.engine.local.repetition.repeated`. A new token makes that longer by one where it
equals the token k before it, and 0 elsewhere, so a step takes one pass over the window.
"""

from collections.abc import Iterable, Sequence

import torch
import triton
import triton.language as tl

from bot.engine.api import DRY_BREAKERS, DRY_TOKENS, PENALTY_TOKENS, Sampling
from bot.engine.local.repetition import largest_exponent, repeated
from bot.engine.local.vocabulary import Vocabulary

WARPS = 8
BLOCK_TOKENS = 8192
NO_LIMIT = 1 << 30
COUNTS, DRY, BANS = 1, 2, 4  # what is on in a slot: bits of its flag


@triton.jit
def _weigh_kernel(
    logits,
    slots,
    flags,
    newest,
    said,
    lengths,
    longest,
    penalties,
    presences,
    frequencies,
    allowed_lengths,
    stride,
    vocabulary,
    WINDOW: tl.constexpr,
    COUNTED: tl.constexpr,
):
    """Penalties by count; and for each token, the longest repetition that it would go on with.

    The latter as length * WINDOW + distance, so that one of several places wins.
    """
    row = tl.program_id(0).to(tl.int64)
    slot = tl.load(slots + row).to(tl.int64)
    flag = tl.load(flags + slot)
    if (flag & 3) != 0:
        count = tl.load(said + slot)
        ring = newest + slot * WINDOW
        if (flag & 1) != 0:
            i = tl.arange(0, COUNTED)  # 0 is the newest
            token = tl.load(ring + ((count - 1 - i) & (WINDOW - 1)))
            there = (i < count) & (token < vocabulary)
            same = (token[:, None] == token[None, :]) & there[None, :]
            times = tl.sum(same.to(tl.int32), 1)
            first = tl.sum((same & (i[None, :] < i[:, None])).to(tl.int32), 1) == 0
            mine = there & first
            place = logits + row * stride + token
            x = tl.load(place, mask=mine, other=0.0).to(tl.float32)
            penalty = tl.load(penalties + slot)
            less = tl.load(presences + slot) + times.to(tl.float32) * tl.load(frequencies + slot)
            x = tl.where(x < 0.0, x * penalty, x / penalty) - less
            tl.store(place, x.to(logits.dtype.element_ty), mask=mine)
        if (flag & 2) != 0:
            k = tl.arange(0, WINDOW)
            known = tl.minimum(count, WINDOW)
            length = tl.minimum(tl.load(lengths + slot * WINDOW + k), known - k)
            token = tl.load(ring + ((count - k) & (WINDOW - 1)))
            goes_on = (k > 0) & (k < known) & (length >= tl.load(allowed_lengths + slot))
            goes_on = goes_on & (token < vocabulary)
            found = length * WINDOW + k
            tl.atomic_max(longest + row * vocabulary + token, found, mask=goes_on)


@triton.jit
def _price_kernel(
    logits,
    slots,
    flags,
    newest,
    said,
    lengths,
    longest,
    breaks,
    multipliers,
    bases,
    allowed_lengths,
    exponents,
    stride,
    vocabulary,
    WINDOW: tl.constexpr,
):
    """DRY's price for the tokens that were found, each at the place that won. Clears `longest`."""
    row = tl.program_id(0).to(tl.int64)
    slot = tl.load(slots + row).to(tl.int64)
    if (tl.load(flags + slot) & 2) != 0:
        count = tl.load(said + slot)
        allowed_length = tl.load(allowed_lengths + slot)
        k = tl.arange(0, WINDOW)
        known = tl.minimum(count, WINDOW)
        length = tl.minimum(tl.load(lengths + slot * WINDOW + k), known - k)
        token = tl.load(newest + slot * WINDOW + ((count - k) & (WINDOW - 1)))
        goes_on = (k > 0) & (k < known) & (length >= allowed_length) & (token < vocabulary)
        won = longest + row * vocabulary + token
        mine = goes_on & (tl.load(won, mask=goes_on, other=0) == length * WINDOW + k)
        exponent = tl.minimum(length - allowed_length, tl.load(exponents + slot)).to(tl.float32)
        price = tl.exp2(exponent * tl.log2(tl.load(bases + slot))) * tl.load(multipliers + slot)
        priced = mine & (tl.load(breaks + token, mask=mine, other=1) == 0)
        place = logits + row * stride + token
        x = tl.load(place, mask=priced, other=0.0).to(tl.float32) - price
        tl.store(place, x.to(logits.dtype.element_ty), mask=priced)
        tl.debug_barrier()  # all have read who won
        tl.store(won, tl.zeros_like(token), mask=mine)


@triton.jit
def _forbid_kernel(logits, slots, flags, banned, stride, vocabulary, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    slot = tl.load(slots + row).to(tl.int64)
    if (tl.load(flags + slot) & 4) != 0:
        token = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
        inside = token < vocabulary
        is_banned = tl.load(banned + slot * vocabulary + token, mask=inside, other=0) != 0
        never = tl.full((BLOCK,), float("-inf"), logits.dtype.element_ty)
        tl.store(logits + row * stride + token, never, mask=inside & is_banned)


@triton.jit
def _note_kernel(
    slots,
    flags,
    chosen,
    newest,
    said,
    lengths,
    breaks,
    idle_slot,
    WINDOW: tl.constexpr,
):
    """Take note of the token that was chosen for each row."""
    row = tl.program_id(0)
    slot = tl.load(slots + row).to(tl.int64)
    flag = tl.load(flags + slot)
    if ((flag & 3) != 0) & (slot != idle_slot):
        token = tl.load(chosen + row)
        count = tl.load(said + slot)
        k = tl.arange(0, WINDOW)
        if (flag & 2) != 0:
            before = tl.load(newest + slot * WINDOW + ((count - k) & (WINDOW - 1)))
            length = tl.load(lengths + slot * WINDOW + k)
            goes_on = (k > 0) & (k <= count) & (before == token)
            goes_on = goes_on & (tl.load(breaks + token) == 0)
            tl.store(lengths + slot * WINDOW + k, tl.where(goes_on, length + 1, 0))
        tl.debug_barrier()  # all have read what stood before
        tl.store(newest + slot * WINDOW + (count & (WINDOW - 1)), token)
        tl.store(said + slot, count + 1)


class SteeringTensors:
    """What the GPU keeps of every slot for it. [slots], but where it says otherwise."""

    def __init__(self, slots: int, vocabulary: int, device: torch.device, *, rows: int) -> None:
        """`vocabulary` is the width of the logits that counts; `rows` the most in one step."""

        def zeros(*shape: int, dtype: torch.dtype = torch.int32) -> torch.Tensor:
            return torch.zeros(*shape, dtype=dtype, device=device)

        self.vocabulary = vocabulary
        self.flags = zeros(slots)
        self.newest = zeros(slots, DRY_TOKENS)  # a ring: the token at position n is at n % window
        self.said = zeros(slots)
        self.lengths = zeros(slots, DRY_TOKENS)  # of repetitions, by distance
        self.longest = zeros(rows, vocabulary)  # within a step alone: zeros between two
        self.banned = zeros(slots, vocabulary, dtype=torch.uint8)
        self.breaks = zeros(vocabulary, dtype=torch.uint8)  # DRY_BREAKERS: the model's own
        self.allowed_lengths = zeros(slots)
        self.exponents = zeros(slots)
        numbers = [zeros(slots, dtype=torch.float32) + 1.0 for _ in range(5)]
        self.penalties, self.presences, self.frequencies, self.multipliers, self.bases = numbers

    def begin(
        self, slot: int, said: Sequence[int], sampling: Sampling, texts: Vocabulary | None
    ) -> None:
        """A new request in `slot`; `said` is its prompt, and what was chosen for it before.

        Its banned words come by :meth:`ban`.
        """
        counts, dry = sampling.counts_tokens, texts is not None and sampling.dry_multiplier > 0
        self.flags[slot] = COUNTS * counts + DRY * dry
        if not (counts or dry):
            return
        device = self.flags.device
        window = torch.tensor(list(said[-DRY_TOKENS:]), dtype=torch.int32)
        places = torch.arange(len(said) - len(window), len(said)) % DRY_TOKENS
        self.newest[slot, places.to(device)] = window.to(device)
        self.said[slot] = len(said)
        self.penalties[slot] = sampling.repetition_penalty
        self.presences[slot] = sampling.presence_penalty
        self.frequencies[slot] = sampling.frequency_penalty
        if not dry or texts is None:
            return
        breakers = texts.containing(DRY_BREAKERS)
        self._mark(self.breaks, breakers)
        lengths = torch.zeros(DRY_TOKENS, dtype=torch.int32)
        lengths[: len(window)] = torch.tensor(
            repeated(said[-DRY_TOKENS:], breakers), dtype=torch.int32
        )
        self.lengths[slot] = lengths.to(device)
        self.multipliers[slot] = sampling.dry_multiplier
        self.bases[slot] = sampling.dry_base
        self.allowed_lengths[slot] = sampling.dry_allowed_length
        self.exponents[slot] = largest_exponent(sampling.dry_base) or NO_LIMIT

    def ban(self, slot: int, tokens: Iterable[int]) -> None:
        """These tokens, and no others, are impossible in a slot from now on."""
        self.banned[slot].zero_()
        self._mark(self.banned[slot], tokens)
        self.flags[slot] |= BANS

    def _mark(self, row: torch.Tensor, tokens: Iterable[int]) -> None:
        known = [token for token in tokens if token < self.vocabulary]
        row[torch.tensor(known, dtype=torch.int64).to(row.device)] = 1


def steer(logits: torch.Tensor, slots: torch.Tensor, state: SteeringTensors) -> None:
    """Change the logits [rows, at least vocabulary] of the slots that have something on."""
    rows, stride, vocabulary = logits.shape[0], logits.stride(0), state.vocabulary
    _weigh_kernel[(rows,)](
        logits,
        slots,
        state.flags,
        state.newest,
        state.said,
        state.lengths,
        state.longest,
        state.penalties,
        state.presences,
        state.frequencies,
        state.allowed_lengths,
        stride,
        vocabulary,
        DRY_TOKENS,
        PENALTY_TOKENS,
        num_warps=WARPS,
    )
    _price_kernel[(rows,)](
        logits,
        slots,
        state.flags,
        state.newest,
        state.said,
        state.lengths,
        state.longest,
        state.breaks,
        state.multipliers,
        state.bases,
        state.allowed_lengths,
        state.exponents,
        stride,
        vocabulary,
        DRY_TOKENS,
        num_warps=WARPS,
    )
    blocks = triton.cdiv(vocabulary, BLOCK_TOKENS)
    _forbid_kernel[(rows, blocks)](
        logits, slots, state.flags, state.banned, stride, vocabulary, BLOCK_TOKENS, num_warps=WARPS
    )


def note(
    chosen: torch.Tensor, slots: torch.Tensor, state: SteeringTensors, *, idle_slot: int
) -> None:
    """The tokens [rows] that were chosen for these slots."""
    _note_kernel[(len(slots),)](
        slots,
        state.flags,
        chosen,
        state.newest,
        state.said,
        state.lengths,
        state.breaks,
        idle_slot,
        DRY_TOKENS,
        num_warps=WARPS,
    )
