"""What a person has written is never lost, and what a page sends is never a fault of ours."""

import asyncio
import gzip
import json
import zlib
from collections.abc import Awaitable, Callable

import pytest
import pytest_asyncio
from sqlalchemy import text
from workbench_parts import Bench, Client, Events, StartBench

from bot.chat.messages import ChannelKey
from bot.engine.fake import FakeEngine
from bot.errors import RequestTooLarge, StoreError
from bot.workbench.room import Room

OpenClient = Callable[[Bench], Awaitable[Client]]
CHAT = ChannelKey("workbench", "1", is_direct=True)
WORDS = "an hour's work of text"


def room_of(bench: Bench) -> Room:
    return bench.workbench._rooms.get("1")


def texts(snapshot: dict) -> list[str]:
    return [turn["text"] for turn in snapshot["turns"]]


@pytest_asyncio.fixture(loop_scope="module")
async def unanswered(bench: Bench, client: Client) -> dict:
    """A message whose answer was deleted."""
    snapshot = await client.talked(WORDS)
    await client.ok("DELETE", f"api/chats/1/turns/{snapshot['turns'][-1]['id']}")
    return snapshot["turns"][0]


@pytest.mark.parametrize("failing", ["add_message", "ask_again", "delete_turn", "begin_reply"])
async def test_answering_never_loses_the_message(
    bench: Bench,
    client: Client,
    unanswered: dict,
    monkeypatch: pytest.MonkeyPatch,
    failing: str,
) -> None:
    async def fails(*_args: object, **_options: object) -> None:
        raise StoreError("The disk is full.", "Make room.")

    with monkeypatch.context() as patch:
        patch.setattr(bench.database.history, failing, fails)
        status, _answer = await client.call("POST", "api/chats/1/answer")
        assert status in (202, 500)
        await client.idle()
    assert texts(await client.chat()) == [WORDS] or status == 202
    assert texts(await client.chat())[0] == WORDS
    await client.idle()
    if len(texts(await client.chat())) == 1:
        await client.ok("POST", "api/chats/1/answer")
    assert texts(await client.idle())[0] == WORDS
    assert len(texts(await client.chat())) == 2


async def test_an_answered_message_keeps_its_place(client: Client, unanswered: dict) -> None:
    await client.ok("POST", "api/chats/1/answer")
    question, answer = (await client.idle())["turns"]
    assert question["id"] == unanswered["id"]
    assert answer["role"] == "bot"


async def test_a_message_of_long_ago_can_be_answered(
    bench: Bench, client: Client, unanswered: dict
) -> None:
    def age(connection) -> None:
        connection.execute(text("UPDATE turns SET created_at = '2020-01-01 00:00:00'"))

    await bench.database.history.transactions.write(age)
    await client.ok("POST", "api/chats/1/answer")
    assert len((await client.idle())["turns"]) == 2


async def test_an_edit_while_a_reply_begins_anew_is_kept_or_refused(
    bench: Bench, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    reply = (await client.talked("Hello"))["turns"][-1]
    begun, goes_on = asyncio.Event(), asyncio.Event()
    begin_swipe = bench.database.history.begin_swipe

    async def slow(turn_id: int) -> object:
        turn = await begin_swipe(turn_id)
        begun.set()  # it stands in the database, and nobody was told yet
        await goes_on.wait()
        return turn

    monkeypatch.setattr(bench.database.history, "begin_swipe", slow)
    await client.ok("POST", f"api/chats/1/turns/{reply['id']}/regenerate")
    await begun.wait()
    editing = asyncio.create_task(
        client.call("PUT", f"api/chats/1/turns/{reply['id']}", {"text": "My own words."})
    )
    await asyncio.sleep(0)
    goes_on.set()
    status, answer = await editing
    swipes = [swipe.text for swipe in (await bench.database.history.turn(reply["id"])).swipes]
    assert (status == 409 and "being written" in answer["error"]) or "My own words." in swipes
    await client.idle()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", b"this is no gzip"),
        ("gzip", gzip.compress(json.dumps({"text": "x", "name": "y"}).encode(), mtime=0)[:-12]),
        ("gzip", b""),
        ("deflate", b"\xff\xff\xff"),
        ("br", b"this is no brotli"),
        ("gzip", gzip.compress(b"x" * 50_000_000, mtime=0)),
        ("deflate", zlib.compress(b"{")),
        ("made-up", b"{}"),
    ],
    ids=["no gzip", "cut off", "empty", "no deflate", "no brotli", "huge", "no JSON", "unknown"],
)
async def test_a_body_that_cannot_be_unpacked_is_refused(
    bench: Bench, encoding: str, body: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", bench.port)
    head = (
        f"POST /api/chats/1/messages HTTP/1.1\r\nHost: 127.0.0.1:{bench.port}\r\n"
        f"Content-Type: application/json\r\nContent-Encoding: {encoding}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    writer.write(head.encode() + body)
    async with asyncio.timeout(10):
        answer = await reader.read(-1)
    writer.close()
    status = int(answer.split(b" ")[1])
    assert 400 <= status < 500, answer


async def test_a_packed_body_is_read(bench: Bench, client: Client) -> None:
    body = gzip.compress(json.dumps({"text": "Hello", "name": "Ines"}).encode())
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    url = f"{bench.url}api/chats/1/messages"
    async with client.session.post(url, data=body, headers=headers) as response:
        assert response.status == 202
    await client.idle()


async def test_what_is_too_long_for_the_model_is_not_to_be_tried_again(
    start_bench: StartBench, open_client: OpenClient
) -> None:
    bench = await start_bench(FakeEngine([RequestTooLarge("It is too long.")]))
    client = await open_client(bench)
    async with client.listen() as response:
        events = Events(response)
        await events.until("snapshot")
        await client.say("far too much")
        *_, (_, note) = await events.until("note")
        assert note["is_too_long"]
    (turn,) = (await client.idle())["turns"]
    assert (await client.chat())["note"]["is_too_long"]
    await client.ok("PUT", f"api/chats/1/turns/{turn['id']}", {"text": "less"})
    assert (await client.chat())["note"] is None


async def test_conversations_that_were_left_can_be_read_saved_and_deleted(
    bench: Bench, client: Client
) -> None:
    await client.talked("the first", "and more of it")
    await client.ok("POST", "api/chats/1/reset")
    await client.ok("POST", "api/chats/1/reset")  # an empty one is not worth a line
    await client.talked("the second")
    second, first = (await client.ok("GET", "api/chats/1/conversations"))["conversations"]
    assert (first["snippet"], first["turns"], first["is_current"]) == ("the first", 4, False)
    assert (second["snippet"], second["turns"], second["is_current"]) == ("the second", 2, True)

    path = f"api/chats/1/conversations/{first['id']}"
    read = await client.ok("GET", path)
    assert texts(read)[0] == "the first"
    earlier = await client.ok("GET", f"api/chats/1/turns/{read['turns'][2]['id']}/earlier")
    assert texts(earlier) == texts(read)[:2]
    async with client.session.get(f"{bench.url}{path}/export?format=text") as response:
        assert "the first" in await response.text()
        assert f"caduceus-chat-1-{first['id']}.txt" in response.headers["Content-Disposition"]

    await client.ok("POST", "api/chats/1/restore", {"conversation_id": first["id"]})
    assert texts(await client.chat())[0] == "the first"
    status, answer = await client.call("DELETE", path)
    assert status == 404
    assert "present conversation" in answer["error"]

    await client.ok("DELETE", f"api/chats/1/conversations/{second['id']}")
    (left,) = (await client.ok("GET", "api/chats/1/conversations"))["conversations"]
    assert left["id"] == first["id"]
    assert (await client.call("GET", f"api/chats/1/conversations/{second['id']}"))[0] == 404


async def test_another_chats_conversations_are_out_of_reach(bench: Bench, client: Client) -> None:
    await client.talked("mine")
    other = await client.ok("POST", "api/chats")
    await client.ok("POST", "api/chats/1/reset")
    (mine,) = (await client.ok("GET", "api/chats/1/conversations"))["conversations"]
    assert (await client.ok("GET", f"api/chats/{other['id']}/conversations"))["conversations"] == []
    path = f"api/chats/{other['id']}/conversations/{mine['id']}"
    for method, ending in (("GET", ""), ("GET", "/export"), ("DELETE", "")):
        assert (await client.call(method, path + ending))[0] == 404
    assert texts(await client.ok("GET", f"api/chats/1/conversations/{mine['id']}"))[0] == "mine"
