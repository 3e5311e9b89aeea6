"""Guilds' lorebooks on both databases, and what of all that an export holds."""

import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from kept_samples import GUILD, LIMITS, OTHER, book, draft

from bot.chat.personas.guild.kept import KeptFile, Limits, Purged
from bot.errors import LorebookError, NotFound
from bot.store.database import Database
from bot.store.export import export_json

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def later() -> datetime:
    return datetime.now(UTC) + timedelta(minutes=1)


async def test_a_lorebook_is_its_guilds_alone(database: Database) -> None:
    store = database.lorebooks
    kept = await store.add(GUILD, book(), LIMITS, "ann")
    assert (kept.id[:5], kept.name, kept.entries, kept.places) == ("lore:", "Harbour", 3, ())
    assert await store.kept(GUILD, kept.id) == kept == await store.kept_by_key(GUILD, "harbour")
    assert await store.document(GUILD, kept.id) == book().document
    assert await store.kept(OTHER, kept.id) is None
    assert await store.document(OTHER, kept.id) is None
    with pytest.raises(NotFound):
        await store.attach(OTHER, kept.id, "guild", OTHER)
    with pytest.raises(LorebookError, match="already"):
        await store.add(GUILD, book("HARBOUR"), LIMITS, "ann")


async def test_where_a_book_counts(database: Database) -> None:
    store = database.lorebooks
    first = await store.add(GUILD, book("A"), LIMITS, "ann")
    second = await store.add(GUILD, book("B"), LIMITS, "ann")
    assert await store.attach(GUILD, first.id, "guild", GUILD)
    assert await store.attach(GUILD, second.id, "channel", "discord:100")
    assert await store.attach(GUILD, second.id, "persona", "file:ada")
    assert not await store.attach(GUILD, second.id, "persona", "file:ada")

    async def found(*places: tuple[str, str]) -> list[str]:
        return [each.name for each in await store.attached(GUILD, places)]  # type: ignore[arg-type]

    assert await found(("guild", GUILD), ("channel", "discord:100")) == ["A", "B"]
    assert await found(("persona", "file:ada"), ("channel", "discord:100")) == ["B"]
    assert await found(("channel", "file:ada")) == await found() == []
    [now] = await store.attached(GUILD, [("persona", "file:ada")])
    assert now.places == (("channel", "discord:100"), ("persona", "file:ada"))
    assert await store.attached(OTHER, [("guild", GUILD)]) == []
    assert await store.detach(GUILD, second.id, "persona", "file:ada")
    assert not await store.detach(GUILD, second.id, "persona", "file:ada")
    assert await found(("persona", "file:ada")) == []


async def test_a_deletion_can_be_undone_with_its_places(database: Database) -> None:
    store = database.lorebooks
    kept = await store.add(GUILD, book(), LIMITS, "ann")
    await store.attach(GUILD, kept.id, "guild", GUILD)
    await store.remove(GUILD, kept.id, "ann")
    assert await store.attached(GUILD, [("guild", GUILD)]) == []
    back = await store.restore(GUILD, kept.id, LONG_AGO)
    assert back.places == (("guild", GUILD),)
    await store.remove(GUILD, kept.id, "ann")
    assert await database.personas.purge(later()) == Purged((kept.id,), ())
    with pytest.raises(NotFound):
        await store.restore(GUILD, kept.id, LONG_AGO)


async def test_books_and_personas_share_a_guilds_room(database: Database) -> None:
    limits = Limits(lorebooks=2, total_bytes=3_000)
    await database.personas.add(GUILD, draft(document=b"[" + b" " * 1_000 + b"]"), limits, "ann")
    kept = await database.lorebooks.add(GUILD, book("A", 1_000), limits, "ann")
    for attempt in (
        database.lorebooks.add(GUILD, book("B", 1_000), limits, "ann"),
        database.lorebooks.change(GUILD, kept.id, book("A", 2_000), limits, "ann"),
    ):
        with pytest.raises(LorebookError, match="MiB"):
            await attempt
    changed = await database.lorebooks.change(GUILD, kept.id, book("A2", 10), limits, "ben")
    assert (changed.name, changed.revision, changed.edited_by) == ("A2", 2, "ben")
    await database.lorebooks.add(GUILD, book("B"), limits, "ann")
    with pytest.raises(LorebookError, match="2 lorebooks"):
        await database.lorebooks.add(GUILD, book("C"), limits, "ann")


async def test_an_export_holds_all_of_it(database: Database, database_url: str) -> None:
    files = [KeptFile("picture", "", b"\x89PNG"), KeptFile("file", "assets/a.ogg", b"\0\1")]
    persona = await database.personas.add(GUILD, draft(files=files, digest="d1"), LIMITS, "ann")
    kept = await database.lorebooks.add(GUILD, book(), LIMITS, "ann")
    await database.lorebooks.attach(GUILD, kept.id, "persona", persona.id)
    await database.casts.add_to_cast("discord:100", GUILD, persona.id, "ann")
    await database.personas.remove(GUILD, persona.id, "ben")
    stream = io.StringIO()
    await export_json(database_url, stream)
    document = json.loads(stream.getvalue())
    [found] = document["personas"]
    assert (found["persona_id"], found["guild_id"], found["name"]) == (persona.id, GUILD, "Ada")
    assert found["deleted_by"] == "ben"
    assert list(found["versions"][0]["document"]) == ["name", "zzz", "aaa"], "in its order"
    assert [(each["name"], each["base64"]) for each in found["files"]] == [
        ("", "iVBORw=="), ("assets/a.ogg", "AAE="),
    ]  # fmt: skip
    [found] = document["lorebooks"]
    assert found["lorebook_id"] == kept.id
    assert found["document"]["entries"] == {}
    assert found["places"] == [{"scope": "persona", "scope_id": persona.id}]
    [found] = document["casts"]
    assert (found["scope_id"], found["persona_id"]) == ("discord:100", persona.id)
