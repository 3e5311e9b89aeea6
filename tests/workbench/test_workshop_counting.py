"""What a card costs is found out beside what else the program does."""

import asyncio

import pytest

from bot.chat.engines import Engines
from bot.engine.fake import FakeEngine
from bot.workbench.workshop.counting import TokenCounter


@pytest.mark.parametrize("is_started", [True, False])
async def test_others_go_on_while_a_lorebook_is_counted(is_started: bool) -> None:
    engine = FakeEngine(["One."])
    if is_started:
        await engine.start()
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    cost = await TokenCounter(Engines.only(engine)).cost(
        {"lorebook": "{{char}} " * 5_000}, char="A"
    )
    beside.cancel()
    assert cost.tokens["lorebook"] >= 1_000
    assert turns > 1
