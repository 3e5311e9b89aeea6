"""What fits: token counts of a draft's parts, and the choice they allow.

Of the history the newest turns fit, from a place that stays the same for many replies.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from bot.chat.prompt.counting import PromptCounter
from bot.chat.prompt.draft import Choice, Draft, PromptRequest
from bot.chat.prompt.parts import Priority, giving_up_order, over_budget
from bot.errors import RequestTooLarge

MINIMUM_REPLY_TOKENS = 64  # below this no reply is worth a prompt
BLOCK_SHARE = 4  # a block of history is at most a quarter of its room
THOUGHT_SHARE = 4  # a thought has at most a quarter of the context
CLOSING_TOKENS = 16  # for what closes a thought and opens the answer
COUNTED_TOGETHER = 16  # at least so many lines are counted in one call, newest first


class Reason(StrEnum):
    """Why something is left out, in words for people."""

    CONTEXT = "no room in the model's context"
    BUDGET = "no room in its own budget"
    TURNS = "older than history_turns"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What is left out: "history", "greeting", "quotes", or parts by their name; `turns` counts.

    `tokens` None: so far back that nobody counted.
    """

    what: str
    turns: int
    tokens: int | None
    reason: Reason = Reason.CONTEXT


class Budget:
    """Shares the context out: the reply, the persona and the newest message, parts, history."""

    def __init__(self, draft: Draft, request: PromptRequest) -> None:
        """`context_tokens` is what prompt and reply have together, without BOS and thought."""
        self._draft = draft
        room = request.info.room_tokens
        # Kept free beside prompt and reply, where the prompt ends in a thought.
        self.thinking_tokens = 0
        if draft.thought is not None:
            self.thinking_tokens = min(request.thinking_tokens, room // THOUGHT_SHARE)
            room -= self.thinking_tokens + CLOSING_TOKENS
        self.context_tokens = room
        half = max(MINIMUM_REPLY_TOKENS, self.context_tokens // 2)
        self._wanted_reply = min(request.reply_tokens, half)
        self._tightened = 0
        self._core = self._reply = self._newest = self._newest_quoted = 0
        self._parts: list[int] = []  # 0 for those on which nothing depends
        self._headings: dict[str, int] = {}
        self._order = giving_up_order(draft.parts)
        # Of the lines before the newest: plain and with their quote. Uncounted ones are missing
        # at the front: ``_counted_from`` is the first that was counted.
        self._plain: list[int] = []
        self._quoted: list[int] = []
        self._counted_from = 0

    async def measure(self, counter: PromptCounter) -> None:
        """Count every part, of the history as much as could be shown: in one call, as a rule."""
        draft = self._draft
        newest = len(draft.lines) - 1
        fixed = [draft.core(), draft.reply]
        if draft.lines:
            fixed += [draft.line(newest, start=0, quote=quote) for quote in (False, True)]
        counted = [
            index
            for index, part in enumerate(draft.parts)
            if part.is_droppable or part.budget or not part.place.is_system
        ]
        parts = [draft.part(index) for index in counted]
        headings = list(dict.fromkeys(draft.parts[index].heading for index in self._order))
        self._counted_from = max(newest, 0)
        room = self.context_tokens - sum(counter.guess(text) for text in fixed[:2])
        others = [*fixed, *parts, *(f"\n\n{heading}" for heading in headings if heading)]
        counts = await self._measure_history(counter, room, others)
        self._core, self._reply = counts[:2]
        if draft.lines:
            self._newest, self._newest_quoted = counts[2:4]
        of_parts = dict(zip(counted, counts[len(fixed) :], strict=False))
        self._parts = [of_parts.get(index, 0) for index in range(len(draft.parts))]
        of_headings = counts[len(fixed) + len(parts) :]
        self._headings = dict(zip(filter(None, headings), of_headings, strict=True))
        room = self.context_tokens - self._core - self._reply - self._newest
        while self._counted_from > 0 and (left := room - sum(self._plain)) >= 0:
            await self._measure_history(counter, left, [])

    async def _measure_history(
        self, counter: PromptCounter, room: int, others: Sequence[str]
    ) -> list[int]:
        """Count `others` and as many more lines as may fill `room`. Returns the others' tokens."""
        start = self._counted_from
        plain: list[str] = []
        while start > 0 and (room >= 0 or len(plain) < COUNTED_TOGETHER):
            start -= 1
            plain.insert(0, self._draft.line(start, start=0, quote=False))
            room -= counter.guess(plain[0])
        lines = range(start, self._counted_from)
        quoting = [index for index in lines if self._draft.wants_quote(index, index)]
        quoted = [self._draft.line(index, start=0, quote=True) for index in quoting]
        counts = await counter.parts([*others, *plain, *quoted])
        of_lines, of_quoted = (
            counts[len(others) :][: len(plain)],
            counts[len(others) + len(plain) :],
        )
        with_quote = dict(zip(quoting, of_quoted, strict=True))
        both = zip(lines, of_lines, strict=True)
        self._quoted[:0] = [with_quote.get(index, tokens) for index, tokens in both]
        self._plain[:0] = of_lines
        self._counted_from = start
        return counts[: len(others)]

    def tighten(self, tokens: int) -> None:
        """Take this much less from now on."""
        self._tightened += tokens

    def choose(self) -> Choice:
        """The most that fits, nothing of it twice. Raises RequestTooLarge."""
        choice = self._choose(frozenset())
        repeated = self._repeated(choice)
        if not repeated:
            return choice
        again = self._choose(repeated)
        # There may be room for older turns now, which other parts repeat: those stand instead.
        return replace(again, start=max(choice.start, again.start))

    def _repeated(self, choice: Choice) -> frozenset[int]:
        """The parts that repeat a turn which is shown."""
        parts = enumerate(self._draft.parts)
        repeating = {index: part.turn_id for index, part in parts if part.turn_id is not None}
        if not repeating:
            return frozenset()
        shown = set(self._draft.turn_ids(choice))
        return frozenset(index for index, turn_id in repeating.items() if turn_id in shown)

    def _choose(self, repeated: frozenset[int]) -> Choice:
        quote, reply, room = self._fixed()
        parts = self._draft.parts
        over = frozenset(over_budget(parts, self._parts, repeated, self._headings))
        stays = [index for index in self._order if index not in over | repeated]
        important = [index for index in stays if parts[index].priority > Priority.HISTORY]
        spare = [index for index in stays if parts[index].priority < Priority.HISTORY]
        quoted = self._newest_quoted - self._newest if quote else 0
        kept = self._fitting(important, room - quoted)
        whole = sum(self._plain) if self._counted_from == 0 else room + 1
        important_cost = self._cost_of_parts(kept)
        kept += self._fitting(spare, room - whole, beside=kept)
        fixed = self._wanted_reply + self._core + self._required() + important_cost
        start = choose_start(
            self._plain,
            [line.position for line in self._draft.lines[self._counted_from : -1]],
            room=room - self._cost_of_parts(kept),
            block=(self.context_tokens - fixed) // BLOCK_SHARE,
            cost_from=lambda start: self._cost_from(start, quote=quote),
        )
        dropped = frozenset(self._order).difference(kept)
        start += self._counted_from
        return Choice(start, dropped, reply, quote, over, repeated)

    def left_out(self, choice: Choice) -> tuple[LeftOut, ...]:
        """What a choice leaves out, and why."""
        return (
            *self._history_left_out(choice),
            *self._parts_left_out(
                choice.dropped - choice.over_budget - choice.repeated, Reason.CONTEXT
            ),
            *self._parts_left_out(choice.over_budget, Reason.BUDGET),
            *self._quote_left_out(choice),
        )

    def _history_left_out(self, choice: Choice) -> Iterator[LeftOut]:
        lines = self._draft.lines
        dropped = self._plain[: choice.start - self._counted_from]
        is_counted = self._counted_from == 0 and self._draft.cast.is_from_start
        turns = lines[choice.start].older if choice.start < len(lines) else 0
        has_greeting = bool(lines) and lines[0].turn is None
        if turns > 0:
            tokens = sum(dropped[1:] if has_greeting else dropped) if is_counted else None
            reason = Reason.CONTEXT if choice.start > 0 else Reason.TURNS
            yield LeftOut("history", turns, tokens, reason)
        if has_greeting and choice.start > 0:
            yield LeftOut("greeting", 1, dropped[0] if is_counted else None)

    def _parts_left_out(self, indexes: Collection[int], reason: Reason) -> Iterator[LeftOut]:
        parts = self._draft.parts
        for name in dict.fromkeys(part.name for part in parts):
            tokens = [self._parts[at] for at in sorted(indexes) if parts[at].name == name]
            if tokens:
                yield LeftOut(name, len(tokens), sum(tokens), reason)

    def _quote_left_out(self, choice: Choice) -> Iterator[LeftOut]:
        if not choice.newest_quote:
            yield LeftOut("quotes", 1, self._newest_quoted - self._newest)

    def _fixed(self) -> tuple[bool, int, int]:
        """Whether there is room for the newest's quote, the reply's room, and the rest's.

        The rest is history, what can be dropped and the quote.
        """
        wanted = self._wanted_reply
        least = min(wanted, MINIMUM_REPLY_TOKENS)
        needed = self._core + self._required() + self._reply + self._newest + self._tightened
        extra = self._newest_quoted - self._newest
        for quote, floor in ((extra, wanted), (extra, max(wanted // 2, least)), (0, least)):
            reply = min(wanted, self.context_tokens - needed - quote)
            if reply >= floor:
                return quote == extra, reply, self.context_tokens - needed - reply
        own = ("persona", "instructions")
        names = [part.name for part in self._draft.parts if not part.is_droppable]
        beside = "".join(f", {name}" for name in dict.fromkeys(names) if name not in own)
        raise RequestTooLarge(
            f"The persona{beside} and the newest message take {needed} tokens; with a reply the "
            f"model's context has room for {max(self.context_tokens - least, 0)}.",
            "Write a shorter message, shorten the persona or the instructions, or use a model with "
            "a larger context.",
        )

    def _required(self) -> int:
        """What the required parts among the turns take; the core holds the others."""
        parts = zip(self._draft.parts, self._parts, strict=True)
        return sum(
            tokens for part, tokens in parts if not part.is_droppable and not part.place.is_system
        )

    def _fitting(
        self, order: Sequence[int], room: int, *, beside: Collection[int] = ()
    ) -> list[int]:
        """Those of `order` that fit into `room`, the last first, with what is kept already."""
        kept = list(beside)
        closed: set[str] = set()
        for index in reversed(order):
            name = self._draft.parts[index].name
            if name not in closed and self._cost_of_parts([*kept, index]) <= room:
                kept.append(index)
            else:
                closed.add(name)
        return kept[len(beside) :]

    def _cost_of_parts(self, kept: Sequence[int]) -> int:
        headings = {self._draft.parts[index].heading for index in kept}
        tokens = sum(self._parts[index] for index in kept)
        return tokens + sum(self._headings.get(heading, 0) for heading in headings)

    def _cost_from(self, start: int, *, quote: bool) -> int:
        first = start + self._counted_from
        lines = zip(self._plain[start:], self._quoted[start:], strict=True)
        cost = sum(
            quoted if self._draft.wants_quote(index, first) else plain
            for index, (plain, quoted) in enumerate(lines, first)
        )
        if quote and self._draft.wants_quote(len(self._draft.lines) - 1, first):
            cost += self._newest_quoted - self._newest
        return cost


def choose_start(
    costs: Sequence[int],
    positions: Sequence[int],
    *,
    room: int,
    block: int,
    cost_from: Callable[[int], int],
) -> int:
    """The index of the oldest turn to show; ``len(costs)`` when none fits.

    `costs` are tokens, oldest first, `positions` the turns' absolute positions. When not all fit
    into `room`, up to `block` tokens more than needed are dropped, to begin at the roundest
    position within reach (the one that the highest power of two divides). Positions don't change
    while the conversation grows, so the start stays where it is until the turns after it have
    outgrown the room, and then moves by a whole block. `cost_from` is the exact cost of a start.
    """
    start = _first_fitting(costs, room)
    if start == 0 and cost_from(0) <= room:
        return 0
    while start < len(costs):
        chosen = _roundest(costs, positions, start, block)
        if cost_from(chosen) <= room:
            return chosen
        start = max(start, chosen) + 1
    return start


def _first_fitting(costs: Sequence[int], room: int) -> int:
    start = len(costs)
    while start > 0 and costs[start - 1] <= room:
        start -= 1
        room -= costs[start]
    return start


def _roundest(costs: Sequence[int], positions: Sequence[int], start: int, block: int) -> int:
    best = start
    dropped = 0
    for index in range(start, len(costs)):
        if dropped > block:
            break
        if _roundness(positions[index]) >= _roundness(positions[best]):
            best = index
        dropped += costs[index]
    return best


def _roundness(position: int) -> int:
    """The highest power of two that divides it."""
    return position & -position if position > 0 else 0
