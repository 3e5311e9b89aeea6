"""Fired entries as parts of a prompt, and as outlets."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from bot.chat.personas.lore.book import Position
from bot.chat.prompt.parts import Part, Place, Priority, TokenBudget
from bot.chat.roleplay.activation.outcome import Activation, Fired

NAME = "lore"
NOTE_DEPTH = 4  # of the author's note, where there is none to stand beside
# Where the persona's own parts come first in a place, lore of the same place follows them.
_PLACES: Mapping[Position, Place] = {
    Position.BEFORE_PERSONA: Place.BEFORE_PERSONA,
    Position.PERSONALITY: Place.AFTER_PERSONA,
    Position.SCENARIO: Place.AFTER_PERSONA,
    Position.AFTER_PERSONA: Place.AFTER_PERSONA,
    Position.EXAMPLES_TOP: Place.AFTER_PERSONA,
    Position.EXAMPLES_BOTTOM: Place.EXAMPLES,
    Position.NOTE_TOP: Place.IN_HISTORY,
    Position.NOTE_BOTTOM: Place.IN_HISTORY,
    Position.AT_DEPTH: Place.IN_HISTORY,
}


def lore_parts(activation: Activation, note: Part | None = None) -> tuple[Part, ...]:
    """The parts that tell the model what fired, with `note` between those that stand beside it.

    Lore is its owner's text: macros in it are replaced when the prompt is written. It stands even
    when no earlier turn has room, within its budget; where the context is too short for that, the
    least important entry goes first. `@@ignore_on_max_context` goes before any turn does. What
    is for an outlet is in no part: see :func:`outlets`.
    """
    budget = None if activation.budget is None else TokenBudget(NAME, activation.budget)
    by_position: dict[Position, list[Part]] = {}
    for fired in activation.fired:
        if fired.placement.position is not Position.OUTLET:
            part = _part(fired, note, budget)
            by_position.setdefault(fired.placement.position, []).append(part)
    return tuple(_in_order(by_position, note))


def outlets(activation: Activation) -> Mapping[str, str]:
    """What `{{outlet::name}}` stands for, by name. Texts of one name have a line each."""
    texts: dict[str, list[str]] = {}
    for fired in activation.fired:
        if fired.placement.position is Position.OUTLET and fired.placement.outlet:
            texts.setdefault(fired.placement.outlet, []).append(fired.text)
    return {name: "\n".join(lines) for name, lines in texts.items()}


def _in_order(by_position: Mapping[Position, Iterable[Part]], note: Part | None) -> Iterator[Part]:
    for position in _PLACES:
        yield from by_position.get(position, ())
        if position is Position.NOTE_TOP and note is not None:
            yield note


def _part(fired: Fired, note: Part | None, budget: TokenBudget | None) -> Part:
    where = fired.placement
    part = Part(
        NAME,
        fired.text,
        _PLACES[where.position],
        Priority.SPARE if fired.is_spare else Priority.IMPORTANT,
        rank=fired.rank,
        depth=where.depth,
        role=where.role,
        joint="\n",
        budget=None if fired.ignores_budget else budget,
        is_trusted=True,
    )
    if where.position not in (Position.NOTE_TOP, Position.NOTE_BOTTOM):
        return part
    if note is None:
        return replace(part, depth=NOTE_DEPTH, role="system")
    return replace(part, place=note.place, depth=note.depth, role=note.role)
