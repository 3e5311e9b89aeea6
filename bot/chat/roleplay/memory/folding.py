"""What is folded next: pure decisions about the sections of a conversation's summary."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from bot.chat.roleplay.memory.sections import FoldingState, Section, folded_up_to, standing

SUMMARY_SHARE = 10  # the whole summary has at most a tenth of the context
HEADING_TOKENS = 16  # of that, for the line above it
SECTION_SHARE = 3  # of which one section has at most a third
LEAST_SECTION_TOKENS = 32
MOST_SECTION_TOKENS = 400
MERGED_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Budget:
    """How many tokens there are for a summary, and for one section of it."""

    summary: int
    section: int


@dataclass(frozen=True, slots=True)
class Remove:
    """Take out sections that were made from others, as one of their turns has changed."""

    sections: tuple[Section, ...]


@dataclass(frozen=True, slots=True)
class Refold:
    """Make a section anew from its turns."""

    section: Section


@dataclass(frozen=True, slots=True)
class Merge:
    """Fold neighbouring sections into one, of at most so many tokens."""

    sections: tuple[Section, ...]
    tokens: int


@dataclass(frozen=True, slots=True)
class FoldTurns:
    """Fold the oldest turns between these two."""

    after: int
    before: int


Step: TypeAlias = Remove | Refold | Merge | FoldTurns


def budget_for(context_tokens: int) -> Budget:
    """The room of a summary in a context of so many tokens."""
    summary = max(context_tokens // SUMMARY_SHARE - HEADING_TOKENS, 0)
    section = max(summary // SECTION_SHARE, min(summary, LEAST_SECTION_TOKENS))
    return Budget(summary, min(section, MOST_SECTION_TOKENS))


def next_step(state: FoldingState, tokens: Mapping[int, int], budget: Budget) -> Step | None:
    """What to do next; None where all is folded that has fallen out.

    `tokens` are those of the standing sections' texts, by the sections' ids. What has changed goes
    first, then the summary is brought back to its budget, and then new turns are folded.
    """
    stale = [section for section in state.sections if section.is_stale]
    if wide := tuple(section for section in stale if section.level > 0):
        return Remove(wide)
    if stale:
        return Refold(max(stale, key=lambda section: section.last_turn))
    if merge := choose_merge(standing(state.sections), tokens, budget):
        return merge
    if state.unfolded and state.shown_from is not None:
        return FoldTurns(folded_up_to(state.sections), state.shown_from)
    return None


def choose_merge(
    shown: Sequence[Section], tokens: Mapping[int, int], budget: Budget
) -> Merge | None:
    """Which neighbours are to be folded into one; None where the summary keeps to its budget.

    Those of the lowest level, so that no text is folded more often than it must be; of these the
    most at once, and the oldest. What was written by hand stays as it is.
    """
    sizes = [tokens[section.section_id] for section in shown]
    if sum(sizes) <= budget.summary:
        return None
    best: tuple[int, int, int] | None = None
    for count in range(2, MERGED_AT_ONCE + 1):
        for start in range(len(shown) - count + 1):
            window = shown[start : start + count]
            if any(section.by_hand for section in window):
                continue
            rank = (max(section.level for section in window), -count, start)
            best = rank if best is None else min(best, rank)
    if best is None:
        return None
    _, count, start = best
    window = slice(start, start - count)  # the count is negative
    return Merge(tuple(shown[window]), min(sum(sizes[window]), budget.section))
