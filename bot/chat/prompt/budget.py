"""What fits: token counts of a draft's parts, and the choice they allow.

Of the history the newest turns fit, from a place that stays the same for many replies.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bot.chat.prompt.counting import TokenCounter
from bot.chat.prompt.draft import Choice, Draft, PromptRequest
from bot.errors import RequestTooLarge

MINIMUM_REPLY_TOKENS = 64  # below this no reply is worth a prompt
BLOCK_SHARE = 4  # a block of history is at most a quarter of its room
COUNTED_TOGETHER = 16  # at least so many lines are counted in one call, newest first


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What had no room: "history", "examples", "greeting" or "quotes"; `turns` counts them.

    `tokens` None: so far back that nobody counted.
    """

    what: str
    turns: int
    tokens: int | None


class Budget:
    """Shares the context out: the reply, the persona and the newest message, examples, history."""

    def __init__(self, draft: Draft, request: PromptRequest) -> None:
        """`context_tokens` is what prompt and reply have together, without a BOS."""
        self._draft = draft
        info = request.info
        self.context_tokens = info.context_tokens - (1 if info.bos_token else 0)
        half = max(MINIMUM_REPLY_TOKENS, self.context_tokens // 2)
        self._wanted_reply = min(request.reply_tokens, half)
        self._tightened = 0
        self._core = self._reply = self._newest = self._newest_quoted = self._heading = 0
        self._examples: list[int] = []
        # Of the lines before the newest: plain and with their quote. Uncounted ones are missing
        # at the front: ``_counted_from`` is the first that was counted.
        self._plain: list[int] = []
        self._quoted: list[int] = []
        self._counted_from = 0

    async def measure(self, counter: TokenCounter) -> None:
        """Count every part, of the history as much as could be shown: in one call, as a rule."""
        draft = self._draft
        newest = len(draft.lines) - 1
        fixed = [draft.core(), draft.reply, draft.examples_heading]
        if draft.lines:
            fixed += [draft.line(newest, start=0, quote=quote) for quote in (False, True)]
        examples = [draft.example(index) for index in range(len(draft.examples))]
        self._counted_from = max(newest, 0)
        room = self.context_tokens - sum(counter.guess(text) for text in fixed[:2])
        counts = await self._measure_history(counter, room, [*fixed, *examples])
        self._core, self._reply, self._heading = counts[:3]
        if draft.lines:
            self._newest, self._newest_quoted = counts[3:5]
        self._examples = counts[len(fixed) :]
        room = self.context_tokens - self._core - self._reply - self._newest
        while self._counted_from > 0 and (left := room - sum(self._plain)) >= 0:
            await self._measure_history(counter, left, [])

    async def _measure_history(
        self, counter: TokenCounter, room: int, others: Sequence[str]
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
        """The most that fits. Raises RequestTooLarge."""
        quote, reply, room = self._fixed()
        kept = len(self._examples)
        whole = sum(self._plain) if self._counted_from == 0 else room + 1
        while kept and whole + self._cost_of_examples(kept) > room:
            kept -= 1
        start = choose_start(
            self._plain,
            [line.position for line in self._draft.lines[self._counted_from : -1]],
            room=room - self._cost_of_examples(kept),
            block=(self.context_tokens - self._wanted_reply - self._core) // BLOCK_SHARE,
            cost_from=lambda start: self._cost_from(start, quote=quote),
        )
        return Choice(self._counted_from + start, kept, reply, newest_quote=quote)

    def left_out(self, choice: Choice) -> tuple[LeftOut, ...]:
        """What a choice leaves out."""
        found: list[LeftOut] = []
        lines = self._draft.lines
        dropped = self._plain[: choice.start - self._counted_from]
        is_counted = self._counted_from == 0 and self._draft.cast.is_from_start
        turns = lines[choice.start].position if choice.start < len(lines) else 0
        has_greeting = bool(lines) and lines[0].turn is None
        if turns > 0:
            tokens = sum(dropped[1:] if has_greeting else dropped) if is_counted else None
            found.append(LeftOut("history", turns, tokens))
        if has_greeting and choice.start > 0:
            found.append(LeftOut("greeting", 1, dropped[0] if is_counted else None))
        pruned = self._examples[: len(self._examples) - choice.examples]
        if pruned:
            found.append(LeftOut("examples", len(pruned), sum(pruned)))
        if not choice.newest_quote:
            found.append(LeftOut("quotes", 1, self._newest_quoted - self._newest))
        return tuple(found)

    def _fixed(self) -> tuple[bool, int, int]:
        """Whether there is room for the newest's quote, the reply's room, and the rest's.

        The rest is history, examples and the quote.
        """
        wanted = self._wanted_reply
        least = min(wanted, MINIMUM_REPLY_TOKENS)
        needed = self._core + self._reply + self._newest + self._tightened
        extra = self._newest_quoted - self._newest
        for quote, floor in ((extra, wanted), (extra, max(wanted // 2, least)), (0, least)):
            reply = min(wanted, self.context_tokens - needed - quote)
            if reply >= floor:
                return quote == extra, reply, self.context_tokens - needed - reply
        raise RequestTooLarge(
            f"The persona and the newest message take {needed} tokens; with a reply the model's "
            f"context has room for {max(self.context_tokens - least, 0)}.",
            "Write a shorter message, shorten the persona or the instructions, or use a model with "
            "a larger context.",
        )

    def _cost_of_examples(self, kept: int) -> int:
        return self._heading + sum(self._examples[-kept:]) if kept else 0

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
