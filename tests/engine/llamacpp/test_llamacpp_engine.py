"""The embedded model behind the engine's contract, on a real child."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from bot.engine.api import Chunk, EngineState, FinishReason, GenerationRequest, Sampling
from bot.engine.llamacpp.engine import LlamaCppEngine, ProcessEnded
from bot.engine.llamacpp.loading import Prepared
from bot.engine.llamacpp.process import LlamaProcess
from bot.engine.models.gguf.file import GgufHeader
from bot.engine.remote.link import Link
from bot.errors import EngineError, EngineUnavailable, ModelError, RequestTooLarge

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

Ask = Callable[..., GenerationRequest]
QUESTIONS = ("What is the capital of France?", "Name three colours.", "Who wrote Hamlet?")
LONG = "The sea is wide and the ship is small. " * 120
MIDDLING = LONG[:1500]
STOPPING_SECONDS = 5.0  # of the processor; the whole reply takes many times that


async def test_it_says_what_the_file_says(engine: LlamaCppEngine, header: GgufHeader) -> None:
    info, status = engine.info, engine.status()
    assert info.name == "SmolLM2-135M-Instruct"
    assert info.chat_template == header.chat_template
    assert info.chat_template is not None
    assert "<|im_start|>" in info.chat_template
    assert {"<|im_start|>", "<|im_end|>"} <= set(info.special_tokens)
    assert (info.bos_token, info.eos_token) == ("<|im_start|>", "<|im_end|>")
    assert info.sampling_defaults == {"temperature": 0.2, "top_p": 0.9, "repetition_penalty": 1.0}
    assert info.counts_exactly
    assert (status.state, status.slots) == (EngineState.READY, 8)
    assert status.device == "cpu (1 thread)"
    assert status.kernel.startswith("llama.cpp (xllamacpp ")


async def test_it_counts_as_the_model_sees_it(engine: LlamaCppEngine) -> None:
    counts = await engine.count_tokens(["", "hello", "<|im_start|>user\n", "hello"])
    assert counts == (0, 1, 3, 1)


async def test_a_reply_ends_where_the_model_ends_it(
    engine: LlamaCppEngine, asking: Ask, write: Callable[..., object]
) -> None:
    text, last = await write(engine, asking(QUESTIONS[0], max_tokens=64))  # type: ignore[misc]
    assert text == "The capital of France is Paris."
    assert last.finish is FinishReason.STOP
    statistics = last.statistics
    assert statistics is not None
    assert (statistics.prompt_tokens, statistics.reply_tokens) == (16, 8)
    assert 0 <= statistics.queued_seconds <= statistics.first_token_seconds
    assert statistics.first_token_seconds <= statistics.total_seconds


async def test_a_channels_prefix_is_kept_whatever_others_say_meanwhile(
    engine: LlamaCppEngine, asking: Ask, write: Callable[..., object]
) -> None:
    first = asking(LONG[:600] + QUESTIONS[0], channel="kept", max_tokens=4)
    text, last = await write(engine, first)  # type: ignore[misc]
    for number in range(6):
        await write(engine, asking(f"Say {number}.", channel=f"other {number}", max_tokens=2))  # type: ignore[misc]
    more = f"{first.prompt}{text}<|im_end|>\n<|im_start|>user\nAnd Italy?"
    again = GenerationRequest(more, "kept", "u", max_tokens=2, sampling=first.sampling)
    _, then = await write(engine, again)  # type: ignore[misc]
    assert then.statistics.cached_prompt_tokens >= last.statistics.prompt_tokens


async def test_stop_strings_end_a_reply_also_where_they_are_special_tokens(
    engine: LlamaCppEngine, asking: Ask, write: Callable[..., object]
) -> None:
    text, last = await write(engine, asking(QUESTIONS[0], stop=(" France",)))  # type: ignore[misc]
    assert (text, last.finish) == ("The capital of", FinishReason.STOP)
    request = GenerationRequest(  # it goes on with the next header by itself
        "<|im_start|>user\nHi<|im_end|>\n",
        "stops",
        "u",
        max_tokens=8,
        sampling=Sampling(temperature=0, repetition_penalty=1),
        stop=("<|im_start|>",),
    )
    text, last = await write(engine, request)  # type: ignore[misc]
    assert (text, last.finish) == ("", FinishReason.STOP)


async def test_max_tokens_is_a_limit(
    engine: LlamaCppEngine, asking: Ask, write: Callable[..., object]
) -> None:
    _, last = await write(engine, asking("Tell me a long story.", max_tokens=5))  # type: ignore[misc]
    assert last.finish is FinishReason.LENGTH
    assert last.statistics.reply_tokens == 5


async def test_a_seed_makes_a_reply_again(
    engine: LlamaCppEngine, asking: Ask, write: Callable[..., object]
) -> None:
    wild = Sampling(temperature=1.5, top_p=1, repetition_penalty=1, seed=7)
    request = asking("Tell me a story.", channel="seed", sampling=wild, max_tokens=12)
    one, last = await write(engine, request)  # type: ignore[misc]
    two, _ = await write(engine, request)  # type: ignore[misc]
    assert one == two
    assert last.statistics.seed == 7


async def test_what_cannot_fit_is_refused(engine: LlamaCppEngine, asking: Ask) -> None:
    with pytest.raises(RequestTooLarge, match="room for 4096"):
        await anext(engine.generate(asking("Hello", max_tokens=4096)))


async def test_greedy_output_is_llama_cpps_own_alone_and_together(
    engine: LlamaCppEngine, asking: Ask, write: Callable[..., object], prepared: Prepared
) -> None:
    requests = [asking(text, channel=text, max_tokens=24) for text in QUESTIONS]
    process = LlamaProcess()
    await process.start()
    try:
        address = await process.load(
            {"model.path": str(prepared.header.path), "n_ctx": 2048, "cpuparams.n_threads": 1}
        )
        link = Link()
        plain = [
            await link.ask(
                "POST",
                f"{address}/completion",
                {"prompt": request.prompt, "temperature": 0, "n_predict": request.max_tokens},
                seconds=60,
            )
            for request in requests
        ]
        await link.close()
    finally:
        process.kill()
    expected = [answer.fields["content"] for answer in plain]
    assert all(expected)
    assert [(await write(engine, one))[0] for one in requests] == expected  # type: ignore[misc]
    together = await asyncio.gather(*(write(engine, one) for one in requests))  # type: ignore[arg-type]
    assert [text for text, _ in together] == expected


@pytest.mark.parametrize("tokens_before", [0, 3])
async def test_who_goes_away_frees_the_slot_while_the_model_reads_and_while_it_writes(
    engine: LlamaCppEngine, asking: Ask, tokens_before: int
) -> None:
    long = asking(LONG if tokens_before == 0 else "A story.", channel=f"gone {tokens_before}")
    request = replace(long, max_tokens=2000)
    began = asyncio.Event()

    async def read() -> None:
        async with aclosing(engine.generate(request)) as chunks:
            pieces = 0
            async for _ in chunks:
                pieces += 1
                if pieces == tokens_before:
                    began.set()

    task = asyncio.create_task(read())
    if tokens_before:
        await began.wait()
    else:
        await _until(engine, lambda slots: any(slot["is_processing"] for slot in slots))
    task.cancel()
    await asyncio.wait([task])
    assert engine.status().running == 0
    spent = _processor_seconds(engine)
    await _until(engine, lambda slots: not any(slot["is_processing"] for slot in slots))
    assert _processor_seconds(engine) - spent < STOPPING_SECONDS


@pytest.mark.parametrize("order", [1, -1])
async def test_a_long_prompt_does_not_hold_up_the_others(
    engine: LlamaCppEngine, asking: Ask, write: Callable[..., object], order: int
) -> None:
    channels = ["first", "second"]
    for channel in channels:  # each has a slot from now on, one before the other
        await write(engine, asking("Hello!", channel=channel, max_tokens=1))  # type: ignore[misc]
    long_channel, short_channel = channels[::order]
    long = asking(LONG, channel=long_channel, max_tokens=6)
    reading = asyncio.create_task(_whole(engine, long))
    await _until(engine, lambda slots: any(slot["is_processing"] for slot in slots))
    question = asking("What is it?", channel=short_channel, max_tokens=4)
    _, last = await write(engine, question)  # type: ignore[misc]
    assert last.finish is not None
    assert not reading.done()
    last = await reading
    assert last.statistics is not None
    assert last.statistics.cached_prompt_tokens < 100  # what was read in two turns counts as read
    assert last.statistics.reply_tokens == 6


def _processor_seconds(engine: LlamaCppEngine) -> float:
    """What the server has computed so far: other programs on the machine do not count."""
    assert engine._server is not None
    times = psutil.Process(engine._server.process.pid).cpu_times()
    return times.user + times.system


async def _until(engine: LlamaCppEngine, is_so: Callable[[list[dict]], bool]) -> None:
    """Wait until llama.cpp itself says so of its slots."""
    server = engine._server
    assert server is not None
    while True:
        async with await server.link.open("GET", f"{server.address}/slots") as response:
            if is_so(await response.json()):
                return
        await asyncio.sleep(0.01)


async def test_only_we_are_answered(engine: LlamaCppEngine) -> None:
    server = engine._server
    assert server is not None
    assert server.address.startswith("http://127.0.0.1:")
    stranger = Link()
    answer = await stranger.ask("POST", f"{server.address}/tokenize", {"content": "hello"})
    await stranger.close()
    assert answer.status == 401
    assert server.process.pid is not None
    child = psutil.Process(server.process.pid)
    words = await asyncio.to_thread(lambda: " ".join([*child.cmdline(), *child.environ().values()]))
    assert server.link._session.headers["Authorization"].removeprefix("Bearer ") not in words


async def test_a_crash_costs_what_was_being_written_and_no_more(
    engine: LlamaCppEngine, asking: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    writing = engine.generate(asking("Tell me a story.", channel="shown", max_tokens=400))
    assert (await anext(writing)).text
    untold = asyncio.create_task(_whole(engine, asking(MIDDLING, channel="untold")))
    await _until(engine, lambda slots: sum(slot["is_processing"] for slot in slots) == 2)
    server = engine._server
    assert server is not None
    assert server.process.pid is not None
    os.kill(server.process.pid, signal.SIGKILL)
    with pytest.raises(ProcessEnded, match=r"signal 9, as where memory runs out\).*try again"):
        async for _ in writing:
            pass
    assert engine.status().state is EngineState.RESTARTING
    assert "signal 9" in engine.status().last_error
    with pytest.raises(EngineUnavailable, match="restarted"):
        await anext(engine.generate(asking("Hello")))
    assert (await untold).finish is not None  # nothing of it had come
    status = engine.status()
    assert (status.state, status.restarts) == (EngineState.READY, 1)
    assert [r.message for r in caplog.records if r.levelno >= logging.ERROR] == [
        "llama.cpp's process ended (signal 9, as where memory runs out). It is being started again."
    ]


async def _whole(engine: LlamaCppEngine, request: GenerationRequest) -> Chunk:
    return [chunk async for chunk in engine.generate(request)][-1]


async def test_a_model_that_llama_cpp_does_not_load_is_told_with_its_reason(
    prepared: Prepared, header: GgufHeader, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(2000))
    bad = replace(prepared, header=replace(header, path=broken))
    engine = LlamaCppEngine(lambda _: bad)
    with pytest.raises(ModelError, match=r"llama\.cpp cannot load .*broken\.gguf: .+"):
        await engine.start()
    assert engine.status().state is EngineState.STOPPED
    with pytest.raises(EngineUnavailable, match="could not be loaded"):
        await engine.count_tokens(["a"])
    await engine.close()


async def test_closing_ends_the_child_also_while_it_starts(prepared: Prepared) -> None:
    engine = LlamaCppEngine(lambda _: prepared)
    starting = asyncio.create_task(engine.start())
    while engine._process is None or engine._process.pid is None:  # noqa: ASYNC110
        await asyncio.sleep(0)
    pid = engine._process.pid
    async with asyncio.timeout(2):
        await engine.close()
    with pytest.raises(EngineError, match="stopped while it started"):
        await starting
    assert not await asyncio.to_thread(psutil.pid_exists, pid)
    await engine.close()


async def test_closing_ends_what_runs_and_waits(prepared: Prepared, asking: Ask) -> None:
    engine = LlamaCppEngine(lambda _: prepared)
    await engine.start()
    writing = engine.generate(asking("Tell me a story.", max_tokens=400))
    await anext(writing)
    waiting = asyncio.create_task(_whole(engine, asking("Tell me more.")))
    while not engine.status().waiting:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    async with asyncio.timeout(2):
        await engine.close()
    for one in (_rest(writing), waiting):
        with pytest.raises(EngineUnavailable, match="stopped"):
            await one
    with pytest.raises(EngineUnavailable, match="stopped"):
        await anext(engine.generate(asking("Hello")))
    assert engine.status().state is EngineState.STOPPED


async def _rest(chunks: object) -> None:
    async for _ in chunks:  # type: ignore[attr-defined]
        pass
