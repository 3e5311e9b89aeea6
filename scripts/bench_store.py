"""What a large SQLite database costs at the start, and what is reclaimed while the bot is idle.

    PYTHONPATH=. python scripts/bench_store.py start [--megabytes 250] [--folder DIR]

Fills a database (once: a folder that is named is used again), deletes a message that was never
kept, then one that was, and measures a start after each. Then it reclaims everything in steps:
how many, how long the longest held up a writer, how long all of them took.
"""

# pyright: basic
# ruff: noqa: T201
import argparse
import asyncio
import sqlite3
import statistics
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from bot.chat.messages import ChannelKey
from bot.store.connecting.migrate import upgrade
from bot.store.database import Database

CHANNELS = 50
WORDS = "the quick brown fox jumps over the lazy dog and says something about it "
STARTS = 5


def fill(file: Path, megabytes: int) -> int:
    """Questions and answers until the file is that large; returns how many turns that are."""
    turn = 0
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        now = "2026-01-01 12:00:00.000000"
        for number in range(1, CHANNELS + 1):
            connection.execute(
                "INSERT INTO channels (id, platform, platform_channel_id, is_direct)"
                " VALUES (?, 'discord', ?, 0)",
                (number, f"{number}"),
            )
            connection.execute(
                "INSERT INTO conversations (id, channel_id, is_current, created_at)"
                " VALUES (?, ?, 1, ?)",
                (number, number, now),
            )
        while file.stat().st_size < megabytes * 1_000_000:
            for _ in range(2000):
                turn += 1
                channel, is_reply = turn // 2 % CHANNELS + 1, turn % 2 == 0
                connection.execute(
                    "INSERT INTO turns (id, conversation_id, role, speaker_id, speaker_name,"
                    " speaker_is_bot, text, created_at, persona, addressed, is_pending,"
                    " active_swipe) VALUES (?, ?, ?, ?, 'Somebody', ?, ?, ?, '', ?, 0, 0)",
                    (
                        turn,
                        channel,
                        "bot" if is_reply else "user",
                        f"{turn % 97}",
                        is_reply,
                        "" if is_reply else WORDS * (turn % 5 + 1),
                        now,
                        not is_reply,
                    ),
                )
                connection.execute(
                    "INSERT INTO messages (channel_id, message_id, turn_id, position)"
                    " VALUES (?, ?, ?, 0)",
                    (channel, f"{10**18 + turn}", turn),
                )
                if is_reply:
                    connection.execute(
                        "UPDATE turns SET answered_by = ? WHERE id = ?", (turn, turn - 1)
                    )
                    connection.execute(
                        "INSERT INTO swipes (turn_id, position, text, state)"
                        " VALUES (?, 0, ?, 'whole')",
                        (turn, WORDS * (turn % 13 + 1)),
                    )
            connection.commit()
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return turn


async def measured_start(url: str) -> float:
    """Seconds until the database is open."""
    began = time.perf_counter()
    database = await Database.open(url)
    seconds = time.perf_counter() - began
    await database.close()
    return seconds


async def delete(url: str, channel: str, message_id: str) -> None:
    """What the bot does when Discord tells of a deletion."""
    database = await Database.open(url)
    await database.history.delete_messages(ChannelKey("discord", channel), [message_id])
    await database.close()


async def start(folder: Path, megabytes: int) -> None:
    """The measurement."""
    file = folder / "bench.db"
    url = f"sqlite+aiosqlite:///{file}"
    await upgrade(url)
    if file.stat().st_size < megabytes * 1_000_000:
        turns = await asyncio.to_thread(fill, file, megabytes)
        print(f"{turns} turns, {file.stat().st_size / 1e6:.0f} MB")
    starts = [await measured_start(url) for _ in range(STARTS)]
    print(f"start, nothing erased:                  {statistics.median(starts) * 1000:8.0f} ms")
    await delete(url, "1", "never kept")
    print(f"start after a deletion of nothing kept: {await measured_start(url) * 1000:8.0f} ms")
    await delete(url, "2", f"{10**18 + 103}")
    print(f"start after a deletion:                 {await measured_start(url) * 1000:8.0f} ms")
    database = await Database.open(url)
    steps: list[float] = []
    more = hasattr(database, "reclaim")
    while more:
        began = time.perf_counter()
        more = await database._transactions.reclaim()
        steps.append(time.perf_counter() - began)
    if steps:
        steps.sort()
        print(
            f"reclaimed in {len(steps)} steps, {sum(steps):.1f} s; a step's median "
            f"{steps[len(steps) // 2] * 1000:.0f} ms, 99th percentile "
            f"{steps[len(steps) * 99 // 100] * 1000:.0f} ms, longest {steps[-1] * 1000:.0f} ms"
        )
    await database.close()
    await delete(url, "3", f"{10**18 + 105}")
    database = await Database.open(url)
    if hasattr(database, "reclaim"):
        began = time.perf_counter()
        await database.reclaim()
        print(f"reclaimed all at once:                  {time.perf_counter() - began:8.1f} s")
    await database.close()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["start"])
    parser.add_argument("--megabytes", type=int, default=250)
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    if args.folder is not None:
        args.folder.mkdir(parents=True, exist_ok=True)
        asyncio.run(start(args.folder, args.megabytes))
        return
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(start(Path(folder), args.megabytes))


if __name__ == "__main__":
    sys.exit(main())
