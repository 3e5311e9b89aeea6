"""The lore's budget: which of the entries that matched stand.

Where not all fit, the least important go: those with `@@ignore_on_max_context` first, then the ones
of the book that counts least, of one book the lowest priority, then the lowest order (V2 and V3;
SillyTavern knows the order alone). Sticky ones stay longest. What does not fit is passed over, a
shorter one that matters less may still stand (as in Risu; SillyTavern stops at the first that does
not fit). A book's own budget bounds its entries, beside the one for all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.chat.roleplay.activation.candidates import Candidate
from bot.chat.roleplay.activation.outcome import Cause, Hit
from bot.chat.roleplay.activation.request import EntryId


@dataclass(slots=True)
class Matched:
    """An entry that would fire, and why."""

    one: Candidate
    cause: Cause
    hits: tuple[Hit, ...]
    tokens: int
    score: int = 0


@dataclass(slots=True)
class Shared:
    """How the budget was shared out; `out` says of each entry that has no room what it lacked."""

    standing: list[Matched]  # the most important first
    out: dict[EntryId, str]
    tokens: int


def importance(matched: Matched) -> tuple[object, ...]:
    """Sorts the most important first."""
    one = matched.one
    return (
        one.rules.ignore_on_max_context,
        not one.is_sticky,
        one.standing[0],
        -one.priority,
        -one.entry.order,
        one.standing,
    )


def share_out(matched: Sequence[Matched], budget: int | None) -> Shared:
    """Give room to the most important first. `budget` in tokens, None for no limit."""
    standing: list[Matched] = []
    out: dict[EntryId, str] = {}
    left_of_books: dict[str, int] = {}
    used = 0
    for candidate in sorted(matched, key=importance):
        book = candidate.one.book
        if candidate.one.entry.ignore_budget:
            standing.append(candidate)
            continue
        own = left_of_books.setdefault(book.book_id, book.book.token_budget or 0)
        has_own = bool(book.book.token_budget)
        left = None if budget is None else budget - used
        if left is not None and candidate.tokens > left:
            out[candidate.one.entry_id] = _said(candidate.tokens, left, "")
        elif has_own and candidate.tokens > own:
            out[candidate.one.entry_id] = _said(candidate.tokens, own, " for its book")
        else:
            standing.append(candidate)
            used += candidate.tokens
            left_of_books[book.book_id] = own - candidate.tokens
    return Shared(standing, out, used)


def _said(tokens: int, left: int, whose: str) -> str:
    return f"it takes {tokens} tokens, {left} are left{whose}"
