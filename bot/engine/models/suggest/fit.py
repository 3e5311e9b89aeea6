"""Where a model would run on a machine, and about how fast. Pure reckoning."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from bot.engine.machine.hardware import Gpu, Machine
from bot.engine.models.suggest.catalogue import Suggestion

LONG_TALK_TOKENS = 8192
KEPT_FREE_BYTES = 300_000_000  # of the memory, for everything else that moves meanwhile
SYSTEM_BYTES = 1_500_000_000  # what a machine without other programs needs for itself
LEAST_GPU_SHARE = 0.25  # below that, a card does not pay

# How fast a processor reads weights. Each token reads all of them once; a desktop's memory gives
# some 25 GB/s, and one core computes about 6 GB/s of 4-bit weights. Good for a class, not a figure.
MEMORY_GB_PER_SECOND = 25.0
CORE_GB_PER_SECOND = 6.0
GB = 1e9


class Place(StrEnum):
    """Where a model computes."""

    GPU = "graphics card"
    PARTLY = "partly card"
    CPU = "processor"
    NOWHERE = "no"


class Pace(StrEnum):
    """How fast a reply comes, in a class."""

    FAST = "fast"  # faster than one reads
    FAIR = "fair"  # about as one reads
    SLOW = "slow"
    VERY_SLOW = "crawls"  # a reply takes minutes


@dataclass(frozen=True, slots=True)
class Fit:
    """One model on one machine. `lacking_bytes` is what is missing where it does not fit."""

    model: Suggestion
    place: Place
    pace: Pace | None = None
    is_tight: bool = False  # only when other programs are closed
    lacking_bytes: int = 0
    why_not: str = ""

    @property
    def fits(self) -> bool:
        """Whether it runs here."""
        return self.place is not Place.NOWHERE


def fit(
    model: Suggestion, machine: Machine, llama_cards: Sequence[Gpu] = (), *, has_gptq: bool = True
) -> Fit:
    """Where `model` runs with one long conversation.

    `llama_cards` are those that llama.cpp can use here; `has_gptq` whether what runs GPTQ models
    is installed.
    """
    tokens = min(LONG_TALK_TOKENS, model.context)
    need = model.memory_bytes(tokens, 1) or 0
    if not model.is_gguf:
        return _fit_gptq(model, machine, need, has_gptq=has_gptq)
    own = [card for card in llama_cards if not card.shares_memory]
    on_cards = sum(card.free_bytes for card in own)
    if llama_cards and need <= max(on_cards, *(card.free_bytes for card in llama_cards)):
        return Fit(model, Place.GPU, Pace.FAST)
    free = machine.memory_free_bytes - KEPT_FREE_BYTES
    if on_cards >= LEAST_GPU_SHARE * need and need - on_cards <= free:
        left = 1 - on_cards / need
        return Fit(model, Place.PARTLY, _pace(int(model.bytes * left), machine.cores))
    pace = _pace(model.bytes, machine.cores)
    if need <= free:
        return Fit(model, Place.CPU, pace)
    if need <= machine.memory_bytes - SYSTEM_BYTES:
        return Fit(model, Place.CPU, pace, is_tight=True)
    lacking = need - (machine.memory_bytes - SYSTEM_BYTES)
    return Fit(model, Place.NOWHERE, lacking_bytes=lacking)


def _fit_gptq(model: Suggestion, machine: Machine, need: int, *, has_gptq: bool) -> Fit:
    cards = [card for card in machine.gpus if card.name != "Apple GPU"]
    if not cards:
        return Fit(model, Place.NOWHERE, lacking_bytes=need, why_not="needs NVIDIA")
    best = max(cards, key=lambda card: card.free_bytes)
    if need > best.free_bytes:
        return Fit(model, Place.NOWHERE, lacking_bytes=need - best.free_bytes)
    return Fit(model, Place.GPU, Pace.FAST, why_not="" if has_gptq else "needs the extra gpu")


def _pace(weights_bytes: int, cores: int) -> Pace:
    per_second = min(MEMORY_GB_PER_SECOND, CORE_GB_PER_SECOND * cores) * GB / max(1, weights_bytes)
    for least, pace in ((10, Pace.FAST), (4, Pace.FAIR), (1.5, Pace.SLOW)):
        if per_second >= least:
            return pace
    return Pace.VERY_SLOW


def order(fits: Sequence[Fit]) -> list[Fit]:
    """The best pick first, then what fits, the strongest first, then what does not."""
    best = pick(fits)
    rest = [one for one in fits if one is not best]
    running = [one for one in reversed(rest) if one.fits]
    first = [best] if best is not None else []
    return [*first, *running, *(one for one in rest if not one.fits)]


def pick(fits: Sequence[Fit]) -> Fit | None:
    """The strongest that runs well; else the quickest that runs at all. `fits` as catalogued."""
    ready = [one for one in fits if one.fits and not one.is_tight and not one.why_not]
    for paces in ((Pace.FAST, Pace.FAIR), (Pace.SLOW,), (Pace.VERY_SLOW,)):
        good = [one for one in ready if one.pace in paces]
        if good:
            return good[-1] if Pace.FAIR in paces else good[0]
    return next((one for one in fits if one.fits), None)
