"""kill -9 while personas are written: each is there whole, or as it was before."""

import asyncio
import random
from pathlib import Path

import pytest
from kept_samples import GUILD
from killing import run_and_kill

from bot.store.checks import check
from bot.store.database import Database

pytestmark = pytest.mark.slow

ROUNDS = 3
CHILD = """
import asyncio, sys
sys.path.insert(0, sys.argv[3])
from bot.chat.personas.guild.kept import KeptFile
from bot.store.database import Database
from kept_samples import GUILD, LIMITS, draft

def say(*words):
    print(*words, flush=True)

async def main():
    database = await Database.open(sys.argv[1])
    store = database.personas
    say("open")
    number = int(sys.argv[2])
    while True:
        number += 1
        files = [KeptFile("picture", "", bytes([number % 256]) * 200_000)]
        kept = await store.add(
            GUILD, draft(f"P{number}", files=files, digest=f"d{number}"), LIMITS, "ann"
        )
        say("added", kept.id, kept.version)
        changed = draft(f"P{number}", version="v-2", document=b"{}" * 50_000, files=None)
        kept = await store.change(GUILD, kept.id, changed, LIMITS, "ann", revision=1)
        say("changed", kept.id, kept.version)
        if number % 3 == 0:
            await store.remove(GUILD, kept.id, "ann")
            say("removed", kept.id, kept.version)

asyncio.run(main())
"""


async def test_kill_9_while_personas_are_written(sqlite_url: str) -> None:
    dice = random.Random()
    last: dict[str, list[str]] = {}
    for round_number in range(ROUNDS):
        start = round_number * 10_000
        lines = await asyncio.to_thread(
            run_and_kill, CHILD, sqlite_url, start, dice.uniform(0.05, 0.5), Path(__file__).parent
        )
        if not last and not lines:  # on a busy machine a child may be killed before its first one
            lines = await asyncio.to_thread(
                run_and_kill, CHILD, sqlite_url, start + 5_000, 10, Path(__file__).parent
            )
        last |= {persona_id: [step, version] for step, persona_id, version in lines}
        database = await Database.open(sqlite_url)
        try:
            for persona_id, (step, version) in last.items():
                found = await database.personas.document(GUILD, persona_id)
                if step == "removed":
                    assert found is None
                elif found is None:  # the removal was done, and not told any more
                    assert step == "changed"
                else:
                    assert found.version == version or (step, found.version) == ("added", "v-2")
                    files = await database.personas.files(GUILD, persona_id, picture_only=True)
                    assert len(files[0].content) == 200_000
        finally:
            await database.close()
        assert await check(sqlite_url) == []
    assert last
