"""What a bot without this engine does: transformers' `generate()`, one request at a time."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# (an edge to a library that is only partly typed)

import gc
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from bot.bench.load import TEMPERATURE, TOP_P, WARM_UP_TOKENS, Load, Round
from bot.bench.machine import memory_bytes
from bot.bench.prompts import PromptMaker
from bot.bench.results import LoadResult
from bot.engine.models.progress import Progress

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NO_TOKEN = -1  # as end of sequence: no token is the last one


class TokenClock:
    """A streamer that notes when the first new token came; the prompt is what comes before."""

    def __init__(self) -> None:
        self.first_at: float | None = None
        self._calls = 0

    def put(self, _tokens: object) -> None:
        """Called by `generate()` with the prompt, then with each token."""
        self._calls += 1
        if self._calls == 2:
            self.first_at = time.perf_counter()

    def end(self) -> None:
        """Called by `generate()` after the last one."""


def generate_once(model: "PreTrainedModel", prompt: Sequence[int], load: Load) -> Round:
    """One request through `generate()`, sampled as the engine is told to."""
    network = cast("Any", model)
    tokens = torch.tensor([list(prompt)], device=network.device)
    clock = TokenClock()
    torch.manual_seed(0)
    processor_before = time.process_time()
    started = time.perf_counter()
    with torch.inference_mode():
        found = network.generate(
            tokens,
            attention_mask=torch.ones_like(tokens),
            do_sample=True,
            temperature=TEMPERATURE,
            top_p=TOP_P,
            top_k=0,
            repetition_penalty=load.repetition_penalty,
            max_new_tokens=load.new_tokens,
            eos_token_id=NO_TOKEN,
            pad_token_id=0,
            streamer=clock,
        )
    if tokens.is_cuda:
        torch.cuda.synchronize()
    ended = time.perf_counter()
    count = int(found.shape[1]) - len(prompt)
    first_at = clock.first_at or ended
    return Round(
        step_seconds=(ended - first_at) / (count - 1) if count > 1 else 0.0,
        tokens_per_second=count / (ended - started),
        first_token_seconds=(first_at - started,),
        prompt_tokens=len(prompt),
        cached_prompt_tokens=0,
        reply_tokens=count,
        processor_seconds=time.process_time() - processor_before,
    )


class Baseline:
    """Measures `generate()` with each repetition penalty, and keeps the rounds."""

    def __init__(self, model: "PreTrainedModel", loads: Sequence[Load]) -> None:
        """`loads` are of one stream each."""
        self._model = model
        self._rounds: dict[Load, list[Round]] = {load: [] for load in loads}
        self._memory_bytes = 0

    def warm_up(self, prompts: PromptMaker) -> None:
        """A few tokens that do not count."""
        load = replace(next(iter(self._rounds)), new_tokens=WARM_UP_TOKENS)
        generate_once(self._model, prompts.make_tokens(load.prompt_tokens), load)

    def run(self, prompts: PromptMaker) -> None:
        """One round of every load."""
        for load, rounds in self._rounds.items():
            tokens = prompts.make_tokens(load.prompt_tokens)
            rounds.append(generate_once(self._model, tokens, load))
        self._memory_bytes = max(self._memory_bytes, memory_bytes(self._model.device))

    def results(self) -> tuple[LoadResult, ...]:
        """What was measured so far."""
        return tuple(
            LoadResult(load, tuple(rounds), self._memory_bytes)
            for load, rounds in self._rounds.items()
        )


def load_reference(model: str, data_dir: Path, progress: Progress) -> "tuple[PreTrainedModel, Any]":
    """(model, tokenizer) as transformers itself runs them, GPTQ through gptqmodel's kernels.

    For a GPU: there the engine keeps the weights in a form of its own. Raises ModelError.
    """
    from bot.engine.models.folders.config import transformers_config
    from bot.engine.models.folders.tokenizers import load_tokenizer
    from bot.engine.models.gptq.quiet import silence_libraries
    from bot.engine.models.gptq.staging import stage
    from bot.engine.models.source import fetch, identify
    from bot.engine.portable.loading import choose_device, load_folder

    silence_libraries()
    folder = stage(fetch(identify(model), data_dir=data_dir, progress=progress), data_dir=data_dir)
    config = transformers_config(folder.path, folder.config)
    device = choose_device()
    loaded, _kernel = load_folder(folder, config, device, progress)
    return loaded, load_tokenizer(folder.path, config)


def give_back_memory() -> None:
    """After the last reference to a model is gone."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
