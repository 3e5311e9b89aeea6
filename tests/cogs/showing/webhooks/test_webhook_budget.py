"""One webhook's share of the budget: replies go, other edits give way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogs.showing.request_budget import NoRoomError, RequestBudget, Urgency
from cogs.showing.webhooks.webhook_budget import (
    KEPT_FOR_REPLIES,
    WEBHOOK_REQUESTS,
    WEBHOOK_SECONDS,
    WebhookBudget,
)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Whole(RequestBudget):
    """Counts what is asked of it."""

    def __init__(self) -> None:
        super().__init__(limit=1_000_000)
        self.granted: list[Urgency] = []

    async def acquire(self, priority: Urgency) -> None:
        self.granted.append(priority)


@given(st.lists(st.tuples(st.floats(0, 3), st.sampled_from(Urgency)), max_size=40))
async def test_edits_never_take_what_is_kept_for_replies(
    asked: list[tuple[float, Urgency]],
) -> None:
    clock, whole = Clock(), Whole()
    budget = WebhookBudget(whole, clock)
    granted: list[float] = []
    refused = 0
    for pause, urgency in asked:
        clock.now += pause
        recent = sum(at > clock.now - WEBHOOK_SECONDS for at in granted)
        try:
            async with budget.reserved(urgency), budget.one_request():
                granted.append(clock.now)
        except NoRoomError:
            refused += 1
            assert urgency is Urgency.STREAM
            assert recent >= WEBHOOK_REQUESTS - KEPT_FOR_REPLIES
        else:
            edits = urgency is Urgency.STREAM
            assert not edits or recent < WEBHOOK_REQUESTS - KEPT_FOR_REPLIES
    assert len(whole.granted) == len(asked) - refused, "each counts once in the whole"


async def test_what_was_reserved_is_one_request_and_more_take_more() -> None:
    whole = Whole()
    budget = WebhookBudget(whole, Clock())
    async with budget.reserved(Urgency.REPLY):
        async with budget.one_request():
            pass
        async with budget.one_request():
            pass
    assert whole.granted == [Urgency.REPLY, Urgency.REPLY]
    with budget.at(Urgency.STREAM), pytest.raises(NoRoomError):
        for _ in range(WEBHOOK_REQUESTS):
            async with budget.one_request():
                pass
