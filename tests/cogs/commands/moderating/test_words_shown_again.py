"""What was said before a word was on the list: shown, handed out and told without it.

Whatever the bot does, no request that it makes to Discord has the word in it.
"""

import asyncio
import io
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import discord
import pytest
from moderating import log_here, logged
from simcord import ChannelHandle, InteractionResult
from worlds import World, labels, talking

from bot.chat.limits.words.word import GuildWord
from bot.chat.text.forbidden.redaction import BLOCK
from cogs.platform import bare_key

WORD = "zirconium"
CARD = {
    "spec": "chara_card_v3",
    "spec_version": "3.0",
    "data": {
        "name": "Zirconium",
        "description": "{{char}} counts zirconium.",
        "first_mes": "Zirconium greets you.",
        "alternate_greetings": ["More zirconium."],
        "group_only_greetings": [],
        "character_book": {
            "name": "Zirconium",
            "extensions": {},
            "entries": [
                {"keys": ["zirconium"], "content": "A metal.", "extensions": {},
                 "enabled": True, "insertion_order": 1, "name": "Of zirconium"},
            ],
        },
    },
}  # fmt: skip

Deed = Callable[[World, ChannelHandle], Coroutine[Any, Any, object]]


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The contents of all files that are made to be sent."""
    made: list[bytes] = []
    original = discord.File.__init__

    def begin(self: discord.File, fp: Any, *args: Any, **options: Any) -> None:
        if isinstance(fp, io.BytesIO):
            made.append(fp.getvalue())
        original(self, fp, *args, **options)

    monkeypatch.setattr(discord.File, "__init__", begin)
    return made


def bodies(world: World, since: int) -> list[str]:
    """All that the bot has asked of Discord since then."""
    return [
        json.dumps(entry.json, ensure_ascii=False)
        for entry in world.env.http_requests[since:]
        if entry.method != "GET"
    ]


async def played(world: World) -> ChannelHandle:
    """A scene in which the word was said, everywhere that something can be said."""
    card = world.personas_folder / "mineral.json"
    await asyncio.to_thread(card.write_text, json.dumps(CARD), "utf-8")
    await world.bot.desk.library.refresh()
    options = {"title": "The Zirconium", "persona": "Zirconium, Bram", "scenario": "Of zirconium."}
    await world.alice.slash(world.channel, "roleplay start", **options)
    [thread] = world.channel.threads
    await world.alice.slash(thread, "roleplay note", text="Mind the zirconium.")
    await world.bob.slash(thread, "roleplay me", name="Zirconium Jones", description="Zirconium.")
    await world.bob.send(thread, "Where is the zirconium?")
    await world.alice.slash(thread, "memory add", text="Zirconium is heavy.")
    return thread


async def forbid(world: World) -> int:
    """Add the word; returns how many requests were made before."""
    await world.database.words.put(("discord", str(world.guild.id)), GuildWord(WORD))
    return len(world.env.http_requests)


async def fork_a_reply(world: World, thread: ChannelHandle) -> None:
    await world.alice.context_menu(thread, "Fork from here", world.messages(thread)[-1])


async def fork_a_question(world: World, thread: ChannelHandle) -> None:
    [asked] = [each for each in thread.history() if each.author.id == world.bob.id]
    await world.alice.context_menu(thread, "Fork from here", asked)


async def ask_why(world: World, thread: ChannelHandle) -> None:
    reply = world.messages(thread)[-1]
    why = await world.mod.context_menu(thread, "Why this reply?", reply)
    assert why.response is not None
    await world.mod.click(why.response, label="Replay")


async def turn_over(world: World, message: discord.Message) -> None:
    """Press ▶, beside which the swipe's number stands."""
    [label] = [each for each in labels(message) if each.endswith("▶")]
    await world.mod.click(message, label=label)


async def swipe(world: World, thread: ChannelHandle) -> None:
    await world.mod.click(world.messages(thread)[-1], label="Regenerate")
    for _ in range(2):
        await turn_over(world, world.messages(thread)[-1])


async def swipe_a_greeting(world: World, thread: ChannelHandle) -> None:
    await turn_over(world, next(each for each in world.messages(thread) if labels(each)))


async def keep_in_mind(world: World, thread: ChannelHandle) -> None:
    [asked] = [each for each in thread.history() if each.author.id == world.bob.id]
    await world.alice.context_menu(thread, "Remember this", asked)
    await world.alice.slash(thread, "memory show")
    await world.alice.slash(thread, "memory remove", id=1)


async def change_the_cast(world: World, thread: ChannelHandle) -> None:
    await world.alice.slash(thread, "roleplay cast", action="list")
    await world.alice.slash(thread, "roleplay say", persona="Zirconium")
    await world.alice.slash(thread, "roleplay cast", action="remove", persona="Zirconium")
    await world.alice.slash(thread, "roleplay cast", action="add", persona="Zirconium")
    await world.bob.slash(thread, "roleplay me", description="Of stone.")


async def change_who_speaks(world: World, _thread: ChannelHandle) -> None:
    await world.chief.slash(world.channel, "persona use", name="Zirconium")
    await world.chief.slash(world.channel, "persona use", name="Ada")
    await world.chief.slash(world.channel, "persona add", name="Zirconium")
    await world.chief.slash(world.channel, "persona remove", name="Zirconium")


async def look_around(world: World, thread: ChannelHandle) -> None:
    await world.chief.slash(thread, "persona use", name="Zirconium")
    await world.alice.slash(thread, "persona show", name="Zirconium")
    await world.alice.slash(thread, "persona list")
    await world.alice.slash(thread, "lore test", text="Zirconium?")


async def press(world: World, result: InteractionResult, label: str) -> None:
    assert result.response is not None
    await world.chief.click(result.response, label=label)


async def change_the_lore(world: World, thread: ChannelHandle) -> None:
    book = json.dumps({"name": "Zirconium", "entries": [
        {"keys": ["zirconium"], "content": "Zirconium.", "extensions": {},
         "enabled": True, "insertion_order": 1, "name": "Of zirconium"},
    ], "extensions": {}})  # fmt: skip
    document = json.dumps({"spec": "lorebook_v3", "data": json.loads(book)})
    file = ("metal.json", document.encode())
    await press(world, await world.chief.slash(thread, "lore import", file=file), "Import")
    await press(world, await world.chief.slash(thread, "lore import", file=file), "Replace")
    await world.chief.slash(thread, "lore attach", book="Zirconium", scope="channel")
    await world.chief.slash(thread, "lore list")
    await world.chief.slash(thread, "lore show", book="Zirconium")
    await world.chief.slash(thread, "lore detach", book="Zirconium", scope="channel")
    await press(world, await world.chief.slash(thread, "lore delete", book="Zirconium"), "Keep it")
    gone = await world.chief.slash(thread, "lore delete", book="Zirconium")
    await press(world, gone, "Delete")
    await press(world, gone, "Undo")


async def change_settings(world: World, thread: ChannelHandle) -> None:
    keys = {"instructions": "Talk of zirconium.", "wake_words": "zirconium", "persona": "Zirconium"}
    for key, value in keys.items():
        await world.chief.slash(thread, "settings set", key=key, value=value)
        await world.alice.slash(thread, "settings show", key=key)
    await world.alice.slash(thread, "settings show")
    await world.alice.slash(thread, "settings history")
    await world.alice.slash(thread, "settings panel")
    await world.chief.slash(thread, "settings undo", id=2)
    await world.chief.slash(thread, "settings reset", key="instructions")
    metal = {"key": "instructions", "value": "Talk of zirconium."}
    await world.chief.slash(thread, "settings set", scope="guild", **metal)
    await world.chief.slash(thread, "settings reset", key="instructions")


async def tell_moderators(world: World, thread: ChannelHandle) -> None:
    log = await log_here(world)
    for key, value in {"instructions": "Talk of zirconium.", "persona": "Zirconium"}.items():
        await world.chief.slash(thread, "settings set", key=key, value=value)
    assert len(await logged(world, log)) == 2


async def be_refused(world: World, thread: ChannelHandle) -> None:
    owned = await world.chief.slash(thread, "persona edit", name="Zirconium")
    await press(world, owned, "Make a copy for this server")
    form = await world.chief.slash(thread, "persona create")
    await world.chief.submit_modal(form, {"name": "Zirconium"})
    await world.chief.slash(thread, "persona delete", name="Zirconium")
    await world.chief.slash(thread, "persona import", file=("zirconium.json", b"{"))
    await world.alice.slash(thread, "roleplay say", persona="no zirconium")


async def export(world: World, thread: ChannelHandle) -> None:
    await world.alice.slash(thread, "chat export", format="json")
    await world.alice.slash(thread, "chat export", format="text")


async def end(world: World, thread: ChannelHandle) -> None:
    await world.alice.slash(thread, "roleplay recap")
    await world.alice.slash(thread, "roleplay end")


async def go_on(world: World, thread: ChannelHandle) -> None:
    await world.mod.click(world.messages(thread)[-1], label="Continue")
    await world.bob.send(thread, "And then?")


DEEDS: list[Deed] = [
    fork_a_reply,
    fork_a_question,
    ask_why,
    swipe,
    swipe_a_greeting,
    keep_in_mind,
    change_the_cast,
    change_who_speaks,
    look_around,
    change_the_lore,
    change_settings,
    tell_moderators,
    be_refused,
    export,
    end,
    go_on,
]


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.__name__)
async def test_no_request_has_the_word(
    tmp_path: Path, files: list[bytes], deed: Deed, *, streaming: bool
) -> None:
    async with talking(
        tmp_path,
        lambda _: "Zirconium is deep in the hold.",
        check_errors=deed is not be_refused,
    ) as world:
        await world.put(streaming=streaming)
        thread = await played(world)
        since = await forbid(world)
        files.clear()
        asked = len(world.engine.requests)
        await deed(world, thread)
        sent = bodies(world, since)
        assert sent
        assert not [body for body in sent if WORD in body.casefold()]
        assert not [each for each in files if WORD in each.decode(errors="replace").casefold()]
        for request in world.engine.requests[asked:]:
            assert WORD not in request.prompt.casefold()


async def test_what_is_handed_out_still_reads_as_what_it_is(
    tmp_path: Path, files: list[bytes]
) -> None:
    async with talking(tmp_path, ["Zirconium is deep in the hold."]) as world:
        thread = await played(world)
        await forbid(world)
        files.clear()
        await end(world, thread)
        markdown, document = (each.decode() for each in files)
        blocks = BLOCK * len(WORD)
        assert f"Where is the {blocks}?" in markdown
        scene = json.loads(document)
        assert scene["title"] == f"The {blocks}"
        assert scene["turns"][-1]["text"] == f"{blocks} is deep in the hold."
        assert scene["turns"][0]["alternatives"] == [f"{blocks} greets you.", f"More {blocks}."]
        kept = await world.database.history.export(bare_key(thread.id, world.guild.id))
        assert kept == []  # a new conversation has begun


async def test_what_is_offered_while_typing_is_without_the_word(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        thread = await played(world)
        await forbid(world)
        blocks = BLOCK * len(WORD)
        for command, option in (("persona use", "name"), ("roleplay say", "persona")):
            choices = await world.chief.autocomplete(thread, command, option, "zirc")
            assert [choice["name"] for choice in choices] == [blocks]
            assert [choice["value"] for choice in choices] == ["Zirconium"]  # and it is found
        words = await world.chief.autocomplete(
            thread, "moderation words", "pattern", "zirc", action="remove"
        )
        assert WORD in words[0]["name"]  # the list itself can be read by who keeps it
