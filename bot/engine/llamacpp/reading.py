"""Whose prompt is read now. llama.cpp reads the prompts of its slots in the slots' order, so that a
short one waits for the whole of a long one before it; here they take turns.

A prompt that has had its share while another one waits is broken off (llama.cpp keeps what it has
read of it) and goes on after those that wait.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from bot.engine.remote.events import CompletionEvent

SHARES_TOGETHER = 2  # short prompts are read in one step, which costs less than several


class Prompt:
    """One request's prompt. Tokens are counted."""

    def __init__(self, unread_tokens: int) -> None:
        """`unread_tokens` is a guess until llama.cpp tells how far it is."""
        self.unread_tokens = unread_tokens
        self.kept_tokens: int | None = None  # what the slot had of it before any was read
        self._at_first = unread_tokens

    def begin(self, event: CompletionEvent) -> None:
        """llama.cpp begins to read, and tells what it has."""
        self.unread_tokens = self._at_first = event.unread_tokens or 0
        if self.kept_tokens is None:
            self.kept_tokens = event.cached_tokens

    @property
    def read_tokens(self) -> int:
        """How many were read in this turn."""
        return self._at_first - self.unread_tokens


class ReadingTurns:
    """Lets prompts be read in the order in which they came, a share at a time."""

    def __init__(self, share_tokens: int) -> None:
        """A turn ends after `share_tokens`. Prompts with two shares left are read together."""
        self._share_tokens = share_tokens
        self._reading: set[Prompt] = set()
        self._waiting: deque[tuple[Prompt, asyncio.Future[None]]] = deque()

    async def begin(self, prompt: Prompt) -> None:
        """Wait for the prompt's turn. :meth:`end` has to follow, whatever happens."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((prompt, turn))
        self._admit()
        await turn

    def end(self, prompt: Prompt) -> None:
        """Its turn is over, or it waits for none any more. Idempotent."""
        self._reading.discard(prompt)
        self._waiting = deque(one for one in self._waiting if one[0] is not prompt)
        self._admit()

    def has_had_its_share(self, prompt: Prompt) -> bool:
        """Whether it is to let another one read."""
        is_enough = prompt.read_tokens >= self._share_tokens and prompt.unread_tokens > 0
        return is_enough and bool(self._waiting)

    def _admit(self) -> None:
        while self._waiting:
            prompt, turn = self._waiting[0]
            tokens = prompt.unread_tokens + sum(one.unread_tokens for one in self._reading)
            if self._reading and tokens > SHARES_TOGETHER * self._share_tokens:
                return
            self._waiting.popleft()
            self._reading.add(prompt)
            if not turn.done():
                turn.set_result(None)


async def in_turns(
    turns: ReadingTurns, prompt: Prompt, ask: Callable[[], AsyncGenerator[CompletionEvent, None]]
) -> AsyncGenerator[CompletionEvent, None]:
    """The events of a completion from its first token on; `ask` begins it, also once more.

    What was read before it was broken off is found in the slot again.
    """
    while True:
        has_begun = False
        try:
            await turns.begin(prompt)
            async with aclosing(ask()) as events:
                async for event in events:
                    if event.unread_tokens is None:
                        turns.end(prompt)
                        yield event
                    elif not has_begun:
                        prompt.begin(event)
                        has_begun = True
                    else:
                        prompt.unread_tokens = event.unread_tokens
                        if turns.has_had_its_share(prompt):
                            break
                else:
                    return
        finally:
            turns.end(prompt)


def unread(prompt: Sequence[int], held: Sequence[int], replied_tokens: int) -> int:
    """About how many tokens of `prompt` a slot lacks that `held` another one and its reply."""
    common = 0
    for ours, theirs in zip(prompt, held, strict=False):
        if ours != theirs:
            return len(prompt) - common
        common += 1
    return max(1, len(prompt) - common - (replied_tokens if common == len(held) else 0))
