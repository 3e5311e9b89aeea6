"""vLLM as an engine of ours: what measures the one measures the other.

It gets the tokens that our tokenizer makes of a prompt, and nothing of HTTP stands in between.
Everything but what is named in :func:`engine_arguments` is vLLM's own choice.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.bench.child import ChildProcess
from bot.bench.prompts import Encoder
from bot.engine.api import (
    Chunk,
    EngineState,
    EngineStatus,
    FinishReason,
    GenerationRequest,
    GenerationStatistics,
    ModelInfo,
)
from bot.errors import EngineFailed, EngineUnavailable, SettingsError

SCRIPT = Path(__file__).with_name("script.py")
NAME = "vLLM"
LOOK_SECONDS = 60.0  # for a Python to start and say what is installed
START_SECONDS = 600.0  # it may compile for minutes
SILENT_SECONDS = 120.0  # while something is asked of it
QUIET_VARIABLES = {
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_DO_NOT_TRACK": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
OUR_PYTHONS_VARIABLES = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")


@dataclass(frozen=True, slots=True)
class VllmSetup:
    """What vLLM is to run: the folder of a model, and how much of the card it may use."""

    model: Path
    context_tokens: int
    most_streams: int
    memory_share: float = 0.0  # of the whole card; 0 is vLLM's own choice


def engine_arguments(setup: VllmSetup) -> dict[str, Any]:
    """What it is told; names of vLLM's AsyncEngineArgs."""
    found: dict[str, Any] = {
        "model": str(setup.model),
        "max_model_len": setup.context_tokens,
        "max_num_seqs": setup.most_streams,
        "enable_prefix_caching": True,
        "generation_config": "vllm",  # no sampling of the model's own
        "disable_log_stats": True,
    }
    if setup.memory_share:
        found["gpu_memory_utilization"] = setup.memory_share
    return found


async def find_version(python: str) -> str:
    """Of the vLLM that `python` (ours where it is "") has. Raises SettingsError where none."""
    child = ChildProcess(NAME, [python or sys.executable, str(SCRIPT), "--version"], _for(python))
    try:
        await child.start()
        version = str((await child.hear(LOOK_SECONDS)).get("version", ""))
    except EngineFailed as error:
        raise SettingsError(
            f"{python or sys.executable} does not run as a Python. {error}",
            "Name the Python of an environment with vLLM: --peer-python vllm/bin/python.",
        ) from error
    finally:
        await child.close()
    if version:
        return version
    raise SettingsError(
        f"vLLM is not installed for {python or 'this Python'}.",
        "It wants a torch of its own, so give it an environment of its own (python3 -m venv vllm; "
        "vllm/bin/pip install vllm), and name its Python: --peer-python vllm/bin/python.",
    )


class VllmEngine:
    """One process with vLLM, from :meth:`start` to :meth:`close`; an Engine."""

    def __init__(
        self,
        setup: VllmSetup,
        encoder: Encoder,
        python: str = "",
        *,
        start_seconds: float = START_SECONDS,
        silent_seconds: float = SILENT_SECONDS,
    ) -> None:
        """Starts nothing. `encoder` cuts prompts into the model's tokens."""
        self._setup = setup
        self._encoder = encoder
        self._limits = (start_seconds, silent_seconds)
        arguments = [python or sys.executable, str(SCRIPT), str(os.getpid())]
        self._child = ChildProcess(NAME, arguments, _for(python))
        self._listening: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Queue[dict[str, Any] | EngineFailed]] = {}
        self._asked = 0
        self._failed: EngineFailed | None = None
        self.version = ""
        self.room_tokens = 0
        self.start_seconds = 0.0
        self.unknown_arguments: tuple[str, ...] = ()  # to this version

    async def start(self) -> None:
        """Load the model. Raises EngineFailed with the last lines of its log."""
        began = time.monotonic()
        await self._child.start()
        self._child.say(engine_arguments(self._setup))
        said = await self._child.hear(self._limits[0])
        if "ready" not in said:
            last = await self._child.last_lines()
            raise EngineFailed(
                f"{NAME} does not start: {said.get('failed', said)}.",
                f"Its log ends: {last}" if last else "",
            )
        self.version = str(said["ready"])
        self.room_tokens = int(said.get("room_tokens", 0))
        self.unknown_arguments = tuple(said.get("unknown", ()))
        self.start_seconds = time.monotonic() - began
        self._listening = asyncio.create_task(self._listen())

    async def close(self) -> None:
        """End it and all that it has started. Idempotent."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
            self._listening = None
        await self._child.close()

    @property
    def pid(self) -> int:
        """Of its process, 0 where there is none."""
        return self._child.pid

    @property
    def info(self) -> ModelInfo:
        """The model."""
        return ModelInfo(self._setup.model.name, self._setup.context_tokens)

    async def count_tokens(self, texts: Sequence[str]) -> tuple[int, ...]:
        """As our tokenizer counts."""
        return tuple(len(self._encoder.encode_prompt(text)) for text in texts)

    def status(self) -> EngineStatus:
        """A snapshot."""
        is_there = self._listening is not None and self._failed is None
        return EngineStatus(
            EngineState.READY if is_there else EngineState.STOPPED,
            self.info.name,
            running=len(self._waiting),
            slots=self._setup.most_streams,
            kv_tokens_total=self.room_tokens,
        )

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Chunk, None]:
        """One reply, piece by piece. Raises EngineFailed; `aclose()` cancels."""
        if self._failed is not None:
            raise EngineFailed(self._failed.message, self._failed.fix)
        if self._listening is None:
            raise EngineUnavailable(f"{NAME} does not run.")
        asked_at = time.monotonic()
        tokens = self._encoder.encode_prompt(request.prompt)
        self._asked += 1
        number = self._asked
        heard: asyncio.Queue[dict[str, Any] | EngineFailed] = asyncio.Queue()
        self._waiting[number] = heard
        self._child.say({"id": number, "tokens": tokens, "sampling": _sampling(request)})
        first_at, written, cached, is_over = 0.0, 0, 0, False
        try:
            while not is_over:
                said = await self._hear(heard)
                if isinstance(said, EngineFailed):
                    raise EngineFailed(said.message, said.fix)
                if "error" in said:
                    is_over = True
                    raise EngineFailed(f"{NAME} did not answer: {said['error']}.")
                now = time.monotonic()
                written += int(said["tokens"])
                cached = max(cached, int(said["cached"]))
                first_at = first_at or (now if written else 0.0)
                is_over = bool(said["end"])
                if not is_over:
                    yield Chunk(str(said["text"]))
                    continue
                found = GenerationStatistics(
                    model=self.info.name,
                    seed=0,
                    prompt_tokens=len(tokens),
                    cached_prompt_tokens=cached,
                    reply_tokens=written,
                    queued_seconds=0.0,
                    first_token_seconds=first_at - asked_at,
                    total_seconds=now - asked_at,
                )
                reason = FinishReason.LENGTH if said["end"] == "length" else FinishReason.STOP
                yield Chunk(str(said["text"]), reason, found)
        finally:
            del self._waiting[number]
            if not is_over and self._failed is None:
                self._child.say({"cancel": number})

    async def _hear(
        self, heard: asyncio.Queue[dict[str, Any] | EngineFailed]
    ) -> dict[str, Any] | EngineFailed:
        seconds = self._limits[1]
        try:
            async with asyncio.timeout(seconds):
                return await heard.get()
        except TimeoutError:
            last = await self._child.last_lines()
            said = f"Its log ends: {last}" if last else ""
            self._failed = EngineFailed(f"{NAME} gave no token for {seconds:g} s.", said)
            return self._failed

    async def _listen(self) -> None:
        """Hand out what the process says, until it ends."""
        try:
            while True:
                said = await self._child.hear()
                if (heard := self._waiting.get(said.get("id", 0))) is not None:
                    heard.put_nowait(said)
        except EngineFailed as error:
            self._failed = error
            for heard in self._waiting.values():
                heard.put_nowait(error)


def _sampling(request: GenerationRequest) -> dict[str, Any]:
    """Names of vLLM's SamplingParams. No seed: one for each request makes vLLM slower."""
    sampling = request.sampling
    return {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "repetition_penalty": sampling.repetition_penalty,
        "max_tokens": request.max_tokens,
        "stop": list(request.stop),
    }


def _for(python: str) -> dict[str, str]:
    """The environment for that Python: another one has packages of its own."""
    found = {**os.environ, **QUIET_VARIABLES}
    if python:
        for name in OUR_PYTHONS_VARIABLES:
            found.pop(name, None)
    return found
