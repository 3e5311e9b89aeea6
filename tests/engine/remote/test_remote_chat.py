"""A server that has only `/chat/completions` is served through it."""

import pytest
from remote_servers import DONE, Server, collect, delta, event, serving

from bot.engine.api import ChatMessage, FinishReason
from bot.errors import RemoteEngineError

MESSAGES = (
    ChatMessage("system", "You are Bo."),
    ChatMessage("user", "Al: Hi"),
    ChatMessage("assistant", "Hm."),
)


async def test_is_known_at_once_where_the_server_tells_and_nothing_is_asked_in_vain() -> None:
    server = Server("chat")
    server.streams(delta("Hel"), delta("lo"), delta("", "stop"), DONE)
    async with serving(server) as engine:
        ((text, _),) = engine.shortcomings
        chunks = await collect(engine, messages=MESSAGES)
        assert "PROMPT_FORMAT" in text
        assert engine.info.room_tokens < engine.info.context_tokens - 1
    assert "".join(chunk.text for chunk in chunks) == "Hello"
    assert chunks[-1].finish is FinishReason.STOP
    (body,) = server.bodies
    assert "prompt" not in body
    assert body["messages"] == [
        {"role": "system", "content": "You are Bo."},
        {"role": "user", "content": "Al: Hi"},
        {"role": "assistant", "content": "Hm."},
    ]


@pytest.mark.parametrize("status", [404, 405, 501, 200])
async def test_is_found_out_by_the_first_reply_and_remembered(status: int) -> None:
    server = Server("both")
    refusal = '{"error": "Unexpected endpoint or method. (POST /v1/completions)"}'
    server.refuses(status, refusal)
    for _ in range(2):
        server.streams(delta("ok"), delta("", "stop"), DONE)
    async with serving(server) as engine:
        assert engine.shortcomings == ()
        for _ in range(2):
            assert (await collect(engine, messages=MESSAGES))[0].text == "ok"
        assert len(engine.shortcomings) == 1
    assert ["messages" in body for body in server.bodies] == [False, True, True]


async def test_a_prompt_without_messages_is_what_the_user_says() -> None:
    server = Server("chat")
    server.streams(delta("ok", "stop"), DONE)
    async with serving(server) as engine:
        await collect(engine)
    assert server.bodies[0]["messages"] == [{"role": "user", "content": "Say a word"}]


async def test_text_in_parts_is_read_without_the_thoughts_among_them() -> None:
    server = Server("chat")
    parts = b'[{"type": "thinking", "text": "Hm"}, {"type": "text", "text": "Hello"}]'
    server.streams(
        b'data: {"choices": [{"delta": {"content": %b}, "finish_reason": "stop"}]}\n\n' % parts,
        DONE,
    )
    async with serving(server) as engine:
        assert "".join(chunk.text for chunk in await collect(engine)) == "Hello"


async def test_a_model_that_is_not_there_is_told_as_the_server_told_it() -> None:
    server = Server("both")
    for _ in range(2):
        server.refuses(404, '{"message": "The model `x` does not exist."}')
    async with serving(server) as engine:
        with pytest.raises(RemoteEngineError, match=r"/completions: The model `x` does not exist"):
            await collect(engine)


async def test_a_server_with_both_is_asked_for_our_prompt() -> None:
    server = Server("both")
    server.streams(event("ok", "stop"), DONE)
    async with serving(server) as engine:
        await collect(engine, messages=MESSAGES)
    assert server.bodies[0]["prompt"] == "Say a word"


async def test_a_server_that_thinks_apart_gets_tokens_for_that() -> None:
    server = Server("chat")
    for _ in range(2):
        server.streams(delta("", reasoning_content="Hm. "), delta("Four."), delta("", "stop"), DONE)
    async with serving(server) as engine:
        assert not engine.info.takes_prompts
        for _ in range(2):
            chunks = await collect(engine, messages=MESSAGES, max_tokens=16, thinking_tokens=100)
            assert chunks[0].text == "Four."
    assert [body["max_tokens"] for body in server.bodies] == [16, 116]
