"""What a book would do with a text: for `/lore test` and the page."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bot.chat.personas.lore.book import LoreEntry, Position
from bot.chat.roleplay.activation.activate import activate
from bot.chat.roleplay.activation.outcome import (
    TOO_MANY,
    Activation,
    Cause,
    Fired,
    Hit,
    LeftOut,
    Placement,
)
from bot.chat.roleplay.activation.request import (
    ActivationSettings,
    AttachedBook,
    ChatTurn,
    EntryId,
    Request,
    Surroundings,
    unchanged,
)

_SPEAKER = re.compile(r"([^\s:/][^:/\n]{0,79}):(?=\s|$)")
_WHERE: dict[Position, str] = {
    Position.BEFORE_PERSONA: "before the persona",
    Position.AFTER_PERSONA: "after the persona",
    Position.NOTE_TOP: "above the author's note",
    Position.NOTE_BOTTOM: "below the author's note",
    Position.EXAMPLES_TOP: "before the examples",
    Position.EXAMPLES_BOTTOM: "after the examples",
    Position.PERSONALITY: "with the personality",
    Position.SCENARIO: "with the scenario",
}
_ROLES = {"system": "the system", "user": "the person who writes", "bot": "the persona"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one entry. `why` is a sentence's worth of words, `where` is "" if silent."""

    entry_id: EntryId
    title: str
    book_name: str
    fires: bool
    why: str
    where: str = ""
    tokens: int = 0


def try_text(
    books: Sequence[AttachedBook],
    text: str,
    settings: ActivationSettings | None = None,
    surroundings: Surroundings | None = None,
    expand: Callable[[str], str] = unchanged,
) -> tuple[Verdict, ...]:
    """What would fire if a person wrote `text`, or if it was said before a reply. Blocking.

    A chat as people paste it is read as its messages (:func:`read_chat`), any other text as one.
    Chance is left out: an entry that fires one time in two is said to fire. `surroundings` and
    `expand` are those of a :class:`Request`.
    """
    turns = read_chat(text, (surroundings or Surroundings()).character_name)
    if len(turns) < 2:  # a colon in what one person says makes no chat
        turns = (ChatTurn("user", "", text),)
    request = Request(
        certain_books(books),
        turns,
        settings or ActivationSettings(),
        surroundings=surroundings or Surroundings(),
        expand=expand,
    )
    return verdicts(activate(request))


def certain_books(books: Sequence[AttachedBook]) -> tuple[AttachedBook, ...]:
    """The books without chance: an entry that fires one time in two always does."""
    return tuple(replace(one, book=replace(one.book, entries=_certain(one))) for one in books)


def read_chat(pasted: str, bot_name: str = "") -> tuple[ChatTurn, ...]:
    """The turns of a chat as people paste it: a line `Name: text` begins one, others go on.

    What `bot_name` says is the bot's.
    """
    turns: list[ChatTurn] = []
    lines: list[str] = []
    name = ""
    for line in (*pasted.splitlines(), None):
        begun = _SPEAKER.match(line) if line is not None else None
        if line is not None and begun is None:
            lines.append(line)
            continue
        if text := "\n".join(lines).strip():
            is_bot = bool(bot_name) and name.casefold() == bot_name.casefold()
            turns.append(ChatTurn("bot" if is_bot else "user", name, text))
        if line is not None and begun is not None:
            name, lines = begun[1].strip(), [line[begun.end() :]]
    return tuple(turns)


def verdicts(activation: Activation) -> tuple[Verdict, ...]:
    """One for every entry: those that fire, in order, then what was left out, then the rest.

    What was not taken up stands behind those that fire, as one for each book.
    """
    given_up = {one.entry_id: one for one in reversed(activation.given_up)}
    said = [_of_fired(one) for one in activation.fired]
    said += [
        Verdict(one.entry_id, one.said, one.book_name, fires=False, why=TOO_MANY)
        for one in activation.unread
    ]
    for one in (*activation.left_out, *activation.silent):
        verdict = _of_left_out(one)
        if one.entry_id in given_up:
            key = given_up[one.entry_id]
            verdict = replace(verdict, why=f"{verdict.why}; «{key.key[:80]}»: {key.why}")
        said.append(verdict)
    return tuple(said)


def said_where(placement: Placement) -> str:
    """Where an entry stands, in words."""
    if placement.position is Position.OUTLET:
        return f"where {{{{outlet::{placement.outlet}}}}} stands"
    if placement.position is not Position.AT_DEPTH:
        return _WHERE[placement.position]
    messages = f"before the newest {placement.depth} messages"
    if placement.depth <= 1:
        messages = ("after the newest message", "before the newest message")[placement.depth]
    return f"{messages}, said by {_ROLES[placement.role]}"


def _certain(book: AttachedBook) -> tuple[LoreEntry, ...]:
    return tuple(
        replace(entry, use_probability=entry.use_probability and entry.probability <= 0)
        for entry in book.book.entries
    )


def _of_fired(fired: Fired) -> Verdict:
    why = f"{fired.cause}{_said_hits(fired.hits)}" if fired.cause is Cause.KEY else fired.cause
    return Verdict(
        fired.entry_id,
        fired.entry.title,
        fired.book_name,
        fires=True,
        why=str(why),
        where=said_where(fired.placement),
        tokens=fired.tokens,
    )


def _of_left_out(left: LeftOut) -> Verdict:
    detail = f" ({left.detail})" if left.detail else ""
    why = f"{left.reason}{detail}{_said_hits(left.hits)}"
    return Verdict(left.entry_id, left.entry.title, left.book_name, fires=False, why=why)


def _said_hits(hits: Sequence[Hit]) -> str:
    shown = [f"«{hit.key[:80]}» in {hit.where}" for hit in hits[:5]]
    more = f" and {len(hits) - 5} more" if len(hits) > 5 else ""
    return f": {', '.join(shown)}{more}" if shown else ""
