"""What a first token costs the processor: everything of the engine but the device's own work.

The runner costs nothing, so that what is left is Python: tokens of the prompt, the prefix that is
looked for, the hand-over between threads, the text of the token. `--cuda-inputs` adds the numbers
that the fast runner makes for a launch, which needs no GPU to be measured.
"""

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bot.bench.prompts import PromptMaker, fixed_text  # noqa: E402
from bot.engine.api import GenerationRequest, ModelInfo, Sampling  # noqa: E402
from bot.engine.local.engine import LocalEngine  # noqa: E402
from bot.engine.local.prompt_tokens import PromptTokens  # noqa: E402
from bot.engine.local.runner import Segment  # noqa: E402
from bot.engine.local.tokens import TextTokens  # noqa: E402

LETTER = 70
WARM_UPS = 5


class NullRunner:
    """Chooses the same token at once, whatever it is asked."""

    rows = 64
    slots = 256
    room_tokens = 1 << 20
    context_tokens = 1 << 14
    chunk_tokens = 2048
    guessed_tokens = 0
    device = kernel = "none"
    host = None

    def begin(self, slot: int, room_tokens: int, cached_tokens: int) -> None:
        """Nothing."""

    def copy(self, source: int, target: int, tokens: int) -> None:
        """Nothing."""

    def sample(self, *_: Any) -> None:
        """Nothing."""

    def step(self, pieces: Sequence[Segment]) -> list[int]:
        """A token for each that chooses."""
        return [LETTER for piece in pieces if piece.chooses]

    def release(self, slot: int) -> None:
        """Nothing."""

    def give_back(self) -> None:
        """Nothing."""


class Loaded:
    """A model of which nothing but the tokenizer is there."""

    def __init__(self, tokenizer: Any) -> None:
        self.model = None
        self.tokenizer = tokenizer
        self.info = ModelInfo("none", NullRunner.context_tokens)
        self.end_tokens = (-1,)


def load_tokenizer(folder: str) -> Any:
    """A folder's, or that of the embedded model."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


async def first_token(engine: LocalEngine, request: GenerationRequest) -> tuple[float, float, int]:
    """(seconds to the first chunk, seconds in all, tokens that were there).

    Of the processor, all threads together: other programs on the machine take none of these.
    """
    began = time.process_time()
    first, cached = 0.0, 0
    async for chunk in engine.generate(request):
        if not first:
            first = time.process_time() - began
        if chunk.statistics is not None:
            cached = chunk.statistics.cached_prompt_tokens
    return first, time.process_time() - began, cached


def request(prompt: str, channel: str, tokens: int) -> GenerationRequest:
    """As the benchmark asks."""
    sampling = Sampling(temperature=0.7, top_p=0.95, repetition_penalty=1.15, seed=0)
    stops = ("\n<nobody>:", "\n### Nothing:")
    return GenerationRequest(prompt, channel, channel, tokens, sampling, stops)


async def measure(tokenizer: Any, repeats: int, channels: int) -> dict[str, list[float]]:
    """Milliseconds of everything that is measured."""
    loaded, tokens = Loaded(tokenizer), TextTokens(tokenizer)
    engine = LocalEngine(lambda: loaded, lambda *_: NullRunner())  # type: ignore[arg-type, return-value]
    await engine.start()
    maker = PromptMaker(tokens, fixed_text())
    found: dict[str, list[float]] = {"512 tokens, first": [], "turn 20, first": []}
    found |= {"128 tokens after, each": [], "encoding all of it": []}
    for number in range(repeats + WARM_UPS):
        first, whole, _ = await first_token(engine, request(maker.make(512), f"n{number}", 128))
        if number >= WARM_UPS:
            found["512 tokens, first"].append(first * 1e3)
            found["128 tokens after, each"].append((whole - first) / 127 * 1e3)
    histories = [maker.make(1730) for _ in range(channels)]
    for number, history in enumerate(histories):
        await first_token(engine, request(history, f"c{number}", 2))
    for turn in range(repeats + WARM_UPS):
        number = turn % channels
        histories[number] += "\n" + maker.make(40) + "\n"
        if len(tokens.encode_prompt(histories[number])) > 4000:
            break
        first, _, cached = await first_token(engine, request(histories[number], f"c{number}", 2))
        assert cached > 1600, cached  # noqa: S101
        if turn >= WARM_UPS:
            found["turn 20, first"].append(first * 1e3)
        began = time.process_time()
        tokens.encode_prompt(histories[number])
        found["encoding all of it"].append((time.process_time() - began) * 1e3)
    await engine.close()
    return found


def cuda_inputs(repeats: int) -> dict[str, list[float]]:
    """Milliseconds for the numbers of a launch, without pinning them."""
    from bot.engine.cuda.prompts import PromptLayout, packed_numbers

    found: dict[str, list[float]] = {}
    for name, start, count, layout in (
        ("numbers of 512 tokens", 0, 512, PromptLayout(512, 64)),
        ("numbers of turn 20", 1729, 41, PromptLayout(64, 64)),
        ("numbers of 2,048 tokens", 0, 2048, PromptLayout(2048, 64)),
    ):
        piece = Segment(0, start, list(range(count)), chooses=True)
        times: list[float] = []
        for _ in range(repeats):
            began = time.process_time()
            packed_numbers([piece], layout, 256)
            times.append((time.process_time() - began) * 1e3)
        found[name] = times
    return found


def main() -> None:
    """Measure and print medians."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tokenizer", help="a folder with a tokenizer, or a hub id")
    parser.add_argument("--repeats", type=int, default=60)
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument("--cuda-inputs", action="store_true")
    parser.add_argument("--anew", action="store_true", help="cut every prompt from its beginning")
    args = parser.parse_args()
    if args.anew:
        PromptTokens.encode = lambda self, _, text: self.tokens.encode_prompt(text)
    found = asyncio.run(measure(load_tokenizer(args.tokenizer), args.repeats, args.channels))
    if args.cuda_inputs:
        found |= cuda_inputs(args.repeats)
    for name, times in found.items():
        slow = sorted(times)[int(len(times) * 0.95)]
        print(f"{name:28} {statistics.median(times):8.3f} ms, 95th {slow:8.3f}")  # noqa: T201


if __name__ == "__main__":
    main()
