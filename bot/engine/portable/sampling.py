"""Choosing the next token, for all rows of a batch together, each with its own settings.

The steps and their order are Hugging Face's: repetition penalty, temperature, top-k, top-p, min-p.
What is off by default has its place before the temperature (:mod:`bot.engine.portable.steering`)
and after min-p (XTC), and costs nothing where it is off.
Sorting a whole vocabulary is slow, so the likeliest tokens are looked at first; where they do not
decide beyond doubt (rounding, equal scores, a flat distribution), that row alone is done in full.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import cast

import torch
from torch import Tensor

from bot.engine.api import Sampling
from bot.engine.local.vocabulary import Vocabulary
from bot.engine.portable.steering import Steering

CANDIDATES = 256
LEAST_TEMPERATURE = 1e-4  # below it scores outgrow float32; it is as good as greedy already
DOUBT = 1e-5  # closer than this to a threshold, float32 sums may differ with their order
XTC_SEED = 0x5EED  # makes its numbers others than those that draw the token

_MASK = (1 << 64) - 1


def uniform(seed: int, step: int) -> float:
    """A number in [0, 1) that depends on the request's seed and the step alone (SplitMix64)."""
    state = (seed * 0x9E3779B97F4A7C15 + (step + 1) * 0xD1B54A32D192ED03) & _MASK
    for multiplier in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB):
        state = ((state ^ (state >> 30)) * multiplier) & _MASK
    return ((state ^ (state >> 31)) >> 11) / (1 << 53)


@dataclass(frozen=True, slots=True)
class RowSettings:
    """The settings of some rows, as columns of shape [rows, 1]."""

    samplings: tuple[Sampling, ...]
    temperature: Tensor
    top_k: Tensor
    top_p: Tensor
    min_p: Tensor
    penalty: Tensor  # 1 where a window of its own counts
    candidates: int  # how many of the likeliest tokens are worth looking at
    threshold: Tensor | None  # XTC's; None where no row has it on
    steered: bool = False  # whether any row has penalties by count, DRY or banned words

    @classmethod
    def of(
        cls, samplings: Sequence[Sampling], device: torch.device, *, steered: bool = False
    ) -> "RowSettings":
        """Greedy rows get a temperature of 1: nothing is drawn for them."""

        def column(values: list[float]) -> Tensor:
            return torch.tensor(values, device=device).unsqueeze(1)

        return cls(
            samplings=tuple(samplings),
            temperature=column([max(s.temperature or 1.0, LEAST_TEMPERATURE) for s in samplings]),
            top_k=torch.tensor([s.top_k for s in samplings], device=device).unsqueeze(1),
            top_p=column([s.top_p for s in samplings]).double(),
            min_p=column([s.min_p for s in samplings]),
            penalty=column([_penalty(s) for s in samplings]),
            candidates=max(CANDIDATES, 2 * max(s.top_k for s in samplings)),
            threshold=column([s.xtc_threshold for s in samplings]).double()
            if any(s.xtc_probability > 0 for s in samplings)
            else None,
            steered=steered,
        )


def _penalty(sampling: Sampling) -> float:
    """Of all that was said; with a window, it is among what steers the row."""
    return 1.0 if sampling.counts_tokens else sampling.repetition_penalty


def penalised(logits: Tensor, seen: Tensor, penalty: Tensor) -> Tensor:
    """Make `seen` tokens ([rows, vocabulary], bool) less likely where `penalty` is above 1."""
    return torch.where(seen, torch.where(logits < 0, logits * penalty, logits / penalty), logits)


def likeliest(scores: Tensor, rows: RowSettings) -> tuple[Tensor, Tensor, Tensor]:
    """The tokens that remain after top-k, top-p and min-p, found among the likeliest ones.

    `scores` [rows, vocabulary] have their temperature already. Returns token ids and float64
    probabilities [rows, candidates] (0 for those that fall away) and, a row, whether that is in
    doubt: then :func:`remaining` decides.
    """
    vocabulary = scores.shape[-1]
    count = min(rows.candidates, vocabulary)
    values, ids = scores.topk(count, dim=-1)
    last = values[:, -1:]
    by_k = (rows.top_k > 0) & (rows.top_k < vocabulary)
    by_p = rows.top_p < 1
    by_minimum = rows.min_p > 0
    everything = count == vocabulary

    kth = values.gather(1, (rows.top_k.clamp(1, count) - 1))
    kept = (values >= kth) | ~by_k
    doubt = by_k & (last >= kth) & (not everything)

    total = torch.where(
        by_k,
        values.masked_fill(~kept, -math.inf).logsumexp(-1, keepdim=True),
        scores.logsumexp(-1, keepdim=True),
    )
    probabilities = (values - total).double().exp().masked_fill(~kept, 0)
    before = probabilities.cumsum(-1) - probabilities
    inside = (before < rows.top_p) | ~by_p
    inside[:, 0] = True
    reached = before[:, -1:] + probabilities[:, -1:]
    doubt |= by_p & ~by_k & (reached < rows.top_p + DOUBT) & (not everything)
    doubt |= by_p & ((before - rows.top_p).abs() < DOUBT).any(-1, keepdim=True)
    if count > 1:
        edge = inside[:, :-1] & ~inside[:, 1:] & kept[:, 1:]
        doubt |= by_p & (edge & (values[:, :-1] == values[:, 1:])).any(-1, keepdim=True)
    kept = kept & inside

    ratio = (values - values[:, :1]).exp()
    likely = (ratio >= rows.min_p) | ~by_minimum
    doubt |= by_minimum & ((ratio - rows.min_p).abs() < DOUBT * rows.min_p).any(-1, keepdim=True)
    unbounded = ~by_k & ~by_p & ~(by_minimum & (ratio[:, -1:] < rows.min_p))
    doubt |= unbounded & (not everything)
    kept = kept & likely
    return ids, probabilities.masked_fill(~kept, 0), doubt.squeeze(1)


def without_top_choices(
    probabilities: Tensor, threshold: Tensor, applies: Tensor
) -> tuple[Tensor, Tensor]:
    """XTC: of several tokens that are likely enough, only the least likely stays.

    `probabilities` are float64 [rows, candidates], 0 for those that fell away already, and need not
    sum to 1; `threshold` and `applies` (bool) are [rows, 1]. Returns them without those that fall
    away now and, a row, whether that is in doubt. As llama.cpp does it, but that of equal ones none
    goes before another: https://github.com/oobabooga/text-generation-webui/pull/6335
    """
    shares = probabilities / probabilities.sum(-1, keepdim=True)
    likely = (shares >= threshold) & (probabilities > 0)
    least = probabilities.masked_fill(~likely, math.inf).amin(-1, keepdim=True)
    doubt = applies & ((shares - threshold).abs() < DOUBT).any(-1, keepdim=True)
    return probabilities.masked_fill(applies & (probabilities > least), 0), doubt.squeeze(1)


def remaining(scores: Tensor, sampling: Sampling, *, excludes: bool = False) -> Tensor:
    """Hugging Face's steps to the letter, for one row [vocabulary]: -inf for what falls away.

    `excludes`: XTC's chance has come about in this step.
    """
    if 0 < sampling.top_k < scores.shape[-1]:
        scores = scores.masked_fill(scores < scores.topk(sampling.top_k)[0][-1], -math.inf)
    if sampling.top_p < 1:
        ascending, order = scores.sort()
        out = ascending.softmax(-1).cumsum(-1) <= 1 - sampling.top_p
        out[-1] = False
        scores = scores.masked_fill(out.scatter(0, order, out), -math.inf)
    if sampling.min_p > 0:
        probabilities = scores.softmax(-1)
        out = probabilities < sampling.min_p * probabilities.max()
        out[probabilities.argmax()] = False
        scores = scores.masked_fill(out, -math.inf)
    if excludes:
        probabilities = scores.softmax(-1)
        likely = (probabilities >= sampling.xtc_threshold) & (probabilities > 0)
        if likely.any():
            least = probabilities[likely].min()
            scores = scores.masked_fill(probabilities > least, -math.inf)
    return scores


def draw(ids: Tensor, probabilities: Tensor, uniforms: Tensor) -> Tensor:
    """One token a row, by inverting the distribution function in the order of the token ids.

    That order makes the choice steady: rounding may swap two tokens of nearly equal score, and
    here that moves nothing.
    """
    ids, order = ids.sort(dim=-1)
    steps = probabilities.gather(-1, order).cumsum(-1)
    index = (steps <= uniforms * steps[:, -1:]).sum(-1, keepdim=True)
    return ids.gather(-1, index.clamp_(max=ids.shape[-1] - 1)).squeeze(-1)


def _integers(values: Tensor) -> list[int]:
    return cast("list[int]", values.tolist())  # pyright: ignore[reportUnknownMemberType]


class Sampler:
    """Holds what each slot's request needs for choosing its tokens."""

    def __init__(self, *, slots: int, vocabulary: int, device: torch.device) -> None:
        """`vocabulary` is the width of the logits."""
        self._device = device
        self._seen = torch.zeros(slots, vocabulary, dtype=torch.bool, device=device)
        self._samplings: dict[int, Sampling] = {}
        self._seeds: dict[int, int] = {}
        self._chosen: dict[int, int] = {}
        self._steering = Steering(vocabulary=vocabulary, device=device)
        self._batch: tuple[int, ...] = ()
        self._rows: RowSettings | None = None

    def begin(
        self,
        slot: int,
        prompt: Sequence[int],
        sampling: Sampling,
        seed: int,
        step: int = 0,
        vocabulary: Vocabulary | None = None,
    ) -> None:
        """A new request in `slot`. The prompt's tokens count as seen, as with Hugging Face.

        `step` is how many tokens were chosen for it before. `vocabulary` is there where `sampling`
        reads texts.
        """
        self._steering.begin(slot, prompt, sampling, vocabulary)
        self._samplings[slot] = sampling
        self._seeds[slot] = seed
        self._chosen[slot] = step
        self._batch = ()
        if _penalty(sampling) != 1:
            seen = torch.tensor(prompt, device=self._device)
            self._seen[slot] = False
            self._seen[slot, seen[seen < self._seen.shape[1]]] = True

    def choose(self, logits: Tensor, slots: Sequence[int]) -> list[int]:
        """The next token of each slot, from its row of `logits` [rows, vocabulary]."""
        rows = self._settings(tuple(slots))
        scores = logits.float()
        at = torch.tensor(slots, device=self._device)
        penalise = any(_penalty(s) != 1 for s in rows.samplings)
        if penalise:
            scores = penalised(scores, self._seen[at], rows.penalty)
        if rows.steered:
            scores = self._steering.steer(scores, slots)
        chosen = self._pick(scores, rows, slots)
        if rows.steered:
            self._steering.take(slots, chosen)
        if penalise:
            self._seen[at, torch.tensor(chosen, device=self._device)] = True
        for slot in slots:
            self._chosen[slot] += 1
        return chosen

    def choose_while_right(
        self, logits: Tensor, slots: Sequence[int], guesses: Sequence[Sequence[int]]
    ) -> list[list[int]]:
        """The next tokens of each slot: one, and one more for each of its guesses that is right.

        `logits` has a row after each slot's newest token and one after each of its guesses, slot by
        slot. A row is looked at only once all before it were right: what a slot has said, and how
        many tokens it has drawn, are then as if they had come one by one.
        """
        first = list(accumulate((1 + len(tokens) for tokens in guesses), initial=0))
        found: list[list[int]] = [[] for _ in slots]
        going = list(range(len(slots)))
        while going:
            rows = torch.tensor([first[n] + len(found[n]) for n in going], device=self._device)
            chosen = self.choose(logits[rows], [slots[n] for n in going])
            for n, token in zip(going, chosen, strict=True):
                found[n].append(token)
            going = [n for n in going if list(guesses[n][: len(found[n])]) == found[n]]
        return found

    def _settings(self, slots: tuple[int, ...]) -> RowSettings:
        if self._rows is None or self._batch != slots:
            self._rows = RowSettings.of(
                [self._samplings[slot] for slot in slots],
                self._device,
                steered=any(self._steering.has(slot) for slot in slots),
            )
            self._batch = slots
        return self._rows

    def _pick(self, scores: Tensor, rows: RowSettings, slots: Sequence[int]) -> list[int]:
        greedy: list[int] = []
        if any(s.temperature == 0 for s in rows.samplings):
            greedy = _integers(scores.argmax(-1))
            if all(s.temperature == 0 for s in rows.samplings):
                return greedy
        scores = scores / rows.temperature
        numbers = [uniform(self._seeds[slot], self._chosen[slot]) for slot in slots]
        uniforms = torch.tensor(numbers, dtype=torch.float64, device=self._device).unsqueeze(1)
        ids, probabilities, doubt = likeliest(scores, rows)
        excludes = [False] * len(slots)
        if rows.threshold is not None:
            excludes = [self._excludes(slot) for slot in slots]
            applies = torch.tensor(excludes, device=self._device).unsqueeze(1)
            probabilities, unsure = without_top_choices(probabilities, rows.threshold, applies)
            doubt |= unsure
        chosen = _integers(draw(ids, probabilities, uniforms))
        doubtful = _integers(doubt)
        for row, sampling in enumerate(rows.samplings):
            if sampling.temperature == 0:
                chosen[row] = greedy[row]
            elif doubtful[row]:
                scores_left = remaining(scores[row], sampling, excludes=excludes[row])
                chosen[row] = self._pick_in_full(scores_left, uniforms[row : row + 1])
        return chosen

    def _excludes(self, slot: int) -> bool:
        """Whether XTC's chance comes about in this step."""
        probability = self._samplings[slot].xtc_probability
        number = uniform(self._seeds[slot] ^ XTC_SEED, self._chosen[slot])
        return probability > 0 and number <= probability

    def _pick_in_full(self, scores: Tensor, uniforms: Tensor) -> int:
        probabilities = scores.softmax(-1).double().unsqueeze(0)
        steps = probabilities.cumsum(-1)
        index = int((steps <= uniforms * steps[:, -1:]).sum())
        return min(index, scores.shape[-1] - 1)
