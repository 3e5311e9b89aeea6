"""How far the end of a text repeats what stands before it: what DRY goes by.

https://github.com/oobabooga/text-generation-webui/pull/5677, as llama.cpp does it.
"""

import math
from collections.abc import Collection, Sequence

_LARGEST_EXPONENT = 88.7228391  # the logarithm of float32's largest number


def repeated(tokens: Sequence[int], breakers: Collection[int]) -> list[int]:
    """For each distance k, how many tokens at the end equal those that stand k before them.

    So the token `tokens[-k]` would make that repetition longer by one. Index 0 is unused. Nothing
    reaches over the newest of `breakers`. In linear time, by the Z-algorithm from the end.
    """
    backwards = tokens[::-1]
    count = len(backwards)
    most = next((at for at, token in enumerate(backwards) if token in breakers), count)
    lengths = [0] * count
    left = right = 0  # the stretch found to agree that reaches farthest: [left, right)
    for at in range(1, count):
        length = min(right - at, lengths[at - left]) if at < right else 0
        while at + length < count and backwards[length] == backwards[at + length]:
            length += 1
        lengths[at] = length
        if at + length > right:
            left, right = at, at + length
    return [min(length, most) for length in lengths]


def largest_exponent(base: float) -> int:
    """Beyond this a penalty would outgrow float32; 0 where it cannot."""
    return int(_LARGEST_EXPONENT / math.log(base)) if base > 1.000001 else 0


def penalty(length: int, *, multiplier: float, base: float, allowed_length: int) -> float:
    """What a token loses that would make a repetition of `length` tokens longer."""
    exponent = length - allowed_length
    if exponent < 0:
        return 0.0
    largest = largest_exponent(base)
    return multiplier * base ** (min(exponent, largest) if largest else exponent)
