"""What a page is told while a reply is written, and what becomes of the reply without a page."""

import asyncio
from collections.abc import Awaitable, Callable

from workbench_parts import Bench, Client, Events, StartBench

from bot.engine.api import EngineState
from bot.engine.fake import FakeEngine
from bot.errors import EngineFailed
from bot.workbench.events import TEXT, Hub

OpenClient = Callable[[Bench], Awaitable[Client]]

LONG = "One two three four five six seven eight nine ten eleven twelve thirteen."


async def gated(start: StartBench, **options: object) -> tuple[Bench, asyncio.Semaphore]:
    gate = asyncio.Semaphore(0)
    engine = FakeEngine([LONG, "A second reply."], gate=gate, chunk_characters=10, **options)
    return await start(engine), gate


async def test_a_reply_streams_piece_by_piece(bench: Bench, client: Client) -> None:
    async with client.listen() as response:
        events = Events(response)
        assert (await events.until("snapshot"))[0][1]["turns"] == []
        await client.say("Hello")
        told = await events.until("ended")
    names = [name for name, _ in told]
    assert names.index("turn") < names.index("began") < names.index(TEXT)
    text = "".join(data["text"] for name, data in told if name == TEXT)
    assert text == "The first reply, with **bold** words."
    ended = told[-1][1]
    assert (ended["name"], ended["text"], ended["stopped"]) == ("Mara", text, False)
    assert set(ended["speed"]) == {"tokens_per_second", "first_token_seconds"}


async def test_a_page_that_comes_in_the_middle_sees_it_all(
    start_bench: StartBench, open_client: OpenClient
) -> None:
    bench, gate = await gated(start_bench)
    client = await open_client(bench)
    async with client.listen() as response:
        events = Events(response)
        await client.say("Hello")
        gate.release()
        gate.release()
        await events.until(TEXT)
    async with client.listen() as response:  # reloaded
        events = Events(response)
        snapshot = (await events.until("snapshot"))[0][1]
        assert snapshot["busy"]
        running = snapshot["turns"][-1]
        assert (running["id"], running["state"]) == (snapshot["live"], "running")
        assert running["text"]
        for _ in range(20):
            gate.release()
        told = await events.until("ended")
    rest = "".join(data["text"] for name, data in told if name == TEXT)
    assert running["text"] + rest == LONG


async def test_a_reply_goes_on_without_a_page(
    start_bench: StartBench, open_client: OpenClient
) -> None:
    bench, gate = await gated(start_bench)
    client = await open_client(bench)
    async with client.listen() as response:
        events = Events(response)
        await client.say("Hello")
        gate.release()
        await events.until(TEXT)
    for _ in range(20):
        gate.release()
    assert (await client.idle())["turns"][-1]["text"] == LONG


async def test_stop_keeps_what_was_shown(start_bench: StartBench, open_client: OpenClient) -> None:
    bench, gate = await gated(start_bench)
    client = await open_client(bench)
    async with client.listen() as response:
        events = Events(response)
        await client.say("Hello")
        gate.release()
        told = await events.until(TEXT)
        shown = told[-1][1]["text"]
        assert (await client.ok("POST", "api/chats/1/stop"))["stopped"]
        ended = (await events.until("ended"))[-1][1]
    assert ended["stopped"]
    reply = (await client.idle())["turns"][-1]
    assert reply["state"] == "cut"
    assert reply["text"].startswith(shown)
    assert LONG.startswith(reply["text"])
    assert reply["text"] != LONG
    assert len(bench.engine.cancelled) == 1
    assert not (await client.ok("POST", "api/chats/1/stop"))["stopped"]


async def test_stopped_before_its_first_word_a_reply_was_never_there(
    start_bench: StartBench, open_client: OpenClient
) -> None:
    bench, _gate = await gated(start_bench)
    client = await open_client(bench)
    async with client.listen() as response:
        events = Events(response)
        await client.say("Hello")
        await events.until("began")
        await client.ok("POST", "api/chats/1/stop")
        names = [name for name, _ in await events.until("ended")]
    assert "gone" in names
    assert "note" not in names
    assert [turn["role"] for turn in (await client.idle())["turns"]] == ["user"]


async def test_while_it_is_written_a_reply_is_left_alone(
    start_bench: StartBench, open_client: OpenClient
) -> None:
    bench, gate = await gated(start_bench)
    client = await open_client(bench)
    async with client.listen() as response:
        events = Events(response)
        await client.say("Hello")
        gate.release()
        turn = (await events.until("began"))[-1][1]["id"]
        path = f"api/chats/1/turns/{turn}"
        for method, call, body in (
            ("PUT", path, {"text": "mine"}),
            ("POST", f"{path}/regenerate", None),
            ("POST", f"{path}/continue", None),
            ("POST", "api/chats/1/answer", None),
        ):
            status, answer = await client.call(method, call, body)
            assert (status, bool(answer["fix"])) == (409, True), call
        status, _ = await client.call("POST", f"{path}/swipe", {"step": 1})
        assert status in {403, 409}


async def test_a_reply_can_be_deleted_while_it_is_written(
    start_bench: StartBench, open_client: OpenClient
) -> None:
    bench, gate = await gated(start_bench)
    client = await open_client(bench)
    async with client.listen() as response:
        events = Events(response)
        await client.say("Hello")
        gate.release()
        await events.until(TEXT)
        turn = (await client.chat())["live"]
        await client.ok("DELETE", f"api/chats/1/turns/{turn}")
    assert [one["role"] for one in (await client.idle())["turns"]] == ["user"]


async def test_what_is_said_meanwhile_is_answered_next(
    start_bench: StartBench, open_client: OpenClient
) -> None:
    bench, gate = await gated(start_bench)
    client = await open_client(bench)
    async with client.listen() as response:
        events = Events(response)
        await client.say("Hello")
        await events.until("began")
        await client.say("One more thing")
        await client.say("And another")
        for _ in range(40):
            gate.release()
    turns = (await client.idle())["turns"]
    assert [turn["text"] for turn in turns] == [
        "Hello",
        LONG,
        "One more thing",
        "And another",
        "A second reply.",
    ]
    assert len(bench.engine.requests) == 2


async def test_a_reset_ends_the_running_reply_first(
    start_bench: StartBench, open_client: OpenClient
) -> None:
    bench, gate = await gated(start_bench)
    client = await open_client(bench)
    async with client.listen() as response:
        events = Events(response)
        await client.say("Hello")
        gate.release()
        await events.until(TEXT)
        texts = {"greeting": "*The door is open.* Come in, {{user}}."}
        bench.cast.personas[0] = bench.cast.personas[0].model_copy(update=texts)
        await client.ok("POST", "api/chats/1/reset")
        told = await events.until("snapshot")
        (greeting,) = told[-1][1]["turns"]
        assert greeting["text"] == "*The door is open.* Come in, Ines."
    assert (await client.idle())["turns"] == [greeting]


async def test_messages_wait_until_the_model_is_ready(
    start_bench: StartBench, open_client: OpenClient
) -> None:
    bench = await start_bench(started=False)
    client = await open_client(bench)
    assert (await client.chat())["engine"]["state"] == EngineState.STARTING
    async with client.listen() as response:
        events = Events(response)
        await client.say("Hello")
        await events.until("busy")
        await bench.engine.start()
        told = await events.until("ended")
        if "engine" not in dict(told):
            told += await events.until("engine")
    assert dict(told)["engine"]["state"] == "ready"
    assert (await client.idle())["turns"][1]["text"].startswith("The first reply")


async def test_waiting_for_the_model_can_be_stopped(
    start_bench: StartBench, open_client: OpenClient
) -> None:
    bench = await start_bench(started=False)
    client = await open_client(bench)
    await client.say("Hello")
    assert (await client.chat())["busy"]
    await client.ok("POST", "api/chats/1/stop")
    await client.idle()
    await bench.engine.start()
    await client.ok("POST", "api/chats/1/answer")
    assert [turn["role"] for turn in (await client.idle())["turns"]] == ["user", "bot"]


async def test_a_failure_is_one_line_and_no_part_of_the_history(
    start_bench: StartBench, open_client: OpenClient
) -> None:
    engine = FakeEngine([EngineFailed("Out of memory.", "Lower the reply length."), "Better."])
    bench = await start_bench(engine)
    client = await open_client(bench)
    chat = await client.talked("Hello")
    assert chat["note"]["text"]
    assert [turn["role"] for turn in chat["turns"]] == ["user"]
    await client.ok("POST", "api/chats/1/answer")
    chat = await client.idle()
    assert chat["note"] is None
    assert [turn["text"] for turn in chat["turns"]] == ["Hello", "Better."]


async def test_a_failure_in_the_middle_keeps_what_came(
    start_bench: StartBench, open_client: OpenClient
) -> None:
    engine = FakeEngine([LONG], fail_with=EngineFailed("Out of memory."), fail_after_chunks=2)
    bench = await start_bench(engine)
    client = await open_client(bench)
    chat = await client.talked("Hello")
    assert chat["note"]["text"]
    reply = chat["turns"][1]
    assert reply["state"] == "cut"
    assert reply["text"]
    assert LONG.startswith(reply["text"])


async def test_an_empty_reply_is_said_to_be_one(
    start_bench: StartBench, open_client: OpenClient
) -> None:
    client = await open_client(await start_bench(FakeEngine([""])))
    chat = await client.talked("Hello")
    assert [turn["role"] for turn in chat["turns"]] == ["user"]
    assert chat["note"]["text"]


async def test_closing_lets_a_running_reply_end(
    start_bench: StartBench, open_client: OpenClient
) -> None:
    bench, gate = await gated(start_bench)
    client = await open_client(bench)
    async with client.listen() as response:
        events = Events(response)
        await client.say("Hello")
        gate.release()
        await events.until(TEXT)
        closing = asyncio.create_task(bench.workbench.close(10))
        await asyncio.sleep(0)
        status, answer = await client.call(
            "POST", "api/chats/1/messages", {"text": "Wait", "name": "Ines"}
        )
        assert (status, answer["error"]) == (503, "Caduceus is being stopped.")
        for _ in range(20):
            gate.release()
        assert (await events.until("ended"))[-1][1]["text"] == LONG
        await closing


async def test_closing_cuts_what_takes_too_long(
    start_bench: StartBench, open_client: OpenClient
) -> None:
    bench, gate = await gated(start_bench)
    client = await open_client(bench)
    async with client.listen() as response:
        events = Events(response)
        await client.say("Hello")
        gate.release()
        await events.until(TEXT)
        await bench.workbench.close(0.01)
        assert (await events.until("ended"))[-1][1]["stopped"]


async def test_a_slow_page_gets_its_text_joined() -> None:
    hub = Hub()
    page = hub.subscribe()
    hub.publish("began", {"id": 1})
    for piece in "abc":
        hub.publish(TEXT, {"turn": 1, "text": piece})
    hub.publish(TEXT, {"turn": 2, "text": "d"})
    events = await page.take(1)
    assert [(event.name, event.data.get("text")) for event in events] == [
        ("began", None),
        (TEXT, "abc"),
        (TEXT, "d"),
    ]
    hub.leave(page)
    hub.publish("began", {"id": 2})
    assert await page.take(0.01) == []
