"""Guilds' own personas on both databases."""

import asyncio
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from kept_samples import GUILD, LIMITS, OTHER, draft
from store_samples import forget

from bot.chat.messages import ChannelKey
from bot.chat.personas.guild.kept import KeptFile, Limits, Purged
from bot.errors import NotAllowed, NotFound, PersonaError
from bot.store.checks import check
from bot.store.database import Database
from bot.store.personas.access import number_of

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
SOON = timedelta(minutes=1)
PICTURE = KeptFile("picture", "", b"\x89PNG pixels")


def moment() -> datetime:
    return datetime.now(UTC)


async def test_what_was_kept_is_found_by_its_guild_alone(database: Database) -> None:
    store = database.personas
    kept = await store.add(GUILD, draft(files=[PICTURE], digest="d1"), LIMITS, "ann")
    assert kept.id.startswith("guild:")
    assert (kept.name, kept.created_by, kept.revision, kept.picture_digest) == (
        "Ada", "ann", 1, "d1",
    )  # fmt: skip
    assert kept.size_bytes == len(draft().document) + len(PICTURE.content)
    assert await store.kept(GUILD, kept.id) == kept
    assert await store.kept_by_key(GUILD, "ada") == kept
    assert await store.all_kept(GUILD) == [kept]
    document = await store.document(GUILD, kept.id)
    assert document is not None
    assert document.document == draft().document, "byte by byte"
    assert await store.files(GUILD, kept.id, picture_only=True) == [PICTURE]
    assert await store.kept_among(GUILD, [kept.id, "guild:99", "file:1", ""]) == [kept]
    assert await store.kept_among(OTHER, [kept.id]) == []
    assert await store.kept(OTHER, kept.id) is None
    assert await store.kept_by_key(OTHER, "ada") is None
    assert await store.all_kept(OTHER) == []
    assert await store.document(OTHER, kept.id) is None
    assert await store.files(OTHER, kept.id, picture_only=False) == []
    for attempt in (store.remove(OTHER, kept.id, "x"), store.restore(OTHER, kept.id, LONG_AGO)):
        with pytest.raises(NotFound):
            await attempt


@pytest.mark.parametrize(
    "reference", ["", "guild:", "guild:x", "guild:0", "guild:-1", "guild:1e3", "guild:" + "9" * 40,
                  "guild:\u0661", "file:1", "1"],
)  # fmt: skip
async def test_an_id_that_is_none_finds_nobody(database: Database, reference: str) -> None:
    await database.personas.add(GUILD, draft(), LIMITS, "ann")
    assert await database.personas.kept(GUILD, reference) is None


def test_numbers_of_ids() -> None:
    assert number_of("guild:12", "guild:{}") == 12
    assert number_of("lore:12", "guild:{}") == 0


async def test_a_name_is_taken_once_in_a_guild_until_it_is_deleted(database: Database) -> None:
    store = database.personas
    first = await store.add(GUILD, draft("Ada"), LIMITS, "ann")
    with pytest.raises(PersonaError, match="already"):
        await store.add(GUILD, draft("ADA"), LIMITS, "ben")
    await store.add(OTHER, draft("Ada"), LIMITS, "ben")
    await store.remove(GUILD, first.id, "ann")
    second = await store.add(GUILD, draft("ada"), LIMITS, "ben")
    assert second.id != first.id
    with pytest.raises(PersonaError, match="already"):
        await store.restore(GUILD, first.id, LONG_AGO)


async def test_many_at_once_take_a_name_once(database: Database) -> None:
    tries = [database.personas.add(GUILD, draft("Ada"), LIMITS, "ann") for _ in range(5)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sorted(type(each).__name__ for each in results) == ["KeptPersona"] + 4 * ["PersonaError"]


async def test_an_edit_keeps_the_earlier_version_and_the_files(database: Database) -> None:
    store = database.personas
    kept = await store.add(GUILD, draft(files=[PICTURE], digest="d1"), LIMITS, "ann")
    changed = draft("Ada L.", version="v-2", document=b'{"name":"Ada L."}', files=None)
    done = await store.change(GUILD, kept.id, changed, LIMITS, "ben", revision=1)
    assert done is not None
    assert (done.id, done.name, done.version, done.revision) == (kept.id, "Ada L.", "v-2", 2)
    assert (done.created_by, done.edited_by, done.picture_digest) == ("ann", "ben", "d1")
    assert await store.files(GUILD, kept.id, picture_only=False) == [PICTURE]
    before = await store.document(GUILD, kept.id, "v-1")
    assert before is not None
    assert before.document == draft().document
    assert await store.change(GUILD, kept.id, changed, LIMITS, "cat", revision=1) is None
    with pytest.raises(NotFound):
        await store.change(GUILD, "guild:99", changed, LIMITS, "cat", revision=1)


async def test_of_the_versions_the_newest_stay(database: Database) -> None:
    store, limits = database.personas, Limits(versions=3)
    kept = await store.add(GUILD, draft(version="v-0"), limits, "ann")
    # An old text that comes again is the newest one.
    for revision, version in enumerate(["v-1", "v-2", "v-1", "v-3", "v-4"], 1):
        changed = draft(version=version, files=None)
        assert await store.change(GUILD, kept.id, changed, limits, "ann", revision=revision)
    there = [v for v in range(5) if await store.document(GUILD, kept.id, f"v-{v}") is not None]
    assert there == [1, 3, 4]
    now = await store.kept(GUILD, kept.id)
    assert now is not None
    assert now.size_bytes == 3 * len(draft().document)


async def test_a_guild_has_its_limits(database: Database) -> None:
    store = database.personas
    few = Limits(personas=2, total_bytes=900)
    kept = await store.add(GUILD, draft("A"), few, "ann")
    large = draft("B", document=b"[" + b" " * 990 + b"]")
    with pytest.raises(PersonaError, match="MiB"):
        await store.add(GUILD, large, few, "ann")
    with pytest.raises(PersonaError, match="MiB"):
        await store.change(GUILD, kept.id, large, few, "ann", revision=1)
    assert await store.all_kept(GUILD) == [kept], "refused whole"
    await store.add(GUILD, draft("B"), few, "ann")
    with pytest.raises(PersonaError, match="2 personas"):
        await store.add(GUILD, draft("C"), few, "ann")
    await store.add(OTHER, draft("C"), few, "ann")


async def test_a_deletion_can_be_undone_until_it_is_purged(database: Database) -> None:
    store = database.personas
    kept = await store.add(GUILD, draft(files=[PICTURE], digest="d1"), LIMITS, "ann")
    await database.casts.add_to_cast("discord:1", GUILD, kept.id, "ann")
    gone = await store.remove(GUILD, kept.id, "ben")
    assert gone.deleted_at is not None
    assert await store.kept(GUILD, kept.id) is None
    assert await store.document(GUILD, kept.id) is None
    with pytest.raises(NotFound):
        await store.remove(GUILD, kept.id, "ben")
    assert await store.purge(gone.deleted_at - SOON) == Purged()
    back = await store.restore(GUILD, kept.id, gone.deleted_at)
    assert back == kept == await store.restore(GUILD, kept.id, LONG_AGO), "twice is once"
    await store.remove(GUILD, kept.id, "ben")
    with pytest.raises(NotFound, match="for good"):
        await store.restore(GUILD, kept.id, moment() + SOON)
    assert await store.purge(moment() + SOON) == Purged((kept.id,), ("d1",))
    with pytest.raises(NotFound):
        await store.restore(GUILD, kept.id, LONG_AGO)
    assert await database.casts.cast("discord:1") == []
    assert await store.purge(moment() + SOON) == Purged()


async def test_a_deleted_ones_versions_are_read_until_it_is_purged(database: Database) -> None:
    store = database.personas
    kept = await store.add(GUILD, draft(), LIMITS, "ann")
    newer = draft(version="v-2", document=b"{}", files=None)
    await store.change(GUILD, kept.id, newer, LIMITS, "ben", revision=1)
    await store.remove(GUILD, kept.id, "ben")
    for version, text in (("v-1", draft().document), ("v-2", b"{}")):
        found = await store.document(GUILD, kept.id, version)
        assert found is not None
        assert found.document == text
    assert await store.document(GUILD, kept.id) is None
    assert await store.document(GUILD, kept.id, "v-3") is None
    assert await store.document(OTHER, kept.id, "v-1") is None
    await store.purge(moment() + SOON)
    assert await store.document(GUILD, kept.id, "v-1") is None


async def test_a_picture_that_another_has_too_is_not_told_to_be_gone(database: Database) -> None:
    store = database.personas
    kept = await store.add(GUILD, draft(files=[PICTURE], digest="d1"), LIMITS, "ann")
    await store.add(OTHER, draft(files=[PICTURE], digest="d1"), LIMITS, "ann")
    await store.remove(GUILD, kept.id, "ann")
    assert await store.purge(moment() + SOON) == Purged((kept.id,), ())


async def test_a_number_is_never_used_again(database: Database) -> None:
    store = database.personas
    first = await store.add(GUILD, draft(), LIMITS, "ann")
    await store.remove(GUILD, first.id, "ann")
    await store.purge(moment() + SOON)
    second = await store.add(GUILD, draft(), LIMITS, "ann")
    assert second.id != first.id


async def test_a_guild_that_is_removed_takes_all_along(database: Database) -> None:
    store = database.personas
    ours = await store.add(GUILD, draft(files=[PICTURE], digest="d1"), LIMITS, "ann")
    theirs = await store.add(OTHER, draft(), LIMITS, "ann")
    await database.casts.add_to_cast("discord:1", GUILD, "file:bram", "ann")
    await database.casts.add_to_cast("discord:2", OTHER, "file:bram", "ann")
    assert await store.remove_guild(GUILD) == Purged((ours.id,), ("d1",))
    assert await store.all_kept(GUILD) == []
    assert await store.all_kept(OTHER) == [theirs]
    assert await database.casts.cast("discord:1") == []
    assert await database.casts.cast("discord:2") == ["file:bram"]


async def test_erasing_a_person_leaves_the_guilds_persona(
    database: Database, database_url: str
) -> None:
    store = database.personas
    kept = await store.add(GUILD, draft(), LIMITS, "ann")
    await store.change(GUILD, kept.id, draft(files=None), LIMITS, "ben", revision=1)
    await forget(database.history, "ann")
    now = await store.kept(GUILD, kept.id)
    assert now is not None
    assert (now.created_by, now.edited_by) == ("", "ben")
    assert await check(database_url) == []


async def test_a_cast_keeps_its_order_and_its_limit(database: Database) -> None:
    casts, scope = database.casts, "discord:100"
    assert await casts.add_to_cast(scope, GUILD, "file:bram", "ann")
    assert await casts.add_to_cast(scope, GUILD, "file:ada", "ann")
    assert not await casts.add_to_cast(scope, GUILD, "file:bram", "ben")
    assert await casts.cast(scope) == ["file:bram", "file:ada"]
    assert await casts.cast(str(ChannelKey("discord", "200"))) == []
    assert await casts.remove_from_cast(scope, "file:bram")
    assert not await casts.remove_from_cast(scope, "file:bram")
    for number in range(24):
        await casts.add_to_cast(scope, None, f"file:{number}", "ann")
    with pytest.raises(NotAllowed, match="limit"):
        await casts.add_to_cast(scope, None, "file:more", "ann")


async def test_what_was_purged_is_gone_from_the_file(sqlite_url: str, sqlite_file: Path) -> None:
    secret = b"a picture that nobody may find again " * 40
    database = await Database.open(sqlite_url)
    try:
        store = database.personas
        files = [KeptFile("picture", "", secret)]
        kept = await store.add(GUILD, draft(files=files, digest="d1"), LIMITS, "ann")
        await store.add(GUILD, draft("Bram"), LIMITS, "ann")
        await store.remove(GUILD, kept.id, "ann")
        await store.purge(moment() + SOON)
        while await database.personas.transactions.reclaim():
            pass
        assert [each.name for each in await store.all_kept(GUILD)] == ["Bram"]
    finally:
        await database.close()
    content = await asyncio.to_thread(sqlite_file.read_bytes)
    assert b"nobody may find again" not in content


async def test_tidying_up_takes_few_large_rows_at_a_time(sqlite_url: str) -> None:
    size, count = 1_000_000, 12
    database = await Database.open(sqlite_url)
    try:
        store = database.personas
        for number in range(count):
            files = [KeptFile("picture", "", bytes([number]) * size)]
            kept = await store.add(GUILD, draft(f"P{number}", files=files), LIMITS, "ann")
        await store.remove(GUILD, kept.id, "ann")
        await store.purge(moment() + SOON)
        tracemalloc.start()
        try:
            while await store.transactions.reclaim():
                pass
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < count * size / 2
    finally:
        await database.close()
