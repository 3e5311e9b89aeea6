"""When a persona's voice fails: permissions, full channels, deleted webhooks, lost answers."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import simcord
from simcord.http.client import FakeWebhookAdapter
from speaking import allow_webhooks, last, line_to, restart, spoken, use, webhook_ids
from worlds import World, held, labels, let, talking

from bot.chat.messages import TurnState
from bot.errors import EngineFailed, StoreError
from cogs.platform import NOTICE_MARKS
from cogs.showing import request_budget

DONE = ["Regenerate", "Continue", "Delete"]


def notices(world: World) -> list[str]:
    return [text for _, text in spoken(world) if text.startswith(NOTICE_MARKS)]


def said(world: World) -> list[tuple[str, str]]:
    """Without the notices and the lines that show who is answered."""
    return [
        (name, text.partition("\n")[2] if text.startswith("-# ") else text)
        for name, text in spoken(world)
        if not text.startswith(NOTICE_MARKS)
    ]


async def test_without_the_permission_the_bot_says_it_and_says_so_once(tmp_path: Path) -> None:
    async with talking(tmp_path, lambda _: "Hi.") as world:
        await use(world)
        allow_webhooks(world, allowed=False)
        await world.env.settle()
        for _ in range(2):
            await world.ask("hello?")
        assert said(world) == 2 * [("TestBot", "**Ada**\nHi.")]
        [line] = notices(world)
        assert "Manage Webhooks" in line
        assert labels(last(world)) == DONE
        assert (await world.turns())[-1].text == "Hi."
        assert world.requests("GET", "/webhooks") == []
        allow_webhooks(world, allowed=True)
        await world.env.settle()
        await world.ask("and now?")
        assert said(world)[-1] == ("Ada", "Hi.")
        world.env.backend.delete_webhook(webhook_ids(world)[0])
        allow_webhooks(world, allowed=False)
        await world.env.settle()
        await world.ask("and now?")
        assert said(world)[-1] == ("TestBot", "**Ada**\nHi.")
        assert len(notices(world)) == 2, "it is as before again: that is said again"


async def test_other_peoples_webhooks_fill_the_channel(tmp_path: Path) -> None:
    async with talking(tmp_path, lambda _: "Hi.") as world:
        await use(world)
        foreign = [world.guild.create_webhook(world.channel, f"Feed {n}") for n in range(15)]
        for _ in range(2):
            await world.ask("hello?")
        assert said(world) == 2 * [("TestBot", "**Ada**\nHi.")]
        [line] = notices(world)
        assert "15" in line
        world.env.backend.delete_webhook(foreign[0].id)
        await world.ask("and now?")
        assert said(world)[-1] == ("Ada", "Hi.")


async def test_discord_itself_refuses_the_webhook(tmp_path: Path) -> None:
    async with talking(tmp_path, lambda _: "Hi.") as world:
        await use(world)
        for code in (30007, 30058, 50035):
            world.env.inject_error("POST", "/channels/*/webhooks", status=400, code=code)
            await world.ask("hello?")
            assert said(world)[-1] == ("TestBot", "**Ada**\nHi.")
        world.env.inject_error("GET", "/channels/*/webhooks", status=403, code=50013)
        await world.ask("hello?")
        assert said(world)[-1] == ("TestBot", "**Ada**\nHi.")
        await world.ask("hello?")
        assert said(world)[-1] == ("Ada", "Hi.")


async def test_a_lookup_that_fails_for_a_moment_is_tried_again(tmp_path: Path) -> None:
    async with talking(tmp_path, lambda _: "Hi.") as world:
        await use(world)
        world.env.inject_error("GET", "/channels/*/webhooks", status=503, times=2)
        await world.ask("hello?")
        await world.pass_time()
        assert said(world) == [("Ada", "Hi.")]
        assert notices(world) == []


async def test_a_webhook_deleted_between_replies_is_made_anew(tmp_path: Path) -> None:
    async with talking(tmp_path, lambda _: "Hi.") as world:
        await use(world)
        await world.ask("hello?")
        [gone] = webhook_ids(world)
        world.env.backend.delete_webhook(gone)
        await world.ask("hello?")
        assert said(world) == 2 * [("Ada", "Hi.")]
        assert webhook_ids(world) != [gone]
        assert len(webhook_ids(world)) == 1


@pytest.mark.parametrize("in_thread", [False, True])
async def test_a_webhook_moved_to_another_channel_is_left(tmp_path: Path, in_thread: bool) -> None:
    async with talking(tmp_path, lambda _: "Hi.") as world:
        await use(world)
        place = world.channel
        if in_thread:
            stored = world.env.backend.create_thread(world.channel.id, "aside", world.alice.id)
            place = simcord.ChannelHandle(world.env, world.guild, stored)
        elsewhere = world.guild.create_text_channel("elsewhere")
        await world.env.settle()
        await world.alice.send(place, f"{world.me} hello?")
        [moved] = webhook_ids(world)
        world.env.backend.edit_webhook(moved, {"channel_id": elsewhere.id})
        await world.alice.send(place, f"{world.me} hello?")
        assert spoken(world, elsewhere) == []
        shown = spoken(world, place)
        assert [(name, text.partition("\n")[2]) for name, text in shown] == 2 * [("Ada", "Hi.")]
        assert len(webhook_ids(world)) == 2


async def test_a_reply_that_finds_no_voice_leaves_its_channel_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with talking(tmp_path, lambda _: "Hi.") as world:
        await use(world)

        async def broken(*_: object) -> None:
            raise StoreError("The database is away.")

        with monkeypatch.context() as patch:
            patch.setattr(world.bot.voices, "of", broken)
            await world.ask("hello?")
        await world.ask("hello?")
        assert said(world)[-1] == ("Ada", "Hi.")


@pytest.mark.parametrize("code", [10015, 50027])
async def test_a_webhook_deleted_while_a_reply_streams(tmp_path: Path, code: int) -> None:
    engine, gate = held("One two three four five.", letters=4)
    async with talking(tmp_path, engine=engine) as world:
        await use(world)
        asked = await world.ask("count")
        let(gate, 2)
        await world.pass_time()
        [(_, begun)] = spoken(world)
        assert begun.startswith(f"{line_to(world, asked)}One two")
        assert "five" not in begun
        old = last(world)
        if code == 10015:
            world.env.backend.delete_webhook(webhook_ids(world)[0])
        else:  # its token is another one: what it wrote can still be edited
            world.env.inject_error("PATCH", "/webhooks/*", status=401, code=code)
        let(gate, 2)
        await world.pass_time()
        let(gate)
        await world.pass_time()
        assert spoken(world) == [("Ada", f"{line_to(world, asked)}One two three four five.")]
        assert labels(last(world)) == DONE
        assert (last(world).id == old.id) == (code == 50027)
        answer = (await world.turns())[-1]
        assert answer.text == "One two three four five."
        assert answer.state is TurnState.WHOLE
        assert answer.message_ids == (str(last(world).id),)


async def test_a_reply_deleted_while_its_webhook_is_gone_leaves_nothing(tmp_path: Path) -> None:
    engine, gate = held("One two three four five.", letters=4)
    async with talking(tmp_path, engine=engine) as world:
        await use(world)
        await world.ask("count")
        let(gate, 2)
        await world.pass_time()
        for number in webhook_ids(world):
            world.env.backend.delete_webhook(number)
        await world.alice.click(last(world), label="Stop")
        let(gate)
        await world.pass_time()
        [(name, text)] = spoken(world)
        assert name == "Ada"
        assert "five" not in text
        assert labels(last(world)) == DONE
        await world.alice.click(last(world), label="Delete")
        assert spoken(world) == []


async def test_a_webhook_deleted_while_there_can_be_no_other(tmp_path: Path) -> None:
    engine, gate = held("One two three four five.", letters=4)
    async with talking(tmp_path, engine=engine) as world:
        await use(world)
        await world.ask("count")
        let(gate, 2)
        await world.pass_time()
        world.env.backend.delete_webhook(webhook_ids(world)[0])
        allow_webhooks(world, allowed=False)
        let(gate)
        await world.pass_time()
        assert said(world) == [("TestBot", "**Ada**\nOne two three four five.")]
        assert (await world.turns())[-1].state is TurnState.WHOLE


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_the_buttons_of_a_reply_whose_webhook_is_gone(
    tmp_path: Path, is_restarted: bool
) -> None:
    async with talking(tmp_path, ["First.", "Second.", "Third."]) as world:
        await use(world)
        asked = await world.ask("one")
        world.env.backend.delete_webhook(webhook_ids(world)[0])
        if is_restarted:
            await restart(world)
        await world.alice.click(last(world), label="Regenerate")
        await world.pass_time()
        assert spoken(world) == [("Ada", f"{line_to(world, asked)}Second.")]
        answer = (await world.turns())[-1]
        assert answer.message_ids == (str(last(world).id),)
        world.env.backend.delete_webhook(webhook_ids(world)[0])
        await world.alice.click(last(world), label="◀")
        assert spoken(world) == [("Ada", f"{line_to(world, asked)}First.")]
        world.env.backend.delete_webhook(webhook_ids(world)[0])
        await world.alice.click(last(world), label="Delete")
        assert spoken(world) == []


class Lossy:
    """Discord hears a webhook's messages, but its answers are lost."""

    def __init__(self, patch: pytest.MonkeyPatch, losses: int, *, after: bool) -> None:
        self.losses = losses
        self.sent = 0
        original: Callable[..., Any] = FakeWebhookAdapter.request

        async def request(adapter: FakeWebhookAdapter, route: Any, *rest: Any, **more: Any) -> Any:
            is_send = route.method == "POST" and "callback" not in route.url
            if is_send and self.losses and not after:
                self.losses -= 1
                raise ConnectionResetError("before")
            answer = await original(adapter, route, *rest, **more)
            if is_send:
                self.sent += 1
                if self.losses and after:
                    self.losses -= 1
                    raise ConnectionResetError("after")
            return answer

        patch.setattr(FakeWebhookAdapter, "request", request)


@pytest.mark.parametrize("after", [False, True])
async def test_a_message_whose_answer_was_lost_stands_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    async with talking(tmp_path, lambda _: "Hi.") as world:
        await use(world)
        await world.ask("hello?")
        lossy = Lossy(monkeypatch, 1 if after else 3, after=after)
        await world.ask("hello again?")
        await world.pass_time()
        assert said(world) == 2 * [("Ada", "Hi.")]
        assert lossy.sent == 1
        assert labels(last(world)) == DONE
        answer = (await world.turns())[-1]
        assert answer.message_ids == (str(last(world).id),)


async def test_what_the_client_sent_twice_by_itself_stands_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = FakeWebhookAdapter.request

    async def request(adapter: FakeWebhookAdapter, route: Any, *rest: Any, **more: Any) -> Any:
        attempt = request_budget._attempt.get()
        if route.method == "POST" and attempt is not None:
            await original(adapter, route, *rest, **more)
            attempt.failed = True  # that try was answered with a server's error
        return await original(adapter, route, *rest, **more)

    async with talking(tmp_path, lambda _: "Hi.") as world:
        await use(world)
        await world.ask("hello?")
        monkeypatch.setattr(FakeWebhookAdapter, "request", request)
        await world.ask("hello?")
        assert said(world) == 2 * [("Ada", "Hi.")]
        answer = (await world.turns())[-1]
        assert answer.message_ids == (str(last(world).id),)


async def test_where_the_history_may_not_be_read_the_reply_comes_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with talking(tmp_path, lambda _: "Hi.") as world:
        await use(world)
        world.env.inject_error("GET", "/channels/*/messages", status=403, code=50013)
        Lossy(monkeypatch, 1, after=False)
        await world.ask("hello?")
        await world.pass_time()
        assert said(world) == [("Ada", "Hi.")]


async def test_a_name_that_discord_refuses_after_all(tmp_path: Path) -> None:
    async with talking(tmp_path, lambda _: "Hi.") as world:
        await use(world)
        world.env.inject_error(
            "POST", "/webhooks/*", status=400, code=50035, message="username: no"
        )
        await world.ask("hello?")
        assert said(world) == [("TestBot", "**Ada**\nHi.")]


async def test_a_channel_that_is_deleted_ends_its_reply(tmp_path: Path) -> None:
    engine, gate = held("One two three four five.", letters=4)
    async with talking(tmp_path, engine=engine) as world:
        await use(world)
        await world.ask("count")
        let(gate, 2)
        await world.pass_time()
        for number in webhook_ids(world):
            world.env.backend.delete_webhook(number)
        world.env.backend.delete_channel(world.channel.id)
        let(gate)
        await world.env.settle()
        assert not world.bot.serving._workers


async def test_closing_shows_what_was_written(tmp_path: Path) -> None:
    engine, gate = held("One two three four five.", letters=4)
    async with talking(tmp_path, engine=engine) as world:
        await use(world)
        await world.ask("count")
        let(gate, 2)
        await world.pass_time()
        closing = asyncio.create_task(world.bot.serving.close())
        await asyncio.sleep(0)
        let(gate)
        async with asyncio.timeout(5):
            await closing
        assert said(world)[0][1].startswith("One two")
        assert labels(last(world)) == DONE


async def test_a_line_about_waiting_goes_when_the_persona_speaks(tmp_path: Path) -> None:
    engine, gate = held("One two three.", letters=4)
    async with talking(tmp_path, engine=engine) as world:
        await use(world)
        asked = await world.ask("count")
        await world.pass_time(11)
        [(name, line)] = spoken(world)
        assert name == "TestBot"
        assert line.startswith("⏳ ")
        let(gate)
        await world.pass_time()
        assert spoken(world) == [("Ada", f"{line_to(world, asked)}One two three.")]


async def test_edits_are_few_and_the_last_one_lands(tmp_path: Path) -> None:
    words = [f"word{number}" for number in range(60)]
    engine, gate = held(" ".join(words), letters=7)
    async with talking(tmp_path, engine=engine) as world:
        await use(world)
        await world.ask("count")
        for _ in range(8):
            let(gate, 2)
            await world.pass_time(0.1)
        edits = [entry for entry in world.requests("PATCH") if entry.path.startswith("/webhooks/")]
        assert 1 <= len(edits) <= 3, "two seconds of room"
        let(gate)
        await world.pass_time(0.1)
        assert said(world) == [("Ada", " ".join(words))]


async def test_an_engine_that_fails_is_a_line_of_the_bots_own(tmp_path: Path) -> None:
    async with talking(tmp_path, [EngineFailed("CUDA out of memory")]) as world:
        await use(world)
        await world.ask("hello?")
        [(name, line)] = spoken(world)
        assert name == "TestBot"
        assert line.startswith("⚠️ The model broke down")
