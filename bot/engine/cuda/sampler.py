# pyright: basic, reportMissingImports=false, reportIndexIssue=false
"""The next token of every row in one launch, the rows' own sampling each, without the CPU.

A row's logits stay in registers: repetition penalty, temperature, top-k, top-p and min-p in Hugging
Face's order, XTC, then Gumbel's trick (argmax of logits plus noise is a draw from their softmax)
with Philox noise of (seed, step, token), so that a row draws the same whatever else is in the
batch. Thresholds of top-k and top-p are found by bisection over the bits of the probabilities,
which are ordered as their values are: exact to the last bit, and no sort. What is off by default
stands before all that (:mod:`bot.engine.cuda.steering`).
"""

from collections.abc import Sequence

import torch
import triton
import triton.language as tl

from bot.engine.api import Sampling
from bot.engine.cuda.steering import SteeringTensors, note, steer
from bot.engine.local.vocabulary import Vocabulary

WARPS = 16
VOCABULARY_MAXIMUM = 1 << 18
XTC_SEED = 0x5EED  # makes its numbers others than those that draw the token
ONE_BITS = 0x3F800001  # just above the bits of 1.0: nothing is likelier than the likeliest


@triton.jit
def _sample_kernel(
    logits,
    slots,
    seen,
    tokens,
    lengths,
    steps,
    seeds,
    temperatures,
    top_ks,
    top_ps,
    min_ps,
    penalties,
    xtc_probabilities,
    xtc_thresholds,
    chosen,
    stride,
    vocabulary,
    idle_slot,
    BLOCK: tl.constexpr,
    ONE: tl.constexpr,
    XTC: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    slot = tl.load(slots + row).to(tl.int64)
    token = tl.arange(0, BLOCK)
    inside = token < vocabulary
    x = tl.load(logits + row * stride + token, mask=inside, other=float("-inf")).to(tl.float32)
    penalty = tl.load(penalties + slot)
    if penalty != 1.0:
        was_seen = tl.load(seen + slot * vocabulary + token, mask=inside, other=0) != 0
        x = tl.where(was_seen, tl.where(x < 0.0, x * penalty, x / penalty), x)
    temperature = tl.load(temperatures + slot)
    step = tl.load(steps + slot)
    if temperature > 0.0:
        x = x / temperature
        p = tl.exp(x - tl.max(x, 0))
        bits = p.to(tl.int32, bitcast=True)
        top_k = tl.load(top_ks + slot)
        lowest = 0  # bits below this are out
        if top_k > 0:
            high = ONE
            low = 0
            while high - low > 1:  # the greatest threshold that keeps at least top_k
                middle = (low + high) // 2
                enough = tl.sum((bits >= middle).to(tl.int32), 0) >= top_k
                low = tl.where(enough, middle, low)
                high = tl.where(enough, high, middle)
            lowest = low
        top_p = tl.load(top_ps + slot)
        if top_p < 1.0:
            kept = tl.where(bits >= lowest, p, 0.0)
            allowed = (1.0 - top_p) * tl.sum(kept, 0)
            high = ONE
            low = lowest
            # The least threshold t with sum(p_j: p_j <= t) above what may be cut off.
            while high - low > 0:
                middle = (low + high) // 2
                above = tl.sum(tl.where(bits <= middle, kept, 0.0), 0) > allowed
                high = tl.where(above, middle, high)
                low = tl.where(above, low, middle + 1)
            lowest = tl.minimum(low, ONE - 1)
        min_p = tl.load(min_ps + slot)
        keep = (bits >= lowest) & (p >= min_p)
        seed = tl.load(seeds + slot)
        xtc_probability = tl.load(xtc_probabilities + slot)
        if xtc_probability > 0.0:  # noqa: SIM102 - else every row would draw
            if tl.rand(seed + XTC, step) <= xtc_probability:
                left = keep & inside
                share = p / tl.sum(tl.where(left, p, 0.0), 0)
                likely = left & (share >= tl.load(xtc_thresholds + slot))
                # Of several that are likely enough only the least likely stays.
                keep = keep & (bits <= tl.min(tl.where(likely, bits, ONE), 0))
        uniform = tl.rand(seed, step * BLOCK + token)
        noise = -tl.log(-tl.log(tl.maximum(uniform, 1e-20)))
        x = tl.where(keep & inside, x + noise, float("-inf"))
    best = tl.argmax(x, 0, tie_break_left=True)
    tl.store(chosen + row, best)
    if slot != idle_slot:
        tl.store(tokens + slot, best)
        tl.store(seen + slot * vocabulary + best, 1)
        tl.store(lengths + slot, tl.load(lengths + slot) + 1)
        tl.store(steps + slot, step + 1)


def sample(
    logits: torch.Tensor,
    slots: torch.Tensor,
    state: "SamplerTensors",
    chosen: torch.Tensor,
    *,
    vocabulary: int,
    idle_slot: int,
) -> None:
    """Choose a token for every row, and bring its slot forward by one. May change the logits.

    logits: [rows, at least vocabulary]; slots: [rows] int32; chosen: [rows] int32, written.
    `idle_slot` is that of padding rows, whose state does not move.
    """
    steer(logits, slots, state.steering)
    _sample_kernel[(logits.shape[0],)](
        logits,
        slots,
        state.seen,
        state.tokens,
        state.lengths,
        state.steps,
        state.seeds,
        state.temperatures,
        state.top_ks,
        state.top_ps,
        state.min_ps,
        state.penalties,
        state.xtc_probabilities,
        state.xtc_thresholds,
        chosen,
        logits.stride(0),
        vocabulary,
        idle_slot,
        triton.next_power_of_2(vocabulary),
        ONE_BITS,
        XTC_SEED,
        num_warps=WARPS,
    )
    note(chosen, slots, state.steering, idle_slot=idle_slot)


class SamplerTensors:
    """What the GPU keeps of every slot between steps. All [slots], `seen` [slots, vocabulary]."""

    def __init__(self, slots: int, vocabulary: int, device: torch.device, *, rows: int = 1) -> None:
        """`rows` is the most that a step chooses for."""

        def zeros(dtype: torch.dtype) -> torch.Tensor:
            return torch.zeros(slots, dtype=dtype, device=device)

        self.seen = torch.zeros(slots, vocabulary, dtype=torch.uint8, device=device)
        self.tokens = zeros(torch.int32)  # the newest token: the next step's input
        self.lengths = zeros(torch.int32)  # tokens in the cache
        self.steps = zeros(torch.int32)  # tokens generated: the noise's offset
        self.seeds = zeros(torch.int64)
        self.temperatures = zeros(torch.float32)
        self.top_ks = zeros(torch.int32)
        self.top_ps = zeros(torch.float32) + 1.0
        self.min_ps = zeros(torch.float32)
        self.penalties = zeros(torch.float32) + 1.0
        self.xtc_probabilities = zeros(torch.float32)
        self.xtc_thresholds = zeros(torch.float32)
        self.steering = SteeringTensors(slots, vocabulary, device, rows=rows)

    def begin(
        self,
        slot: int,
        said: Sequence[int],
        sampling: Sampling,
        seed: int,
        step: int,
        vocabulary: Vocabulary | None,
    ) -> None:
        """A slot draws so from its token `step` on, `said` standing before it."""
        self.seeds[slot] = seed & 0x7FFF_FFFF_FFFF_FFFF
        self.steps[slot] = step
        self.temperatures[slot] = sampling.temperature
        self.top_ks[slot] = sampling.top_k
        self.top_ps[slot] = sampling.top_p
        self.min_ps[slot] = sampling.min_p
        # Where counts matter, this one looks at their window too, and is among the steering.
        counts = sampling.counts_tokens
        self.penalties[slot] = 1.0 if counts else sampling.repetition_penalty
        self.xtc_probabilities[slot] = sampling.xtc_probability
        self.xtc_thresholds[slot] = sampling.xtc_threshold
        self.seen[slot].zero_()
        seen = torch.tensor(list(set(said)), dtype=torch.int64).pin_memory()
        self.seen[slot, seen.to(self.seen.device, non_blocking=True)] = 1
        self.steering.begin(slot, said, sampling, vocabulary)
