"""The local engine as a whole, on a tiny model with random weights."""

import asyncio
import re
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from embedded_folder import embedded_folder

from bot.engine.api import Chunk, EngineState, FinishReason, GenerationRequest, Sampling
from bot.engine.building import build_runner, load_model
from bot.engine.local.engine import LocalEngine
from bot.engine.local.prompt_tokens import PromptTokens
from bot.engine.local.runner import RunnerLimits, Segment
from bot.engine.portable.llama import LlamaRunner
from bot.errors import EngineFailed, EngineUnavailable, ModelError, RequestTooLarge

GREEDY = Sampling(temperature=0, repetition_penalty=1)
PROMPTS = [
    "The staff of Hermes",
    "### Instruction:\nSay hello to everybody.\n\n### Response:\n",
    "two wings and two snakes " * 6,
    "a",
]


@pytest.fixture(scope="module")
def loaded(tiny_loader: Callable[..., Any]) -> Any:
    return tiny_loader()


@asynccontextmanager
async def running(
    load: Callable[[], Any], *, build: Any = build_runner, **options: Any
) -> AsyncGenerator[LocalEngine, None]:
    engine = LocalEngine(load, build, **options)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


def ask(prompt: str = PROMPTS[0], channel: str = "c", **changes: Any) -> GenerationRequest:
    changes.setdefault("sampling", GREEDY)
    changes.setdefault("max_tokens", 24)
    return GenerationRequest(prompt=prompt, channel=channel, user=f"user of {channel}", **changes)


async def read(engine: LocalEngine, request: GenerationRequest) -> list[Chunk]:
    return [chunk async for chunk in engine.generate(request)]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - status() alone tells
            await asyncio.sleep(0.005)


def text_of(chunks: Sequence[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


def generated(loaded: Any, prompt: str, max_tokens: int, **options: Any) -> str:
    """What transformers writes, one request at a time."""
    ids = torch.tensor([loaded.tokenizer(prompt).input_ids], device=loaded.device)
    found = loaded.model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=max_tokens,
        do_sample=False,
        **options,
    )
    return loaded.tokenizer.decode(found[0, ids.shape[1] :], skip_special_tokens=True)


class Stepping(LlamaRunner):
    """Runs a hook before every step (in the worker's thread)."""

    hook: Callable[[Sequence[Segment]], None] = staticmethod(lambda pieces: None)

    def step(self, pieces: Sequence[Segment]) -> list[int]:
        type(self).hook(pieces)
        return super().step(pieces)


def stepping(hook: Callable[[Sequence[Segment]], None]) -> type[Stepping]:
    return type("Hooked", (Stepping,), {"hook": staticmethod(hook)})


@pytest.mark.parametrize("forgotten", ["c", "another"])
async def test_a_channel_forgotten_while_its_prompt_is_cut_is_not_kept(
    loaded: Any, monkeypatch: pytest.MonkeyPatch, forgotten: str
) -> None:
    loop = asyncio.get_running_loop()
    plain = PromptTokens.encode

    def encode(self: PromptTokens, channel: str, text: str) -> list[int]:
        done = threading.Event()
        loop.call_soon_threadsafe(lambda: (engine.forget(forgotten), done.set()))
        assert done.wait(20)
        return plain(self, channel, text)

    async with running(lambda: loaded) as engine:
        with monkeypatch.context() as patch:
            patch.setattr(PromptTokens, "encode", encode)
            await read(engine, ask())
        last = (await read(engine, ask()))[-1].statistics
        assert last is not None
        assert (last.cached_prompt_tokens == 0) == (forgotten == "c")


async def test_greedy_text_equals_generate(loaded: Any) -> None:
    async with running(lambda: loaded) as engine:
        for prompt in PROMPTS:
            chunks = await read(engine, ask(prompt))
            assert text_of(chunks) == generated(loaded, prompt, 24).rstrip("\ufffd")


async def test_greedy_text_equals_generate_while_others_join_and_leave(loaded: Any) -> None:
    lengths = [40, 7, 25, 16, 33, 12]
    async with running(lambda: loaded, max_rows=3) as engine:

        async def one(number: int) -> str:
            await asyncio.sleep(number * 0.004)
            prompt = PROMPTS[number % len(PROMPTS)] + "x" * number
            return text_of(
                await read(engine, ask(prompt, f"c{number}", max_tokens=lengths[number]))
            )

        texts = await asyncio.gather(*(one(number) for number in range(len(lengths))))
    for number, text in enumerate(texts):
        prompt = PROMPTS[number % len(PROMPTS)] + "x" * number
        assert text == generated(loaded, prompt, lengths[number]).rstrip("\ufffd")


async def test_greedy_with_a_penalty_equals_generate(loaded: Any) -> None:
    sampling = Sampling(temperature=0, repetition_penalty=1.3)
    async with running(lambda: loaded) as engine:
        text = text_of(await read(engine, ask(sampling=sampling)))
    assert text == generated(loaded, PROMPTS[0], 24, repetition_penalty=1.3).rstrip("\ufffd")


async def test_the_same_seed_gives_the_same_text_alone_and_in_company(loaded: Any) -> None:
    def request(number: int, channel: str) -> GenerationRequest:
        sampling = Sampling(temperature=1.0, top_p=0.9, top_k=number % 3 * 20, seed=number)
        return ask(PROMPTS[number % 4], channel, sampling=sampling, max_tokens=30)

    async with running(lambda: loaded, max_rows=4) as engine:
        alone = [text_of(await read(engine, request(n, f"alone {n}"))) for n in range(8)]
        together = await asyncio.gather(*(read(engine, request(n, f"c{n}")) for n in range(8)))
    assert [text_of(chunks) for chunks in together] == alone
    assert len(set(alone)) > 4


async def test_without_a_seed_one_is_drawn_and_told(loaded: Any) -> None:
    async with running(lambda: loaded) as engine:
        free = Sampling(temperature=1.0, seed=None)
        first = await read(engine, ask(sampling=free))
        statistics = first[-1].statistics
        assert statistics is not None
        again = await read(engine, ask(sampling=Sampling(temperature=1.0, seed=statistics.seed)))
        other = await read(engine, ask(sampling=free))
    assert text_of(again) == text_of(first)
    assert other[-1].statistics is not None
    assert other[-1].statistics.seed != statistics.seed


async def test_the_last_chunk_tells_what_it_took(loaded: Any) -> None:
    async with running(lambda: loaded) as engine:
        chunks = await read(engine, ask(PROMPTS[2]))
        again = await read(engine, ask(PROMPTS[2] + "more"))
    assert all(chunk.finish is None and chunk.text for chunk in chunks[:-1])
    statistics = chunks[-1].statistics
    assert chunks[-1].finish is FinishReason.LENGTH
    assert statistics is not None
    assert statistics.model == "tiny-llama"
    assert statistics.prompt_tokens == len(loaded.tokenizer(PROMPTS[2]).input_ids)
    assert statistics.cached_prompt_tokens == 0
    assert statistics.reply_tokens == 24
    assert 0 <= statistics.queued_seconds <= statistics.first_token_seconds
    assert statistics.first_token_seconds <= statistics.total_seconds
    assert again[-1].statistics is not None
    assert again[-1].statistics.cached_prompt_tokens > 20


async def test_a_kept_prefix_changes_nothing(loaded: Any) -> None:
    longer = PROMPTS[2] + "and then some more of it"
    async with running(lambda: loaded) as engine:
        await read(engine, ask(PROMPTS[2]))
        own = await read(engine, ask(longer))
        copied = await read(engine, ask(longer, "another channel"))
    assert text_of(own) == text_of(copied) == generated(loaded, longer, 24).rstrip("\ufffd")
    assert copied[-1].statistics is not None
    assert copied[-1].statistics.cached_prompt_tokens > 30


async def test_a_stop_string_ends_the_reply(loaded: Any) -> None:
    whole = generated(loaded, PROMPTS[0], 24)
    stop = whole[8:11]
    async with running(lambda: loaded) as engine:
        chunks = await read(engine, ask(stop=(stop, "never there")))
    assert text_of(chunks) == whole[: whole.index(stop)]
    assert chunks[-1].finish is FinishReason.STOP


async def test_the_end_token_ends_the_reply(tiny_loader: Callable[..., Any]) -> None:
    loaded = tiny_loader()
    async with running(lambda: loaded) as engine:
        whole = text_of(await read(engine, ask()))
    ids = torch.tensor([loaded.tokenizer(PROMPTS[0]).input_ids], device=loaded.device)
    fifth = loaded.model.generate(ids, max_new_tokens=5, do_sample=False)[0, -1]
    loaded.model.generation_config.eos_token_id = [int(fifth)]
    async with running(lambda: loaded) as engine:
        chunks = await read(engine, ask())
    assert chunks[-1].finish is FinishReason.STOP
    assert chunks[-1].statistics is not None
    assert chunks[-1].statistics.reply_tokens <= 5
    assert whole.startswith(text_of(chunks))


async def test_closing_the_iterator_frees_the_row_within_one_step(loaded: Any) -> None:
    steps: list[list[int]] = []
    build = stepping(lambda pieces: steps.append([piece.slot for piece in pieces]))
    async with running(lambda: loaded, build=build) as engine:
        stays = asyncio.ensure_future(read(engine, ask(channel="stays", max_tokens=150)))
        async with aclosing(engine.generate(ask(channel="goes", max_tokens=150))) as chunks:
            await anext(chunks)
        before = len(steps)
        await stays
    together = [len(step) for step in steps[before:]]
    assert together.count(2) <= 2  # the step under way, and one begun before the inbox was read
    assert len(together) > 50


async def test_a_cancelled_consumer_that_still_waits_is_taken_out(loaded: Any) -> None:
    async with running(lambda: loaded, max_rows=1) as engine:
        first = asyncio.ensure_future(read(engine, ask(channel="a", max_tokens=100)))
        second = asyncio.ensure_future(read(engine, ask(channel="b")))
        await until(lambda: engine.status().running == engine.status().waiting == 1)
        second.cancel()
        await first
        with pytest.raises(asyncio.CancelledError):
            await second
        assert engine.status().waiting == 0
        assert text_of(await read(engine, ask(channel="b")))


async def test_what_can_never_fit_is_refused_at_once(loaded: Any) -> None:
    async with running(lambda: loaded, room_tokens=128) as engine:
        assert engine.info.context_tokens == 128
        with pytest.raises(RequestTooLarge, match="room for 128"):
            await read(engine, ask(max_tokens=128))
        with pytest.raises(RequestTooLarge):
            await read(engine, ask("many words " * 100, max_tokens=1))
        assert text_of(await read(engine, ask()))


async def test_the_prompt_and_the_reply_may_fill_the_context_to_the_last_token(loaded: Any) -> None:
    async with running(lambda: loaded) as engine:
        (prompt_tokens,) = await engine.count_tokens([PROMPTS[0]])
        room = engine.info.context_tokens - prompt_tokens
        chunks = await read(engine, ask(max_tokens=room))
    assert chunks[-1].statistics is not None
    assert chunks[-1].statistics.reply_tokens == room


async def test_more_requests_than_rows_are_all_served(loaded: Any) -> None:
    async with running(lambda: loaded, max_rows=2, room_tokens=256) as engine:
        requests = [ask(PROMPTS[n % 4], f"c{n}", max_tokens=10 + n) for n in range(12)]
        replies = await asyncio.gather(*(read(engine, request) for request in requests))
    for request, chunks in zip(requests, replies, strict=True):
        expected = generated(loaded, request.prompt, request.max_tokens)
        assert text_of(chunks) == expected.rstrip("\ufffd")


async def test_a_model_that_does_not_load_says_so(loaded: Any) -> None:
    def load() -> Any:
        raise ModelError("The folder is empty.", "Download it.")

    engine = LocalEngine(load, build_runner, model="a/b")
    assert engine.status().model == "a/b"
    with pytest.raises(ModelError, match="The folder is empty"):
        await engine.start()
    assert engine.status().state is EngineState.STOPPED
    with pytest.raises(EngineUnavailable, match="The folder is empty"):
        await read(engine, ask())
    await engine.close()


async def test_a_fault_while_loading_is_told_plainly() -> None:
    def load() -> Any:
        raise ZeroDivisionError("by zero")

    with pytest.raises(EngineFailed, match="ZeroDivisionError: by zero"):
        await LocalEngine(load, build_runner).start()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to ..."), "ran out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "out of memory"),
        (ValueError("bad news"), "ValueError: bad news"),
    ],
)
async def test_an_engine_that_dies_fails_its_requests_and_comes_back(
    loaded: Any, fault: Exception, words: str
) -> None:
    faults = [fault]
    both_are_there = threading.Event()

    def fail(pieces: Sequence[Segment]) -> None:
        if pieces[0].start > 6 and faults:
            assert both_are_there.wait(20)
            raise faults.pop()

    async with running(
        lambda: loaded, build=stepping(fail), max_rows=1, backoff_seconds=(0.05, 0.1)
    ) as engine:
        runs = asyncio.ensure_future(read(engine, ask(channel="runs")))
        waits = asyncio.ensure_future(read(engine, ask(channel="waits")))
        await until(lambda: engine.status().running == engine.status().waiting == 1)
        both_are_there.set()
        with pytest.raises(EngineFailed, match=words):
            await runs
        with pytest.raises(EngineFailed, match=words):
            await waits
        status = engine.status()
        assert status.state is EngineState.RESTARTING
        assert status.restarts == 1
        assert words in status.last_error
        with pytest.raises(EngineUnavailable, match="restarted"):
            await read(engine, ask())
        await until(lambda: engine.status().state is EngineState.READY)
        assert words in engine.status().last_error
        assert text_of(await read(engine, ask())) == generated(loaded, PROMPTS[0], 24)
        assert engine.status().restarts == 1
        assert engine.status().last_error == ""


async def test_when_memory_runs_out_nobody_fails_and_nothing_is_loaded_anew(loaded: Any) -> None:
    class Scarce(LlamaRunner):
        def logits(self, pieces: Sequence[Segment]) -> torch.Tensor:
            if len(pieces) > 1:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to ...")
            return super().logits(pieces)

    async with running(lambda: loaded, build=Scarce) as engine:
        replies = await asyncio.gather(*(read(engine, ask(p, p)) for p in PROMPTS))
        status = engine.status()
    for prompt, chunks in zip(PROMPTS, replies, strict=True):
        assert text_of(chunks) == generated(loaded, prompt, 24).rstrip("\ufffd")
    assert (status.state, status.restarts, status.slots) == (EngineState.READY, 0, 1)
    assert "Memory ran out" in status.last_error


async def test_the_waits_between_restarts_double_up_to_a_longest(
    loaded: Any, caplog: pytest.LogCaptureFixture
) -> None:
    loop = asyncio.get_running_loop()
    back = asyncio.Event()
    loads = 0

    def load() -> Any:
        nonlocal loads
        loads += 1
        if 2 <= loads <= 5:
            raise MemoryError
        if loads == 6:
            loop.call_soon_threadsafe(back.set)
        return loaded

    def fail(pieces: Sequence[Segment]) -> None:
        if pieces[0].start > 6 and loads == 1:
            raise ValueError("once")

    engine = LocalEngine(load, stepping(fail), backoff_seconds=(0.01, 0.05))
    await engine.start()
    with pytest.raises(EngineFailed):
        await read(engine, ask())
    async with asyncio.timeout(90):
        await back.wait()
    waits = [r.args for r in caplog.records if r.getMessage().startswith("the engine restarts")]
    assert waits == [(0.01,), (0.02,), (0.04,), (0.05,), (0.05,)]
    assert engine.status().restarts == 5
    await engine.close()


async def test_closing_the_engine_ends_what_runs_and_what_waits(loaded: Any) -> None:
    engine = LocalEngine(lambda: loaded, build_runner, max_rows=1)
    await engine.start()
    runs = engine.generate(ask(channel="a", max_tokens=200))
    await anext(runs)
    waits = asyncio.ensure_future(read(engine, ask(channel="b", max_tokens=200)))
    await until(lambda: engine.status().waiting == 1)
    await engine.close()
    await engine.close()
    rest = [chunk async for chunk in runs]
    assert rest[-1].finish is FinishReason.CANCELLED
    assert (await waits)[-1].finish is FinishReason.CANCELLED
    assert engine.status().state is EngineState.STOPPED
    with pytest.raises(EngineUnavailable):
        await read(engine, ask())


async def test_an_engine_closed_while_it_loads_does_not_keep_its_start_waiting(
    loaded: Any,
) -> None:
    loads = threading.Event()
    closed = threading.Event()

    def load() -> Any:
        loads.set()
        assert closed.wait(20)
        return loaded

    engine = LocalEngine(load, build_runner)
    starting = asyncio.ensure_future(engine.start())
    await until(loads.is_set)
    closing = asyncio.ensure_future(engine.close())
    await asyncio.sleep(0.01)
    closed.set()
    await closing
    async with asyncio.timeout(20):
        await asyncio.wait([starting])
    assert engine.status().state is EngineState.STOPPED


async def test_before_its_start_the_engine_says_that_it_loads(loaded: Any) -> None:
    engine = LocalEngine(lambda: loaded, build_runner)
    assert engine.status().state is EngineState.STARTING
    with pytest.raises(EngineUnavailable, match="still being loaded"):
        await read(engine, ask())
    engine.report("Converting", 0.5)
    assert (engine.status().activity, engine.status().progress) == ("Converting", 0.5)


async def test_the_status_counts_rows_room_and_the_queue(loaded: Any) -> None:
    async with running(lambda: loaded, max_rows=1) as engine:
        await read(engine, ask())  # something to measure the wait by
        assert engine.status().running == engine.status().waiting == 0
        first = engine.generate(ask(channel="a", max_tokens=200))
        await anext(first)
        second = asyncio.ensure_future(read(engine, ask(channel="b")))
        await until(lambda: engine.status().waiting == 1)
        status = engine.status()
        assert (status.state, status.model) == (EngineState.READY, "tiny-llama")
        assert (status.running, status.waiting, status.slots) == (1, 1, 1)
        assert 0 < status.kv_tokens_used <= status.kv_tokens_total
        assert status.expected_wait_seconds > 0
        assert status.device.startswith(loaded.device.type)
        await first.aclose()
        await second


async def test_tokens_are_counted_without_a_beginning(loaded: Any) -> None:
    async with running(lambda: loaded) as engine:
        counts = await engine.count_tokens(["", PROMPTS[0], "</s>"])
    assert counts == (0, len(loaded.tokenizer(PROMPTS[0]).input_ids), 1)


async def test_the_loop_turns_while_the_model_computes(loaded: Any) -> None:
    held = threading.Event()

    def hold(pieces: Sequence[Segment]) -> None:
        if pieces[0].start > 6:
            assert held.wait(10)

    async with running(lambda: loaded, build=stepping(hold)) as engine:
        reading = asyncio.ensure_future(read(engine, ask()))
        for _ in range(20):
            await asyncio.sleep(0)
            engine.status()
        assert not reading.done()
        held.set()
        assert text_of(await reading)


def test_limits_leave_the_rest_to_the_machine(loaded: Any) -> None:
    runner = LlamaRunner(loaded, RunnerLimits())
    assert runner.rows > 1
    assert runner.room_tokens >= loaded.info.context_tokens


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_the_embedded_model_writes_what_generate_writes(tmp_path: Path) -> None:
    def load() -> Any:
        loads.append(load_model(str(embedded_folder()), data_dir=tmp_path))
        return loads[-1]

    loads: list[Any] = []
    prompts = [
        f"<|im_start|>user\nTell me about {thing}.<|im_end|>\n<|im_start|>assistant\n"
        for thing in ("snakes", "the staff of Hermes", "wings 🪽")
    ]
    async with running(load, max_rows=2) as engine:
        replies = await asyncio.gather(
            *(read(engine, ask(p, f"c{n}", max_tokens=20 + n)) for n, p in enumerate(prompts))
        )
    for number, (prompt, chunks) in enumerate(zip(prompts, replies, strict=True)):
        expected = await asyncio.to_thread(generated, loads[0], prompt, 20 + number)
        assert text_of(chunks) == expected.rstrip("\ufffd")


async def test_samplers_hold_for_their_request_alone(loaded: Any) -> None:
    async with running(lambda: loaded) as engine:
        async with asyncio.timeout(60):
            plain = "".join(chunk.text for chunk in await read(engine, ask()))
            found = re.search("[ -~]{2,}", plain)  # the model writes noise
            assert found is not None
            word = found[0].swapcase()
            banned = replace(GREEDY, banned_words=(word,))
            dry = replace(GREEDY, dry_multiplier=5.0, dry_allowed_length=1, frequency_penalty=0.5)
            requests = [
                ask(channel="plain"),
                ask(channel="banned", sampling=banned),
                ask(channel="dry", sampling=dry),
            ]
            replies = await asyncio.gather(*(read(engine, request) for request in requests))
            alone = await read(engine, ask(channel="alone", sampling=dry))
    texts = ["".join(chunk.text for chunk in chunks) for chunks in replies]
    assert texts[0] == plain
    assert texts[1].startswith(plain[: found.start()])
    assert word.casefold() not in texts[1].casefold()
    assert texts[2] == "".join(chunk.text for chunk in alone)
    assert texts[2] != plain
