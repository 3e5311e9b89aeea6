"""The remote engine against a real HTTP server on loopback that plays vLLM, llama.cpp and worse."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer
from remote_servers import DONE, USAGE, Server, collect, event, request, serving

from bot.engine.api import EngineState, FinishReason, Sampling
from bot.engine.remote.engine import OpenAIEngine
from bot.errors import EngineUnavailable, ModelError, RemoteEngineError, RequestTooLarge


async def test_streams_text_and_reports_what_it_took() -> None:
    server = Server()
    server.streams(event("Hel"), event("lo"), event("", "stop"), USAGE, DONE)
    async with serving(server) as engine:
        chunks = await collect(engine, sampling=Sampling(seed=5))
        assert engine.status().state is EngineState.READY
    assert "".join(chunk.text for chunk in chunks) == "Hello"
    assert chunks[-1].finish is FinishReason.STOP
    statistics = chunks[-1].statistics
    assert statistics is not None
    assert (statistics.prompt_tokens, statistics.reply_tokens, statistics.seed) == (7, 3, 5)
    assert all(chunk.finish is None for chunk in chunks[:-1])


async def test_sends_the_prompt_and_the_sampling_as_the_servers_name_them() -> None:
    server = Server()
    server.streams(event("x", "length"), DONE)
    sampling = Sampling(0.5, 40, 0.9, 0.05, 1.2, seed=11)
    async with serving(server) as engine:
        chunks = await collect(engine, sampling=sampling, stop=("\n###",))
    assert chunks[-1].finish is FinishReason.LENGTH
    assert server.bodies == [
        {
            "model": "nous",
            "prompt": "Say a word",
            "stream": True,
            "max_tokens": 16,
            "temperature": 0.5,
            "top_p": 0.9,
            "seed": 11,
            "stop": ["\n###"],
            "stream_options": {"include_usage": True},
            "top_k": 40,
            "min_p": 0.05,
            "repetition_penalty": 1.2,
            "repeat_penalty": 1.2,
        }
    ]


@pytest.mark.parametrize(("shape", "context"), [("vllm", 2048), ("llama.cpp", 1024)])
async def test_learns_context_and_counting_from_either_server(shape: str, context: int) -> None:
    async with serving(Server(shape)) as engine:
        assert engine.info.context_tokens == context
        assert engine.info.name == "nous"
        assert await engine.count_tokens(["one two three", ""]) == (3, 0)
        assert shape in engine.counting


async def test_estimates_cautiously_where_nothing_counts() -> None:
    async with serving(Server("plain")) as engine:
        assert not engine.info.counts_exactly
        assert "estimate" in engine.counting
        assert await engine.count_tokens(["abcdefg", "漢字"]) == (3, 2)


async def test_refuses_a_tokenizer_folder_without_a_tokenizer(tmp_path: Path) -> None:
    engine = OpenAIEngine("http://127.0.0.1:9/v1", tokenizer=tmp_path)
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        await engine.start()
    await engine.close()


async def test_ends_at_a_stop_string_that_the_server_did_not_know() -> None:
    server = Server()
    server.hangs(event("Good."), event("\nAl"), event("ice: hi"))
    async with serving(server) as engine:
        chunks = await collect(engine, stop=("\nAlice:",))
        await asyncio.wait_for(server.closed.wait(), 5)
    assert "".join(chunk.text for chunk in chunks) == "Good."
    assert chunks[-1].finish is FinishReason.STOP


async def test_closing_the_iterator_closes_the_stream() -> None:
    server = Server()
    server.hangs(event("Hel"))
    async with serving(server) as engine:
        async with aclosing(engine.generate(request())) as chunks:
            assert (await anext(chunks)).text == "Hel"
            assert engine.status().running == 1
        await asyncio.wait_for(server.closed.wait(), 5)
        assert engine.status().running == 0


async def test_retries_before_the_first_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.engine.remote.engine.RETRY_SECONDS", 0.0)
    server = Server()
    server.refuses(503, "loading")
    server.refuses(429)
    server.streams(event("ok", "stop"), DONE)
    async with serving(server) as engine:
        assert (await collect(engine))[0].text == "ok"
    assert len(server.bodies) == 3


async def test_gives_up_after_three_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.engine.remote.engine.RETRY_SECONDS", 0.0)
    server = Server()
    for _ in range(3):
        server.refuses(503, '{"error": {"message": "no slot"}}')
    async with serving(server) as engine:
        with pytest.raises(RemoteEngineError, match="503: no slot"):
            await collect(engine)
        assert "503" in engine.status().last_error


async def test_never_retries_after_the_first_text() -> None:
    server = Server()
    server.streams(event("Half a"))
    async with serving(server) as engine:
        seen = []
        with pytest.raises(RemoteEngineError, match="broke off"):
            async for chunk in engine.generate(request()):
                seen.append(chunk.text)
    assert seen == ["Half a"]
    assert len(server.bodies) == 1


async def test_leaves_out_what_a_server_refuses_and_remembers_it() -> None:
    server = Server()
    server.refuses(400, '{"error": "unknown field top_k"}')
    server.streams(event("a", "stop"), DONE)
    server.streams(event("b", "stop"), DONE)
    stops = tuple(f"\n{name}:" for name in "ABCDEF")
    async with serving(server) as engine:
        await collect(engine, stop=stops)
        await collect(engine, stop=stops)
    assert [("top_k" in body, len(body["stop"])) for body in server.bodies] == [
        (True, 6),
        (False, 6),
        (False, 6),
    ]


async def test_a_server_that_never_starts_to_answer_is_given_up() -> None:
    server = Server()
    server.hangs()
    async with serving(server, first_token_seconds=0.05) as engine:
        with pytest.raises(RemoteEngineError, match=r"no first word in 0\.05 s"):
            await collect(engine)
        await asyncio.wait_for(server.closed.wait(), 5)


async def test_a_server_that_stalls_is_given_up() -> None:
    server = Server()
    server.hangs(event("Hm"))
    async with serving(server, stall_seconds=0.05) as engine:
        with pytest.raises(RemoteEngineError, match=r"nothing for 0\.05 s"):
            await collect(engine)


@pytest.mark.parametrize(
    "garbage",
    [
        b"data: not json\n\n",
        b"data: []\n\n",
        b"data: " + b"[" * 100_000 + b"\n\n",
        b'data: {"choices": [7]}\n\n',
        b'data: {"error": {"message": "out of memory"}}\n\n',
        b"data: " + b"x" * (1 << 20) + b"\n\n",
        b"<html>hello</html>\n",
        b"",
    ],
)
async def test_what_is_no_completion_is_an_error_in_plain_words(garbage: bytes) -> None:
    server = Server()
    server.streams(garbage)
    async with serving(server) as engine:
        with pytest.raises(RemoteEngineError, match="server"):
            await collect(engine)


async def test_a_server_that_floods_is_cut_off() -> None:
    server = Server()
    server.hangs(*(event("x" * 500) for _ in range(10)))
    async with serving(server) as engine:
        with pytest.raises(RemoteEngineError, match="more than was asked for"):
            await collect(engine, max_tokens=16)


async def test_a_wrong_key_says_so() -> None:
    server = Server()
    server.refuses(401)
    async with serving(server) as engine:
        with pytest.raises(RemoteEngineError, match="OPENAI_API_KEY"):
            await collect(engine)


async def test_a_prompt_over_the_context_is_refused_at_once() -> None:
    server = Server()
    async with serving(server) as engine:
        with pytest.raises(RequestTooLarge, match="2048"):
            await collect(engine, prompt="word " * 2048)
    assert server.bodies == []


async def test_a_server_that_comes_later_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.engine.remote.engine.RETRY_SECONDS", 0.0)
    server = Server()
    http = TestServer(server.app)
    await http.start_server()
    port = http.port
    await http.close()
    engine = OpenAIEngine(f"http://127.0.0.1:{port}/v1")
    await engine.start()
    assert engine.status().state is EngineState.STARTING
    with pytest.raises(RemoteEngineError, match="cannot be reached"):
        await collect(engine)
    late = Server()
    late.streams(event("here", "stop"), DONE)
    async with TestServer(late.app, port=port):
        assert (await collect(engine))[0].text == "here"
        assert engine.info.context_tokens == 2048
    await engine.close()


async def test_a_server_that_comes_later_is_found_though_nobody_asks(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("bot.engine.remote.engine.LOOK_SECONDS", 0.01)
    server = Server()
    http = TestServer(server.app)
    await http.start_server()
    port = http.port
    await http.close()
    engine = OpenAIEngine(f"http://127.0.0.1:{port}/v1")
    await engine.start()
    assert engine.status().state is EngineState.STARTING
    async with asyncio.timeout(10), TestServer(Server().app, port=port):
        while engine.status().state is not EngineState.READY:  # noqa: ASYNC110 - it looks by the clock
            await asyncio.sleep(0.01)
    assert engine.status().last_error == ""
    assert sum("cannot be reached" in record.getMessage() for record in caplog.records) == 1
    await engine.close()


async def test_a_wait_measured_long_ago_is_not_expected_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = Server()
    server.streams(event("here", "stop"), DONE)
    async with serving(server) as engine:
        await collect(engine)
        assert engine.status().expected_wait_seconds > 0
        monkeypatch.setattr("bot.engine.remote.pace.WAIT_KNOWN_SECONDS", 0.0)
        assert engine.status().expected_wait_seconds == 0


async def test_closing_the_engine_ends_what_runs() -> None:
    server = Server()
    server.hangs(event("Hel"))
    async with serving(server) as engine:
        chunks = engine.generate(request())
        await anext(chunks)
        await engine.close()
        with pytest.raises(EngineUnavailable):
            await anext(chunks)
        with pytest.raises(EngineUnavailable):
            await collect(engine)
