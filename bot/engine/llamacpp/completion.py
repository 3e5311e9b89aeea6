"""A request in llama.cpp's words: `POST /v1/completions` of its server takes all of its own too.

https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bot.engine.api import (
    DRY_BREAKERS,
    DRY_TOKENS,
    PENALTY_TOKENS,
    GenerationRequest,
    GenerationStatistics,
)
from bot.engine.llamacpp.reading import Prompt
from bot.engine.remote.completion import Exchange

# In Sampling's order. What is not named here (typical-p, Mirostat ...) has no part in it.
SAMPLERS = ("penalties", "dry", "temperature", "top_k", "top_p", "min_p", "xtc")
GREEDY_SAMPLERS = ("penalties", "dry", "top_k")
RANDOM_SEED = 0xFFFFFFFF  # LLAMA_DEFAULT_SEED: it would draw one of its own


def body_of(
    request: GenerationRequest,
    *,
    prompt: Sequence[int],
    slot: int,
    seed: int,
    special_tokens: Collection[str],
    never: Collection[int] = (),
) -> dict[str, Any]:
    """The request as JSON: every parameter is said, so that no default of llama.cpp's counts.

    `never` are tokens that are not to be chosen.
    """
    sampling = request.sampling
    is_greedy = sampling.temperature == 0
    stops = [stop for stop in request.stop if stop]
    return {
        "prompt": list(prompt),
        "id_slot": slot,
        "cache_prompt": True,
        "stream": True,
        # An event for each piece of the prompt that is read: writing them is how the server
        # notices that nobody is there any more.
        "return_progress": True,
        "stream_options": {"include_usage": True},
        "max_tokens": request.max_tokens,
        "samplers": list(GREEDY_SAMPLERS if is_greedy else SAMPLERS),
        "temperature": sampling.temperature,
        "top_k": 1 if is_greedy else sampling.top_k,
        "top_p": sampling.top_p,
        "min_p": sampling.min_p,
        "repeat_penalty": sampling.repetition_penalty,
        # As far back as our other runners look.
        "repeat_last_n": PENALTY_TOKENS
        if sampling.counts_tokens
        else len(prompt) + request.max_tokens,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "dry_multiplier": sampling.dry_multiplier,
        "dry_base": sampling.dry_base,
        "dry_allowed_length": sampling.dry_allowed_length,
        "dry_penalty_last_n": DRY_TOKENS,
        "dry_sequence_breakers": list(DRY_BREAKERS),
        "xtc_probability": sampling.xtc_probability,
        "xtc_threshold": sampling.xtc_threshold,
        "logit_bias": [[token, False] for token in never],
        "seed": seed_of(seed),
        "stop": stops,
        # A special token is not written as text, unless it is one that the reply is to stop at.
        "preserved_tokens": [token for stop in stops if (token := stop.strip()) in special_tokens],
    }


def seed_of(seed: int) -> int:
    """A seed as llama.cpp takes it: 32 bits."""
    return min(seed & RANDOM_SEED, RANDOM_SEED - 1)


@dataclass(frozen=True, slots=True)
class Writing:
    """What the statistics of a reply are made of."""

    model: str
    seed: int
    prompt_tokens: int
    asked_at: float
    admitted_at: float
    exchange: Exchange
    read: Prompt

    def statistics(self, now: float) -> GenerationStatistics:
        """As they stand now."""
        queued = self.admitted_at - self.asked_at
        found = self.exchange.statistics(self.model, self.seed, self.prompt_tokens)
        kept = self.read.kept_tokens
        return replace(
            found,
            cached_prompt_tokens=found.cached_prompt_tokens if kept is None else kept,
            queued_seconds=queued,
            first_token_seconds=queued + found.first_token_seconds,
            total_seconds=now - self.asked_at,
        )
