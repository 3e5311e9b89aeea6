"""Measures a GGUF file: our engine and llama.cpp's own server, round by round in turns."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import psutil

from bot.bench.chat import Chat, run_chat
from bot.bench.llamacpp.results import LastTurn, LlamaCppResults, PairedResult
from bot.bench.llamacpp.server import PlainServer
from bot.bench.load import (
    Generating,
    Load,
    Round,
    Streams,
    TimedAnswer,
    ask,
    request_for,
    summarize,
)
from bot.bench.machine import LLAMA_CPP_PACKAGES, describe_processor, load_average
from bot.bench.prompts import PromptMaker, fixed_text
from bot.engine.api import Engine
from bot.engine.building import local_engine
from bot.engine.machine.threads import choose_threads
from bot.errors import EngineFailed, SettingsError

ATTEMPTS = 5  # at a round whose replies are about as long as they were to be
LENGTH_SHARE = 0.75  # of all the tokens that were asked for: a reply or two may end by itself
WARM_UP_TOKENS = 8
SAMPLE_WORDS = 400


@dataclass(frozen=True, slots=True)
class LlamaCppPlan:
    """What is to be measured."""

    model: str
    path: Path
    loads: tuple[Load, ...]
    repeats: int
    chat: Chat | None

    def check_fits(self, context_tokens: int, room_tokens: int) -> None:
        """Raises SettingsError when what is asked for cannot fit."""
        for load in self.loads:
            one = load.prompt_tokens + load.new_tokens
            if one > context_tokens or one * load.streams > room_tokens:
                raise SettingsError(
                    f"{load.streams} streams of {one} tokens do not fit the context of "
                    f"{context_tokens}, or the room for {room_tokens} in all.",
                    "Ask for fewer (--streams, --prompt-tokens, --new-tokens).",
                )
        if self.chat is not None:
            self.chat.check_fits(context_tokens)


Asking: TypeAlias = Callable[[str, Load], Awaitable[TimedAnswer]]


class CountedWords:
    """Stands in for a tokenizer where prompts only have to be about as long as they should."""

    def __init__(self, tokens_a_word: float) -> None:
        """`tokens_a_word` as the model's tokenizer cuts the stock of words, on average."""
        self._tokens_a_word = tokens_a_word

    def encode_prompt(self, text: str) -> list[int]:
        """As many numbers as the text has tokens, about."""
        return [0] * round(len(text.split()) * self._tokens_a_word)


async def measure(
    plan: LlamaCppPlan, data_dir: Path, command: str, *, say: Callable[[str], None]
) -> LlamaCppResults:
    """The whole benchmark of one file. Raises CaduceusError."""
    threads = await asyncio.to_thread(choose_threads, 0)
    say("Starting our engine")
    engine = local_engine(plan.model, data_dir, cpu_threads=threads)
    clock = asyncio.get_running_loop().time
    began = clock()
    await engine.start()
    start_seconds = clock() - began
    status = engine.status()
    server = PlainServer(
        plan.path, threads=threads, slots=status.slots, room_tokens=status.kv_tokens_total
    )
    try:
        plan.check_fits(engine.info.context_tokens, status.kv_tokens_total)
        prompts = await _prompts_for(engine)
        streams = Streams(engine, prompts)
        ours, servers = _asking(engine, streams), _asking(server, streams)
        await ours(prompts.make(WARM_UP_TOKENS), Load(1, WARM_UP_TOKENS, WARM_UP_TOKENS, 1.0))
        memory = await asyncio.to_thread(memory_bytes)
        chat = None
        if plan.chat is not None:
            say(f"A chat of {plan.chat.turns} turns")
            chat = await _last_turn(plan.chat, engine, prompts, streams)
        say("Starting llama.cpp's own server")
        server_start_seconds = await server.start()
        rows = [
            await _paired(load, plan.repeats, prompts, (ours, servers), say) for load in plan.loads
        ]
        return LlamaCppResults(
            model=engine.info.name,
            file_bytes=(await asyncio.to_thread(plan.path.stat)).st_size,
            command=command,
            date=datetime.now(UTC).strftime("%Y-%m-%d"),
            machine=await asyncio.to_thread(describe_processor, threads, LLAMA_CPP_PACKAGES),
            kernel=status.kernel,
            threads=threads,
            slots=status.slots,
            room_tokens=status.kv_tokens_total,
            start_seconds=start_seconds,
            server_start_seconds=server_start_seconds,
            memory_bytes=memory,
            load_average=await asyncio.to_thread(load_average),
            rows=tuple(rows),
            chat=chat,
        )
    finally:
        await server.close()
        await engine.close()


async def _prompts_for(engine: Engine) -> PromptMaker:
    words = await asyncio.to_thread(fixed_text)
    sample = " ".join(words[:SAMPLE_WORDS])
    (counted,) = await engine.count_tokens([sample])
    return PromptMaker(CountedWords(counted / len(sample.split())), words)


def _asking(engine: Generating, streams: Streams) -> Asking:
    async def asked(prompt: str, load: Load) -> TimedAnswer:
        request = request_for(
            prompt,
            streams.fresh_channel(),
            load.new_tokens,
            repetition_penalty=load.repetition_penalty,
        )
        return await ask(engine, request)

    return asked


async def _last_turn(
    chat: Chat, engine: Engine, prompts: PromptMaker, streams: Streams
) -> LastTurn:
    found = await run_chat(engine, prompts, streams, chat)
    return LastTurn(
        turns=chat.turns,
        channels=chat.channels,
        prompt_tokens=found.prompt_tokens,
        cached_tokens=found.cached_tokens,
        with_prefix_seconds=found.reused_seconds,
        without_prefix_seconds=found.fresh_seconds,
    )


def memory_bytes() -> int:
    """Of this process and its children; what several share counts in part (Linux)."""
    own = psutil.Process()
    return sum(_memory_of(process) for process in (own, *own.children(recursive=True)))


def _memory_of(process: psutil.Process) -> int:
    found = process.memory_full_info()
    return int(getattr(found, "pss", found.rss))


async def _paired(
    load: Load,
    repeats: int,
    prompts: PromptMaker,
    askings: tuple[Asking, Asking],
    say: Callable[[str], None],
) -> PairedResult:
    """The same prompts to both, who begin in turns; a first round of each counts for nothing."""
    rounds: tuple[list[Round], list[Round]] = ([], [])
    for number in range(-1, repeats):
        say(f"{load.streams} streams, round {number + 1} of {repeats}")
        pair = await full_round(load, prompts, askings, first=number % 2)
        if number >= 0:
            for side, found in zip(rounds, pair, strict=True):
                side.append(found)
    return PairedResult(load, tuple(rounds[0]), tuple(rounds[1]))


async def full_round(
    load: Load, prompts: PromptMaker, askings: tuple[Asking, Asking], *, first: int
) -> tuple[Round, Round]:
    """The same prompts to both. Raises EngineFailed where replies keep ending far too early."""
    least = LENGTH_SHARE * load.streams * load.new_tokens
    for _ in range(ATTEMPTS):
        texts = [prompts.make(load.prompt_tokens) for _ in range(load.streams)]
        answers: dict[int, Sequence[TimedAnswer]] = {}
        for side in (first, 1 - first):
            asked = (askings[side](text, load) for text in texts)
            answers[side] = await asyncio.gather(*asked)
        pair = summarize(answers[0]), summarize(answers[1])
        if all(side.reply_tokens >= least for side in pair):
            return pair
    raise EngineFailed(
        f"Replies of this model end before {load.new_tokens} tokens.",
        "Ask for shorter ones (--new-tokens).",
    )
