"""Whatever happens in whatever order: every question is answered, once, in its place."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

import pytest
from at_once import DatabaseAtOnce
from conversing import HERE, THERE, Stage, until
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from bot.chat.messages import ChannelKey, Turn, TurnState
from bot.chat.talk.reply import Reply, ReplyKind
from bot.engine.fake import FakeEngine
from bot.errors import NotAllowed, NotFound
from bot.store.turns import conversations
from bot.store.turns.rows import load_turns, select_turns

T = TypeVar("T")

LINE = "A line of some length, which comes in pieces."
CHANNELS = (HERE, THERE)


class World:
    """People who do what they like, and a front end that answers them."""

    def __init__(self) -> None:
        self.database = DatabaseAtOnce()
        self.gate = asyncio.Semaphore(0)
        engine = FakeEngine([LINE], gate=self.gate, chunk_characters=10)
        self.stage = Stage(self.database.history, self.database.settings, engine=engine)
        self.tasks: list[asyncio.Task[object]] = []
        self.fronts: list[asyncio.Task[object]] = []
        self.writing: Counter[ChannelKey] = Counter()
        self.answered: Counter[int] = Counter()
        self.message_ids: list[tuple[ChannelKey, str]] = []

    @property
    def core(self):
        return self.stage.conversations

    def look(self, work: Callable[[Connection], T]) -> T:
        """What stands in the database at this moment."""
        return self.database.transactions.look(work)

    def turns(self, channel: ChannelKey) -> list[Turn]:
        return self.look(partial(conversations.export, channel=channel))

    def spawn(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[object]:
        task = asyncio.ensure_future(work)
        self.tasks.append(task)
        return task

    # What people do ------------------------------------------------------------------------------

    def hear(self, channel: ChannelKey, number: int) -> None:
        message = self.stage.message(f"question {number}", by=f"user{number % 3}", channel=channel)
        self.message_ids.append((channel, message.message_id))

        async def take() -> None:
            if (await self.core.hear(message)).addressed:
                self.serve(channel)

        self.spawn(take())

    def edit(self, channel: ChannelKey, number: int) -> None:
        if self.message_ids:
            where, message_id = self.message_ids[number % len(self.message_ids)]
            self.spawn(self.core.edited(where, message_id, f"edited {number}"))

    def delete(self, channel: ChannelKey, number: int) -> None:
        if self.message_ids:
            where, message_id = self.message_ids[number % len(self.message_ids)]
            self.spawn(self.core.deleted(where, [message_id]))

    def delete_reply(self, channel: ChannelKey, number: int) -> None:
        if turn := self.reply_turn(channel, number):
            self.spawn(self.quietly(self.core.delete_turn(turn.turn_id)))

    def stop(self, channel: ChannelKey, number: int) -> None:
        if running := self.core.running(channel):
            running.stop()

    def reset(self, channel: ChannelKey, number: int) -> None:
        self.spawn(self.core.reset(channel))

    def regenerate(self, channel: ChannelKey, number: int) -> None:
        if turn := self.reply_turn(channel, number):
            self.spawn(self.quietly(self.again(self.core.regenerate(turn.turn_id))))

    def go_on(self, channel: ChannelKey, number: int) -> None:
        if turn := self.reply_turn(channel, number):
            self.spawn(self.quietly(self.again(self.core.continue_reply(turn.turn_id))))

    def swipe(self, channel: ChannelKey, number: int) -> None:
        if turn := self.reply_turn(channel, number):
            self.spawn(self.quietly(self.core.swipe(turn.turn_id, number)))

    def cancel(self, channel: ChannelKey, number: int) -> None:
        if self.fronts:
            self.fronts[number % len(self.fronts)].cancel()

    def write_on(self, channel: ChannelKey, number: int) -> None:
        for _ in range(number % 12):
            self.gate.release()

    # The front end -------------------------------------------------------------------------------

    def serve(self, channel: ChannelKey) -> None:
        self.fronts.append(self.spawn(self.answer(channel)))

    async def answer(self, channel: ChannelKey) -> None:
        reply = await self.core.next_reply(channel)
        if reply is None:
            return
        waiting = self.look(partial(conversations.pending, channel=channel))
        earlier = [turn.turn_id for turn in waiting]
        assert all(turn_id > reply.turn.turn_id for turn_id in earlier)
        assert all(asked.turn_id < reply.turn.turn_id for asked in reply.answers)
        await self.show(reply)

    async def again(self, begin: Coroutine[Any, Any, Reply]) -> None:
        await self.show(await begin)

    async def show(self, reply: Reply) -> None:
        channel = reply.turn.channel
        text = ""
        async with reply:
            self.writing[channel] += 1
            try:
                assert self.writing[channel] == 1
                assert self.core.running(channel) is reply
                text = reply.text_before
                async for piece in reply:
                    text += piece
                    await reply.shown(text, [f"m{reply.turn.turn_id}"])
            finally:
                self.writing[channel] -= 1
                if reply._kind is ReplyKind.NEW and text:
                    self.answered.update(asked.turn_id for asked in reply.answers)

    # What is true at the end ---------------------------------------------------------------------

    def reply_turn(self, channel: ChannelKey, number: int) -> Turn | None:
        turns = [turn for turn in self.turns(channel) if turn.role == "bot"]
        return turns[number % len(turns)] if turns else None

    async def quietly(self, work: Coroutine[Any, Any, object]) -> None:
        with contextlib.suppress(NotFound, NotAllowed):
            await work

    async def settle(self) -> None:
        for _ in range(10_000):
            self.gate.release()
        while waiting := [task for task in self.tasks if not task.done()]:
            await asyncio.wait(waiting)
        for channel in CHANNELS:  # what a cancelled front end has left, as after a restart
            while pending := await self.stage.history.pending(channel):
                await self.answer(channel)
                assert await self.stage.history.pending(channel) != pending
        for task in self.tasks:
            if not task.cancelled():
                task.result()

    def check(self) -> None:
        assert self.stage.is_idle
        assert self.stage.engine.status().running == 0
        assert all(count == 1 for count in self.answered.values())
        for turn in self.look(lambda connection: load_turns(connection, select_turns())):
            assert turn.state is not TurnState.RUNNING
            if turn.role == "bot":
                assert turn.text.startswith(LINE[: len(turn.text)][:10])
            if turn.answered_by is not None:
                assert turn.turn_id < turn.answered_by
        for channel in CHANNELS:
            ids = [turn.turn_id for turn in self.turns(channel)]
            assert ids == sorted(ids)


ACTIONS: tuple[Callable[[World, ChannelKey, int], None], ...] = (
    World.hear,
    World.hear,
    World.write_on,
    World.edit,
    World.delete,
    World.delete_reply,
    World.stop,
    World.reset,
    World.regenerate,
    World.go_on,
    World.swipe,
    World.cancel,
)

steps = st.tuples(
    st.sampled_from(ACTIONS),
    st.sampled_from(CHANNELS),
    st.integers(0, 30),
    st.sampled_from((0, 0, 1, 2, 5, 20)),  # how far the loop goes on before the next step
)


@settings(max_examples=250)
@given(st.lists(steps, min_size=5, max_size=40))
async def test_every_question_is_answered_once_in_its_place(
    script: list[tuple[Callable[[World, ChannelKey, int], None], ChannelKey, int, int]],
) -> None:
    world = World()
    for act, channel, number, ticks in script:
        act(world, channel, number)
        for _ in range(ticks):
            await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await world.settle()
    world.check()


@pytest.mark.parametrize("ticks", range(0, 40, 3))
async def test_closing_at_any_moment_leaves_each_question_answered_or_waiting(ticks: int) -> None:
    world = World()
    for number in range(3):
        world.hear(HERE, number)
        world.hear(THERE, number)
    world.write_on(HERE, 3)
    for _ in range(ticks):
        await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await world.core.close(grace_seconds=0.0)
        await until(lambda: all(task.done() for task in world.tasks))
    world.stage.start_again()
    await world.settle()
    world.check()
    for channel in CHANNELS:
        asked = [turn for turn in world.turns(channel) if turn.role == "user"]
        assert len(asked) == 3
        assert all(turn.answered_by for turn in asked)
