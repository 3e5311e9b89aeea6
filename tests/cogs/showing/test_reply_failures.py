"""Replies when something fails: the engine, a request, a permission, a channel that goes."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest
from discord.http import Route
from worlds import QUICK, held, labels, let, talking

from bot.chat.messages import TurnState
from bot.engine.api import Chunk, GenerationRequest
from bot.engine.fake import FakeEngine
from bot.errors import EngineFailed


class Doomed(FakeEngine):
    """Fails, once it is let, before its first word."""

    def __init__(self, until: asyncio.Semaphore) -> None:
        super().__init__()
        self._until = until

    async def generate(self, _: GenerationRequest) -> AsyncGenerator[Chunk, None]:
        await self._until.acquire()
        raise EngineFailed("gone")
        yield Chunk("")


async def test_an_engine_that_fails_is_one_plain_line_and_no_history(tmp_path: Path) -> None:
    engine = FakeEngine(["x"], fail_with=EngineFailed("CUDA out of memory"))
    async with talking(tmp_path, engine=engine) as world:
        await world.ask("hello?")
        [line] = world.said()
        assert line.startswith("⚠️ The model broke down")
        assert "CUDA" not in line
        assert [turn.role for turn in await world.turns()] == ["user"]
        engine.fail_with = None
        await world.ask("again?")
        assert world.said()[1:] == ["x"]


async def test_an_engine_that_fails_midway_leaves_what_came_and_says_so(tmp_path: Path) -> None:
    engine = FakeEngine(
        ["one two three four"],
        chunk_characters=6,
        fail_with=EngineFailed("gone"),
        fail_after_chunks=1,
    )
    async with talking(tmp_path, engine=engine) as world:
        await world.ask("count")
        text, line = world.said()
        assert text == "one two"
        assert line.startswith("⚠️ ")
        answer = (await world.turns())[1]
        assert (answer.text, answer.state) == ("one two", TurnState.CUT)


async def test_the_errors_line_comes_also_after_a_failed_request(tmp_path: Path) -> None:
    engine = FakeEngine(["x"], fail_with=EngineFailed("gone"))
    async with talking(tmp_path, engine=engine) as world:
        world.env.inject_error("POST", "/channels/*/messages", status=502, times=2)
        await world.ask("hello?")
        [line] = world.said()
        assert line.startswith("⚠️ ")


async def test_an_errors_line_that_is_sent_again_is_the_same_message(tmp_path: Path) -> None:
    engine = FakeEngine(["x"], fail_with=EngineFailed("gone"))
    async with talking(tmp_path, engine=engine) as world:
        world.env.inject_error("POST", "/channels/*/messages", status=503, times=2)
        await world.ask("hello?")
        tries = world.requests("POST", "/messages")
        assert len(tries) == 3
        assert len({entry.json["nonce"] for entry in tries}) == 1
        assert all(entry.json["enforce_nonce"] for entry in tries)


async def test_an_errors_line_is_not_the_busy_line_that_failed_before_it(tmp_path: Path) -> None:
    gate = asyncio.Semaphore(0)
    async with talking(tmp_path, engine=Doomed(gate)) as world:
        await world.ask("count")
        world.env.inject_error("POST", "/channels/*/messages", status=503)
        await world.pass_time(10.1)
        let(gate)
        await world.env.settle()
        busy, failed = world.requests("POST", "/messages")
        assert (busy.json["content"][0], failed.json["content"][0]) == ("⏳", "⚠")
        assert busy.json["nonce"] != failed.json["nonce"]


async def test_a_send_that_fails_is_made_again(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        world.env.inject_error("POST", "/channels/*/messages", status=503, times=2)
        await world.ask("hi")
        assert world.said() == ["Hello, Alice."]
        nonces = {entry.json["nonce"] for entry in world.requests("POST", "/messages")}
        assert len(nonces) == 1  # the same message, however often it is tried
        assert all(entry.json["enforce_nonce"] for entry in world.requests("POST", "/messages"))


async def test_the_last_edit_lands_after_failed_ones(tmp_path: Path) -> None:
    engine, gate = held("one two three four")
    async with talking(tmp_path, engine=engine) as world:
        await world.ask("count")
        let(gate, 1)
        await world.pass_time()
        world.env.inject_error("PATCH", "/channels/*/messages/*", status=500, times=2)
        let(gate)
        await world.env.settle()
        assert world.said() == ["one two three four"]
        assert labels(world.messages()[0]) == ["Regenerate", "Continue", "Delete"]
        assert (await world.turns())[1].state is TurnState.WHOLE


@pytest.mark.parametrize(("status", "code"), [(403, 50013), (404, 10003), (500, 0), (400, 50035)])
async def test_a_channel_that_refuses_us_is_not_silenced_for_later(
    tmp_path: Path, status: int, code: int
) -> None:
    async with talking(tmp_path) as world:
        world.env.inject_error("POST", "/channels/*/messages", status=status, code=code, times=9)
        await world.ask("one")
        assert world.said() == []
        world.env.backend.faults.clear()
        await world.ask("two")
        assert world.said() == ["Hello, Alice."]


async def test_without_permission_to_reply_the_answer_is_a_plain_message(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        world.env.inject_error("POST", "/channels/*/messages", status=400, code=160002)
        await world.ask("one")
        [reply] = world.messages()
        assert reply.content == "Hello, Alice."
        assert reply.reference is None


async def test_a_deleted_channel_ends_its_reply_quietly(tmp_path: Path) -> None:
    engine, gate = held("one two three four", "five")
    async with talking(tmp_path, engine=engine) as world:
        other = world.guild.create_text_channel("other")
        await world.ask("count")
        let(gate, 1)
        await world.pass_time()
        with world.env._bot_scope():
            world.env.backend.delete_channel(world.channel.id)
        await world.env.settle()
        assert engine.cancelled
        let(gate)
        await world.alice.send(other, f"{world.me} still there?")
        assert world.said(other) == ["five"]


async def test_a_reply_deleted_while_it_streams_stops(tmp_path: Path) -> None:
    engine, gate = held("one two three four")
    async with talking(tmp_path, engine=engine) as world:
        await world.ask("count")
        let(gate, 1)
        await world.pass_time()
        with world.env._bot_scope():
            world.env.backend.delete_message(world.channel.id, world.messages()[0].id)
        await world.env.settle()
        assert engine.cancelled  # at once, not when the next word comes
        let(gate)
        await world.env.settle()
        assert world.said() == []
        assert [turn.role for turn in await world.turns()] == ["user"]


@pytest.mark.parametrize(("status", "code"), [(400, 50035), (403, 50001), (500, 0)])
async def test_the_last_edit_lands_after_one_that_was_refused(
    tmp_path: Path, status: int, code: int
) -> None:
    engine, gate = held("one two three four")
    async with talking(tmp_path, engine=engine) as world:
        await world.ask("count")
        let(gate, 1)
        await world.pass_time()
        times = 1 if status < 500 else 4  # more than are tried again
        world.env.inject_error(
            "PATCH", "/channels/*/messages/*", status=status, code=code, times=times
        )
        let(gate, 1)
        await world.pass_time()
        assert world.said() == ["one two"]
        let(gate)
        await world.env.settle()
        assert world.said() == ["one two three four"]
        assert labels(world.messages()[0]) == ["Regenerate", "Continue", "Delete"]
        assert (await world.turns())[1].state is TurnState.WHOLE


async def test_a_reply_that_is_gone_by_the_next_edit_is_taken_out(tmp_path: Path) -> None:
    engine, gate = held("one two three four", "five")
    async with talking(tmp_path, engine=engine) as world:
        await world.ask("count")
        let(gate, 1)
        await world.pass_time()
        world.env.inject_error("PATCH", "/channels/*/messages/*", status=404, code=10008)
        let(gate)  # the deletion itself was never told
        await world.env.settle()
        assert [turn.role for turn in await world.turns()] == ["user"]
        await world.ask("and?")
        assert world.said()[-1] == "five"


async def test_the_errors_line_keeps_its_distance_like_every_edit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = asyncio.Semaphore(0)
    pace = replace(QUICK, edit_seconds=1.0)
    async with talking(tmp_path, engine=Doomed(gate), pace=pace) as world:
        times: dict[str, float] = {}
        original = world.bot.http.request

        async def noting(route: Route, **options: object) -> object:
            if "/messages" in route.path:
                times[route.method] = world.env._virtual_time
            return await original(route, **options)

        monkeypatch.setattr(world.bot.http, "request", noting)
        await world.ask("count")
        await world.pass_time(10.1)  # the busy line has just been sent
        let(gate)
        await world.env.settle()
        assert world.said()[0].startswith("⚠️ ")
        assert times["PATCH"] - times["POST"] >= 0.999


async def test_a_busy_line_becomes_the_errors_line(tmp_path: Path) -> None:
    gate = asyncio.Semaphore(0)
    async with talking(tmp_path, engine=Doomed(gate)) as world:
        await world.ask("count")
        await world.pass_time(10.1)
        assert len(world.said()) == 1
        let(gate)
        await world.env.settle()
        [line] = world.messages()
        assert line.content.startswith("⚠️ ")
        assert labels(line) == []


async def test_typing_that_is_refused_hinders_nothing(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        world.env.inject_error("POST", "/channels/*/typing", status=403, code=50013, times=None)
        await world.ask("hi")
        assert world.said() == ["Hello, Alice."]
