"""`/persona` with a server's own personas: made, imported, edited, deleted, exported."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import simcord
from api_document import check, described
from hypothesis import given
from hypothesis import strategies as st
from making_cards import as_json, card_chunk, picture_bytes, png, v2, v3
from worlds import World, talking, write_personas

from bot.chat.persona import Persona
from bot.chat.personas.cards.reading import read_card
from bot.chat.personas.documents import FILE_BYTES
from bot.errors import NotAllowed, NotFound, PersonaError
from cogs.commands.personas.parts import joined, parts_of

NOVA = v2(
    name="Nova",
    description="She maps *stars*.",
    creator_notes="Best with @everyone **bold**",
    first_mes="Hi.",
    alternate_greetings=["Hey."],
    tags=["space"],
    creator="me",
    character_book={"entries": [{"keys": ["k"], "content": "c", "enabled": True}]},
    extensions={"unknown": {"b": 1, "a": 2}},
)


def refusals(world: World) -> list[type[BaseException]]:
    return [type(getattr(error, "original", error)) for error in world.env.errors]


def said(result: simcord.InteractionResult) -> str:
    response = result.response or result.followups[-1]
    return response.content


def shown(result: simcord.InteractionResult) -> Any:
    assert result.response is not None
    return result.response


def words(result: simcord.InteractionResult) -> str:
    """All that an answer's embeds say."""
    return "\n".join(
        f"{embed.title} {embed.description} "
        + " ".join(f"{f.name}: {f.value}" for f in embed.fields)
        for embed in shown(result).embeds
    )


def labels(result: simcord.InteractionResult) -> list[str]:
    return [
        child.get("label", "") for row in shown(result).components for child in row["components"]
    ]


async def bring(
    world: World, document: object = NOVA, *, actor: simcord.MemberActor | None = None
) -> simcord.InteractionResult:
    """Import a card as far as its preview."""
    content = document if isinstance(document, bytes) else as_json(document)
    who = actor or world.chief
    return await who.slash(world.channel, "persona import", file=("card.png", content))


async def own(world: World, name: str) -> Persona | None:
    found = await world.bot.desk.personas.find(str(world.guild.id), name)
    return found if found is not None and found.guild_id is not None else None


async def make(world: World, **values: object) -> Persona:
    return await world.bot.desk.workshop.create(str(world.guild.id), values, str(world.chief.id))


async def press(
    world: World, result: simcord.InteractionResult, label: str
) -> simcord.InteractionResult:
    return await world.chief.click(shown(result), label=label)


# Import -------------------------------------------------------------------------------------------


async def test_a_card_is_looked_at_before_it_is_taken(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        picture = picture_bytes((60, 80))
        result = await bring(world, png(card_chunk("chara", NOVA), picture=picture))
        assert result.ephemeral
        text = words(result)
        for part in ("Nova", "Greetings: 2", "Lore entries: 1", "space", "tokens", "of the"):
            assert part in text
        assert r"\*stars\*" in text, "no markup of the card's"
        assert [one.filename for one in shown(result).attachments] == ["picture.png"]
        assert labels(result) == ["Import", "Another name", "Cancel"]
        assert await own(world, "Nova") is None
        await press(world, result, "Import")
        assert "one of this server's personas" in shown(result).content
        found = await own(world, "nova")
        assert found is not None
        assert found.description == "She maps *stars*."
        await world.bob.slash(world.channel, "persona use", name="nova")
        await world.ask("hello")
        assert "She maps" in world.engine.requests[-1].prompt
        assert (await world.turns())[-1].persona_id == found.id


async def test_a_cancelled_import_leaves_nothing(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        result = await bring(world)
        await press(world, result, "Cancel")
        assert shown(result).content == "Nothing was imported."
        assert await own(world, "Nova") is None


async def test_a_taken_name_offers_a_free_one_replacing_and_another(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        first = await make(world, name="NOVA", description="old")
        result = await bring(world)
        assert "already" in shown(result).content
        assert labels(result) == ["Import as Nova (2)", "Replace", "Another name", "Cancel"]
        await press(world, result, "Import as Nova (2)")
        assert await own(world, "Nova (2)") is not None
        result = await bring(world)
        await press(world, result, "Replace")
        now = await own(world, "Nova")
        assert now is not None
        assert (now.id, now.description) == (first.id, "She maps *stars*.")
        result = await bring(world)
        form = await press(world, result, "Another name")
        await world.chief.submit_modal(form, {"name": "Stella"})
        stella = await own(world, "Stella")
        assert stella is not None
        card = await world.bot.desk.workshop.card(stella)
        assert card.data["name"] == "Stella"


async def test_a_name_of_the_owners_cannot_be_replaced(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        result = await bring(world, v2(name="ada"))
        assert labels(result) == ["Import as ada (2)", "Another name", "Cancel"]


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"hello", "not a persona file"),
        (as_json({"entries": {}}), "lorebook"),
        (as_json([{"mes": "x", "is_user": True}]), "chat log"),
        (picture_bytes(), "without a card"),
        (b"x" * (FILE_BYTES + 1), "larger than 8 MiB"),
        (as_json(v2(name="guild:1")), "looks like the id"),
    ],
    ids=["text", "lorebook", "chat", "picture", "large", "id"],
)
async def test_what_is_no_card_is_refused_in_one_line(
    tmp_path: Path, content: bytes, part: str
) -> None:
    async with talking(tmp_path) as world:
        result = await bring(world, content)
        assert refusals(world) == [PersonaError]
        assert part in said(result)
        assert "\n" not in said(result)


async def test_who_may_not_change_the_server_is_refused_at_once(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await make(world, name="Eve")
        await bring(world, actor=world.mod)
        for name in ("edit", "delete"):
            await world.mod.slash(world.channel, f"persona {name}", name="Eve")
        await world.mod.slash(world.channel, "persona create")
        assert refusals(world) == [NotAllowed] * 4


async def test_a_newer_import_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        old = await bring(world)
        new = await bring(world, v3(name="Vera"))
        assert "again" in shown(old).content
        assert labels(old) == []
        await press(world, new, "Import")
        assert await own(world, "Vera") is not None


# Export -------------------------------------------------------------------------------------------


async def test_an_export_in_its_own_version_is_the_card_as_it_came(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await press(world, await bring(world), "Import")
        result = await world.bob.slash(world.channel, "persona export", name="Nova", format="v2")
        [file] = shown(result).attachments
        assert file.filename == "Nova.json"
        assert json.loads(await file.read()) == NOVA


@pytest.mark.parametrize("format", ["toml", "v1", "v2", "v3", "png", "charx"])
async def test_every_format_comes_back(tmp_path: Path, format: str) -> None:
    async with talking(tmp_path) as world:
        await press(world, await bring(world, png(card_chunk("chara", NOVA))), "Import")
        result = await world.bob.slash(world.channel, "persona export", name="Nova", format=format)
        [file] = shown(result).attachments
        card = read_card(await file.read(), file.filename)
        found = await own(world, "Nova")
        assert found is not None
        assert (card.persona.name, card.persona.description) == (found.name, found.description)
        result = await world.bob.slash(world.channel, "persona export", name="Ada", format=format)
        assert shown(result).attachments, "the owner's, too"


# Create and edit ----------------------------------------------------------------------------------


async def test_a_persona_is_created_by_a_form_and_goes_on_in_the_editor(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        form = await world.chief.slash(world.channel, "persona create")
        assert form.modal is not None
        values = {"name": "Eve", "description": "Kind.", "greeting": "Hello!"}
        result = await world.chief.submit_modal(form, values)
        found = await own(world, "Eve")
        assert found is not None
        assert (found.description, found.greeting) == ("Kind.", "Hello!")
        form = await world.chief.select(shown(result), ["scenario"], custom_id="persona-field")
        await world.chief.submit_modal(form, {"part-0": "A ship."})
        found = await own(world, "Eve")
        assert found is not None
        assert found.scenario == "A ship."
        assert shown(result).content == "Saved."
        form = await world.chief.select(shown(result), ["greeting:0"], custom_id="persona-greeting")
        await world.chief.submit_modal(form, {"part-0": "Hey!"})
        form = await world.chief.select(shown(result), ["names"], custom_id="persona-field")
        await world.chief.submit_modal(form, {"name": "Eva", "tags": "a, b ,", "nickname": "E"})
        form = await world.chief.select(shown(result), ["numbers"], custom_id="persona-field")
        numbers = {"sampling": "temperature = 0,9\ntop_k=40", "stop_words": "END\n\n###"}
        await world.chief.submit_modal(form, {**numbers, "talkativeness": "0.5"})
        found = await own(world, "Eva")
        assert found is not None
        assert (found.alternate_greetings, found.tags) == (("Hey!",), ("a", "b"))
        assert (found.nickname, found.stop_words) == ("E", ("END", "###"))
        assert found.sampling is not None
        assert (found.sampling.temperature, found.sampling.top_k) == (0.9, 40)
        assert found.talkativeness == 0.5


async def test_what_could_not_be_taken_stands_in_the_form_again(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        form = await world.chief.slash(world.channel, "persona create")
        result = await world.chief.submit_modal(form, {"name": "ada", "description": "long work"})
        assert "«Ada» already" in shown(result).content
        again = await press(world, result, "Open the form again")
        assert again.modal is not None
        assert "long work" in json.dumps(again.modal)
        result = await world.chief.submit_modal(again, {"name": "Eve", "description": "long work"})
        form = await world.chief.select(shown(result), ["numbers"], custom_id="persona-field")
        refused = await world.chief.submit_modal(form, {"sampling": "temperature = hot"})
        assert "«hot» is not a number" in refused.followups[-1].content
        form = await world.chief.select(shown(result), ["numbers"], custom_id="persona-field")
        assert "temperature = hot" in json.dumps(form.modal)
        assert refusals(world) == [PersonaError]


async def test_a_long_text_is_edited_in_parts(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        words = " ".join(f"word{number}" for number in range(4_000))
        await make(world, name="Eve", description=words)
        result = await world.chief.slash(world.channel, "persona edit", name="Eve")
        await world.chief.select(shown(result), ["description"], custom_id="persona-field")
        form = await world.chief.select(shown(result), ["1"], custom_id="persona-page")
        assert form.modal is not None
        typed = {f"part-{place}": part for place, (part, _) in enumerate(parts_of(words)[5:10])}
        typed["part-0"] = f"NEW {typed['part-0']}"
        await world.chief.submit_modal(form, typed)
        found = await own(world, "Eve")
        assert found is not None
        assert found.description.replace("NEW ", "") == words
        assert "NEW" in found.description


async def test_an_edit_of_somebody_else_is_not_written_over(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        eve = await make(world, name="Eve", description="old")
        result = await world.chief.slash(world.channel, "persona edit", name="Eve")
        form = await world.chief.select(shown(result), ["description"], custom_id="persona-field")
        await world.bot.desk.workshop.edit(eve, {"description": "theirs"}, "x")
        refused = await world.chief.submit_modal(form, {"part-0": "mine"})
        assert "Somebody else" in refused.followups[-1].content
        found = await own(world, "Eve")
        assert found is not None
        assert found.description == "theirs"
        form = await world.chief.select(shown(result), ["description"], custom_id="persona-field")
        assert "mine" in json.dumps(form.modal)
        await world.chief.submit_modal(form, {"part-0": "mine"})
        found = await own(world, "Eve")
        assert found is not None
        assert found.description == "mine"


async def test_the_owners_personas_are_offered_as_a_copy(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        result = await world.chief.slash(world.channel, "persona delete", name="Ada")
        assert "belongs to the bot's owner" in said(result)
        assert refusals(world) == [NotAllowed]
        result = await world.chief.slash(world.channel, "persona edit", name="Ada")
        assert "belongs to the bot's owner" in said(result)
        editor = await press(world, result, "Make a copy for this server")
        form = await world.chief.select(shown(editor), ["description"], custom_id="persona-field")
        await world.chief.submit_modal(form, {"part-0": "Ours."})
        copy = await own(world, "Ada (2)")
        assert copy is not None
        assert copy.description == "Ours."


# Delete -------------------------------------------------------------------------------------------


async def test_a_deletion_is_confirmed_and_can_be_undone(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await make(world, name="Eve")
        result = await world.chief.slash(world.channel, "persona delete", name="Eve")
        await press(world, result, "Keep it")
        assert await own(world, "Eve") is not None
        result = await world.chief.slash(world.channel, "persona delete", name="Eve")
        await press(world, result, "Delete")
        assert await own(world, "Eve") is None
        assert labels(result) == ["Undo"]
        await press(world, result, "Undo")
        assert await own(world, "Eve") is not None
        assert "is back" in shown(result).content


async def test_an_undo_comes_too_late_after_ten_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with talking(tmp_path) as world:
        await make(world, name="Eve")
        result = await world.chief.slash(world.channel, "persona delete", name="Eve")
        await press(world, result, "Delete")
        workshop = world.bot.desk.workshop
        clock = workshop._clock
        monkeypatch.setattr(workshop, "_clock", lambda: clock() + timedelta(minutes=11))
        late = await press(world, result, "Undo")
        assert "for good" in late.followups[-1].content
        await workshop.purge()
        assert await world.database.personas.all_kept(str(world.guild.id)) == []


# List and show ------------------------------------------------------------------------------------


async def test_the_list_has_pages_with_pictures_for_who_asked(tmp_path: Path) -> None:
    write_personas(tmp_path / "personas", {f"Person {number:02}": "x" for number in range(12)})
    async with talking(tmp_path) as world:
        await press(world, await bring(world, png(card_chunk("chara", NOVA))), "Import")
        result = await world.chief.slash(world.channel, "persona list")
        assert "page 1 of 2" in shown(result).content
        assert "Nova" not in words(result).replace("Person", "") or len(shown(result).embeds) == 8
        await world.chief.click(shown(result), label="▶")
        assert "page 2 of 2" in shown(result).content
        assert "Person 11" in words(result)
        await world.chief.click(shown(result), label="◀")
        assert "page 1 of 2" in shown(result).content
        assert "Nova" in words(result)
        assert "this server's own" in words(result)
        assert len(shown(result).attachments) == 1


async def test_show_tells_all_there_is(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await press(world, await bring(world, png(card_chunk("chara", NOVA))), "Import")
        result = await world.bob.slash(world.channel, "persona show", name="Nova")
        text = words(result)
        for part in ("Cost:", "Notes:", "Tags: space", "Creator: me", "Greetings: 2", "Lore"):
            assert part in text
        assert f"<@{world.chief.id}>" in text
        assert [one.filename for one in shown(result).attachments] == ["picture.png"]
        sizes = [len(embed) for embed in shown(result).embeds]
        assert sum(sizes) <= 6_000


async def test_the_longest_persona_can_be_shown(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        fields = ("description", "personality", "scenario", "greeting", "creator_notes", "creator")
        texts = dict.fromkeys(fields, "*_" * 40_000)
        await make(world, name="_" * 80, tags=("`" * 1_000,) * 50, **texts)
        result = await world.bob.slash(world.channel, "persona show", name="_" * 80)
        assert len(shown(result).embeds[0]) <= 6_000
        result = await world.bob.slash(world.channel, "persona list")
        assert shown(result).embeds


# Casts --------------------------------------------------------------------------------------------


async def test_personas_beside_the_main_one(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.bob.slash(world.channel, "persona use", name="Ada")
        result = await world.bob.slash(world.channel, "persona add", name="bram")
        assert not result.ephemeral
        assert "speaks here, too" in world.said()[-1]
        for name in ("bram", "ada"):
            await world.bob.slash(world.channel, "persona add", name=name)
        await world.bob.slash(world.channel, "persona remove", name="Ada")
        assert refusals(world) == [NotAllowed, NotAllowed, NotFound]
        offered = await world.bob.autocomplete(world.channel, "persona remove", "name", "")
        assert [choice["value"] for choice in offered] == ["Bram"]
        casts = world.bot.desk.casts
        assert await casts.cast(f"discord:{world.channel.id}") == ["file:bram"]
        await world.bob.slash(world.channel, "persona remove", name="Bram")
        assert await casts.cast(f"discord:{world.channel.id}") == []
        await world.keeper.slash(
            world.channel, "settings set", key="persona_choice", value="moderators"
        )
        await world.bob.slash(world.channel, "persona add", name="Bram")
        assert refusals(world)[3:] == [NotAllowed]


async def test_in_a_direct_message_there_is_no_server_to_keep_one(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        user = world.alice.user
        await user.slash("persona create")
        await user.slash("persona import", file=("card.json", as_json(NOVA)))
        assert refusals(world) == [NotAllowed, NotAllowed]
        for words_ in ("list", "show", "use", "add", "export"):
            options = {} if words_ == "list" else {"name": "Bram" if words_ == "add" else "Ada"}
            options |= {"format": "toml"} if words_ == "export" else {}
            await user.slash(f"persona {words_}", **options)
        assert len(refusals(world)) == 2


async def test_a_guilds_persona_is_nobody_elses(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        eve = await make(world, name="Eve")
        elsewhere = world.env.create_guild("Elsewhere")
        channel = elsewhere.create_text_channel("general")
        owner = elsewhere.add_member(elsewhere.owner)
        for command in ("show", "use", "edit", "delete"):
            for name in ("Eve", eve.id):
                await owner.slash(channel, f"persona {command}", name=name)
        assert refusals(world) == [NotFound] * 8
        assert await owner.autocomplete(channel, "persona use", "name", "ev") == []
        assert await own(world, "Eve") is not None


async def test_all_that_is_sent_is_what_discord_describes(tmp_path: Path) -> None:
    described()
    write_personas(tmp_path / "personas", {f"Person {number:02}": "x" for number in range(12)})
    async with talking(tmp_path) as world:
        form = await world.chief.slash(world.channel, "persona create")
        result = await world.chief.submit_modal(form, {"name": "ada"})
        again = await press(world, result, "Open the form again")
        values = {"name": "Eve", "description": "long " * 5_000, "greeting": "hi"}
        values = {key: value[:4_000] for key, value in values.items()}
        result = await world.chief.submit_modal(again, values)
        for key in ("names", "numbers", "scenario"):
            form = await world.chief.select(shown(result), [key], custom_id="persona-field")
            typed = {"name": "Eve"} if key == "names" else {}
            await world.chief.submit_modal(form, typed)
        await make(world, name="Nova", description="word " * 8_000)
        await world.chief.slash(world.channel, "persona edit", name="Nova")
        result = await world.chief.slash(world.channel, "persona edit", name="Nova")
        await world.chief.select(shown(result), ["description"], custom_id="persona-field")
        await world.chief.select(shown(result), ["1"], custom_id="persona-page")
        result = await bring(world, png(card_chunk("chara", NOVA)))
        await world.chief.submit_modal(
            await press(world, result, "Another name"), {"name": "N" * 80}
        )
        result = await world.chief.slash(world.channel, "persona list")
        await world.chief.click(shown(result), label="▶")
        await world.chief.slash(world.channel, "persona show", name="N" * 80)
        await world.chief.slash(world.channel, "persona export", name="Eve", format="png")
        await world.chief.slash(world.channel, "persona edit", name="Ada")
        result = await world.chief.slash(world.channel, "persona delete", name="Eve")
        await press(world, result, "Delete")
        await press(world, result, "Undo")
        assert refusals(world) == []
        checked = 0
        for entry in world.env.http_requests:
            check(entry.method, entry.path, entry.json)
            checked += entry.json is not None
        assert checked > 20


# Parts --------------------------------------------------------------------------------------------


@given(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(" \n😀"), max_size=400))
def test_parts_are_the_text(text: str) -> None:
    parts = parts_of(text, 20)
    assert "".join(part + gap for part, gap in parts) == text
    for part, _ in parts:
        assert len(part.encode("utf-16-le")) // 2 <= 20
    typed = [part for part, _ in parts]
    assert joined(typed, [gap for _, gap in parts]).strip() == text.strip()


async def test_another_picture_takes_the_place_of_the_emoji(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        first = png(card_chunk("chara", NOVA))
        second = png(card_chunk("chara", NOVA), picture=picture_bytes((9, 9)))
        await press(world, await bring(world, first), "Import")
        await world.bob.slash(world.channel, "persona use", name="Nova")
        await world.ask("hello")
        [before] = await world.bot.fetch_application_emojis()
        await press(world, await bring(world, first), "Replace")  # the same one stays
        assert await world.bot.fetch_application_emojis() == [before]
        await press(world, await bring(world, second), "Replace")
        assert await world.bot.fetch_application_emojis() == []
        await world.ask("hello again")
        [after] = await world.bot.fetch_application_emojis()
        assert after.name != before.name


async def test_the_picture_becomes_an_emoji_and_goes_with_the_persona(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with talking(tmp_path) as world:
        await press(world, await bring(world, png(card_chunk("chara", NOVA))), "Import")
        await world.bob.slash(world.channel, "persona use", name="Nova")
        await world.ask("hello")
        assert len(await world.bot.fetch_application_emojis()) == 1
        addresses = [(entry.json or {}).get("avatar_url") for entry in world.requests("POST")]
        assert any("/emojis/" in address for address in addresses if address)
        result = await world.chief.slash(world.channel, "persona delete", name="Nova")
        await press(world, result, "Delete")
        workshop = world.bot.desk.workshop
        clock = workshop._clock
        monkeypatch.setattr(workshop, "_clock", lambda: clock() + timedelta(minutes=11))
        await workshop.purge()
        assert await world.bot.fetch_application_emojis() == []
