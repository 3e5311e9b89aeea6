"""A SQLite database with its tables and without rows, without a run of the migrations for each."""

import asyncio
import tempfile
from functools import cache
from pathlib import Path

from bot.store.connecting.connection import parse_url, prepare_file
from bot.store.connecting.migrate import upgrade


def put_empty_database(file: Path) -> None:
    """Write to `file` what the whole chain of migrations makes of nothing.

    The chain runs once a process: a copy costs a hundredth of it. What tests the migrations
    themselves starts without a file instead. Runs a loop of its own: call it in a thread.
    """
    prepare_file(parse_url(f"sqlite+aiosqlite:///{file}"))
    file.write_bytes(_migrated())


@cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory(prefix="caduceus-empty-") as folder:
        file = Path(folder) / "caduceus.db"
        asyncio.run(upgrade(f"sqlite+aiosqlite:///{file}"))
        return file.read_bytes()
