"""Personas speak through one webhook a channel, under their own names."""

import io
from pathlib import Path

import pytest
import simcord
from api_document import check, described
from PIL import Image
from simcord.enums import ChannelType
from speaking import last, line_to, restart, spoken, use, webhook_ids
from worlds import labels, talking

from bot.chat.messages import Scope
from bot.chat.personas.pictures import HeldPictures, Picture
from bot.chat.text.split import MESSAGE_CHARACTERS
from cogs.platform import bare_key
from cogs.showing.webhooks.avatars import Avatars

DONE = ["Regenerate", "Continue", "Delete"]
WORDS = " ".join(f"word{number}" for number in range(600))
LONG = "\n\n".join(f"Part {name}. {WORDS[:1500]}" for name in ("one", "two", "three"))


async def test_a_persona_speaks_under_its_own_name_and_shows_whom_it_answers(
    tmp_path: Path,
) -> None:
    async with talking(tmp_path, ["Good day.", "Ahoy."]) as world:
        await use(world)
        asked = await world.ask("who are you?")
        assert spoken(world) == [("Ada", f"{line_to(world, asked)}Good day.")]
        assert labels(last(world)) == DONE
        assert last(world).webhook_id in webhook_ids(world)
        again = await world.ask("and you?", world.bob)
        assert spoken(world)[1] == ("Ada", f"{line_to(world, again, 'Bob')}Ahoy.")
        assert len(webhook_ids(world)) == 1
        assert len(world.requests("GET", "/webhooks")) == 1
        turns = await world.turns()
        assert [turn.text for turn in turns] == ["who are you?", "Good day.", "and you?", "Ahoy."]
        assert not any("channels/" in request.prompt for request in world.engine.requests)
        for request in world.requests("POST", world.env.http_requests[-1].path):
            assert request.json["allowed_mentions"]["parse"] == []


async def test_the_bot_itself_speaks_as_itself(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.ask("who are you?")
        await use(world, "Caduceus")
        await world.ask("really?")
        assert spoken(world) == 2 * [("TestBot", "Hello, Alice.")]
        assert webhook_ids(world) == []


async def test_the_setting_makes_it_the_bots_own_message(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await use(world)
        await world.chief.slash(world.channel, "settings set", key="voice", value="bot")
        asked = await world.ask("who are you?")
        assert spoken(world)[-1] == ("TestBot", "**Ada**\nHello, Alice.")
        assert last(world).reference is not None
        assert last(world).reference.message_id == asked.id
        assert webhook_ids(world) == []
        assert (await world.turns())[-1].text == "Hello, Alice."
        await world.alice.send(world.channel, "and why?", reply_to=last(world))
        assert "**Ada**" not in world.engine.requests[-1].prompt


async def test_a_long_reply_is_split_as_the_bots_own_and_only_the_first_has_the_line(
    tmp_path: Path,
) -> None:
    async with talking(tmp_path, [LONG]) as world:
        await use(world)
        asked = await world.ask("tell me everything")
        texts = [text for _, text in spoken(world)]
        assert len(texts) == 3
        assert max(map(len, texts)) <= MESSAGE_CHARACTERS
        assert texts[0].startswith(line_to(world, asked))
        assert "".join(texts).count("-# ") == 1
        assert [labels(one) for one in world.messages()] == [[], [], DONE]
        assert "\n\n".join([texts[0].partition("\n")[2], *texts[1:]]) == LONG
        answer = (await world.turns())[-1]
        assert answer.text == LONG
        assert answer.message_ids == tuple(str(one.id) for one in world.messages())
        world.env.backend.delete_message(world.channel.id, world.messages()[1].id)
        await world.env.settle()
        left = (await world.turns())[-1].text
        assert "Part one" in left
        assert "Part two" not in left
        assert "Part three" in left


async def test_a_first_message_has_room_for_the_line(tmp_path: Path) -> None:
    text = WORDS[:MESSAGE_CHARACTERS]
    async with talking(tmp_path, [text]) as world:
        await use(world)
        asked = await world.ask("tell me everything")
        texts = [text for _, text in spoken(world)]
        assert len(texts) == 2
        assert texts[0].startswith(line_to(world, asked))
        assert " ".join([texts[0].partition("\n")[2], texts[1]]) == text


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_the_buttons_work_also_after_a_restart(tmp_path: Path, is_restarted: bool) -> None:
    async with talking(tmp_path, ["First.", "Second.", " More."]) as world:
        await use(world)
        asked = await world.ask("one")
        line = line_to(world, asked)
        if is_restarted:
            await restart(world)
        await world.alice.click(last(world), label="Regenerate")
        assert spoken(world) == [("Ada", f"{line}Second.")]
        await world.alice.click(last(world), label="◀")
        assert spoken(world) == [("Ada", f"{line}First.")]
        await world.alice.click(last(world), label="1/2 ▶")
        if is_restarted:
            await restart(world)
        await world.alice.click(last(world), label="Continue")
        assert spoken(world) == [("Ada", f"{line}Second. More.")]
        assert (await world.turns())[-1].text == "Second. More."
        await world.alice.click(last(world), label="Delete")
        assert spoken(world) == []
        assert len(await world.turns()) == 1


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_a_reply_to_a_persona_wakes_it(tmp_path: Path, is_restarted: bool) -> None:
    async with talking(tmp_path, ["I am Ada.", "Because.", "Yes."]) as world:
        await use(world)
        await world.ask("who are you?")
        if is_restarted:
            await restart(world)
        await world.bob.send(world.channel, "why?", reply_to=last(world))
        assert len(spoken(world)) == 2
        await world.ask("something between")
        await world.bob.send(world.channel, "really?", reply_to=world.messages()[0])
        quoted = world.engine.requests[-1].prompt
        assert quoted.count("I am Ada.") == 2
        assert "channels/" not in quoted


async def test_what_is_linked_or_made_a_thread_of_is_read_without_the_line(
    tmp_path: Path,
) -> None:
    async with talking(tmp_path, lambda _: "I am Ada.") as world:
        await use(world)
        await world.ask("who are you?")
        reply = last(world)
        other = world.guild.create_text_channel("other")
        stored = world.env.backend.create_thread(
            world.channel.id, "About it", world.alice.id, message_id=reply.id
        )
        thread = simcord.ChannelHandle(world.env, world.guild, stored)
        await world.env.settle()
        await world.alice.send(other, f"{world.me} what is {reply.jump_url}?")
        await world.alice.send(thread, f"{world.me} what is this?")
        assert len(world.engine.requests) == 3
        for request in world.engine.requests[1:]:
            assert "I am Ada." in request.prompt
            assert "↪" not in request.prompt


async def test_it_never_hears_itself(tmp_path: Path) -> None:
    async with talking(tmp_path, lambda _: "Ada, Bram and Caduceus said something.") as world:
        await use(world)
        for key, value in (("trigger", "always"), ("context", "channel")):
            await world.chief.slash(world.channel, "settings set", key=key, value=value)
        await world.alice.send(world.channel, "hello")
        await world.pass_time(60)
        assert len(world.engine.requests) == 1
        assert [turn.role for turn in await world.turns()] == ["user", "bot"]
        webhooks = [one for one in world.env.http_requests if one.path.startswith("/webhooks/")]
        assert len(webhooks) <= 3


@pytest.mark.parametrize("kind", ["thread", "post"])
async def test_in_threads_and_posts(tmp_path: Path, kind: str) -> None:
    async with talking(tmp_path, ["One.", "Two.", LONG, "Short."]) as world:
        parent = world.channel if kind == "thread" else world.guild.create_forum_channel("help")
        await use(world, channel=parent)
        stored = world.env.backend.create_thread(parent.id, "aside", world.alice.id)
        thread = simcord.ChannelHandle(world.env, world.guild, stored)
        await world.env.settle()
        asked = await world.alice.send(thread, f"{world.me} hello?")
        assert spoken(world, thread) == [("Ada", f"{line_to(world, asked)}One.")]
        await world.alice.click(last(world, thread), label="Regenerate")
        assert spoken(world, thread)[0][1].endswith("\nTwo.")
        await world.alice.click(last(world, thread), label="Regenerate")
        assert len(spoken(world, thread)) == 3
        await world.alice.click(last(world, thread), label="Regenerate")
        assert len(spoken(world, thread)) == 1
        await world.alice.send(thread, "again", reply_to=last(world, thread))
        assert len(spoken(world, thread)) == 2
        await world.alice.click(last(world, thread), label="Delete")
        assert len(spoken(world, thread)) == 1
        [webhook] = world.env.backend.webhooks.values()
        assert webhook.channel_id == parent.id
        for entry in world.env.http_requests:
            if entry.path.startswith("/webhooks/") and webhook.token in entry.path:
                assert str(entry.params["thread_id"]) == str(thread.id)


async def test_a_thread_that_sleeps_is_woken_for_an_edit(tmp_path: Path) -> None:
    async with talking(tmp_path, ["One.", "Two."]) as world:
        await use(world)
        stored = world.env.backend.create_thread(world.channel.id, "aside", world.alice.id)
        thread = simcord.ChannelHandle(world.env, world.guild, stored)
        await world.env.settle()
        await world.alice.send(thread, f"{world.me} hello?")
        assert stored.thread_metadata is not None
        stored.thread_metadata.archived = True
        await world.alice.click(last(world, thread), label="Regenerate")
        assert spoken(world, thread)[0][1].endswith("\nTwo.")
        assert not stored.thread_metadata.archived


@pytest.mark.parametrize("kind", [ChannelType.VOICE, ChannelType.STAGE_VOICE, ChannelType.NEWS])
async def test_in_voice_stage_and_announcement_channels(tmp_path: Path, kind: ChannelType) -> None:
    async with talking(tmp_path) as world:
        stored = world.env.backend.create_channel(world.guild.id, "hall", type=kind)
        channel = simcord.ChannelHandle(world.env, world.guild, stored)
        await world.env.settle()
        await use(world, channel=channel)
        asked = await world.alice.send(channel, f"{world.me} hello?")
        assert spoken(world, channel) == [("Ada", f"{line_to(world, asked)}Hello, Alice.")]


async def test_in_a_direct_message_the_bot_says_it(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.alice.send_dm("hi")
        dm = world.env.backend.get_dm_channel(world.alice.id)
        handle = simcord.ChannelHandle(world.env, None, dm)
        assert spoken(world, handle) == [("TestBot", "Hello, Alice.")]
        await world.bot.conversations.settings.set(
            bare_key(dm.id, None), Scope.CHANNEL, "persona", "Ada", by="1"
        )
        await world.alice.send_dm("and now?")
        assert spoken(world, handle)[1:] == [("TestBot", "**Ada**\nHello, Alice.")]
        assert webhook_ids(world) == []


async def test_two_personas_of_one_name_look_apart(tmp_path: Path) -> None:
    async with talking(tmp_path, lambda _: "Hi.") as world:
        names = {"ada": "Clyde", "bram": "Clyde"}
        for file, name in names.items():
            path = world.personas_folder / f"{file}.toml"
            path.write_text(f'name = "{name}"\ndescription = "x"\n', "utf-8")
        await world.bot.desk.library.refresh()
        for reference in ("file:ada", "file:bram", "file:ada", "file:bram"):
            await use(world, reference)
            await world.ask("hello?")
            if reference == "file:ada":
                await restart(world)
        names_seen = [name for name, _ in spoken(world)]
        assert names_seen[0] != names_seen[1]
        assert names_seen[:2] == names_seen[2:]
        assert len(webhook_ids(world)) == 1


async def test_several_channels_at_once(tmp_path: Path) -> None:
    async with talking(tmp_path, lambda _: "Hi.") as world:
        channels = [world.guild.create_text_channel(f"room-{number}") for number in range(5)]
        await world.env.settle()
        for channel in channels:
            await use(world, channel=channel)
        backend = world.env.backend
        for channel in channels:
            for _ in range(2):
                backend.create_message(channel.id, world.alice.id, f"{world.me} hello")
        await world.env.settle()
        for channel in channels:
            assert [name for name, _ in spoken(world, channel)]
        assert len(webhook_ids(world)) == len(channels)
        assert len(world.requests("GET", "/webhooks")) == len(channels)


async def test_who_asked_is_shown_to_who_asked_and_to_moderators(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await use(world)
        await world.ask("who are you?")
        reply = last(world)
        shown: dict[str, list[str | None]] = {}
        for name, actor in (("alice", world.alice), ("bob", world.bob), ("chief", world.chief)):
            result = await actor.context_menu(world.channel, "Why this reply?", reply)
            answer = result.response
            assert answer is not None
            shown[name] = [
                field.value for field in answer.embeds[0].fields if field.name == "Asked by"
            ]
            assert ("Delete this reply" in str(answer.components)) == (name != "bob")
        assert shown == {"alice": [f"<@{world.alice.id}>"], "bob": [], "chief": shown["alice"]}
        await world.chief.click(answer, label="Delete this reply")
        assert spoken(world) == []


async def test_all_that_is_sent_is_what_discord_describes(tmp_path: Path) -> None:
    described()
    content = io.BytesIO()
    Image.new("RGB", (40, 60)).save(content, "PNG")

    async def read() -> bytes:
        return content.getvalue()

    async with talking(tmp_path, [LONG, "Second.", " More."]) as world:
        world.bot.voices.avatars = Avatars(
            world.bot, HeldPictures({"file:ada": Picture("ab" * 32, read)})
        )
        await use(world)
        await world.ask("hello @everyone")
        for label in ("Regenerate", "◀", "Continue"):
            await world.alice.click(last(world), label=label)
        await world.alice.context_menu(world.channel, "Why this reply?", last(world))
        await world.alice.click(last(world), label="Delete")
        checked = 0
        for entry in world.env.http_requests:
            check(entry.method, entry.path, entry.json)
            checked += entry.json is not None
        assert checked > 10
        assert world.requests("POST", "/emojis")
