# ruff: noqa: T201, ASYNC220, ASYNC251 - it prints and starts what vLLM would
"""What the script of `bot.bench.vllm` needs of vLLM, without a model; VLLM_STAND_IN says its mood.

Laid out as the package `vllm` by the tests, which run it in a process of its own.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

MOOD = os.environ.get("VLLM_STAND_IN", "")
PAGE_TOKENS = 16


@dataclass
class AsyncEngineArgs:
    """As far as it is told; prefix caching has another name in this version."""

    model: str
    max_model_len: int
    max_num_seqs: int
    disable_log_stats: bool = False
    generation_config: str = "auto"
    gpu_memory_utilization: float = 0.9


class RequestOutputKind:
    """How much of a reply comes each time."""

    DELTA = "only what is new"


@dataclass
class SamplingParams:
    """What is asked for."""

    temperature: float
    top_p: float
    repetition_penalty: float
    max_tokens: int
    output_kind: str
    ignore_eos: bool
    stop: list[str] = field(default_factory=list[str])


class AsyncLLM:
    """Says the tokens of the prompt again, as words."""

    def __init__(self, args: AsyncEngineArgs) -> None:
        cache = SimpleNamespace(num_gpu_blocks=100, block_size=PAGE_TOKENS)
        self.vllm_config = SimpleNamespace(cache_config=cache)
        self._args = args
        self._seen: list[list[int]] = []

    @classmethod
    def from_engine_args(cls, args: AsyncEngineArgs) -> "AsyncLLM":
        print("INFO loading the weights")  # vLLM logs to standard output
        print('{"ready": "not from us"}', flush=True)
        match MOOD:
            case "hangs":
                print("INFO compiling", file=sys.stderr, flush=True)
                time.sleep(600)
            case "crashes":
                print("Fatal: no such kernel", file=sys.stderr, flush=True)
                os.abort()
            case "no memory":
                raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB.")
            case _:
                pass
        return cls(args)

    async def generate(
        self, prompt: dict[str, Any], sampling: SamplingParams, request_id: str
    ) -> AsyncIterator[Any]:
        tokens: list[int] = prompt["prompt_token_ids"]
        if len(tokens) > self._args.max_model_len:
            raise ValueError("The prompt is too long")
        cached = max((_common(tokens, seen) for seen in self._seen), default=0)
        self._seen.append(tokens)
        assert sampling.ignore_eos and sampling.output_kind == RequestOutputKind.DELTA
        length = 1 if MOOD == "short" else sampling.max_tokens
        for index in range(length):
            await asyncio.sleep(0)
            if index == 1:
                await self._misbehave()
            yield SimpleNamespace(
                finished=index == length - 1,
                num_cached_tokens=cached // PAGE_TOKENS * PAGE_TOKENS,
                outputs=[
                    SimpleNamespace(
                        text=f" {tokens[index % len(tokens)]}",
                        token_ids=[tokens[index % len(tokens)]],
                        finish_reason="length" if index == length - 1 else None,
                    )
                ],
            )

    async def _misbehave(self) -> None:
        print("chatter\n{}\n[1, 2", flush=True)
        match MOOD:
            case "falls silent":
                await asyncio.Event().wait()
            case "dies":
                print("CUDA error: an illegal memory access", file=sys.stderr, flush=True)
                if os.fork() == 0:  # as its workers, which it does not always take along
                    time.sleep(600)
                os._exit(3)
            case "has helpers":
                helper = subprocess.Popen(["sleep", "600"])
                raise ValueError(f"helper {helper.pid}")
            case _:
                return

    def shutdown(self) -> None: ...


def _common(one: list[int], other: list[int]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))
