"""When the bot answers, and what it hears."""

from pathlib import Path

import discord
import pytest
import simcord
from simcord.backend import serializers
from simcord.backend.models import Role
from worlds import World, labels, talking

from bot.chat.messages import ChannelKey


async def test_a_mention_is_answered_with_buttons_for_who_asked(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.ask("hi there")
        [reply] = world.messages()
        assert reply.content == "Hello, Alice."
        assert labels(reply) == ["Regenerate", "Continue", "Delete"]
        [question, answer] = await world.turns()
        assert (question.text, question.speaker.name) == ("hi there", "Alice")
        assert answer.message_ids == (str(reply.id),)
        assert reply.reference is not None
        assert str(reply.reference.message_id) in question.message_ids


async def test_who_does_not_mean_the_bot_gets_no_answer(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.alice.send(world.channel, "talking to myself")
        await world.alice.send(world.channel, "@everyone hello")
        await world.alice.send(world.channel, f"// {world.me} out of character")
        await world.alice.send(world.channel, f"((not you, {world.me}))")
        assert world.said() == []
        assert world.engine.requests == []


async def test_bots_webhooks_and_discord_itself_get_no_answer(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        robot = world.guild.add_member(world.env.create_user("robot", bot=True))
        await robot.send(world.channel, f"{world.me} hello")
        webhook = world.guild.create_webhook(world.channel)
        await webhook.send(f"{world.me} hello")
        welcome = simcord.enums.MessageType.NEW_MEMBER
        world.guild.create_system_message(world.channel, welcome, author=world.bob)
        await world.env.settle()
        assert world.said() == []


async def test_where_all_is_kept_other_bots_still_are_not(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.keeper.slash(world.channel, "settings set", key="context", value="channel")
        robot = world.guild.add_member(world.env.create_user("robot", bot=True))
        await robot.send(world.channel, "beep")
        await world.alice.send(world.channel, "just talking")
        assert [turn.text for turn in await world.turns()] == ["just talking"]


async def test_a_direct_message_is_answered_without_a_mention(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.alice.user.send_dm("hello in private")
        dm = world.alice.user.dm_channel
        assert world.said(dm) == ["Hello, Alice."]
        assert world.messages(dm)[0].reference is None
        assert world.engine.requests[0].channel == f"discord:{dm.id}"


async def test_a_reply_to_the_bot_is_answered_without_a_mention(tmp_path: Path) -> None:
    async with talking(tmp_path, ["First.", "Second."]) as world:
        await world.ask("one")
        await world.bob.send(world.channel, "and now?", reply_to=world.messages()[0])
        assert world.said() == ["First.", "Second."]
        turns = await world.turns()
        assert turns[2].reply_to is not None
        assert turns[2].reply_to.text == "First."


async def test_a_replied_to_message_is_put_before_the_model(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        old = await world.bob.send(world.channel, f"the code is 4711, {world.alice.mention}")
        await world.alice.send(world.channel, f"{world.me} what is it?", reply_to=old)
        assert "the code is 4711, Alice" in world.engine.requests[0].prompt
        assert "Bob" in world.engine.requests[0].prompt


async def test_a_replied_to_message_that_did_not_come_along_is_fetched(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        old = await world.bob.send(world.channel, "the code is 4711")
        backend = world.env.backend
        stored = backend.create_message(
            world.channel.id,
            world.alice.id,
            f"{world.me} what is it?",
            reference={"channel_id": str(world.channel.id), "message_id": str(old.id)},
        )
        await world.env.settle()
        assert "4711" in world.engine.requests[0].prompt
        world.engine.requests.clear()

        # The same message as an event that does not carry what it replies to.
        payload = dict(serializers.message_payload(backend, stored))
        payload.pop("referenced_message", None)
        payload["id"] = str(backend.snowflake())
        with world.env._bot_scope():
            backend.emit("MESSAGE_CREATE", payload)
        await world.env.settle()
        assert "4711" in world.engine.requests[0].prompt
        assert world.requests("GET", f"/messages/{old.id}")


async def test_a_replied_to_message_that_cannot_be_fetched_hinders_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise ConnectionResetError

    async with talking(tmp_path) as world:
        monkeypatch.setattr(discord.TextChannel, "fetch_message", broken)
        with world.env._bot_scope():
            payload = dict(
                serializers.message_payload(
                    world.env.backend,
                    world.env.backend.create_message(
                        world.channel.id, world.alice.id, "unheard", reference=None
                    ),
                )
            )
            payload |= {
                "id": str(world.env.backend.snowflake()),
                "content": f"{world.me} what is it?",
                "mentions": [serializers.user_payload(world.env.backend.bot_user)],
                "type": 19,
                "message_reference": {"channel_id": str(world.channel.id), "message_id": "1"},
            }
            world.env.backend.emit("MESSAGE_CREATE", payload)
        await world.env.settle()
        assert world.said() == ["Hello, Alice."]


async def test_mentions_are_names_and_the_bots_own_is_stripped(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        role = world.guild.create_role("Crew")
        await world.ask(
            f"tell {world.bob.mention} and {role.mention} in {world.channel.mention} "
            f"that <:wave:123456789> </chat reset:42> {world.me}"
        )
        [question, _] = await world.turns()
        assert question.text == "tell Bob and @Crew in #general that :wave: /chat reset"
        assert "<@" not in world.engine.requests[0].prompt


async def test_the_bots_own_role_means_the_bot(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        role = world.guild.create_role("Caduceus")
        stored: Role = world.env.backend.get_guild(world.guild.id).roles[role.id]
        cached = world.bot.get_guild(world.guild.id)
        assert cached is not None
        assert world.bot.user is not None
        found = cached.get_role(stored.id)
        assert found is not None
        found.tags = discord.role.RoleTags({"bot_id": str(world.bot.user.id)})
        await world.alice.send(world.channel, f"{role.mention} hello")
        assert world.said() == ["Hello, Alice."]
        assert (await world.turns())[0].text == "hello"


async def test_attachments_are_named(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.alice.send(
            world.channel, f"{world.me} look", attachments=[("cat.png", b"not really")]
        )
        assert (await world.turns())[0].text == "look\n[attachment: cat.png]"


@pytest.mark.parametrize("aside", ["((brb))", "// brb"])
async def test_an_aside_stays_one_with_a_picture(tmp_path: Path, aside: str) -> None:
    async with talking(tmp_path) as world:
        picture = [("cat.png", b"not really")]
        await world.alice.send(world.channel, f"{world.me} {aside}", attachments=picture)
        assert world.said() == []
        assert await world.turns() == []
        question = await world.alice.send(world.channel, f"{world.me} look", attachments=picture)
        await world.alice.edit(question, aside)
        assert [turn.role for turn in await world.turns()] == ["bot"]


async def test_what_is_attached_wakes_nobody_up(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        picture = [("caduceus.png", b"not really")]
        await world.chief.slash(world.channel, "settings set", key="wake_words", value="caduceus")
        for trigger in ("always", "wakeword"):
            await world.chief.slash(world.channel, "settings set", key="trigger", value=trigger)
            await world.alice.send(world.channel, "", attachments=picture)
            assert world.said() == []
        await world.alice.send(world.channel, "what is it, caduceus?", attachments=picture)
        assert world.said() == ["Hello, Alice."]
        assert (await world.turns())[0].text == "what is it, caduceus?\n[attachment: caduceus.png]"


async def test_an_edit_changes_what_the_model_sees(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        message = await world.ask("my cat is red")
        await world.alice.edit(message, f"{world.me} my cat is blue")
        await world.ask("which colour?")
        prompt = world.engine.requests[-1].prompt
        assert "my cat is blue" in prompt
        assert "red" not in prompt


async def test_a_deletion_takes_a_message_out_and_leaves_the_answer(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        message = await world.ask("my secret")
        await world.alice.delete(message)
        assert [turn.text for turn in await world.turns()] == ["Hello, Alice."]
        assert world.said() == ["Hello, Alice."]


async def test_many_deletions_at_once_take_all_out(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        first, second = await world.ask("one"), await world.ask("two")
        with world.env._bot_scope():
            world.env.backend.bulk_delete_messages(world.channel.id, [first.id, second.id])
        await world.env.settle()
        assert [turn.role for turn in await world.turns()] == ["bot", "bot"]


async def test_a_deleted_reply_is_gone_from_the_history(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.ask("one")
        moderator = world.guild.create_role(
            "messages", permissions=discord.Permissions(manage_messages=True)
        )
        cleaner = world.guild.add_member(world.env.create_user("cleaner"), roles=[moderator])
        await cleaner.delete(world.messages()[0])
        assert [turn.role for turn in await world.turns()] == ["user"]


async def test_a_thread_has_a_history_of_its_own_and_its_channels_settings(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.keeper.slash(world.channel, "settings set", key="trigger", value="always")
        parent = world.bot.get_channel(world.channel.id)
        assert isinstance(parent, discord.TextChannel)
        with world.env._bot_scope():
            thread = await parent.create_thread(
                name="aside", type=discord.ChannelType.public_thread
            )
        [handle] = world.channel.threads
        await world.alice.send(handle, "no mention here")
        assert world.said(handle) == ["Hello, Alice."]
        assert world.engine.requests[0].channel == f"discord:{thread.id}"
        assert await world.turns() == []


async def test_a_trigger_of_off_silences_the_bot(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.keeper.slash(world.channel, "settings set", key="trigger", value="off")
        await world.ask("anybody there?")
        assert world.said() == []


async def test_a_fault_of_ours_in_one_reply_does_not_silence_the_channel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with talking(tmp_path) as world:
        conversations = world.bot.conversations
        original = conversations.next_reply
        channel = world.bot.get_channel(world.channel.id)
        assert isinstance(channel, discord.TextChannel)

        async def broken(key: ChannelKey) -> None:
            world.bot.serving.serve(key, channel)  # somebody speaks in the very moment
            monkeypatch.setattr(conversations, "next_reply", original)
            raise RuntimeError("a fault of ours")

        monkeypatch.setattr(conversations, "next_reply", broken)
        await world.ask("hello?")
        assert world.said() == ["Hello, Alice."]
        assert "broke down" in caplog.text


async def _nothing_is_lost(world: World) -> None:
    turns = await world.turns()
    assert all(turn.answered_by for turn in turns if turn.addressed)


async def test_a_store_that_fails_once_does_not_silence_the_channel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bot.errors import StoreError

    async with talking(tmp_path) as world:
        history = world.bot.conversations.history
        original = history.add_message

        async def broken(*_: object, **__: object) -> None:
            raise StoreError("The disk is full.")

        monkeypatch.setattr(history, "add_message", broken)
        await world.ask("lost")
        monkeypatch.setattr(history, "add_message", original)
        await world.ask("heard")
        assert world.said()[1:] == ["Hello, Alice."]  # after a line about the first one
        await _nothing_is_lost(world)


async def test_a_name_that_discord_shows_is_no_wake_word(tmp_path: Path) -> None:
    async with talking(tmp_path, ["Here."] * 9) as world:
        for key, value in (("wake_words", "ada"), ("trigger", "wakeword")):
            await world.chief.slash(world.channel, "settings set", key=key, value=value)
        before = len(world.said())
        lounge = world.guild.create_text_channel("ada-lounge")
        fan = world.guild.add_member(world.env.create_user("fan", global_name="Ada Fan"))
        for text in (
            "lol <:ada:123456789012345678>",
            f"go to {lounge.mention}",
            f"ask {fan.mention}",
            "see https://example.org/ada/x",
        ):
            await world.alice.send(world.channel, text)
        assert len(world.said()) == before
        await world.alice.send(world.channel, "well, Ada?")
        await world.alice.send(world.channel, "and caduceus?")  # the persona's name
        assert len(world.said()) == before + 2


async def test_a_message_of_nothing_but_an_emoji_is_answered_where_all_are(tmp_path: Path) -> None:
    async with talking(tmp_path, ["Here."]) as world:
        await world.chief.slash(world.channel, "settings set", key="trigger", value="always")
        await world.alice.send(world.channel, "<:wave:123456789012345678>")
        assert world.said()[-1] == "Here."
