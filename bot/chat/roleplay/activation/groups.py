"""Inclusion groups: of the entries that share one, a single one fires.

Who stands already keeps the others out. Else sticky ones go before the rest, with group scoring
those with the most keys found, then who has `group_override` (of several, the highest order), then
chance, by weight. An entry may be in several groups, with commas between; it has to win each.
"""

from collections.abc import Collection, Iterable, Sequence

from bot.chat.personas.lore.book import Logic
from bot.chat.roleplay.activation.candidates import Candidate
from bot.chat.roleplay.activation.chance import roll
from bot.chat.roleplay.activation.outcome import Hit
from bot.chat.roleplay.activation.request import EntryId


def group_names(one: Candidate) -> tuple[str, ...]:
    """The groups that an entry is in."""
    names = (name.strip() for name in one.entry.group.split(","))
    return tuple(dict.fromkeys(name for name in names if name))


def score(one: Candidate, keys: Sequence[Hit], secondary: Sequence[Hit]) -> int:
    """How many keys were found; secondary ones count where they had to be there."""
    logic = one.entry.logic
    if logic is Logic.AND_ANY or (logic is Logic.AND_ALL and len(secondary) == len(one.secondary)):
        return len(keys) + len(secondary)
    return len(keys)


def losers(
    matched: Sequence[tuple[Candidate, int]],
    taken: Collection[str],
    *,
    seed: int,
    scoring: bool,
) -> dict[EntryId, str]:
    """Those of `matched` (with their scores) that lose a group, each with its name.

    `taken` are the groups of which somebody stands already.
    """
    groups: dict[str, list[tuple[Candidate, int]]] = {}
    for one, points in matched:
        for name in group_names(one):
            groups.setdefault(name, []).append((one, points))
    lost: dict[EntryId, str] = {}
    for name in sorted(groups):
        members = [member for member in groups[name] if member[0].entry_id not in lost]
        winner = None if name in taken else _winner(name, members, seed, scoring=scoring)
        for one, _ in members:
            if one is not winner:
                lost[one.entry_id] = name
    return lost


def _winner(
    name: str, members: Iterable[tuple[Candidate, int]], seed: int, *, scoring: bool
) -> Candidate | None:
    left = sorted(members, key=lambda member: member[0].standing)
    sticky = [member for member in left if member[0].is_sticky]
    left = sticky or left
    most = max((points for _, points in left), default=0)
    left = [
        (one, points)
        for one, points in left
        if points == most
        or not (scoring if one.entry.group_scoring is None else one.entry.group_scoring)
    ]
    if len(left) <= 1:
        return left[0][0] if left else None
    overriding = [one for one, _ in left if one.entry.group_override]
    if overriding:
        return max(overriding, key=lambda one: (one.entry.order, _first(one)))
    weights = [max(float(one.entry.group_weight), 0) for one, _ in left]
    ticket = roll(seed, "group", name) * sum(weights)
    for (one, _), weight in zip(left, weights, strict=True):
        ticket -= weight
        if ticket < 0:
            return one
    return left[-1][0]


def _first(one: Candidate) -> tuple[int, int]:
    """Of equals, the first in the book that counts most."""
    precedence, _, at = one.standing
    return -precedence, -at
