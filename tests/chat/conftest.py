"""A stage on every history there is: the one in memory, and the one that ships."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from conversing import Stage, StageMaker
from memory import MemoryHistory, MemorySettings

from bot.store.database import Database


@pytest.fixture(params=["memory", "sqlite"])
async def set_stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[StageMaker]:
    """Makes stages: `set_stage(replies=[...])`."""
    if request.param == "memory":
        history, settings = MemoryHistory(), MemorySettings()
        yield lambda **details: Stage(history, settings, **details)
        return
    database = await Database.open(f"sqlite+aiosqlite:///{tmp_path}/caduceus.db")
    yield lambda **details: Stage(database.history, database.settings, **details)
    await database.close()


@pytest.fixture
async def stage(set_stage: StageMaker) -> Stage:
    """A stage with a scripted engine that says "One.", "Two." and so on."""
    return set_stage()
