"""What was written for whom on a day, kept."""

import asyncio
import io
import json
from datetime import date, timedelta

from store_samples import forget

from bot.store.database import Database
from bot.store.export import export_json

GUILD, OTHER = "discord:1", "discord:2"
TODAY, TOMORROW = date(2026, 5, 1), date(2026, 5, 2)


async def test_a_count_is_of_a_day_a_place_and_a_person(database: Database) -> None:
    ledger = database.ledger
    await ledger.spend(GUILD, {"ann": 5, "ben": 2}, TODAY)
    await ledger.spend(GUILD, {"ann": 7}, TODAY)
    await ledger.spend(OTHER, {"ann": 1}, TODAY)
    assert await ledger.spent(GUILD, "ann", TODAY) == 12
    assert await ledger.spent(GUILD, "ben", TODAY) == 2
    assert await ledger.spent(OTHER, "ann", TODAY) == 1
    assert await ledger.spent(GUILD, "cleo", TODAY) == 0
    assert await ledger.spent(GUILD, "ann", TOMORROW) == 0


async def test_days_before_go_and_absurd_counts_are_bounded(database: Database) -> None:
    ledger = database.ledger
    await ledger.spend(GUILD, {"ann": 2**70, "ben": -4}, TODAY)
    assert await ledger.spent(GUILD, "ann", TODAY) == 2**53
    assert await ledger.spent(GUILD, "ben", TODAY) == 0
    await ledger.spend(OTHER, {"ben": 1}, TOMORROW)
    assert await ledger.spent(GUILD, "ann", TODAY) == 0
    await ledger.forget_before(TOMORROW)
    assert await ledger.spent(OTHER, "ben", TOMORROW) == 1
    await ledger.forget_before(TOMORROW + timedelta(days=1))
    assert await ledger.spent(OTHER, "ben", TOMORROW) == 0


async def test_two_programs_count_together(database: Database, database_url: str) -> None:
    other = await Database.open(database_url)
    try:
        both = (database.ledger, other.ledger) * 10
        await asyncio.gather(*(each.spend(GUILD, {"ann": 1, "ben": 1}, TODAY) for each in both))
        assert await database.ledger.spent(GUILD, "ann", TODAY) == 20
        assert await other.ledger.spent(GUILD, "ben", TODAY) == 20
    finally:
        await other.close()


async def test_it_is_exported_and_goes_with_the_person(
    database: Database, database_url: str
) -> None:
    await database.ledger.spend(GUILD, {"ann": 5, "ben": 2}, TODAY)
    await database.ledger.spend("workbench:x", {"ann": 9}, TODAY)
    await forget(database.history, "ann")
    stream = io.StringIO()
    await export_json(database_url, stream)
    assert json.loads(stream.getvalue())["tokens_spent"] == [
        {"home": GUILD, "speaker_id": "ben", "day": "2026-05-01", "tokens": 2},
        {"home": "workbench:x", "speaker_id": "ann", "day": "2026-05-01", "tokens": 9},
    ]
