"""`/privacy` as people meet it: in a channel and in a direct message, opted out or not."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import discord
import pytest
from worlds import World, talking

from bot.chat.privacy.desk import Privacy
from bot.chat.privacy.handling import Handling, TextReceiver
from cogs.commands.privacies import about
from cogs.platform import key_of

LOCAL = TextReceiver("", is_here=True)
SERVER = TextReceiver("models.example.org", is_here=False)


def answers(result: Any) -> list[Any]:
    """What the person is answered; nobody else sees any of it."""
    found = [each for each in (result.response, *result.followups) if each is not None]
    assert found
    assert all(each.ephemeral for each in found)
    return found


def words_of(result: Any) -> str:
    """All that an answer says."""
    parts: list[str] = []
    for told in answers(result):
        parts.append(told.content or "")
        for embed in told.embeds:
            parts += [embed.title or "", embed.description or ""]
            parts += [f"{field.name}: {field.value}" for field in embed.fields]
    return "\n".join(parts)


async def about_in(world: World, channel: Any = None, actor: Any = None) -> str:
    return words_of(await (actor or world.alice).slash(channel or world.channel, "privacy about"))


def is_set_up(world: World, database: str, *receivers: TextReceiver) -> None:
    desk = world.bot.privacy
    world.bot.privacy = Privacy(
        desk.staying_out, desk.belongings, Handling(database, tuple(receivers))
    )


async def test_about_tells_the_truth_of_the_settings_in_force(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        told = await about_in(world)
        assert "What is said to me" in told
        assert "What you say to others is not kept." in told
        assert "until somebody deletes it" in told
        assert "nothing is sent away" in told
        await world.chief.slash(world.channel, "settings set", key="context", value="channel")
        await world.chief.slash(
            world.channel, "settings set", key="retention_days", value="30", scope="guild"
        )
        told = await about_in(world)
        assert "Everything that is said in this channel" in told
        assert "30 days here" in told
        await world.chief.slash(world.channel, "settings reset", key="context")
        await world.chief.slash(world.channel, "settings set", key="trigger", value="always")
        assert "since I answer all of it" in await about_in(world)
        await world.chief.slash(world.channel, "settings set", key="trigger", value="off")
        assert "Nothing new: I am switched off here" in await about_in(world)


async def test_about_fits_a_phone_and_tells_of_no_guild_in_a_direct_message(
    tmp_path: Path,
) -> None:
    async with talking(tmp_path) as world:
        assert len(await about_in(world)) < 2_500
        told = words_of(await world.alice.user.slash("privacy about"))
        assert "All that you write to me here" in told
        assert "Only you, and who runs me." in told
        assert "server" not in told
        assert f"<@{(await world.bot.application_info()).owner.id}>" in told


async def test_about_names_who_gets_what_people_say(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        is_set_up(world, "PostgreSQL", SERVER)
        told = await about_in(world)
        assert "**models.example.org**" in told
        assert "PostgreSQL database" in told
        assert "nobody else gets" not in told
        fallback = TextReceiver("models.example.org", is_here=False, is_fallback=True)
        is_set_up(world, "SQLite", LOCAL, fallback)
        told = await about_in(world)
        assert "nothing is sent away" in told
        assert "on the server **models.example.org**: the same is sent there" in told
        assert "nobody else gets" not in told
        here = TextReceiver("127.0.0.1:8000", is_here=True)
        is_set_up(world, "SQLite", here)
        told = await about_in(world)
        assert "a program of its own (127.0.0.1:8000)" in told
        assert "nobody else gets what you say" in told


async def test_about_knows_who_runs_the_bot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with talking(tmp_path) as world:
        world.bot.owner_ids = {11, 22}
        assert "<@11>, <@22>" in await about_in(world)

    async def fails(*_: object) -> object:
        raise aiohttp.ClientConnectionError

    async with talking(tmp_path) as world:
        monkeypatch.setattr(world.bot, "application_info", fails)
        assert about.NOBODY_KNOWN in await about_in(world)


async def opt_out(world: World, actor: Any = None) -> None:
    told = words_of(await (actor or world.alice).slash(world.channel, "privacy optout"))
    assert "/privacy optin" in told
    assert "/privacy forget" in told


async def test_who_opts_out_is_neither_answered_nor_kept_anywhere(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.chief.slash(world.channel, "settings set", key="context", value="channel")
        await opt_out(world)
        await world.ask("can you hear me?")
        await world.alice.send(world.channel, "just talking")
        await world.alice.user.send_dm("and here?")
        assert world.engine.requests == []
        assert world.said() == []
        assert await world.turns() == []
        assert world.requests("PUT", "@me") == [], "no reaction either: it would tell others"


async def test_they_may_opt_out_by_direct_message(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.alice.user.slash("privacy optout")
        await world.ask("hello?")
        assert world.said() == []
        again = words_of(await world.alice.slash(world.channel, "privacy optout"))
        assert "opted out already" in again
        assert "You have opted out" in await about_in(world)
        told = words_of(await world.alice.user.slash("privacy optin"))
        assert "You are in again" in told
        await world.ask("hello?")
        assert world.said() == ["Hello, Alice."]
        assert "have not opted out" in words_of(
            await world.alice.slash(world.channel, "privacy optin")
        )
        assert "You have opted out" not in await about_in(world)


async def test_the_model_sees_nothing_of_them_any_more(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.ask("I live in Zanzibar")
        source = await world.alice.send(world.channel, f"{world.me} remember: Zanzibar")
        await opt_out(world)
        await world.bob.send(
            world.channel, f"{world.me} where does {world.alice.mention} live?", reply_to=source
        )
        prompt = world.engine.requests[-1].prompt
        assert "where does someone live?" in prompt
        assert "Zanzibar" not in prompt
        assert "Alice:" not in prompt
        await world.alice.slash(world.channel, "privacy optin")
        await world.bob.send(world.channel, f"{world.me} and now?")
        assert "Alice: I live in Zanzibar" in world.engine.requests[-1].prompt


async def test_a_reply_to_their_message_does_not_quote_it(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await opt_out(world)
        source = await world.alice.send(world.channel, "I live in Zanzibar")
        await world.bob.send(world.channel, f"{world.me} where is that?", reply_to=source)
        assert "Zanzibar" not in world.engine.requests[-1].prompt
        link = f"https://discord.com/channels/{world.guild.id}/{world.channel.id}/{source.id}"
        await world.bob.send(world.channel, f"{world.me} and this? {link}")
        assert "Zanzibar" not in world.engine.requests[-1].prompt
        assert [turn.reply_to for turn in await world.turns()] == [None] * 4


async def test_an_edit_of_their_old_message_is_not_kept(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        old = await world.ask("I live in Rome")
        await opt_out(world)
        await world.alice.edit(old, f"{world.me} I live in Zanzibar")
        await world.alice.slash(world.channel, "privacy optin")
        assert [turn.text for turn in await world.turns()] == ["I live in Rome", "Hello, Alice."]


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("memory add", {"text": "I am tall"}),
        ("roleplay start", {"title": "The pier", "persona": "Ada"}),
    ],
)
async def test_what_would_keep_something_of_theirs_is_refused(
    tmp_path: Path, command: str, options: dict[str, str]
) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        await opt_out(world)
        result = await world.alice.slash(world.channel, command, **options)
        told = words_of(result)
        assert "You have opted out" in told
        assert "/privacy optin" in told


async def test_their_message_cannot_be_pinned(tmp_path: Path) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        await opt_out(world)
        message = await world.alice.send(world.channel, "I live in Zanzibar")
        result = await world.bob.context_menu(world.channel, "Remember this", message)
        assert "has opted out" in words_of(result)
        assert await world.database.facts.facts(key_of(message.channel)) == []


# Exports -------------------------------------------------------------------------------------


async def data_of(message: discord.Message) -> dict[str, Any]:
    [file] = message.attachments
    return json.loads(await file.read())


def direct(world: World) -> Sequence[discord.Message]:
    return world.alice.user.dm_channel.history()


async def test_an_export_comes_by_direct_message_and_holds_their_words(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.ask("I live in Zanzibar")
        await world.ask("and I in Rome", world.bob)
        result = await world.alice.slash(world.channel, "privacy export")
        assert "by direct message" in words_of(result)
        [message] = direct(world)
        data = await data_of(message)
        assert data["format"] == "caduceus-personal-data"
        assert data["person"] == str(world.alice.id)
        assert [one["text"] for one in data["messages"]] == ["I live in Zanzibar"]
        assert data["replies"][0]["alternatives"][0]["text"] == "Hello, Alice."
        assert "Rome" not in json.dumps(data)


async def test_an_export_is_there_once_in_ten_minutes(tmp_path: Path) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        await world.alice.slash(world.channel, "privacy export")
        refused = await world.alice.slash(world.channel, "privacy export")
        assert "You can again <t:" in str(refused.response.content)
        assert len(direct(world)) == 1
        await world.bob.slash(world.channel, "privacy export")
        assert len(world.bob.user.dm_channel.history()) == 1, "others wait for nobody"


async def test_where_direct_messages_are_closed_it_is_shown_to_them_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with talking(tmp_path) as world:
        await world.ask("I live in Zanzibar")

        async def closed(*_: object, **__: object) -> object:
            response = type("Response", (), {"status": 403, "reason": "Forbidden"})()
            raise discord.Forbidden(response, {"code": 50007, "message": "closed"})  # type: ignore[arg-type]

        monkeypatch.setattr(discord.abc.Messageable, "send", closed)
        result = await world.alice.slash(world.channel, "privacy export")
        file, said = answers(result)
        assert "Zanzibar" in json.dumps(await data_of(file))
        assert "direct messages are closed" in said.content


async def test_an_export_that_is_replied_to_is_no_part_of_a_talk(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.ask("I live in Zanzibar")
        await world.alice.slash(world.channel, "privacy export")
        [message] = direct(world)
        channel_id = str(world.alice.user.dm_channel.id)
        reference = {"channel_id": channel_id, "message_id": str(message.id)}
        await world.alice.user.send_dm("thanks", reference=reference)
        assert "thanks" in world.engine.requests[-1].prompt
        assert "Zanzibar" not in world.engine.requests[-1].prompt
