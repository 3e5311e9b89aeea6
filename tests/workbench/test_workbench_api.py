"""What the page can ask for."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection
from workbench_parts import HOSTILE, REPLIES, Bench, Client, Events

from bot.chat.definitions import DEFINITIONS
from bot.chat.engines import Engines, NamedEngine, WrittenIn
from bot.chat.messages import ChannelKey, IncomingMessage, Speaker
from bot.chat.persona import Persona
from bot.engine.fake import FakeEngine
from bot.store.database import Database
from bot.workbench import views
from bot.workbench.forms import MESSAGE_CHARACTERS


def welcoming(bench: Bench, *others: str) -> None:
    """Mara has a greeting."""
    texts = {"greeting": "*The door is open.* Come in, {{user}}.", "alternate_greetings": others}
    bench.cast.personas[0] = bench.cast.personas[0].model_copy(update=texts)


async def test_the_first_visit_finds_one_empty_chat(client: Client) -> None:
    assert [chat["id"] for chat in (await client.ok("GET", "api/chats"))["chats"]] == ["1"]
    chat = await client.chat()
    assert chat["turns"] == []
    assert chat["engine"]["state"] == "ready"
    assert not chat["busy"]


async def test_a_message_is_kept_and_answered(bench: Bench, client: Client) -> None:
    assert await client.say("  Hello there\r\nMara  ") == {"kept": True, "addressed": True}
    question, reply = (await client.idle())["turns"]
    assert (question["role"], question["name"], question["text"]) == (
        "user",
        "Ines",
        "Hello there\nMara",
    )
    assert (reply["role"], reply["name"], reply["state"]) == ("bot", "Mara", "whole")
    assert reply["text"] == "The first reply, with **bold** words."
    assert "Hello there" in bench.engine.requests[0].prompt


async def test_an_aside_is_not_kept_and_the_page_is_told(bench: Bench, client: Client) -> None:
    assert not (await client.say("(( be right back ))"))["kept"]
    chat = await client.chat()
    assert chat["turns"] == []
    assert "aside" in chat["note"]["text"]
    assert not bench.engine.requests


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({"text": "hi"}, "name"),
        ({"text": "", "name": "Ines"}, "text"),
        ({"text": " \n\t ", "name": "Ines"}, "text"),
        ({"text": "\u0000", "name": "Ines"}, "text"),
        ({"text": "hi", "name": " "}, "name"),
        ({"text": "x" * (MESSAGE_CHARACTERS + 1), "name": "Ines"}, "text"),
        ({"text": "hi", "name": "x" * 81}, "name"),
        ({"text": 5, "name": "Ines"}, "text"),
        ({"text": ["hi"], "name": "Ines"}, "text"),
        ({"text": "hi", "name": "Ines", "role": "system"}, "role"),
        (["hi"], ""),
        ("hi", ""),
    ],
)
async def test_a_body_that_does_not_fit_is_refused(
    bench: Bench, client: Client, body: object, complaint: str
) -> None:
    status, answer = await client.call("POST", "api/chats/1/messages", body)
    assert status == 400
    assert answer["error"].startswith(complaint)
    assert answer["fix"]
    assert not bench.engine.requests


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\xff\xfe", b'{"text": "\\ud800", "name": "x"}', b"[" * 10_000]
)
async def test_what_is_not_json_is_refused(client: Client, data: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    status, answer = await client.call("POST", "api/chats/1/messages", data=data, headers=headers)
    assert status == 400
    assert answer["error"]


@pytest.mark.parametrize("chat", ["2", "0", "-1", "x", "%2e%2e", "1 ", "99999999999999999999"])
async def test_an_unknown_chat_is_not_found(client: Client, chat: str) -> None:
    for method, path in (("GET", ""), ("GET", "/events"), ("POST", "/stop"), ("GET", "/export")):
        status, answer = await client.call(method, f"api/chats/{chat}{path}")
        assert status == 404, (method, path)
        assert answer["error"]


@pytest.mark.parametrize("path", ["api/", "api/nothing", "nothing", "static/nothing.js"])
async def test_an_unknown_path_is_not_found(client: Client, path: str) -> None:
    status, answer = await client.call("GET", path)
    assert (status, answer["error"]) == (404, "There is nothing here.")


async def test_a_wrong_method_is_refused(client: Client) -> None:
    assert (await client.call("PATCH", "api/chats"))[0] == 405


async def test_another_platforms_messages_are_out_of_reach(bench: Bench, client: Client) -> None:
    discord = ChannelKey("discord", "77", is_direct=True)
    secret = IncomingMessage(
        "5", discord, Speaker("9", "Somebody"), "secret", views.now(), mentions_bot=True
    )
    turn = (await bench.conversations.hear(secret)).turn
    assert turn is not None
    path = f"api/chats/1/turns/{turn.turn_id}"
    for method, call, body in (
        ("GET", f"{path}/why", None),
        ("GET", f"{path}/earlier", None),
        ("PUT", path, {"text": "mine"}),
        ("DELETE", path, None),
        ("POST", f"{path}/swipe", {"step": 1}),
        ("POST", f"{path}/regenerate", None),
        ("POST", f"{path}/continue", None),
    ):
        status, answer = await client.call(method, call, body)
        assert status == 404, (method, call)
        assert "secret" not in json.dumps(answer)
    assert (await bench.database.history.turn(turn.turn_id)).text == "secret"


async def test_regenerating_makes_swipes_to_go_through(client: Client) -> None:
    reply = (await client.talked("Hello"))["turns"][1]
    path = f"api/chats/1/turns/{reply['id']}"
    await client.ok("POST", f"{path}/regenerate")
    reply = (await client.idle())["turns"][1]
    assert (reply["swipe"], reply["swipes"]) == (1, 2)
    assert reply["text"] == "Another one, quite different."
    await client.ok("POST", f"{path}/swipe", {"step": -1})
    reply = (await client.chat())["turns"][1]
    assert (reply["swipe"], reply["text"]) == (0, "The first reply, with **bold** words.")
    await client.ok("POST", f"{path}/swipe", {"step": -1})
    assert (await client.chat())["turns"][1]["swipe"] == 1


@pytest.mark.parametrize("body", [{"step": 0}, {"step": 2}, {"step": True}, {"step": "1"}, {}])
async def test_a_swipe_is_one_step(client: Client, body: dict) -> None:
    reply = (await client.talked("Hello"))["turns"][1]
    status, _ = await client.call("POST", f"api/chats/1/turns/{reply['id']}/swipe", body)
    assert status == 400


async def test_a_reply_can_go_on(bench: Bench, client: Client) -> None:
    reply = (await client.talked("Hello"))["turns"][1]
    await client.ok("POST", f"api/chats/1/turns/{reply['id']}/continue")
    reply = (await client.idle())["turns"][1]
    assert reply["text"].startswith("The first reply, with **bold** words.")
    assert reply["text"].endswith("Another one, quite different.")
    assert reply["swipes"] == 1


async def test_a_persons_message_cannot_be_regenerated(client: Client) -> None:
    question = (await client.talked("Hello"))["turns"][0]
    for action in ("regenerate", "continue"):
        status, answer = await client.call("POST", f"api/chats/1/turns/{question['id']}/{action}")
        assert (status, answer["error"]) == (409, "That is not a reply.")


async def test_an_edit_changes_what_the_model_sees(bench: Bench, client: Client) -> None:
    question, reply = (await client.talked("My cat is black"))["turns"]
    await client.ok("PUT", f"api/chats/1/turns/{question['id']}", {"text": "My cat is white"})
    await client.ok("PUT", f"api/chats/1/turns/{reply['id']}", {"text": "How lovely."})
    await client.talked("What colour is it?")
    prompt = bench.engine.requests[-1].prompt
    assert "My cat is white" in prompt
    assert "How lovely." in prompt
    assert "black" not in prompt
    assert "first reply" not in prompt


async def test_a_deleted_message_is_gone(bench: Bench, client: Client) -> None:
    question, reply = (await client.talked("My cat is black"))["turns"]
    await client.ok("DELETE", f"api/chats/1/turns/{question['id']}")
    assert [turn["id"] for turn in (await client.chat())["turns"]] == [reply["id"]]
    status, _ = await client.call("DELETE", f"api/chats/1/turns/{question['id']}")
    assert status == 404
    await client.talked("And now?")
    assert "black" not in bench.engine.requests[-1].prompt


async def test_what_has_no_answer_can_be_answered(bench: Bench, client: Client) -> None:
    _question, reply = (await client.talked("Hello"))["turns"]
    status, answer = await client.call("POST", "api/chats/1/answer")
    assert (status, answer["error"]) == (409, "There is nothing to answer.")
    await client.ok("DELETE", f"api/chats/1/turns/{reply['id']}")
    await client.ok("POST", "api/chats/1/answer")
    question, reply = (await client.idle())["turns"]
    assert (question["text"], question["name"]) == ("Hello", "Ines")
    assert reply["text"] == "Another one, quite different."


async def test_a_setting_holds_from_the_next_request_on(bench: Bench, client: Client) -> None:
    await client.talked("Hello")
    await client.ok("PUT", "api/chats/1/settings/temperature", {"value": "1.3"})
    await client.ok("PUT", "api/chats/1/settings/top_k", {"value": "40"})
    await client.ok("PUT", "api/chats/1/settings/instructions", {"value": "Speak in rhymes."})
    await client.talked("Again")
    before, after = bench.engine.requests
    assert (before.sampling.temperature, before.sampling.top_k) == (0.7, 0)
    assert (after.sampling.temperature, after.sampling.top_k) == (1.3, 40)
    assert "Speak in rhymes." in after.prompt


async def test_the_controls_come_from_the_definitions(client: Client) -> None:
    shown = {
        one["key"]: one for one in (await client.ok("GET", "api/chats/1/settings"))["settings"]
    }
    assert set(shown) == set(DEFINITIONS) - views.NOT_HERE
    temperature = shown["temperature"]
    definition = DEFINITIONS["temperature"]
    assert temperature["help"] == definition.help
    assert (temperature["minimum"], temperature["maximum"]) == (0, 2)
    assert (temperature["value"], temperature["is_set"]) == (definition.default, False)


async def test_a_setting_can_be_taken_back(client: Client) -> None:
    path = "api/chats/1/settings/temperature"
    for take_back in (("DELETE", path), ("PUT", path, {"value": ""})):
        await client.ok("PUT", path, {"value": "1.3"})
        settings = (await client.ok(*take_back))["settings"]
        temperature = next(one for one in settings if one["key"] == "temperature")
        assert (temperature["value"], temperature["is_set"]) == (0.7, False)


@pytest.mark.parametrize(
    ("key", "value", "status"),
    [
        ("temperature", "3", 400),
        ("temperature", "nan", 400),
        ("temperature", "warm", 400),
        ("top_p", "0", 400),
        ("top_k", "1.5", 400),
        ("instructions", "x" * 2_001, 400),
        ("instructions", "x" * 4_001, 400),
        ("nothing", "1", 404),
        ("persona", "Nobody", 400),
    ],
)
async def test_a_value_that_does_not_do_is_refused(
    client: Client, key: str, value: str, status: int
) -> None:
    before = await client.ok("GET", "api/chats/1/settings")
    found, answer = await client.call("PUT", f"api/chats/1/settings/{key}", {"value": value})
    assert found == status
    assert answer["error"]
    assert answer["fix"]
    assert await client.ok("GET", "api/chats/1/settings") == before


async def test_settings_are_each_chats_own(client: Client) -> None:
    await client.ok("POST", "api/chats")
    await client.ok("PUT", "api/chats/2/settings/persona", {"value": "tobias"})
    assert (await client.chat(1))["persona"]["name"] == "Mara"
    assert (await client.chat(2))["persona"]["name"] == "Tobias"


async def test_the_chosen_persona_speaks(bench: Bench, client: Client) -> None:
    await client.ok("PUT", "api/chats/1/settings/persona", {"value": "Tobias"})
    assert (await client.talked("Hello"))["turns"][1]["name"] == "Tobias"
    tobias = bench.cast.personas[1]
    bench.cast.personas[1] = tobias.model_copy(update={"name": "Old Tobias"})
    assert (await client.chat())["persona"]["name"] == "Old Tobias"
    assert (await client.chat())["turns"][1]["name"] == "Tobias"  # the name under which it spoke
    bench.cast.personas = [one for one in bench.cast.personas if one.id != tobias.id]
    assert (await client.chat())["persona"]["name"] == "Mara"  # its file went away


async def test_personas_and_broken_files_are_listed(bench: Bench, client: Client) -> None:
    bench.cast.broken = {"bad.toml": "line 3: no closing quote"}
    texts = {"description": "{{char}} keeps the light for {{user}}."}
    bench.cast.personas[0] = bench.cast.personas[0].model_copy(update=texts)
    answer = await client.ok("GET", "api/personas?name=Zo%C3%AB")
    assert [one["id"] for one in answer["personas"]] == ["test:hostile", "test:mara", "test:tobias"]
    assert answer["personas"][1]["description"] == "Mara keeps the light for Zoë."
    assert answer["problems"] == [{"file": "bad.toml", "problem": "line 3: no closing quote"}]


async def test_chats_are_apart_and_last(bench: Bench, client: Client) -> None:
    await client.talked("In the first")
    assert (await client.ok("POST", "api/chats"))["id"] == "2"
    assert (await client.chat(2))["turns"] == []
    await client.say("In the second", chat=2)
    await client.idle(2)
    lines = (await client.ok("GET", "api/chats"))["chats"]
    assert [line["snippet"] for line in lines] == [
        "The first reply, with **bold** words.",
        "Another one, quite different.",
    ]
    assert "first" not in bench.engine.requests[1].prompt.lower().split("### instruction")[-1]
    known = await bench.database.history.last_seen("workbench")
    assert {key.channel_id for key in known} == {"1", "2"}


async def test_a_new_conversation_can_be_undone(bench: Bench, client: Client) -> None:
    before = (await client.talked("Hello"))["turns"]
    welcoming(bench)
    old = (await client.ok("POST", "api/chats/1/reset"))["conversation_id"]
    (greeting,) = (await client.chat())["turns"]
    assert greeting["text"] == "*The door is open.* Come in, Guest."
    await client.ok("POST", "api/chats/1/restore", {"conversation_id": old})
    assert (await client.chat())["turns"] == before
    assert len((await client.ok("GET", "api/chats/1/conversations"))["conversations"]) == 1


@pytest.mark.parametrize("number", [0, -1, 10**30, "1", None, 999_999])
async def test_a_foreign_conversation_is_not_restored(
    bench: Bench, client: Client, number: object
) -> None:
    welcoming(bench)
    await client.ok("POST", "api/chats/1/reset")
    before = (await client.chat())["turns"]
    assert before, "its greeting, which stays"
    body = {"conversation_id": number}
    status, answer = await client.call("POST", "api/chats/1/restore", body)
    assert status in {400, 404}
    assert answer["error"]
    assert (await client.chat())["turns"] == before


async def test_why_tells_the_prompt_by_its_sections(bench: Bench, client: Client) -> None:
    reply = (await client.talked("Hello"))["turns"][1]
    why = await client.ok("GET", f"api/chats/1/turns/{reply['id']}/why")
    assert why["text"] == bench.engine.requests[0].prompt
    assert not why["changed_since"]
    assert sum(section["tokens"] for section in why["sections"]) == why["tokens"]
    assert "".join(section["text"] for section in why["sections"]) == why["text"]
    assert why["left_out"] == []
    statistics = why["record"]["statistics"]
    assert statistics["prompt_tokens"] == why["tokens"]
    assert statistics["tokens_per_second"] >= 0
    assert statistics["first_token_seconds"] >= 0
    assert why["record"]["sampling"]["temperature"] == 0.7


async def test_why_names_the_engine_and_says_when_it_is_there_no_more(
    bench: Bench, client: Client
) -> None:
    reply = (await client.talked("Hello"))["turns"][1]
    address = f"api/chats/1/turns/{reply['id']}/why"
    why = await client.ok("GET", address)
    assert (why["record"]["engine"], why["missing_engine"]) == ("fake", "")
    bench.conversations.engines = Engines.only(FakeEngine(), "local")
    assert (await client.ok("GET", address))["missing_engine"] == "fake"


def test_the_page_is_told_of_the_engine_that_answers_and_of_the_other() -> None:
    down = NamedEngine("local", FakeEngine())
    up = NamedEngine("fallback:fake", FakeEngine())
    told = views.engine(Engines([up]))
    assert (told["name"], told["is_fallback"], told["others"]) == ("fallback:fake", False, [])
    asyncio.run(up.start())
    told = views.engine(Engines([down, up]))
    assert (told["name"], told["is_fallback"], told["state"]) == ("fallback:fake", True, "ready")
    assert [(one["name"], one["state"]) for one in told["others"]] == [("local", "starting")]


def test_the_page_is_told_of_the_format_and_of_what_is_wrong_with_it() -> None:
    engine = NamedEngine("local", FakeEngine())
    engine.written_in = WrittenIn("alpaca, as nothing says which", "Set PROMPT_FORMAT.")
    told = views.engine(Engines([engine]))
    assert (told["format"], told["problem"]) == (
        "alpaca, as nothing says which",
        "Set PROMPT_FORMAT.",
    )


async def test_why_says_that_things_have_changed(client: Client) -> None:
    question, reply = (await client.talked("Hello"))["turns"]
    await client.ok("PUT", f"api/chats/1/turns/{question['id']}", {"text": "Goodbye"})
    why = await client.ok("GET", f"api/chats/1/turns/{reply['id']}/why")
    assert why["changed_since"]
    assert "Goodbye" in why["text"]


async def test_why_says_that_the_persona_was_edited(bench: Bench, client: Client) -> None:
    reply = (await client.talked("Hello"))["turns"][1]
    path = f"api/chats/1/turns/{reply['id']}/why"
    assert (await client.ok("GET", path))["persona_since"] == "same"
    mara = bench.cast.personas[0]
    bench.cast.personas[0] = mara.model_copy(update={"name": "Mira", "personality": "dry"})
    why = await client.ok("GET", path)
    assert (why["persona"], why["persona_since"], why["changed_since"]) == ("Mira", "edited", True)
    assert why["record"]["persona"] == "Mara"


async def test_why_of_a_persons_message_is_refused(client: Client) -> None:
    question = (await client.talked("Hello"))["turns"][0]
    status, answer = await client.call("GET", f"api/chats/1/turns/{question['id']}/why")
    assert 400 <= status < 500
    assert answer["error"]


async def test_a_conversation_can_be_saved(client: Client) -> None:
    await client.talked("Hello", HOSTILE)
    async with client.session.get(f"{client.url}api/chats/1/export") as response:
        assert response.headers["Content-Disposition"].startswith("attachment")
        assert response.content_type == "application/json"
        exported = json.loads(await response.text())
    assert [turn["name"] for turn in exported["turns"]] == ["Ines", "Mara", "Ines", "Mara"]
    assert exported["turns"][1]["swipes"] == ["The first reply, with **bold** words."]
    async with client.session.get(f"{client.url}api/chats/1/export?format=text") as response:
        assert response.headers["Content-Disposition"].startswith("attachment")
        assert response.content_type == "text/plain"
        assert f"Ines: {HOSTILE}\n" in await response.text()


async def test_long_conversations_come_in_pieces(bench: Bench, client: Client) -> None:
    key = ChannelKey("workbench", "1", is_direct=True)
    for number in range(130):
        message = IncomingMessage(
            str(number + 1), key, Speaker("person", "Ines"), f"line {number}", views.now()
        )
        await bench.database.history.add_message(message, addressed=False)
    chat = await client.chat()
    assert len(chat["turns"]) == 100
    assert chat["skipped"] == 30
    first = chat["turns"][0]["id"]
    earlier = await client.ok("GET", f"api/chats/1/turns/{first}/earlier")
    assert [turn["text"] for turn in earlier["turns"]] == [f"line {n}" for n in range(30)]
    assert earlier["skipped"] == 0


async def test_the_status_names_the_version_and_the_engine(client: Client) -> None:
    status = await client.ok("GET", "api/status")
    assert status["version"] == "1.2.3"
    assert status["engine"]["state"] == "ready"


async def test_what_another_page_left_unanswered_is_answered(
    bench: Bench, client: Client, tmp_path: Path
) -> None:
    """A second page beside the first, and then the first one's process dies."""
    url = f"sqlite+aiosqlite:///{tmp_path}/workbench.db"
    other = await Database.open(url)
    await other.history.serve("workbench", "", lambda _: None)
    key = ChannelKey("workbench", "7", is_direct=True)  # a chat that this page does not know
    message = IncomingMessage("1", key, Speaker("person", "Ines"), "hello?", datetime.now(UTC))
    asked = await other.history.add_message(message, addressed=True)
    assert asked is not None
    speaker = Speaker("persona:Mara", "Mara", is_bot=True)
    await other.history.begin_reply(key, speaker, persona="Mara", answers=[asked.turn_id])
    await bench.database.run.look()
    assert (await client.call("GET", "api/chats/7"))[0] == 404
    await other.run._locks.release()  # type: ignore[union-attr]
    other.run._locks = None
    await other.close()
    for _ in range(2):
        await bench.database.run.look()
    turns = (await client.idle(7))["turns"]
    assert [turn["text"] for turn in turns] == ["hello?", REPLIES[0]]


async def test_a_page_beside_the_bot_takes_nothing_of_discords(
    bench: Bench, client: Client, tmp_path: Path
) -> None:
    bot = await Database.open(f"sqlite+aiosqlite:///{tmp_path}/workbench.db")
    await bot.history.serve("discord", "1", lambda _: None)
    key = ChannelKey("discord", "7", guild_id="1")
    message = IncomingMessage("1", key, Speaker("ann", "Ann"), "hello?", datetime.now(UTC))
    await bot.history.add_message(message, addressed=True)
    await bot.history.note_seen(key, "1")
    for _ in range(3):
        await bench.database.run.look()
    await client.talked("Hello")
    assert len(await bot.history.pending(key)) == 1
    assert await bot.history.last_seen("discord") == {key: "1"}
    assert [key.platform for key in await bench.database.history.last_seen("workbench")] == [
        "workbench"
    ]
    await bot.close()


async def test_another_pages_chats_are_listed_and_their_numbers_not_given_again(
    bench: Bench, client: Client, tmp_path: Path
) -> None:
    other = await Database.open(f"sqlite+aiosqlite:///{tmp_path}/workbench.db")
    await other.history.serve("workbench", "", lambda _: None)
    for number in ("2", "7"):
        await other.history.note_seen(ChannelKey("workbench", number, is_direct=True), "1")
    await other.close()
    assert (await client.ok("POST", "api/chats"))["id"] == "8"
    listed = (await client.ok("GET", "api/chats"))["chats"]
    assert [chat["id"] for chat in listed] == ["1", "2", "7", "8"]


async def test_the_list_of_chats_takes_as_many_transactions_however_many_there_are(
    bench: Bench, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        await client.ok("POST", "api/chats")
    transactions = bench.database.history.transactions
    reads: list[object] = []
    read = transactions.read

    async def counted(work: Callable[[Connection], object]) -> object:
        reads.append(work)
        return await read(work)

    monkeypatch.setattr(transactions, "read", counted)
    assert len((await client.ok("GET", "api/chats"))["chats"]) == 5
    assert len(reads) == 2  # which chats there are, and what is in them


async def test_a_new_chat_begins_with_the_greeting_stored_once(
    bench: Bench, client: Client
) -> None:
    welcoming(bench, "Mind the step.")
    await client.ok("POST", "api/chats")
    for chat in (1, 2):
        seen: list[dict] = []
        for _ in range(2):  # pages
            async with client.listen(chat) as response:
                told = await Events(response).until("snapshot")
                seen += told[-1][1]["turns"]
        greeting, again = seen
        assert greeting == again
        assert (greeting["role"], greeting["name"], greeting["swipes"]) == ("bot", "Mara", 2)
        assert greeting["text"] == "*The door is open.* Come in, Ines."
    swipe = f"api/chats/2/turns/{greeting['id']}/swipe"
    await client.ok("POST", swipe, {"step": 1})
    await client.say("Hello", chat=2)
    turns = (await client.idle(2))["turns"]
    assert [turn["text"] for turn in turns[:2]] == ["Mind the step.", "Hello"]
    assert "Mind the step." in bench.engine.requests[-1].prompt
    await client.ok("DELETE", f"api/chats/1/turns/{(await client.chat())['turns'][0]['id']}")
    async with client.listen() as response:
        told = await Events(response).until("snapshot")
    assert told[-1][1]["turns"] == [], "who takes the greeting out does not get it again"


async def test_a_chat_of_a_persona_without_a_greeting_begins_empty(client: Client) -> None:
    async with client.listen() as response:
        told = await Events(response).until("snapshot")
    assert told[-1][1]["turns"] == []


async def test_who_is_chosen_greets_once_and_alternates_are_swipes(
    bench: Bench, client: Client
) -> None:
    texts = {"greeting": "Ahoy, {{user}}!", "alternate_greetings": ("You again.",)}
    bench.cast.personas.append(Persona(id="test:nessa", name="Nessa", **texts))
    choose = "api/chats/1/settings/persona"
    await client.ok("PUT", choose, {"value": "Nessa"})
    [greeting] = (await client.chat())["turns"]
    assert (greeting["name"], greeting["text"], greeting["swipes"]) == ("Nessa", "Ahoy, Guest!", 2)
    await client.ok("POST", f"api/chats/1/turns/{greeting['id']}/swipe", {"step": 1})
    turns = (await client.talked("Hello"))["turns"]
    assert [turn["text"] for turn in turns[:2]] == ["You again.", "Hello"]
    await client.ok("PUT", choose, {"value": ""})
    await client.ok("PUT", choose, {"value": "Nessa"})
    turns = (await client.chat())["turns"]
    assert [turn["text"] for turn in turns if turn["name"] == "Nessa"].count("Ahoy, Guest!") == 0


async def test_an_unanswered_greeting_gives_way_to_the_next_ones(
    bench: Bench, client: Client
) -> None:
    bench.cast.personas.append(Persona(id="test:nessa", name="Nessa", greeting="Ahoy!"))
    for name in ("Nessa", "Mara", "Nessa"):
        await client.ok("PUT", "api/chats/1/settings/persona", {"value": name})
    turns = (await client.chat())["turns"]
    assert [turn["text"] for turn in turns] == ["Ahoy!"]
    await client.ok("POST", "api/chats/1/reset")
    assert (await client.ok("GET", "api/chats/1/conversations"))["conversations"] == []
