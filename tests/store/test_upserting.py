"""One row a key, on both databases, also where two programs write it at once."""

import asyncio
from datetime import date

from sqlalchemy import select
from store_samples import CHANNEL

from bot.store.database import Database
from bot.store.limits.tables import TokensSpentRow
from bot.store.moderation.tables import LogChannelRow
from bot.store.turns.access import now, take_channel
from bot.store.upserting import add_row, count_up, put_row

KEY = {"platform": "discord", "guild_id": "1"}
SPENT = {"home": "discord:1", "speaker_id": "ann", "day": date(2026, 5, 1)}


def log_in(channel_id: str) -> dict[str, object]:
    return {"channel_id": channel_id, "set_by": "mod", "set_at": now(), "problem": ""}


async def test_a_row_is_put_in_place_of_the_one_that_has_its_key(database: Database) -> None:
    write = database.history.transactions.write
    await write(lambda connection: put_row(connection, LogChannelRow, KEY, log_in("5")))
    await write(lambda connection: put_row(connection, LogChannelRow, KEY, log_in("6")))

    kept = await write(
        lambda connection: connection.scalars(select(LogChannelRow.channel_id)).all()
    )

    assert kept == ["6"]


async def test_a_row_is_added_once(database: Database) -> None:
    write = database.history.transactions.write
    added = [
        await write(lambda connection: add_row(connection, LogChannelRow, KEY | log_in("5")))
        for _ in range(2)
    ]

    assert added == [True, False]


async def test_two_programs_count_together_and_make_a_channel_once(
    database: Database, database_url: str
) -> None:
    other = await Database.open(database_url)
    try:
        write, write_too = database.history.transactions.write, other.history.transactions.write
        await asyncio.gather(
            *(
                each(lambda connection: count_up(connection, TokensSpentRow, SPENT, "tokens", 3))
                for each in (write, write_too)
                for _ in range(4)
            )
        )
        channels = await asyncio.gather(
            *(
                each(lambda connection: take_channel(connection, CHANNEL).id)
                for each in (write, write_too)
                for _ in range(4)
            )
        )
        tokens = await write(lambda connection: connection.scalar(select(TokensSpentRow.tokens)))
    finally:
        await other.close()

    assert tokens == 24
    assert len(set(channels)) == 1
