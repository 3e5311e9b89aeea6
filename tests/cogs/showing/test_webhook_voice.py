"""A persona's voice: real discord.py against a local server that speaks a webhook's routes.

What it does beside discord.py's own requests is tried on the simulated Discord, in `webhooks`.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import discord
import pytest
from aiohttp import web
from discord.http import Route
from walls import Wall
from worlds import talking

from cogs.commands.views import view_of
from cogs.platform import is_gone
from cogs.showing.delivery import pieces_of
from cogs.showing.pacing import EditPacer
from cogs.showing.request_budget import RequestBudget, Urgency
from cogs.showing.screen import Screen
from cogs.showing.voice import Controls
from cogs.showing.webhook_voice import WebhookVoice

STOP = Controls(7, is_running=True)
DONE = Controls(7, is_running=False)
THREAD = 55


def answer(body: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """JSON as Discord sends it: its type without a charset."""
    text = json.dumps(body).encode()
    return web.Response(body=text, status=status, headers=headers, content_type="application/json")


@dataclass
class Webhooks:
    """Discord's side: one webhook of the application's own, with the token `token`."""

    messages: dict[int, dict[str, Any]] = field(default_factory=dict)
    queries: list[dict[str, str]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    faults: list[int] = field(default_factory=list)  # answered first
    unheard: list[int] = field(default_factory=list)  # answered to messages that were sent

    @property
    def contents(self) -> list[str]:
        return [message["content"] for message in self.messages.values()]

    def labels(self, message_id: int) -> list[str]:
        rows = self.messages[message_id]["components"]
        return [button["label"] for row in rows for button in row["components"]]

    async def me(self, _: web.Request) -> web.Response:
        return answer({"id": "2", "username": "bot", "discriminator": "0"})

    async def execute(self, request: web.Request) -> web.Response:
        if (refusal := await self._take(request)) is not None:
            return refusal
        body = self.bodies[-1]
        number = 1000 + len(self.bodies)
        self.messages[number] = {
            "id": str(number),
            "channel_id": request.query.get("thread_id", "5"),
            "webhook_id": "1",
            "author": {"id": "1", "username": body["username"], "discriminator": "0", "bot": True},
            "type": 0,
            "content": body["content"],
            "components": body.get("components", []),
            "timestamp": "2026-01-01T00:00:00+00:00",
            "edited_timestamp": None,
            **dict.fromkeys(("tts", "pinned", "mention_everyone"), False),
            **{key: [] for key in ("mentions", "mention_roles", "attachments", "embeds")},
        }
        if self.unheard:
            return answer({"message": "no"}, status=self.unheard.pop(0))
        return answer(self.messages[number])

    async def change(self, request: web.Request) -> web.Response:
        if (refusal := await self._take(request)) is not None:
            return refusal
        message = self.messages[int(request.match_info["message"])]
        message.update({k: v for k, v in self.bodies[-1].items() if k in ("content", "components")})
        return answer(message)

    async def delete(self, request: web.Request) -> web.Response:
        if (refusal := await self._take(request)) is not None:
            return refusal
        del self.messages[int(request.match_info["message"])]
        return web.Response(status=204)

    async def _take(self, request: web.Request) -> web.Response | None:
        self.queries.append(dict(request.query))
        self.bodies.append(await request.json() if request.can_read_body else {})
        if self.faults:
            body = {"retry_after": 0.0, "message": "slow down"}
            return answer(body, status=self.faults.pop(0), headers={"Via": "1.1"})
        if "message" in request.match_info:
            message = self.messages.get(int(request.match_info["message"]))
            if message is None or message["channel_id"] != request.query.get("thread_id", "5"):
                return answer({"code": 10008, "message": "Unknown Message"}, status=404)
        if len(self.bodies[-1].get("content", "")) > 2000:
            return answer({"code": 50035, "message": "Too long"}, status=400)
        return None


@dataclass
class Room:
    discord: Webhooks
    voice: WebhookVoice
    budget: RequestBudget
    granted: list[Urgency]  # room given to requests


@asynccontextmanager
async def speaking(
    patch: pytest.MonkeyPatch, thread: int | None = None
) -> AsyncGenerator[Room, None]:
    """A voice of a webhook, on a client's own session."""
    webhooks = Webhooks()
    application = web.Application()
    base = "/webhooks/1/token"
    application.router.add_get("/users/@me", webhooks.me)
    application.router.add_post(base, webhooks.execute)
    application.router.add_patch(base + "/messages/{message}", webhooks.change)
    application.router.add_delete(base + "/messages/{message}", webhooks.delete)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    patch.setattr(Route, "BASE", f"http://127.0.0.1:{runner.addresses[0][1]}")

    budget = RequestBudget(limit=100)
    granted: list[Urgency] = []
    original = budget.acquire

    async def noting(priority: Urgency) -> None:
        granted.append(priority)
        await original(priority)

    patch.setattr(budget, "acquire", noting)
    try:
        async with discord.Client(
            intents=discord.Intents.none(), http_trace=budget.trace()
        ) as client:
            await client.http.static_login("secret")
            budget.install(client.http)
            webhook = discord.Webhook.partial(1, "token", client=client)
            place = discord.Object(thread) if thread else None
            voice = WebhookVoice(webhook, budget, view_of, name="Ada", thread=place)
            yield Room(webhooks, voice, budget, granted)
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("thread", [None, THREAD])
async def test_messages_are_sent_changed_and_deleted(
    monkeypatch: pytest.MonkeyPatch, thread: int | None
) -> None:
    async with speaking(monkeypatch, thread) as room:
        voice, there = room.voice, room.discord
        number = await voice.send("one", STOP, "0")
        assert there.contents == ["one"]
        assert there.messages[number]["author"]["username"] == "Ada"
        assert there.labels(number) == ["Stop"]
        await voice.edit(number, "one two", DONE)
        assert there.contents == ["one two"]
        assert there.labels(number) == ["Regenerate", "Continue", "Delete"]
        await voice.set_controls(number, STOP)
        assert there.contents == ["one two"]
        assert there.labels(number) == ["Stop"]
        await voice.edit(number, "one", None)
        assert there.labels(number) == []
        await voice.delete(number)
        assert there.contents == []
        where = {query.get("thread_id") for query in there.queries}
        assert where == {str(thread) if thread else None}


async def test_nothing_it_writes_mentions_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    async with speaking(monkeypatch) as room:
        number = await room.voice.send("@everyone", None, "0")
        await room.voice.edit(number, "<@1>", None)
        for body in room.discord.bodies:
            assert body["allowed_mentions"]["parse"] == []


async def test_a_long_reply_is_shown_by_a_screen_as_by_the_bots_voice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with speaking(monkeypatch) as room:
        bot = Wall()
        screen = Screen(room.voice, bot, EditPacer(0.0), room.budget)
        text = "word " * 900 + "end"
        for shown, controls in (("word " * 3, STOP), ("word " * 500, STOP), (text, DONE)):
            wanted = pieces_of(shown, controls)
            while await screen.step(lambda wanted=wanted: wanted, Urgency.REPLY, None):
                pass
        await screen.send_line("⚠️ The model broke down.")
        there = room.discord
        assert " ".join(there.contents) == text
        assert len(there.contents) == 3
        assert [there.labels(number) != [] for number in there.messages] == [False, False, True]
        assert [piece.content for piece in bot.seen.values()] == ["⚠️ The model broke down."]
        ids = screen.message_ids(3)
        again = Screen(room.voice, bot, EditPacer(0.0), room.budget, message_ids=ids)
        await again.trim(1)
        assert len(there.contents) == 1


async def test_every_request_counts_also_what_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with speaking(monkeypatch) as room:
        async with room.budget.reserved(Urgency.REPLY):
            number = await room.voice.send("one", None, "0")
        assert room.granted == [Urgency.REPLY]  # the room that was reserved
        room.discord.faults = [429, 429]
        with room.budget.at(Urgency.STREAM):
            await room.voice.edit(number, "two", None)
        assert room.granted == [Urgency.REPLY] + 3 * [Urgency.STREAM]
        await room.voice.set_controls(number, DONE)
        await room.voice.delete(number)
        assert len(room.granted) == len(room.discord.queries) == 6


async def test_it_knows_that_a_message_may_stand_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    sleep = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", lambda _: sleep(0))  # what discord.py waits
    async with speaking(monkeypatch) as room:
        room.discord.faults = [429]
        await room.voice.send("one", None, "0")
        assert not room.voice.was_repeated
        room.discord.unheard = [502]
        await room.voice.send("two", None, "1")
        assert room.discord.contents == ["one", "two", "two"]
        assert room.voice.was_repeated
        assert len(room.granted) == 4
        await room.voice.send("three", None, "2")
        assert not room.voice.was_repeated


async def test_a_request_waits_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    async with speaking(monkeypatch) as room:
        taken = asyncio.Event()

        async def no_room(_: Urgency) -> None:
            taken.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(room.budget, "acquire", no_room)
        sending = asyncio.create_task(room.voice.send("one", None, "0"))
        async with asyncio.timeout(5):
            await taken.wait()
        assert room.discord.queries == []
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending


async def test_a_message_that_is_gone_is_told_from_a_webhook_that_is(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        made = world.guild.create_webhook(world.channel, "Caduceus")
        webhook = discord.Webhook.partial(made.id, made._webhook.token, client=world.bot)
        voice = WebhookVoice(webhook, world.bot.budget, view_of, name="Ada")
        with world.env._bot_scope():
            number = await voice.send("one", None, "0")
            await voice.edit(number, "two", None)
            [message] = world.channel.history()
            assert (message.content, message.author.name) == ("two", "Ada")
            with pytest.raises(discord.HTTPException):
                await voice.send("x" * 2001, None, "1")
            await voice.delete(number)
            assert world.channel.history() == []
            with pytest.raises(discord.NotFound) as gone:
                await voice.edit(number, "three", None)
            assert is_gone(gone.value)
            await webhook.delete()
            with pytest.raises(discord.NotFound) as without:
                await voice.send("four", None, "1")
            assert not is_gone(without.value)
