"""People who speak through PluralKit or Tupperbox."""

from pathlib import Path
from typing import Any

import discord
import pytest
from simcord.actors import to_discord_message
from simcord.backend import serializers
from worlds import World, held, let, talking

from bot.chat.limits.words.word import GuildWord
from bot.chat.text.forbidden.redaction import BLOCK
from cogs.listening.proxies import PROXIES

PLURALKIT, TUPPERBOX = 466378653216014359, 431544605209788416


class Proxy:
    """A proxy bot with its webhook in the world's channel."""

    def __init__(self, world: World, application_id: int | None = PLURALKIT) -> None:
        self._world = world
        self._application_id = application_id
        self._webhook = world.guild.create_webhook(world.channel, "Proxy")

    async def says(self, name: str, text: str, **parts: Any) -> discord.Message:
        """The proxy posts what somebody said under another name."""
        world = self._world
        stored = world.env.backend.create_message(
            world.channel.id,
            self._webhook._webhook.webhook_user_id,
            text,
            webhook_id=self._webhook.id,
            author_name=name,
            broadcast=False,
            **parts,
        )
        self.emit("MESSAGE_CREATE", stored)
        await world.env.settle()
        return to_discord_message(world.env, stored)

    def emit(self, event: str, stored: Any) -> None:
        backend = self._world.env.backend
        payload = dict(serializers.message_payload(backend, stored))
        payload["author"] |= {"id": str(self._webhook.id), "bot": True}
        if self._application_id is not None:
            payload["application_id"] = str(self._application_id)
        with self._world.env._bot_scope():
            backend.emit(event, payload)

    async def edits(self, message: discord.Message, text: str) -> None:
        stored = self._world.env.backend.get_message(message.channel.id, message.id)
        stored.content = text
        stored.edited_timestamp = self._world.env.backend.now_iso()
        self.emit("MESSAGE_UPDATE", stored)
        await self._world.env.settle()


def test_the_proxies_are_known_by_their_applications() -> None:
    assert frozenset({PLURALKIT, TUPPERBOX}) == PROXIES


@pytest.mark.parametrize("application_id", [PLURALKIT, TUPPERBOX])
async def test_a_proxys_message_is_a_persons(tmp_path: Path, application_id: int) -> None:
    async with talking(tmp_path) as world:
        await Proxy(world, application_id).says("Luna | Stars", f"{world.me} who are you?")
        assert world.said() == ["Hello, Alice."]
        [question, _] = await world.turns()
        assert (question.speaker.name, question.text) == ("Luna | Stars", "who are you?")
        assert not question.speaker.is_bot


async def test_other_webhooks_and_our_own_stay_unheard(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.chief.slash(world.channel, "settings set", key="context", value="channel")
        for application_id in (None, 12345, world.bot.application_id):
            await Proxy(world, application_id).says("Luna", f"{world.me} who are you?")
        robot = world.guild.add_member(world.env.create_user("PluralKit", bot=True))
        await robot.send(world.channel, f"{world.me} who are you?")
        assert world.said() == []
        assert await world.turns() == []


async def test_each_name_is_a_speaker_of_its_own(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        proxy = Proxy(world)
        for name in ("Luna", "Sol", "Luna"):
            await proxy.says(name, f"{world.me} hi")
        speakers = [turn.speaker for turn in await world.turns() if turn.role == "user"]
        assert speakers[0] == speakers[2] != speakers[1]


async def test_a_copy_takes_the_originals_place_while_it_waits(tmp_path: Path) -> None:
    engine, gate = held("I am a bot.", "Still a bot.")
    async with talking(tmp_path, engine=engine) as world:
        original = await world.alice.send(world.channel, f"L: {world.me} who are you?")
        await Proxy(world).says("Luna", f"{world.me} who are you?")
        await world.alice.delete(original)
        let(gate)
        await world.env.settle()
        await world.pass_time(3)
        assert world.said() == ["I am a bot."]
        turns = await world.turns()
        assert [(turn.speaker.name, turn.text) for turn in turns] == [
            ("Luna", "who are you?"),
            ("Caduceus", "I am a bot."),
        ]
        assert turns[0].answered_by == turns[1].turn_id


async def test_what_is_answered_already_is_not_answered_again(tmp_path: Path) -> None:
    async with talking(tmp_path, ["One.", "Two.", "Three."]) as world:
        proxy = Proxy(world)
        original = await world.ask("who are you? -luna")
        await proxy.says("Luna", f"{world.me} who are you?")
        await world.alice.delete(original)
        assert world.said() == ["One."]
        assert [turn.text for turn in await world.turns()] == ["who are you?", "One."]
        await proxy.says("Luna", f"{world.me} and now?")
        assert world.said() == ["One.", "Two."]


async def test_what_was_answered_and_deleted_before_its_copy_is_not_answered_again(
    tmp_path: Path,
) -> None:
    async with talking(tmp_path, ["One.", "Two."]) as world:
        original = await world.ask("who are you? -luna")
        await world.alice.delete(original)
        await Proxy(world).says("Luna", f"{world.me} who are you?")
        assert world.said() == ["One."]


async def test_what_was_deleted_while_it_was_answered_is_answered_once(tmp_path: Path) -> None:
    engine, gate = held("I am a bot.", "Still a bot.")
    async with talking(tmp_path, engine=engine) as world:
        original = await world.alice.send(world.channel, f"L: {world.me} who are you?")
        await world.alice.delete(original)
        await Proxy(world).says("Luna", f"{world.me} who are you?")
        let(gate)
        await world.env.settle()
        await world.pass_time(3)
        assert world.said() == ["Still a bot."]  # the first was dropped with its question


async def test_somebody_elses_words_are_not_taken_for_the_original(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.chief.slash(world.channel, "settings set", key="context", value="channel")
        await world.bob.send(world.channel, "something quite different")
        await Proxy(world).says("Luna", "hello all")
        texts = [(turn.speaker.name, turn.text) for turn in await world.turns()]
        assert texts == [("Bob", "something quite different"), ("Luna", "hello all")]


async def test_a_proxied_reply_is_a_reply(tmp_path: Path) -> None:
    async with talking(tmp_path, ["A horse walks in.", "Rome.", "Long-faced."]) as world:
        await world.ask("tell me a joke")
        joke = world.messages()[-1]
        await world.ask("capital of Italy?")
        link = f"https://discord.com/channels/{world.guild.id}/{world.channel.id}/{joke.id}"
        embed = {
            "type": "rich",
            "author": {"name": "Caduceus \u21a9\ufe0f"},
            "description": f"**[Reply to:]({link})** A horse walks in.",
        }
        await Proxy(world).says("Luna", "explain that", embeds=[embed])
        assert world.said()[-1] == "Long-faced."
        question = (await world.turns())[-2]
        assert question.text == "explain that"
        assert question.reply_to is not None
        assert question.reply_to.text == "A horse walks in."


async def test_an_edit_through_the_proxy_is_followed_and_so_is_a_deletion(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        proxy = Proxy(world)
        copy = await proxy.says("Luna", f"{world.me} my cat is red")
        await proxy.edits(copy, f"{world.me} my cat is blue")
        assert (await world.turns())[0].text == "my cat is blue"
        with world.env._bot_scope():
            world.env.backend.delete_message(world.channel.id, copy.id)
        await world.env.settle()
        assert [turn.role for turn in await world.turns()] == ["bot"]


@pytest.mark.parametrize("order", [("copy", "deletion"), ("deletion", "copy")])
@pytest.mark.parametrize("prefix", ["L: ", "", "luna;"])
async def test_in_whatever_order_the_question_is_answered_once(
    tmp_path: Path, order: tuple[str, str], prefix: str
) -> None:
    async with talking(tmp_path, ["One.", "Two."]) as world:
        original = await world.alice.send(world.channel, f"{prefix}{world.me} who are you?")
        for step in order:
            if step == "copy":
                await Proxy(world).says("Luna", f"{world.me} who are you?")
            else:
                await world.alice.delete(original)
        assert world.said() == ["One."]


async def test_the_name_of_who_asked_is_told_without_a_word_that_nobody_wants(
    tmp_path: Path,
) -> None:
    async with talking(tmp_path) as world:
        await Proxy(world).says("Zirconium", f"{world.me} who are you?")
        words = world.database.words
        await words.put(("discord", str(world.guild.id)), GuildWord("zirconium"))

        why = await world.mod.context_menu(world.channel, "Why this reply?", world.messages()[0])

        assert why.response is not None
        asked = {field.name: field.value for field in why.response.embeds[0].fields}["Asked by"]
        assert asked == BLOCK * len("Zirconium")
