# pyright: reportUnknownMemberType=false
"""What the samplers cost: milliseconds a step with each of them off and on, for 1, 8 and 32 rows.

    PYTHONPATH=. python scripts/bench_samplers.py [--model FOLDER] [--rows 1,8,32] [--steps 60]

On a GPU, or with a model, whole steps of the engine's batch, as in the bot; without a model, a 13B
of random weights. On a processor without a model, choosing alone, of 49,152 tokens.
Off and on take turns, and the least median of each counts, so that other work matters little.
"""

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import gettempdir

import torch

from bot.bench.checkpoint import LLAMA_13B, make_checkpoint
from bot.engine.api import GenerationRequest, Sampling
from bot.engine.building import build_runner, load_model
from bot.engine.local.batch import Batch
from bot.engine.local.request import Submission
from bot.engine.local.runner import Runner, RunnerLimits
from bot.engine.local.tokens import TextTokens
from bot.engine.local.vocabulary import Vocabulary
from bot.engine.portable.sampling import Sampler

PLAIN = Sampling(temperature=0.8, top_p=0.95, repetition_penalty=1.15)
WORDS = tuple(f"t{number} t{number + 1}" for number in range(7, 400, 20))  # as many as there can be
VARIANTS = {
    "off": PLAIN,
    "off again": PLAIN,
    "penalties": replace(PLAIN, presence_penalty=0.3, frequency_penalty=0.2),
    "DRY": replace(PLAIN, dry_multiplier=0.8),
    "XTC": replace(PLAIN, xtc_probability=0.5),
    "banned words": replace(PLAIN, banned_words=WORDS),
    "all": replace(
        PLAIN,
        presence_penalty=0.3,
        frequency_penalty=0.2,
        dry_multiplier=0.8,
        xtc_probability=0.5,
        banned_words=WORDS,
    ),
}
VOCABULARY = 49_152
PROMPT_TOKENS = 512
ROUNDS = 3

Step = Callable[[], object]
Clock = Callable[[], float]


def prompt_of(row: int) -> tuple[int, ...]:
    """Few words, so that much of it comes again."""
    dice = random.Random(row)  # noqa: S311 - a benchmark
    return tuple(dice.randrange(1, 300) for _ in range(PROMPT_TOKENS))


def median_ms(step: Step, steps: int, clock: Clock = time.perf_counter) -> float:
    """How long a step takes."""
    took: list[float] = []
    for _ in range(steps):
        began = clock()
        step()
        took.append(clock() - began)
    return statistics.median(took) * 1000


@cache
def vocabulary() -> Vocabulary:
    """A word for each token."""
    return Vocabulary([f" t{number}".encode() for number in range(VOCABULARY)])


def choosing_ms(sampling: Sampling, rows: int, steps: int) -> float:
    """A step of the portable sampler in processor time, on scores as peaked as a model's are."""
    sampler = Sampler(slots=rows, vocabulary=VOCABULARY, device=torch.device("cpu"))
    texts = vocabulary()
    for slot in range(rows):
        sampler.begin(slot, prompt_of(slot), sampling, slot, 0, texts)
    generator = torch.Generator().manual_seed(rows)
    scores = torch.randn(rows, VOCABULARY, generator=generator)
    scores[:, ::1000] += torch.linspace(6, 14, len(range(0, VOCABULARY, 1000)))
    slots = list(range(rows))
    return median_ms(lambda: sampler.choose(scores, slots), steps, time.thread_time)


def step_ms(runner: Runner, tokens: TextTokens, sampling: Sampling, rows: int, steps: int) -> float:
    """A whole step in which every row chooses a token."""
    batch = Batch(runner, tokens, "bench")
    for number in range(rows):
        wanted = replace(sampling, seed=number)
        request = GenerationRequest("", f"c{number}", f"u{number}", steps + 8 * rows, wanted)
        batch.add(Submission(number, request, prompt_of(number), number, time.monotonic()))
    begun: set[int] = set()
    while len(begun) < rows:
        begun |= {number for number, _ in batch.step()}
    took = median_ms(batch.step, steps)
    for number in batch.numbers:
        batch.cancel(number)
    for slot in range(runner.slots):
        runner.release(slot)
    return took


def measure(model: str, most_rows: int, steps: int) -> tuple[str, Callable[[Sampling, int], float]]:
    """(what is measured, the function that measures it)."""
    if not model and not torch.cuda.is_available():
        torch.set_num_threads(1)
        return "Choosing alone, on the processor", lambda s, rows: choosing_ms(s, rows, steps)
    cache = Path(gettempdir()) / "caduceus-bench"
    loaded = load_model(model or str(make_checkpoint(LLAMA_13B, cache)), data_dir=cache)
    tokens = TextTokens(loaded.tokenizer)
    tokens.end_tokens = frozenset()  # so that no row ends early
    room = most_rows * (PROMPT_TOKENS + steps + 8 * most_rows + 64)
    runner = build_runner(loaded, RunnerLimits(rows=most_rows, room_tokens=room))
    what = f"Whole steps of {loaded.info.name} on {runner.device}, {runner.kernel}"
    return what, lambda sampling, rows: step_ms(runner, tokens, sampling, rows, steps)


def main() -> None:
    """Measure, and write a table in Markdown."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="", help="a folder")
    parser.add_argument("--rows", default="1,8,32")
    parser.add_argument("--steps", type=int, default=60)
    args = parser.parse_args()
    wanted = [int(rows) for rows in args.rows.split(",")]
    with torch.inference_mode():
        what, take = measure(args.model, max(wanted), args.steps)
        sys.stdout.write(f"{what}; ms a step\n\n| rows | {' | '.join(VARIANTS)} |\n")
        sys.stdout.write(f"|---:|{'---:|' * len(VARIANTS)}\n")
        for rows in wanted:
            best = dict.fromkeys(VARIANTS, float("inf"))
            for _ in range(ROUNDS):
                for name, sampling in VARIANTS.items():
                    best[name] = min(best[name], take(sampling, rows))
            shown = [f"{took:.2f} ({took / best['off'] - 1:+.1%})" for took in best.values()]
            sys.stdout.write(f"| {rows} | {' | '.join(shown)} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
