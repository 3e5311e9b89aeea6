"""Penalties by count, DRY and banned words, for the rows of a batch that have them on.

What they change in a step are few scores of each row: those alone are read and written. See
:class:`~bot.engine.api.Sampling` for what they do, `tests/engine/plain_samplers.py` for the plain
way to do it.
"""

import math
from collections import Counter, deque
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from bot.engine.api import DRY_BREAKERS, DRY_TOKENS, PENALTY_TOKENS, Sampling
from bot.engine.local.banned import BannedWords
from bot.engine.local.repetition import penalty, repeated
from bot.engine.local.vocabulary import Vocabulary


class Steering:
    """What the slots' requests need for it. Slots whose request has none of it on are not here."""

    def __init__(self, *, vocabulary: int, device: torch.device) -> None:
        """`vocabulary` is the width of the scores."""
        self._width = vocabulary
        self._device = device
        self._slots: dict[int, _Slot] = {}

    def begin(
        self, slot: int, said: Sequence[int], sampling: Sampling, texts: Vocabulary | None
    ) -> None:
        """A new request in `slot`; `said` is its prompt, and what was chosen for it before."""
        self._slots.pop(slot, None)
        if sampling.counts_tokens or sampling.reads_texts:
            self._slots[slot] = _Slot(said, sampling, texts, self._width, self._device)

    def has(self, slot: int) -> bool:
        """Whether anything is on in a slot."""
        return slot in self._slots

    def steer(self, scores: Tensor, slots: Sequence[int]) -> Tensor:
        """The scores [rows, vocabulary] of these slots, changed where something is on."""
        scores = scores.clone()
        rows: list[int] = []
        tokens: list[int] = []
        divisors: list[float] = []
        less: list[float] = []
        for row, slot in enumerate(slots):
            steered = self._slots.get(slot)
            if steered is None:
                continue
            changes = steered.changes()
            rows += [row] * len(changes)
            tokens += changes
            divisors += [divisor for divisor, _ in changes.values()]
            less += [lost for _, lost in changes.values()]
        if rows:
            at = torch.tensor([rows, tokens], device=self._device).unbind()
            scale, lost = torch.tensor([divisors, less], device=self._device)
            found = scores[at]
            scores[at] = torch.where(found < 0, found * scale, found / scale) - lost
        for row, slot in enumerate(slots):
            if slot in self._slots:
                self._slots[slot].forbid(scores[row])
        return scores

    def take(self, slots: Sequence[int], chosen: Sequence[int]) -> None:
        """A token was chosen for each slot."""
        for slot, token in zip(slots, chosen, strict=True):
            if slot in self._slots:
                self._slots[slot].take(token)


class _Slot:
    """One request."""

    def __init__(
        self,
        said: Sequence[int],
        sampling: Sampling,
        texts: Vocabulary | None,
        width: int,
        device: torch.device,
    ) -> None:
        self._sampling = sampling
        self._width = width
        self._newest = deque(said[-PENALTY_TOKENS:], PENALTY_TOKENS)
        self._counts = Counter(self._newest)
        self._words: BannedWords | None = None
        self._repetitions: Repetitions | None = None
        if texts is not None and sampling.banned_words:
            self._words = BannedWords(sampling.banned_words, texts, said)
            always = [token for token in self._words.always if token < width]
            self._always = torch.tensor(always, dtype=torch.long, device=device)
        if texts is not None and sampling.dry_multiplier > 0:
            self._repetitions = Repetitions(said, texts.containing(DRY_BREAKERS), device)

    def changes(self) -> dict[int, tuple[float, float]]:
        """token: (what its score is divided by where it is positive, what is taken from it)."""
        sampling, found = self._sampling, dict[int, tuple[float, float]]()
        if sampling.counts_tokens:
            once, each = sampling.presence_penalty, sampling.frequency_penalty
            for token, count in self._counts.items():
                if token < self._width:
                    found[token] = sampling.repetition_penalty, count * each + once
        if self._repetitions is not None:
            for token, length in self._repetitions.longest(sampling.dry_allowed_length).items():
                divisor, lost = found.get(token, (1.0, 0.0))
                found[token] = (
                    divisor,
                    lost
                    + penalty(
                        length,
                        multiplier=sampling.dry_multiplier,
                        base=sampling.dry_base,
                        allowed_length=sampling.dry_allowed_length,
                    ),
                )
        return found

    def forbid(self, scores: Tensor) -> None:
        """Make what would complete a banned word impossible."""
        if self._words is None:
            return
        scores[self._always] = -math.inf
        if now := [token for token in self._words.now() if token < self._width]:
            scores[torch.tensor(now, device=scores.device)] = -math.inf

    def take(self, token: int) -> None:
        if self._sampling.counts_tokens:
            if len(self._newest) == PENALTY_TOKENS:
                oldest = self._newest[0]
                self._counts[oldest] -= 1
                if not self._counts[oldest]:
                    del self._counts[oldest]
            self._newest.append(token)
            self._counts[token] += 1
        if self._words is not None:
            self._words.take(token)
        if self._repetitions is not None:
            self._repetitions.take(token)


class Repetitions:
    """How far the newest tokens repeat earlier ones, kept from step to step.

    `lengths[k]` is :func:`~bot.engine.local.repetition.repeated`'s; a new token makes it longer by
    one where it is the token that stands k before it, and ends it elsewhere.
    """

    def __init__(self, said: Sequence[int], breakers: frozenset[int], device: torch.device) -> None:
        self._breakers = breakers
        window = list(said[-DRY_TOKENS:])
        self._count = len(window)
        lengths = repeated(window, breakers)
        room = DRY_TOKENS - self._count
        # Newest first, from index 1 on: what stands k before the next token is at k.
        self._tokens = torch.tensor([-1, *window[::-1], *[-1] * room], device=device)
        self._lengths = torch.tensor([*lengths, *[0] * (room + 1)], device=device)
        self._reach = torch.arange(DRY_TOKENS + 1, device=device)

    def take(self, token: int) -> None:
        """A token was chosen."""
        if token in self._breakers:
            self._lengths.zero_()
        else:
            self._lengths = (self._lengths + 1) * (self._tokens == token)
        self._tokens = self._tokens.roll(1)
        self._tokens[0], self._tokens[1] = -1, token
        self._count = min(self._count + 1, DRY_TOKENS)

    def longest(self, allowed_length: int) -> dict[int, int]:
        """For each token that would go on with a repetition, how long the longest one is."""
        lengths = torch.minimum(self._lengths, self._count - self._reach)
        at = (lengths >= allowed_length).nonzero().squeeze(1)
        found: dict[int, int] = {}
        tokens, repeats = _integers(self._tokens[at]), _integers(lengths[at])
        for token, length in zip(tokens, repeats, strict=True):
            if token not in self._breakers:
                found[token] = max(found.get(token, 0), length)
        return found


def _integers(values: Tensor) -> list[int]:
    return cast("list[int]", values.tolist())  # pyright: ignore[reportUnknownMemberType]
