"""What Sampling's docstring says, written out in the plainest and slowest way."""

import math
from collections.abc import Callable, Sequence

from bot.engine.api import DRY_BREAKERS, DRY_TOKENS, PENALTY_TOKENS, Sampling


def penalised(scores: Sequence[float], said: Sequence[int], sampling: Sampling) -> list[float]:
    """Repetition, presence and frequency penalty."""
    window = said[-PENALTY_TOKENS:] if sampling.counts_tokens else said
    found = list(scores)
    for token in range(len(found)):
        count = window.count(token)
        if count:
            factor = sampling.repetition_penalty
            found[token] = found[token] * factor if found[token] < 0 else found[token] / factor
            found[token] -= sampling.presence_penalty + count * sampling.frequency_penalty
    return found


def without_repetition(
    scores: Sequence[float], said: Sequence[int], sampling: Sampling, texts: Sequence[str]
) -> list[float]:
    """DRY: for each token, the longest end of what was said that it once followed."""
    window = list(said[-DRY_TOKENS:])
    found = list(scores)
    if not sampling.dry_multiplier:
        return found

    def breaks(token: int) -> bool:
        return any(breaker in texts[token] for breaker in DRY_BREAKERS)

    longest: dict[int, int] = {}
    for at in range(1, len(window)):
        length = 0
        while (
            length < at
            and window[at - 1 - length] == window[-1 - length]
            and not breaks(window[-1 - length])
        ):
            length += 1
        longest[window[at]] = max(longest.get(window[at], 0), length)
    for token, length in longest.items():
        if length >= sampling.dry_allowed_length and not breaks(token):
            exponent = length - sampling.dry_allowed_length
            if sampling.dry_base > 1.000001:
                exponent = min(exponent, int(88.7228391 / math.log(sampling.dry_base)))
            found[token] -= sampling.dry_multiplier * sampling.dry_base**exponent
    return found


def without_banned(
    scores: Sequence[float],
    said: Sequence[int],
    sampling: Sampling,
    decode: Callable[[Sequence[int]], str],
) -> list[float]:
    """A token is impossible where a banned word is in the text with it that ends in its own."""
    words = [word.casefold() for word in sampling.banned_words]
    before = decode(said).casefold()
    found = list(scores)
    for token in range(len(found)):
        after = decode([*said, token]).casefold()
        if any(after.count(word) > before.count(word) for word in words if word):
            found[token] = -math.inf
    return found


def without_top_choices(
    probabilities: Sequence[float], threshold: float, *, applies: bool
) -> list[float]:
    """XTC, on the probabilities that the steps before it have left."""
    likely = [each for each in probabilities if each > 0 and each >= threshold]
    if not applies or not likely:
        return list(probabilities)
    left = [0.0 if each > min(likely) else each for each in probabilities]
    return [each / sum(left) for each in left]
