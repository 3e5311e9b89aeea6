"""Measures vLLM by a plan, before our engine loads: the card is its own, and free again after."""

# pyright: reportUnknownMemberType=false
# (an edge to a library that is only partly typed)

import asyncio
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from bot.bench.load import Load
from bot.bench.machine import memory_bytes
from bot.bench.plan import Peer, Plan
from bot.bench.prompts import PromptMaker
from bot.bench.results import LoadResult, PeerResult
from bot.bench.rounds import Rounds, Say
from bot.bench.vllm.engine import NAME, VllmEngine, VllmSetup, engine_arguments
from bot.engine.local.tokens import TextTokens
from bot.engine.models.folders.config import context_length
from bot.engine.models.folders.folder import ModelFolder
from bot.engine.models.progress import Progress
from bot.errors import CaduceusError, EngineFailed

MEMORY_SHARE = 0.92  # of what is free: it takes a little more than it plans for
CONTEXT_SPARE = 1.1  # a text is not cut into exactly so many tokens as it was made to have
CONTEXT_STEP_TOKENS = 256

MakePrompts = Callable[[Any], PromptMaker]


async def measure_vllm(
    plan: Plan,
    peer: Peer,
    model: str,
    data_dir: Path,
    device: torch.device,
    prompts_for: MakePrompts,
    *,
    say: Say,
    keep: Callable[[PeerResult], None],
) -> PeerResult:
    """All that the plan asks for. What fails stands in its notes.

    `prompts_for` makes prompts for a tokenizer; `keep` gets what is there so far.
    """
    try:
        folder, tokenizer = await asyncio.to_thread(_load_tokenizer, model, data_dir, say)
    except CaduceusError as error:
        return _not_measured(peer, {}, error)
    context = context_length(folder.config)
    plan.check_fits(context)  # before minutes pass
    setup = VllmSetup(
        folder.path,
        context_tokens(plan.longest_tokens, context),
        plan.most_streams,
        memory_share(plan.gpu_memory_gb, device),
    )
    engine = VllmEngine(setup, TextTokens(tokenizer), peer.python)
    told: dict[str, object] = {**engine_arguments(setup), "model": folder.path.name}
    try:
        say(f"Starting {NAME} {peer.version}")
        await engine.start()
        prompts = await asyncio.to_thread(prompts_for, tokenizer)
        measuring = _Measuring(engine, prompts, plan, told, device, say, keep)
        return await measuring.run()
    except EngineFailed as error:
        say(f"{NAME} cannot be measured: {error}")
        return _not_measured(peer, told, error)
    finally:
        say(f"Ending {NAME}")
        await engine.close()


class _Measuring:
    """The rounds, with what is told of them at any moment."""

    def __init__(
        self,
        engine: VllmEngine,
        prompts: PromptMaker,
        plan: Plan,
        told: dict[str, object],
        device: torch.device,
        say: Say,
        keep: Callable[[PeerResult], None],
    ) -> None:
        self._engine = engine
        self._plan = plan
        self._told = told
        self._device = device
        self._memory_bytes: dict[Load, int] = {}
        self._rounds = Rounds(
            engine,
            prompts,
            plan.loads(),
            plan.chats,
            say=say,
            keep=lambda: keep(self._result()),
            whose=f"{NAME}: ",
        )

    async def run(self) -> PeerResult:
        await self._rounds.warm_up()
        for repeat in range(self._plan.repeats):
            which = f"Round {repeat + 1} of {self._plan.repeats}"
            await self._rounds.run_loads(which, self._note_memory)
        for repeat in range(self._plan.repeats):
            await self._rounds.run_chats(f"Round {repeat + 1} of {self._plan.repeats}")
        return self._result()

    def _note_memory(self, load: Load) -> None:
        if self._device.type == "cuda":
            self._memory_bytes[load] = memory_bytes(self._device)

    def _result(self) -> PeerResult:
        unknown = self._engine.unknown_arguments
        notes = (f"{NAME} does not know {', '.join(unknown)}",) if unknown else ()
        return PeerResult(
            NAME,
            self._engine.version,
            self._told,
            self._engine.start_seconds,
            self._engine.room_tokens,
            tuple(
                LoadResult(load, tuple(found), self._memory_bytes.get(load, 0))
                for load, found in self._rounds.loads.items()
                if found
            ),
            self._rounds.chat_results(),
            (*notes, *self._rounds.failures),
            complete=not self._rounds.failures,
        )


def context_tokens(longest: int, most: int) -> int:
    """What requests of `longest` tokens need, in whole steps; `most` is the model's own."""
    wanted = math.ceil(longest * CONTEXT_SPARE / CONTEXT_STEP_TOKENS) * CONTEXT_STEP_TOKENS
    return min(wanted, most)


def memory_share(limit_gb: float, device: torch.device) -> float:
    """Of the whole card: nearly all that is free, or that a smaller card would have."""
    if device.type != "cuda":
        return 0.0
    free, total = torch.cuda.mem_get_info(device)
    if limit_gb:
        free = min(free, limit_gb * 1e9)
    return math.floor(free / total * MEMORY_SHARE * 1000) / 1000


def _not_measured(peer: Peer, told: dict[str, object], error: CaduceusError) -> PeerResult:
    notes = (f"{NAME} was not measured: {error}",)
    return PeerResult(NAME, peer.version, told, notes=notes, complete=False)


def _load_tokenizer(model: str, data_dir: Path, say: Say) -> tuple[ModelFolder, Any]:
    from bot.engine.models.folders.config import transformers_config
    from bot.engine.models.folders.tokenizers import load_tokenizer
    from bot.engine.models.gptq.staging import stage
    from bot.engine.models.source import fetch, identify

    progress: Progress = lambda text, _fraction: say(text)  # noqa: E731
    folder = stage(fetch(identify(model), data_dir=data_dir, progress=progress), data_dir=data_dir)
    config = transformers_config(folder.path, folder.config)
    return folder, load_tokenizer(folder.path, config)
