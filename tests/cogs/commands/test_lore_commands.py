"""`/lore`: what people see of lorebooks, who may change them, and what would fire."""

import json
from pathlib import Path
from typing import Any

import pytest
import simcord
from api_document import check, described
from making_cards import as_json, card_chunk, png, v2
from worlds import World, labels, talking

from bot.errors import LorebookError, NotAllowed, NotFound
from cogs.commands.lorebooks import looks

HARBOUR = {"uid": 0, "key": ["harbour"], "content": "The harbour is grey.", "comment": "Port"}
SEA = {"uid": 1, "key": ["sea", "wave"], "content": "The sea is deep.", "comment": "Water"}
GULL = {"uid": 2, "key": ["gull"], "content": "Gulls cry.", "comment": "Bird", "disable": True}


def world_info(*entries: dict[str, Any], **extra: Any) -> bytes:
    found = {str(entry["uid"]): entry for entry in entries}
    return json.dumps({**extra, "entries": found}).encode()


BOOK = world_info(HARBOUR, SEA, GULL, name="Coast", odd={"kept": [1]})


def refusals(world: World) -> list[type[BaseException]]:
    return [type(getattr(error, "original", error)) for error in world.env.errors]


def shown(result: simcord.InteractionResult) -> str:
    """All that an answer says."""
    assert result.response is not None
    said = [result.response.content]
    for embed in result.response.embeds:
        said += [embed.title or "", embed.description or "", embed.footer.text or ""]
        said += [f"{field.name}: {field.value}" for field in embed.fields]
        assert len(embed) <= 6000
    return "\n".join(said)


async def bring(
    world: World, content: bytes = BOOK, name: str = "coast.json", press: str = "Import"
) -> simcord.InteractionResult:
    result = await world.chief.slash(world.channel, "lore import", file=(name, content))
    assert result.response is not None
    if press:
        await world.chief.click(result.response.message, label=press)
    return result


async def attach(world: World, scope: str, **options: str) -> None:
    await world.chief.slash(world.channel, "lore attach", book="Coast", scope=scope, **options)


async def kept_names(world: World) -> list[str]:
    return [one.name for one in await world.bot.desk.lorebooks.all(str(world.guild.id))]


async def test_a_book_is_looked_at_before_it_is_taken(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        result = await bring(world, press="")
        assert result.ephemeral
        said = shown(result)
        assert "Coast" in said
        assert "World Info" in said
        assert "3 entries, 1 of them disabled" in said
        assert result.response is not None
        assert labels(result.response.message) == ["Import", "Another name", "Cancel"]
        assert await kept_names(world) == []
        await world.chief.click(result.response.message, label="Import")
        assert await kept_names(world) == ["Coast"]
        assert "is one of this server's lorebooks now" in shown(result)
        assert labels(result.response.message) == []


async def test_a_taken_name_offers_a_free_one_and_to_replace(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await bring(world)
        await attach(world, "guild")
        result = await bring(world, world_info(SEA, name="COAST"), press="")
        assert "«Coast» already" in shown(result)
        assert result.response is not None
        buttons = ["Import as COAST (2)", "Replace", "Another name", "Cancel"]
        assert labels(result.response.message) == buttons
        await world.chief.click(result.response.message, label="Replace")
        [kept] = await world.bot.desk.lorebooks.all(str(world.guild.id))
        assert (kept.name, kept.entries, kept.revision) == ("Coast", 1, 2)
        assert kept.places == (("guild", str(world.guild.id)),)
        await bring(world, world_info(SEA, name="COAST"), press="Import as COAST (2)")
        assert await kept_names(world) == ["Coast", "COAST (2)"]
        await bring(world, press="Cancel")
        assert len(await kept_names(world)) == 2


async def test_another_name_is_asked_for(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        result = await bring(world, press="")
        assert result.response is not None
        form = await world.chief.click(result.response.message, label="Another name")
        await world.chief.submit_modal(form, {"name": "  The  Shore "})
        assert await kept_names(world) == ["The Shore"]


async def test_the_book_in_a_card_is_offered_and_a_card_without_is_refused(tmp_path: Path) -> None:
    entry = {"keys": ["loom"], "content": "It weaves.", "enabled": True, "insertion_order": 1}
    card = v2(name="Ada", character_book={"entries": [entry], "extensions": {}})
    async with talking(tmp_path) as world:
        result = await bring(world, png(card_chunk("chara", card)), "ada.png", press="")
        said = shown(result)
        assert "This is a V2 character card of «Ada», not a lorebook" in said
        assert "/persona import" in said
        assert result.response is not None
        await world.chief.click(result.response.message, label="Import")
        assert await kept_names(world) == ["Ada's lorebook"]
        assert refusals(world) == []
        result = await bring(world, as_json(v2(name="Bo")), "bo.json", press="")
        assert refusals(world) == [LorebookError]
        assert "bo.json is a V2 character card, not a lorebook" in shown(result)


async def test_files_that_are_too_large_or_broken_are_refused_in_one_line(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        for content, words in ((b" " * (8 * 2**20 + 1), "larger than 8 MiB"), (b"{", "not JSON")):
            result = await bring(world, content, press="")
            assert words in shown(result)
            assert result.ephemeral
        assert refusals(world) == [LorebookError, LorebookError]


@pytest.mark.parametrize(
    ("who", "channel", "server"), [("alice", 0, 0), ("keeper", 1, 0), ("chief", 1, 1)]
)
async def test_who_may_change_what(tmp_path: Path, who: str, channel: int, server: int) -> None:
    async with talking(tmp_path) as world:
        await bring(world)
        actor = getattr(world, who)
        tried = [
            ("lore attach", {"book": "Coast", "scope": "channel"}, channel),
            ("lore attach", {"book": "Coast", "scope": "guild"}, server),
            ("lore attach", {"book": "Coast", "scope": "persona", "persona": "Ada"}, server),
            ("lore detach", {"book": "Coast", "scope": "channel"}, channel),
            ("lore import", {"file": ("x.json", BOOK)}, server),
            ("lore delete", {"book": "Coast"}, server),
            ("lore show", {"book": "Coast"}, 1),
            ("lore export", {"book": "Coast"}, 1),
            ("lore list", {}, 1),
        ]
        for command, options, may in tried:
            before = len(refusals(world))
            result = await actor.slash(world.channel, command, **options)
            assert result.ephemeral, command
            assert refusals(world)[before:] == ([] if may else [NotAllowed]), command


async def test_what_is_pressed_is_checked_again(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await bring(world)
        asked = await world.chief.slash(world.channel, "lore delete", book="Coast")
        looked = await bring(world, press="")
        assert asked.response is not None
        assert looked.response is not None
        role = world.guild.roles["manage_guild"]
        world.env.backend.remove_member_role(world.guild.id, world.chief.id, role.id)
        await world.chief.click(asked.response.message, label="Delete")
        await world.chief.click(looked.response.message, label="Replace")
        assert refusals(world) == [NotAllowed, NotAllowed]
        [kept] = await world.bot.desk.lorebooks.all(str(world.guild.id))
        assert (kept.name, kept.revision) == ("Coast", 1)
        world.env.backend.add_member_role(world.guild.id, world.chief.id, role.id)
        await world.chief.click(asked.response.message, label="Delete")
        world.env.backend.remove_member_role(world.guild.id, world.chief.id, role.id)
        await world.chief.click(asked.response.message, label="Undo")
        assert await kept_names(world) == []


async def test_a_deletion_is_asked_for_and_undone(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await bring(world)
        await attach(world, "channel")
        for button in ("Keep it", "Delete"):
            result = await world.chief.slash(world.channel, "lore delete", book="coast")
            assert "3 entries? It counts in 1 place" in shown(result)
            assert result.response is not None
            await world.chief.click(result.response.message, label=button)
            assert await kept_names(world) == (["Coast"] if button == "Keep it" else [])
        await world.chief.click(result.response.message, label="Undo")
        assert await kept_names(world) == ["Coast"]
        assert "attached where it was" in shown(result)
        assert "counts here" in shown(await world.alice.slash(world.channel, "lore list"))


async def test_the_list_tells_where_books_count(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        assert "There are none" in shown(await world.alice.slash(world.channel, "lore list"))
        await bring(world)
        await attach(world, "persona", persona="Ada")
        said = shown(await world.alice.slash(world.channel, "lore list"))
        assert "**Coast**: 3 entries" in said
        assert "attached to Ada" in said
        await attach(world, "channel")
        said = shown(await world.alice.slash(world.channel, "lore list"))
        assert "**Coast** (counts here)" in said
        assert f"<#{world.channel.id}>" in said
        await world.chief.slash(world.channel, "lore detach", book="Coast", scope="channel")
        await world.chief.slash(world.channel, "lore detach", book="Coast", scope="channel")
        assert refusals(world) == [NotFound]


async def test_every_page_fits(tmp_path: Path) -> None:
    long = "*" * 400
    entries = [
        {"uid": n, "key": [long] * 30, "content": long * 9, "comment": long, "constant": True}
        for n in range(20)
    ]
    async with talking(tmp_path) as world:
        for number in range(10):
            content = world_info(*entries, name=f"{number}{long}", description=long)
            await bring(world, content)
        names = await kept_names(world)
        for scope in ("guild", "channel", "persona"):
            for name in names:
                await world.chief.slash(world.channel, "lore attach", book=name, scope=scope)
        for command, options, pages in (
            ("lore list", {}, 2),
            ("lore show", {"book": names[0]}, 3),
            ("lore test", {"text": long}, 25),
        ):
            result = await world.alice.slash(world.channel, command, **options)
            assert result.response is not None
            for page in range(1, pages + 1):
                assert f"page {page} of {pages}" in shown(result)
                assert _disabled(result.response, "▶") == (page == pages)
                if page < pages:
                    await world.alice.click(result.response.message, label="▶")
        assert refusals(world) == []


def _disabled(response: simcord.ResponseMessage, label: str) -> bool:
    buttons = [one for row in response.components for one in row["components"]]
    return next(one for one in buttons if one["label"] == label).get("disabled", False)


async def test_a_book_is_shown_page_by_page_to_who_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks, "ENTRIES_A_PAGE", 2)
    monkeypatch.setattr("cogs.commands.lore.ENTRIES_A_PAGE", 2)
    async with talking(tmp_path) as world:
        await bring(world)
        result = await world.alice.slash(world.channel, "lore show", book="Coast")
        said = shown(result)
        assert "**Port**\n-# keys: harbour\nThe harbour is grey." in said
        assert "page 1 of 2" in said
        assert "Bird" not in said
        assert result.response is not None
        await world.alice.click(result.response.message, label="▶")
        assert "**Bird** (disabled)" in shown(result)
        await world.alice.click(result.response.message, label="◀")
        assert "Port" in shown(result)


async def test_a_book_goes_out_as_it_came_or_in_the_other_format(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await bring(world)
        result = await world.bob.slash(world.channel, "lore export", book="Coast")
        assert result.response is not None
        [file] = result.response.attachments
        assert file.filename == "Coast.json"
        assert json.loads(await file.read()) == json.loads(BOOK)
        result = await world.bob.slash(world.channel, "lore export", book="Coast", format="v3")
        assert result.response is not None
        exported = json.loads(await result.response.attachments[0].read())
        assert exported["spec"] == "lorebook_v3"
        assert next(entry["keys"] for entry in exported["data"]["entries"]) == ["harbour"]


async def test_a_personas_own_book_is_shown_and_goes_out(tmp_path: Path) -> None:
    entries = [{"keys": ["quay"], "content": "The quay is wet.", "enabled": True, "odd": 1}]
    values = {"name": "Nessa", "lorebook": {"name": "Lake", "entries": entries, "extensions": {}}}
    async with talking(tmp_path) as world:
        await world.bot.desk.workshop.create(str(world.guild.id), values, "1")
        await world.chief.slash(world.channel, "persona use", name="Nessa")
        name = "Nessa's own lorebook"
        offered = await world.alice.autocomplete(world.channel, "lore show", "book", "own")
        assert [choice["value"] for choice in offered] == [name]
        said = shown(await world.alice.slash(world.channel, "lore show", book=name))
        assert "The quay is wet." in said
        assert "quay" in said
        assert "wherever this persona speaks" in said
        result = await world.alice.slash(world.channel, "lore export", book=name)
        assert result.response is not None
        document = json.loads(await result.response.attachments[0].read())
        assert document["spec"] == "lorebook_v3"
        assert document["data"]["entries"][0]["odd"] == 1
        await world.alice.slash(world.channel, "lore show", book="Ada's own lorebook")
        assert refusals(world) == [NotFound]  # Ada has none


async def test_a_pasted_chat_is_tried_message_by_message(tmp_path: Path) -> None:
    one_message = world_info({**HARBOUR, "scanDepth": 1}, name="Coast")
    async with talking(tmp_path) as world:
        await bring(world, one_message)
        chat = "Bob: to the harbour!\nAda: Why?\nBob: To see the sea."
        result = await world.alice.slash(world.channel, "lore test", text=chat, book="Coast")
        assert "0 of 1 entry would fire" in shown(result)
        chat += "\nBob: And the harbour."
        result = await world.alice.slash(world.channel, "lore test", text=chat, book="Coast")
        assert "1 of 1 entry would fire" in shown(result)


async def test_a_text_is_tried_with_what_counts_here(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await bring(world)
        result = await world.alice.slash(world.channel, "lore test", text="the harbour")
        assert "No lorebook counts here" in shown(result)
        await attach(world, "guild")
        said = shown(await world.alice.slash(world.channel, "lore test", text="At the Harbour!"))
        assert "1 of 3 entries would fire" in said
        assert "✅ **Port**: by its keys: «harbour» in message 1 → before the persona" in said
        assert "⬜ Water: none of its keys is there" in said
        assert "⬜ Bird: it is disabled" in said
        said = shown(
            await world.alice.slash(world.channel, "lore test", text="a wave", book="coast")
        )
        assert "«wave» in message 1" in said
        assert refusals(world) == [NotFound]


async def test_a_persona_decides_which_books_are_tried(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        name = {"uid": 0, "key": ["{{char}}"], "content": "It is she."}
        await bring(world, world_info(name, name="Coast"))
        await attach(world, "persona", persona="Ada")
        result = await world.alice.slash(
            world.channel, "lore test", text="Ask Ada about it", persona="Ada"
        )
        assert "1 of 1 entry would fire" in shown(result)
        await world.alice.slash(world.channel, "lore test", text="Ask Ada", persona="Bram")
        assert refusals(world) == [NotFound]


async def test_what_is_attached_is_told_in_replies(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await bring(world)
        await world.ask("what of the harbour?")
        assert "The harbour is grey." not in world.engine.requests[-1].prompt
        await attach(world, "channel")
        await world.ask("and the harbour now?")
        assert "The harbour is grey." in world.engine.requests[-1].prompt
        world.env.backend.create_thread(world.channel.id, "aside", world.alice.id)
        [thread] = world.channel.threads
        await world.alice.send(thread, f"{world.me} tell me of the sea")
        assert "The sea is deep." in world.engine.requests[-1].prompt, (
            "a thread takes its channel's"
        )
        await world.chief.slash(world.channel, "lore detach", book="Coast", scope="channel")
        other = world.guild.create_text_channel("other")
        await attach(world, "persona")
        await world.alice.send(other, f"{world.me} tell me of the sea")
        assert "The sea is deep." in world.engine.requests[-1].prompt


async def test_a_book_that_was_changed_or_deleted_is_not_told_any_more(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await bring(world)
        await attach(world, "guild")
        await world.ask("what of the harbour?")
        changed = {**HARBOUR, "content": "The harbour is blue."}
        await bring(world, world_info(changed, name="Coast"), press="Replace")
        await world.ask("the harbour?")
        assert "The harbour is blue." in world.engine.requests[-1].prompt
        result = await world.chief.slash(world.channel, "lore delete", book="Coast")
        assert result.response is not None
        await world.chief.click(result.response.message, label="Delete")
        await world.ask("and the harbour?")
        assert "The harbour is blue." not in world.engine.requests[-1].prompt


async def test_another_servers_books_are_not_there(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await bring(world)
        elsewhere = world.env.create_guild("Elsewhere")
        channel = elsewhere.create_text_channel("general")
        owner = elsewhere.add_member(elsewhere.owner)
        await owner.slash(channel, "lore show", book="Coast")
        await owner.slash(channel, "lore attach", book="Coast", scope="guild")
        assert refusals(world) == [NotFound, NotFound]
        assert await owner.autocomplete(channel, "lore show", "book", "") == []
        choices = await world.alice.autocomplete(world.channel, "lore show", "book", "co")
        assert [choice["value"] for choice in choices] == ["Coast"]


async def test_a_direct_message_has_no_lorebooks(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        result = await world.alice.user.slash("lore show", book="Coast")
        assert refusals(world) == [NotAllowed]
        assert "server" in shown(result)
        assert "There are none" in shown(await world.alice.user.slash("lore list"))


async def test_all_that_is_sent_is_what_discord_describes(tmp_path: Path) -> None:
    described()
    async with talking(tmp_path) as world:
        hostile = world_info(
            *({**SEA, "uid": n, "comment": "*" * 200} for n in range(40)), name="*" * 200
        )
        result = await bring(world, hostile, press="")
        assert result.response is not None
        form = await world.chief.click(result.response.message, label="Another name")
        await world.chief.submit_modal(form, {"name": "C" * 80})
        await bring(world)
        await bring(world, press="Replace")
        for scope in ("guild", "channel", "persona"):
            await attach(world, scope)
        await world.chief.slash(world.channel, "lore list")
        shown_book = await world.chief.slash(world.channel, "lore show", book="C" * 80)
        assert shown_book.response is not None
        await world.chief.click(shown_book.response.message, label="▶")
        await world.chief.slash(world.channel, "lore test", text="the sea", book="C" * 80)
        await world.chief.slash(world.channel, "lore export", book="Coast")
        result = await world.chief.slash(world.channel, "lore delete", book="Coast")
        assert result.response is not None
        await world.chief.click(result.response.message, label="Delete")
        await world.chief.click(result.response.message, label="Undo")
        assert refusals(world) == []
        checked = 0
        for entry in world.env.http_requests:
            check(entry.method, entry.path, entry.json)
            checked += entry.json is not None
        assert checked > 20
