"""Guilds' own personas are made, found, edited and exported as they came."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from empty_database import put_empty_database
from making_cards import as_json, card_chunk, picture_bytes, png, shared_cards, v2, v3

from bot.chat.persona import Persona
from bot.chat.personas.cards.card import Card
from bot.chat.personas.cards.reading import read_card
from bot.chat.personas.cards.writing import Format, write_card
from bot.chat.personas.guild.home import GuildPersonas
from bot.chat.personas.guild.pictures import StoredPictures
from bot.chat.personas.guild.workshop import PersonaWorkshop
from bot.chat.personas.homes import EveryHome
from bot.chat.personas.library import PersonaLibrary
from bot.errors import NotAllowed, NotFound, PersonaError
from bot.store.database import Database

GUILD = "1"
NOW = 1_700_000_000


class Shop:
    """The parts as the program puts them together."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.library = PersonaLibrary(folder)
        self.home = GuildPersonas(database.personas)
        self.everybody = EveryHome([self.home, self.library], self.library.default)
        self.ahead = timedelta(0)
        self.workshop = PersonaWorkshop(
            database.personas, self.everybody, self.library, clock=self.clock
        )
        self.pictures = StoredPictures(self.library, self.workshop)

    def clock(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    async def take(self, content: bytes, name: str = "") -> Persona:
        return await self.workshop.take(GUILD, read_card(content, "card"), "ann", name)


@pytest_asyncio.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    folder = tmp_path / "personas"
    folder.mkdir()
    (folder / "ada.toml").write_text('name = "Ada"\ndescription = "The owner\'s."\n')
    (folder / "pia.png").write_bytes(png(card_chunk("chara", v2(name="Pia"))))
    await asyncio.to_thread(put_empty_database, tmp_path / "test.db")
    database = await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'test.db'}")
    yield await asyncio.to_thread(Shop, database, folder)
    await database.close()


def own_json(card: Card) -> object:
    return json.loads(write_card(card, Format(card.version.value), NOW).content)


async def test_a_guilds_own_persona_speaks_in_its_guild_alone(shop: Shop) -> None:
    made = await shop.workshop.create(GUILD, {"name": "Mira", "description": "Kind."}, "ann")
    assert made.guild_id == GUILD
    for reference in (made.id, "mira", " MIRA "):
        found = await shop.everybody.find(GUILD, reference)
        assert found == made
        assert found.version == made.version
        assert await shop.everybody.find("2", reference) is None
        assert await shop.everybody.find(None, reference) is None
    assert [each.name for each in await shop.everybody.entries(GUILD)] == ["Ada", "Mira", "Pia"]
    assert [each.name for each in await shop.everybody.listed(GUILD)] == ["Ada", "Mira", "Pia"]
    assert [each.name for each in await shop.everybody.entries(None)] == ["Ada", "Pia"]


async def test_names_are_unique_where_they_can_be_used(shop: Shop) -> None:
    with pytest.raises(PersonaError, match=r"«Ada» already.*«ada \(2\)»"):
        await shop.workshop.create(GUILD, {"name": "ada"}, "ann")
    assert await shop.workshop.free_name(GUILD, "Ada") == "Ada (2)"
    await shop.workshop.create(GUILD, {"name": "Ada (2)"}, "ann")
    assert await shop.workshop.free_name(GUILD, "ADA") == "ADA (3)"
    assert await shop.workshop.free_name(GUILD, "Zoe") == "Zoe"
    long = "x" * 80
    await shop.workshop.create(GUILD, {"name": long}, "ann")
    assert await shop.workshop.free_name(GUILD, long) == "x" * 76 + " (2)"
    for bad in ("guild:1", "file:ada", "", "a\nb", "y" * 81):
        with pytest.raises(PersonaError):
            await shop.workshop.create(GUILD, {"name": bad}, "ann")


ODD = {
    "zzz_top": {"b": 1, "a": [1.5, None, True, "\0 \U0001f600", 10**30]},
    **v3(
        description="She.",
        extensions={"z": {"deep": [{}]}, "a": 1, "depth_prompt": {"prompt": "p", "depth": 2}},
        character_book={"entries": [{"keys": ["b"], "content": "x", "odd": 1}], "name": ""},
        assets=[{"type": "icon", "uri": "ccdefault:", "name": "main", "ext": "png"}],
        unknown_field="kept",
    ),
}


@pytest.mark.parametrize("document", [ODD, v2(x=1), {"char_name": "Old", "char_persona": "p"}])
async def test_a_card_comes_out_as_it_came(shop: Shop, document: dict[str, object]) -> None:
    made = await shop.take(as_json(document))
    card = await shop.workshop.card(made)
    out = own_json(card)
    assert out == document
    assert list(out) == list(document)  # type: ignore[call-overload]


async def test_every_real_card_comes_out_as_it_came(shop: Shop) -> None:
    folder = shared_cards()
    if folder is None:
        pytest.skip("no real cards here")
    taken = 0
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.stat().st_size > 1_000_000:
            continue
        try:
            card = await asyncio.to_thread(read_card, path.read_bytes(), path.name)
        except PersonaError:
            continue
        name = await shop.workshop.free_name(GUILD, f"Card {taken}")
        made = await shop.workshop.take(GUILD, card, "ann", name)
        back = await shop.workshop.card(made)
        again = await asyncio.to_thread(read_card, as_json(own_json(back)), "again.json")
        assert again.persona.description == card.persona.description, path.name
        assert (back.files.keys(), back.chunks) == (card.files.keys(), card.chunks), path.name
        taken += 1
        if taken == 25:
            break
    assert taken > 5


async def test_the_picture_and_other_texts_come_along(shop: Shop) -> None:
    picture = picture_bytes((300, 200), "PNG")
    content = png(
        card_chunk("chara", v2(name="Nova")), card_chunk("other", {"a": 1}), picture=picture
    )
    made = await shop.take(content)
    found = await shop.pictures.find(made)
    assert found is not None
    assert (await found.read())[:8] == b"\x89PNG\r\n\x1a\n"
    exported = write_card(await shop.workshop.card(made), Format.PNG, NOW)
    assert b"other\0" in exported.content
    again = await shop.workshop.take(GUILD, read_card(exported.content, "x.png"), "ann", "Nova 2")
    second = await shop.pictures.find(again)
    assert second is not None
    assert second.digest == found.digest, "one emoji serves both"


async def test_pictures_of_files_are_found_by_their_content(shop: Shop, tmp_path: Path) -> None:
    pia, ada = await shop.everybody.find(None, "Pia"), await shop.everybody.find(None, "Ada")
    assert pia is not None
    assert ada is not None
    assert await shop.pictures.find(ada) is None
    first = await shop.pictures.find(pia)
    assert first is not None
    assert (await first.read()).startswith(b"\x89PNG")
    other = png(card_chunk("chara", v2(name="Pia")), picture=picture_bytes((30, 60)))
    await asyncio.to_thread((tmp_path / "personas" / "pia.png").write_bytes, other)
    second = await shop.pictures.find(pia)
    assert second is not None
    assert second.digest != first.digest


async def test_an_edit_changes_what_was_said_and_nothing_else(shop: Shop) -> None:
    made = await shop.take(as_json(ODD))
    changes = {"description": "He.", "tags": ("a",), "summary": "one line", "name": "Novo"}
    assert await shop.everybody.find(GUILD, made.id) == made, "in memory by now"
    edited = await shop.workshop.edit(made, changes, "ben")
    assert (edited.id, edited.description, edited.name) == (made.id, "He.", "Novo")
    assert await shop.everybody.find(GUILD, made.id) == edited
    assert await shop.everybody.find(GUILD, "Nova") is None
    card = await shop.workshop.card(edited)
    document = dict(card.document)
    assert document["zzz_top"] == ODD["zzz_top"]
    data = dict(document["data"])  # type: ignore[call-overload]
    assert data["unknown_field"] == "kept"
    assert data["character_book"] == ODD["data"]["character_book"]  # type: ignore[index]
    assert (data["description"], data["name"]) == ("He.", "Novo")
    before = await shop.everybody.at_version(GUILD, made.id, made.version)
    assert before is not None
    assert (before.description, before.version) == ("She.", made.version)
    assert await shop.everybody.at_version("2", made.id, made.version) is None


async def test_edits_at_once_all_count_where_they_are_of_other_fields(shop: Shop) -> None:
    made = await shop.workshop.create(GUILD, {"name": "Mira"}, "ann")
    await asyncio.gather(
        *(
            shop.workshop.edit(made, {field: "new"}, "ann", before={field: ""})
            for field in ("description", "scenario", "greeting")
        )
    )
    now = await shop.everybody.find(GUILD, made.id)
    assert now is not None
    assert (now.description, now.scenario, now.greeting) == ("new", "new", "new")
    with pytest.raises(PersonaError, match="Somebody else"):
        await shop.workshop.edit(made, {"greeting": "mine"}, "ben", before={"greeting": ""})
    with pytest.raises(PersonaError, match="«Ada» already"):
        await shop.workshop.edit(made, {"name": "ADA"}, "ben")


async def test_the_owners_personas_are_not_edited_here(shop: Shop) -> None:
    ada = await shop.everybody.find(GUILD, "Ada")
    assert ada is not None
    for attempt in (
        shop.workshop.edit(ada, {"description": "x"}, "ann"),
        shop.workshop.delete(ada, "ann"),
    ):
        with pytest.raises(NotAllowed, match="owner"):
            await attempt
    card = await shop.workshop.card(ada)
    copy = await shop.workshop.take(GUILD, card, "ann", "Ada, too")
    assert (copy.description, copy.guild_id) == ("The owner's.", GUILD)


async def test_a_deletion_can_be_undone_for_ten_minutes(shop: Shop) -> None:
    gone: list[str] = []

    async def told(digest: str) -> None:
        gone.append(digest)

    shop.workshop.on_picture_gone(told)
    made = await shop.take(png(card_chunk("chara", v2(name="Nova"))))
    picture = await shop.pictures.find(made)
    assert picture is not None
    await shop.workshop.delete(made, "ann")
    assert await shop.everybody.find(GUILD, made.id) is None
    assert await shop.pictures.find(made) is None
    shop.ahead = timedelta(minutes=9)
    await shop.workshop.purge()
    await shop.workshop.restore(GUILD, made.id)
    assert await shop.everybody.find(GUILD, made.id) == made
    shop.ahead = timedelta(0)
    await shop.workshop.delete(made, "ann")
    shop.ahead = timedelta(minutes=11)
    with pytest.raises(NotFound):
        await shop.workshop.restore(GUILD, made.id)
    await shop.workshop.purge()
    assert gone == [picture.digest]


async def test_a_picture_is_set_changed_and_removed(shop: Shop) -> None:
    gone: list[str] = []

    async def told(digest: str) -> None:
        gone.append(digest)

    shop.workshop.on_picture_gone(told)
    made = await shop.take(as_json(v2(name="Nova", extensions={"x": 1})))
    digests: list[str] = []
    secret = picture_bytes((40, 60), "JPEG", comment=b"secret place")
    for content in (secret, picture_bytes((50, 30), "WEBP")):
        await shop.workshop.set_picture(made, content, "ben")
        found = await shop.pictures.find(made)
        assert found is not None
        kept = await found.read()
        assert kept.startswith(b"\x89PNG")
        assert b"secret" not in kept
        digests.append(found.digest)
    assert gone == digests[:1], "the emoji of the old one is free"
    row = await shop.workshop.kept(made)
    assert row is not None
    assert (row.revision, row.edited_by, row.version) == (3, "ben", made.version)
    assert await shop.everybody.find(GUILD, "nova") == made, "its texts are the same version"
    assert (await shop.workshop.card(made)).document == v2(name="Nova", extensions={"x": 1})
    for _ in range(2):
        await shop.workshop.set_picture(made, None, "ben")
    assert await shop.pictures.find(made) is None
    assert gone == digests
    kept_now = await shop.workshop.kept(made)
    assert kept_now is not None
    assert kept_now.revision == 4, "there was nothing more to remove"


async def test_a_picture_that_two_have_stays(shop: Shop) -> None:
    gone: list[str] = []

    async def told(digest: str) -> None:
        gone.append(digest)

    shop.workshop.on_picture_gone(told)
    first = await shop.workshop.create(GUILD, {"name": "Ann"}, "ann")
    second = await shop.workshop.create(GUILD, {"name": "Ben"}, "ann")
    for each in (first, second):
        await shop.workshop.set_picture(each, picture_bytes(), "ann")
    await shop.workshop.set_picture(first, None, "ann")
    assert gone == []
    assert await shop.pictures.find(second) is not None


async def test_a_picture_and_an_edit_at_once_both_count(shop: Shop) -> None:
    made = await shop.workshop.create(GUILD, {"name": "Nova"}, "ann")
    await asyncio.gather(
        *(shop.workshop.edit(made, {field: "x"}, "ann") for field in ("description", "scenario")),
        shop.workshop.set_picture(made, picture_bytes(), "ben"),
    )
    found = await shop.everybody.find(GUILD, made.id)
    assert found is not None
    assert (found.description, found.scenario) == ("x", "x")
    assert await shop.pictures.find(made) is not None


def claimed(width: int, height: int) -> bytes:
    """A picture that says that it is larger than it is."""
    content = bytearray(picture_bytes((8, 8), mode="1"))
    content[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"hello", "not a picture"),
        (claimed(60_000, 60_000), "million are the limit"),
        (picture_bytes((30, 30))[:-40], "broken"),
    ],
    ids=["text", "bomb", "cut off"],
)
async def test_a_picture_that_cannot_be_shown_changes_nothing(
    shop: Shop, content: bytes, part: str
) -> None:
    made = await shop.take(png(card_chunk("chara", v2(name="Nova"))))
    before = await shop.pictures.find(made)
    with pytest.raises(PersonaError, match=part) as refused:
        await shop.workshop.set_picture(made, content, "ann", file_name="me.png")
    assert "me.png" in str(refused.value)
    after = await shop.pictures.find(made)
    assert before is not None
    assert after is not None
    assert after.digest == before.digest
    with pytest.raises(NotAllowed):
        ada = await shop.everybody.find(GUILD, "Ada")
        assert ada is not None
        await shop.workshop.set_picture(ada, picture_bytes(), "ann")
    await shop.workshop.delete(made, "ann")
    with pytest.raises(NotFound):
        await shop.workshop.set_picture(made, picture_bytes(), "ann")


async def test_a_reply_reads_a_large_persona_once(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await shop.workshop.create(GUILD, {"name": "Mira"}, "ann")
    read: list[str] = []
    original = shop.database.personas.document

    async def document(guild_id: str, persona_id: str, version: str = "") -> object:
        read.append(persona_id)
        return await original(guild_id, persona_id, version)

    monkeypatch.setattr(shop.database.personas, "document", document)
    for _ in range(3):
        await shop.everybody.find(GUILD, made.id)
        await shop.everybody.find(GUILD, "file:ada")
    assert read == [made.id]
    await shop.workshop.edit(made, {"description": "x"}, "ann")
    read.clear()
    other = GuildPersonas(shop.database.personas, cache_bytes=1)  # another program's
    for _ in range(2):
        found = await other.by_id(GUILD, made.id)
        assert found is not None
        assert found.description == "x"
    assert read == [made.id]


async def test_replacing_keeps_the_id(shop: Shop) -> None:
    made = await shop.take(as_json(v2(name="Nova", description="old")))
    card = read_card(as_json(v3(name="NOVA", description="new")), "nova.json")
    replaced = await shop.workshop.replace(made, card, "ben")
    assert (replaced.id, replaced.name, replaced.description) == (made.id, "NOVA", "new")
    assert await shop.everybody.find(GUILD, "nova") == replaced
