"""What one webhook may be asked, within the budget of all the bot's requests."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from cogs.showing.request_budget import Attempt, NoRoomError, RequestBudget, Urgency

# What Discord allows of one webhook, whatever the request and the thread; discord.py waits where it
# is told that nothing is left.
WEBHOOK_REQUESTS = 5
WEBHOOK_SECONDS = 2.0
KEPT_FOR_REPLIES = 1  # of those: new messages and last edits find some room behind other edits


class WebhookBudget(RequestBudget):
    """One webhook's share of a budget. All threads of a channel draw from it.

    Edits that the next one makes obsolete give way at once, and come again at their pace.
    """

    def __init__(self, whole: RequestBudget, clock: Callable[[], float] | None = None) -> None:
        """Every request counts in `whole`, too."""
        super().__init__(clock=clock)
        self._whole = whole
        self._now = clock or (lambda: time.monotonic())
        self._recent: deque[float] = deque(maxlen=WEBHOOK_REQUESTS)

    async def acquire(self, priority: Urgency) -> None:
        """Take room for one request. Raises NoRoomError for an edit that is to give way.

        What nobody waits for, but comes once, is not refused: it has no next time.
        """
        oldest = self._now() - WEBHOOK_SECONDS
        while self._recent and self._recent[0] <= oldest:
            self._recent.popleft()
        most = WEBHOOK_REQUESTS - KEPT_FOR_REPLIES
        if priority is Urgency.STREAM and len(self._recent) >= most:
            await asyncio.sleep(0)  # whoever tries again at once lets others go first
            raise NoRoomError
        await self._whole.acquire(priority)

    @asynccontextmanager
    async def one_request(self) -> AsyncGenerator[Attempt, None]:
        """Around one request to the webhook."""
        async with super().one_request() as attempt:
            self._recent.append(self._now())
            yield attempt
