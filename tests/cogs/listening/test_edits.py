"""Messages that are edited: by people, or by Discord when a link's preview comes."""

from pathlib import Path

from simcord.actors import to_discord_message
from simcord.backend import serializers
from worlds import talking


async def test_an_edit_that_adds_the_mention_is_answered(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        message = await world.alice.send(world.channel, "what is two and two?")
        await world.alice.edit(message, f"{world.me} what is two and two?")
        await world.alice.edit(message, f"{world.me} what is two and three?")
        assert world.said() == ["Hello, Alice."]
        assert [turn.text for turn in await world.turns()] == [
            "what is two and three?",
            "Hello, Alice.",
        ]


async def test_a_link_preview_that_comes_later_is_read_and_answered_once(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        message = await world.ask("what is https://example.com/a about?")
        backend = world.env.backend
        stored = backend.get_message(world.channel.id, message.id)
        stored.embeds = [
            {"type": "link", "title": "On valves", "description": "They stick at 4711 rpm."}
        ]
        for _ in range(2):
            with world.env._bot_scope():
                backend.emit("MESSAGE_UPDATE", dict(serializers.message_payload(backend, stored)))
            await world.env.settle()
        assert world.said() == ["Hello, Alice."]
        [question, _] = await world.turns()
        assert question.text.splitlines() == [
            "what is https://example.com/a about?",
            "[link preview: On valves — They stick at 4711 rpm.]",
        ]


async def test_another_bots_edited_embed_is_what_is_quoted(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        relay = world.guild.add_member(world.env.create_user("relay", bot=True))
        embeds = [{"type": "rich", "title": "4711"}]
        stored = world.env.backend.create_message(world.channel.id, relay.id, "", embeds=embeds)
        await world.env.settle()
        old = to_discord_message(world.env, stored)
        await world.alice.send(world.channel, f"{world.me} what is it?", reply_to=old)
        with world.env._bot_scope():
            new = {"embeds": [{"type": "rich", "title": "815"}]}
            world.env.backend.edit_message(world.channel.id, stored.id, new)
        await world.env.settle()
        [question, _] = await world.turns()
        assert question.reply_to is not None
        assert question.reply_to.text == "[embed]\n815"
