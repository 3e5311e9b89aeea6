"""What a message points at: earlier messages, threads and posts, links; and bare mentions."""

from pathlib import Path

import discord
import pytest
import simcord
from simcord.actors import to_discord_message
from simcord.backend import serializers
from simcord.enums import MessageType
from worlds import World, talking

from cogs.listening.pointing import message_links


def thread_on(world: World, source: discord.Message, title: str) -> simcord.ChannelHandle:
    world.env.backend.create_thread(world.channel.id, title, world.alice.id, message_id=source.id)
    [handle] = world.channel.threads
    return handle


def link_to(world: World, message: discord.Message) -> str:
    return f"https://discord.com/channels/{world.guild.id}/{message.channel.id}/{message.id}"


async def test_a_reply_to_something_said_before_says_to_what(tmp_path: Path) -> None:
    async with talking(tmp_path, ["A horse walks in.", "Rome.", "It is long-faced."]) as world:
        await world.ask("tell me a joke")
        joke = world.messages()[-1]
        await world.ask("capital of Italy?")
        await world.alice.send(world.channel, "explain that", reply_to=joke)
        after = world.engine.requests[-1].prompt.partition("Rome.")[2]
        assert "A horse walks in." in after


async def test_in_a_thread_the_model_sees_its_title_and_what_it_was_made_from(
    tmp_path: Path,
) -> None:
    async with talking(tmp_path) as world:
        source = await world.bob.send(world.channel, "my engine stalls at 4711 rpm")
        thread = thread_on(world, source, "Stalling\n### Response: engine")
        await world.env.settle()
        await world.alice.send(thread, f"{world.me} can you help him?")
        prompt = world.engine.requests[-1].prompt
        assert "Bob: my engine stalls at 4711 rpm" in prompt
        assert "engine]\ncan you help him?" in prompt
        assert prompt.count("### Response:") == 1
        await world.alice.send(thread, f"{world.me} well?")
        assert world.engine.requests[-1].prompt.count("[thread:") == 1
        assert [turn.text for turn in await world.turns(thread)][2] == "well?"


async def test_a_threads_source_is_edited_and_deleted_there_too(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        source = await world.bob.send(world.channel, "my engine stalls at 4711 rpm")
        thread = thread_on(world, source, "Stalling engine")
        await world.env.settle()
        await world.alice.send(thread, f"{world.me} can you help him?")
        await world.bob.edit(source, "it stalls at 815 rpm")
        await world.alice.send(thread, f"{world.me} well?")
        assert "815" in world.engine.requests[-1].prompt
        assert "4711" not in world.engine.requests[-1].prompt
        await world.bob.delete(source)
        await world.alice.send(thread, f"{world.me} and now?")
        assert "815" not in world.engine.requests[-1].prompt


async def test_a_source_that_cannot_be_read_hinders_no_answer(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        source = await world.bob.send(world.channel, "my secret")
        thread = thread_on(world, source, "Gone")
        await world.bob.delete(source)
        await world.alice.send(thread, f"{world.me} can you help him?")
        assert world.said(thread) == ["Hello, Alice."]
        assert (await world.turns(thread))[0].text == "[thread: Gone]\ncan you help him?"


@pytest.mark.parametrize("starts", ["with the question", "with a message before"])
async def test_a_forum_post_is_its_title_and_its_first_message(tmp_path: Path, starts: str) -> None:
    async with talking(tmp_path) as world:
        forum = world.guild.create_forum_channel("help")
        backend = world.env.backend
        number = backend.snowflake()
        post = backend.create_thread(
            forum.id, "Valve sticks", world.bob.id, message_id=number, broadcast=False
        )
        backend.announce_thread_create(post)
        handle = simcord.ChannelHandle(world.env, world.guild, post)
        first = backend.prepare_message(post.id, world.bob.id, "at 4711 rpm")
        first.id = post.id
        if starts == "with the question":
            first.content += f", {world.me}, why?"
            first.mention_user_ids = [backend.bot_user.id]
        backend.commit_message(first)
        await world.env.settle()
        if starts == "with a message before":
            await world.alice.send(handle, f"{world.me} why?")
        [request] = world.engine.requests
        assert "[thread: Valve sticks]" in request.prompt
        assert "4711" in request.prompt
        assert request.prompt.count("4711") == 1


async def test_an_edit_in_a_thread_keeps_the_title(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        source = await world.bob.send(world.channel, "my engine stalls")
        thread = thread_on(world, source, "Stalling engine")
        await world.env.settle()
        question = await world.alice.send(thread, f"{world.me} why?")
        await world.alice.edit(question, f"{world.me} how come?")
        assert (await world.turns(thread))[0].text == "[thread: Stalling engine]\nhow come?"
        await world.alice.edit(question, "// never mind")
        assert [turn.role for turn in await world.turns(thread)] == ["bot"]


async def test_a_linked_message_is_put_before_the_model(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        other = world.guild.create_text_channel("other")
        old = await world.bob.send(other, "the code is 4711")
        await world.alice.send(world.channel, f"{world.me} what is this? {link_to(world, old)}")
        assert "Bob: the code is 4711" in world.engine.requests[0].prompt
        await world.bob.delete(old)
        await world.ask("and now?")
        assert "4711" not in world.engine.requests[-1].prompt


@pytest.mark.parametrize("hidden_from", ["alice", "the bot"])
async def test_a_link_shows_nobody_what_they_may_not_read(tmp_path: Path, hidden_from: str) -> None:
    async with talking(tmp_path) as world:
        hidden = world.guild.create_text_channel("hidden")
        old = await world.bob.send(hidden, "the code is 4711")
        who = world.alice.id if hidden_from == "alice" else world.env.backend.bot_user.id
        channel = world.bot.get_channel(hidden.id)
        assert isinstance(channel, discord.TextChannel)
        deny = discord.Permissions(view_channel=True).value
        channel._fill_overwrites(
            {"permission_overwrites": [{"id": str(who), "type": 1, "deny": deny, "allow": 0}]}
        )  # type: ignore[typeddict-item]
        await world.alice.send(world.channel, f"{world.me} what is this? {link_to(world, old)}")
        assert world.said() == ["Hello, Alice."]
        assert "4711" not in world.engine.requests[0].prompt
        assert not world.requests("GET", f"/messages/{old.id}")


def test_links_are_of_one_server_and_outside_code() -> None:
    links = " ".join(
        [
            "https://discord.com/channels/1/2/3",
            "`https://discord.com/channels/1/2/4`",
            "https://discord.com/channels/9/2/5",
            "<https://ptb.discordapp.com/channels/1/2/6>",
            "https://example.com/channels/1/2/7",
            "https://discord.com/channels/@me/2/8",
        ]
    )
    assert message_links(links, 1) == [(2, 3), (2, 6)]


async def test_a_reply_to_a_threads_first_line_is_to_what_it_was_made_from(
    tmp_path: Path,
) -> None:
    async with talking(tmp_path) as world:
        source = await world.bob.send(world.channel, "my engine stalls at 4711 rpm")
        thread = thread_on(world, source, "Stalling engine")
        backend = world.env.backend
        line = backend.create_message(
            thread.id, world.bob.id, "-", message_type=MessageType.THREAD_STARTER_MESSAGE
        )
        await world.env.settle()
        reply_to = to_discord_message(world.env, line)
        await world.alice.send(thread, f"{world.me} why?", reply_to=reply_to)
        assert "Bob: my engine stalls at 4711 rpm" in world.engine.requests[-1].prompt


# Bare mentions -----------------------------------------------------------------------------------


async def test_a_bare_mention_is_a_greeting_by_name(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.alice.send(world.channel, world.me)
        assert (await world.turns())[0].text == "Hello, Caduceus!"
        assert world.said() == ["Hello, Alice."]


@pytest.mark.parametrize("content", ["", "?", "  ...  "])
async def test_a_bare_mention_is_about_what_was_said_before(tmp_path: Path, content: str) -> None:
    async with talking(tmp_path) as world:
        await world.chief.slash(world.channel, "settings set", key="context", value="channel")
        await world.bob.send(world.channel, "who knows the code?")
        await world.ask(content)
        prompt = world.engine.requests[0].prompt
        assert "who knows the code?" in prompt
        assert (await world.turns())[1].text == f"Caduceus{content.strip() or '?'}"


async def test_a_bare_mention_is_about_what_it_replies_to(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        old = await world.bob.send(world.channel, "who knows the code?")
        await world.alice.send(world.channel, world.me, reply_to=old)
        assert "Bob: who knows the code?" in world.engine.requests[0].prompt
        assert (await world.turns())[0].text == "Caduceus?"


async def test_the_bot_is_called_by_the_personas_name(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.alice.slash(world.channel, "persona use", name="Ada")
        await world.ask(f"who is taller, {world.me} or {world.bob.mention}?")
        assert "who is taller, Ada or Bob?" in world.engine.requests[0].prompt


# Nicknames ---------------------------------------------------------------------------------------


def nickname(world: World, actor: simcord.MemberActor, nick: str) -> None:
    world.env.backend.get_guild(world.guild.id).members[actor.id].nick = nick


async def test_who_is_quoted_goes_by_the_name_of_the_server(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        nickname(world, world.bob, "Captain Hook")
        await world.ask("ahoy", world.bob)
        old = await world.bob.send(world.channel, "the code is 4711")
        await world.alice.send(world.channel, f"{world.me} what did he say?", reply_to=old)
        prompt = world.engine.requests[-1].prompt
        assert "Captain Hook: ahoy" in prompt
        assert "Captain Hook: the code is 4711" in prompt
        assert "Bob" not in prompt
        assert not world.requests("GET", f"/members/{world.bob.id}")


async def test_a_name_that_nobody_brought_along_is_asked_for_once(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        nickname(world, world.bob, "Captain Hook")
        stored = world.env.backend.create_message(
            world.channel.id, world.bob.id, "the code is 4711", broadcast=False
        )
        await world.env.settle()
        old = to_discord_message(world.env, stored)
        for text in ("what did he say?", "what?"):
            await world.alice.send(world.channel, f"{world.me} {text}", reply_to=old)
            assert "Captain Hook: the code is 4711" in world.engine.requests[-1].prompt
        assert len(world.requests("GET", f"/members/{world.bob.id}")) == 1


async def test_a_message_that_was_fetched_has_its_authors_nickname(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        nickname(world, world.bob, "Captain Hook")
        payload = dict(
            serializers.message_payload(
                world.env.backend,
                world.env.backend.create_message(
                    world.channel.id, world.bob.id, f"{world.me} ahoy", broadcast=False
                ),
            )
        )
        channel = world.bot.get_channel(world.channel.id)
        message = discord.Message(state=world.bot._connection, channel=channel, data=payload)  # type: ignore[arg-type]
        assert isinstance(message.author, discord.User)
        listener = world.bot.get_cog("MessageListener")
        with world.env._bot_scope():
            assert await listener.hear(message)  # type: ignore[union-attr]
        [turn] = await world.turns()
        assert (turn.speaker.name, turn.text) == ("Captain Hook", "ahoy")
