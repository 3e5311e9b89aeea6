"""A stage on the store that ships, each on an empty database of its own."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import at_once
import pytest
from blockbuster import BlockBuster
from conversing import Stage, StageMaker
from empty_database import put_empty_database

from bot.store.connecting.connection import parse_url
from bot.store.connecting.transactions import open_transactions
from bot.store.database import Database


@pytest.fixture(autouse=True)
def _stores_at_once(loop_guard: BlockBuster) -> None:  # pyright: ignore[reportUnusedFunction]
    at_once.allow(loop_guard)


@pytest.fixture
async def set_stage(tmp_path: Path) -> AsyncIterator[StageMaker]:
    """Makes stages: `set_stage(replies=[...])`."""
    file = tmp_path / "caduceus.db"
    await asyncio.to_thread(put_empty_database, file)
    url = parse_url(f"sqlite+aiosqlite:///{file}")
    database = Database(await asyncio.to_thread(open_transactions, url))
    yield lambda **details: Stage(
        database.history,
        database.settings,
        kept_scenes=database.scenes,
        ledger=database.ledger,
        **details,
    )
    await database.close()


@pytest.fixture
async def stage(set_stage: StageMaker) -> Stage:
    """A stage with a scripted engine that says "One.", "Two." and so on."""
    return set_stage()
