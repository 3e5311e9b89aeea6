"""Guesses checked on the GPU change nothing that is written.

Without a GPU, Triton's interpreter runs the steps: TRITON_INTERPRET=1, where triton is installed.
"""

import os
import random
from collections.abc import Sequence
from itertools import takewhile
from operator import eq
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoints import make_gptq, write_new_layout

from bot.engine.api import Sampling
from bot.engine.building import build_runner, load_model
from bot.engine.local.batch import Batch
from bot.engine.local.guessing.guessing import Guessing, Stream
from bot.engine.local.request import Submission
from bot.engine.local.runner import GuessAhead, Runner, RunnerLimits, Segment
from bot.engine.local.vocabulary import Vocabulary

pytest.importorskip("triton")  # which the kernels are written in

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
needs_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        not (torch.cuda.is_available() or INTERPRETED), reason="there is no CUDA device"
    ),
]
WIDTH = 40
IDLE = 4
SAMPLINGS = [
    Sampling(temperature=0.0, repetition_penalty=1.3),
    Sampling(temperature=1.0, top_p=0.9, repetition_penalty=1.0),
    Sampling(temperature=0.7, presence_penalty=0.5, frequency_penalty=0.2),
    Sampling(temperature=1.2, dry_multiplier=0.8, dry_allowed_length=1, xtc_probability=0.5),
]
VOCABULARY = Vocabulary([f"t{token}".encode() for token in range(WIDTH)])


class Card:
    """A random decoder with its cache and its sampler, and a request in each slot."""

    def __init__(self, bits: int, seed: int) -> None:
        from bot.engine.cuda.llama import LlamaDecoder, LlamaLayer, LlamaShape
        from bot.engine.cuda.pages import PagedCache
        from bot.engine.cuda.sampler import SamplerTensors

        self.on = torch.device("cpu" if INTERPRETED else "cuda")
        # In half precision sums depend on a step's rows, and so would what is nearly as likely.
        self.dtype = torch.float32
        dice = torch.Generator().manual_seed(seed)

        def weights(*shape: int) -> torch.Tensor:
            made = torch.randn(*shape, generator=dice) * shape[-1] ** -0.5
            return made.to(self.on, self.dtype)

        def linear(width: int, inputs: int) -> Any:
            matrix = weights(width, inputs)
            return lambda hidden: hidden @ matrix.T

        ones = torch.ones(32, device=self.on, dtype=self.dtype)
        layers = [
            LlamaLayer(ones, linear(64, 32), linear(32, 32), ones, linear(96, 32), linear(32, 48))
            for _ in range(2)
        ]
        angles = torch.arange(256)[:, None] / 10 ** torch.arange(8)[None, :]
        self.decoder = LlamaDecoder(
            LlamaShape(2, 32, 2, 1, 16, WIDTH, 1e-5),
            weights(WIDTH, 32) * 4,
            layers,
            ones,
            weights(WIDTH, 32) * 8,
            (angles.cos().float().to(self.on), angles.sin().float().to(self.on)),
        )
        self.cache = PagedCache(
            2,
            1,
            16,
            pages=12,
            slots=IDLE,
            pages_per_slot=3,
            dtype=self.dtype,
            device=self.on,
            bits=bits,
        )
        self.state = SamplerTensors(IDLE + 1, WIDTH, self.on, rows=IDLE + 1)
        for slot, sampling in enumerate(SAMPLINGS):
            self.cache.resize(slot, 192)
            state, said = self.state, [slot + 1]
            state.seeds[slot] = 77 + slot
            state.temperatures[slot] = sampling.temperature
            state.top_ps[slot] = sampling.top_p
            counts = sampling.counts_tokens
            state.penalties[slot] = 1.0 if counts else sampling.repetition_penalty
            state.xtc_probabilities[slot] = sampling.xtc_probability
            state.xtc_thresholds[slot] = sampling.xtc_threshold
            state.seen[slot, said] = 1
            state.tokens[slot] = said[0]
            state.steering.begin(slot, said, sampling, VOCABULARY if sampling.reads_texts else None)

    def plainly(self, slots: Sequence[int]) -> list[int]:
        from bot.engine.cuda.graphs import run_decode

        wanted = torch.tensor(list(slots), dtype=torch.int32, device=self.on)
        chosen = torch.zeros(len(slots), dtype=torch.int32, device=self.on)
        run_decode(self.decoder, self.cache, self.state, wanted, chosen, IDLE)
        return chosen.tolist()

    def checked(self, pieces: Sequence[Segment]) -> list[list[int]]:
        from bot.engine.cuda.checking import (
            SHAPES,
            CheckInputs,
            best_shape,
            check_numbers,
            right_runs,
            run_check,
        )

        shape = best_shape(SHAPES, pieces)
        assert shape is not None
        inputs = CheckInputs(shape, check_numbers(pieces, shape, IDLE).to(self.on))
        size = (1 + shape.guesses, shape.streams)
        chosen = torch.zeros(size, dtype=torch.int32, device=self.on)
        run_check(self.decoder, self.cache, self.state, inputs, chosen, IDLE)
        return right_runs(pieces, shape, chosen.tolist())


@pytest.mark.parametrize("bits", [16, 8])
def test_a_step_that_checks_draws_what_single_steps_draw(bits: int) -> None:
    count = 8 if INTERPRETED else 72  # over a page's border
    plain = Card(bits, 3)
    texts = [[slot + 1] for slot in range(IDLE)]
    for _ in range(count):
        for text, token in zip(texts, plain.plainly(range(IDLE)), strict=True):
            text.append(token)
    card, dice = Card(bits, 3), random.Random(bits)
    found = [[slot + 1] for slot in range(IDLE)]
    while any(len(text) <= count for text in found):
        # Some of the streams, in any order: their state and no other's moves.
        slots = dice.sample(range(IDLE), dice.randint(1, IDLE))
        pieces: list[Segment] = []
        for slot in slots:
            known = found[slot]
            coming = [*texts[slot][len(known) :], *([0] * 8)][: dice.choice([0, 1, 3, 7])]
            wrong = dice.randrange(9)
            guesses = [token if at != wrong else 39 - token for at, token in enumerate(coming)]
            pieces.append(Segment(slot, len(known) - 1, known[-1:], True, guesses, ahead=False))
        for slot, run in zip(slots, card.checked(pieces), strict=True):
            found[slot] += run
    for text, expected in zip(found, texts, strict=True):
        shorter = min(len(text), len(expected))
        assert text[:shorter] == expected[:shorter]


def test_logits_are_those_of_each_rows_slot_in_whatever_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from bot.engine.cuda import runner as module

    if INTERPRETED:
        monkeypatch.setattr(module, "_pinned", lambda count, dtype: torch.zeros(count, dtype=dtype))
    card = Card(16, 3)
    runner = module.CudaRunner(
        card.decoder,
        card.cache,
        rows=IDLE,
        slots=IDLE,
        room_tokens=768,
        context_tokens=192,
        chunk_tokens=64,
        device="",
        kernel="",
    )
    card.plainly([0, 1, 2, 3])
    card.plainly([1, 3])
    card.plainly([3])
    starts = {0: 1, 1: 2, 2: 1, 3: 3}
    together = [3, 1, 0]
    pieces = [Segment(slot, starts[slot], [slot + 5], chooses=True) for slot in together]
    found = runner.logits(pieces)
    for row, slot in zip(found, together, strict=True):
        numbers = [[slot + 5], [slot], [starts[slot]]]
        tokens, slots, positions = (
            torch.tensor(each, dtype=torch.int32, device=card.on) for each in numbers
        )
        alone = card.decoder.decode(tokens, card.cache, slots, positions)[0]
        torch.testing.assert_close(row, alone, atol=0.25, rtol=0.0)  # of some 8 in all


class Numbers:
    """Tokens as numbers, without an end of sequence."""

    end_tokens: frozenset[int] = frozenset()

    @property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary([f"{token} ".encode() for token in range(1024)])

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(f"{token} " for token in tokens)


class FromTexts(Guessing):
    """Guesses what is known to come, and now and then something else; sometimes nothing."""

    def __init__(self, texts: dict[int, list[int]]) -> None:
        super().__init__(7)
        self._texts = texts
        self._dice = random.Random(1)

    def guesses(self, streams: Sequence[Stream]) -> dict[int, tuple[int, ...]]:
        self.is_on = self.checks = self._dice.random() < 0.9
        if not self.is_on:
            return {}
        found: dict[int, tuple[int, ...]] = {}
        for stream in streams:
            coming = self._texts[stream.number][len(stream.tokens) :]
            guess = [t if self._dice.random() < 0.9 else (t + 1) % 300 for t in coming]
            found[stream.number] = tuple(guess[: min(stream.most, self._dice.choice([0, 2, 7]))])
        return found


def write(batch: Batch, prompts: dict[int, list[int]], sampling: Sampling) -> dict[int, list[int]]:
    from bot.engine.api import GenerationRequest

    texts = dict.fromkeys(prompts, "")
    for number, prompt in prompts.items():
        request = GenerationRequest("", f"c{number}", f"u{number}", 90, sampling)
        batch.add(Submission(number, request, tuple(prompt), 5 + number, 0.0))
    while not batch.idle:
        for number, chunk in batch.step():
            assert not isinstance(chunk, Exception)
            texts[number] += chunk.text
    return {number: [int(word) for word in text.split()] for number, text in texts.items()}


def build(folder: Path, guess_ahead: GuessAhead) -> Runner:
    path = folder / "model"
    if not path.exists():
        write_new_layout(make_gptq(group_size=64), path)
    loaded = load_model(str(path), data_dir=folder / "data")
    return build_runner(loaded, RunnerLimits(rows=4, room_tokens=4096, guess_ahead=guess_ahead))


@needs_a_gpu
def test_left_to_the_machine_it_is_off(tmp_path: Path) -> None:
    assert build(tmp_path, "auto").guessed_tokens == 0


@needs_a_gpu
@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0.0, repetition_penalty=1.0),
        Sampling(temperature=0.8, top_p=0.9, repetition_penalty=1.15),
        Sampling(temperature=0.8, presence_penalty=0.4, dry_multiplier=0.8),
        Sampling(temperature=0.8, banned_words=("1 2", "7 1", "23 4")),
    ],
    ids=["greedy", "sampled", "steered", "banned"],
)
def test_replies_are_those_without(sampling: Sampling, tmp_path: Path) -> None:
    dice = random.Random(2)
    prompts = {n: [dice.randrange(3, 300) for _ in range(20 * n)] for n in (1, 2, 3)}
    runner = build(tmp_path, "on")
    plain = write(Batch(runner, Numbers(), "m", guessing=Guessing(0)), prompts, sampling)  # type: ignore[arg-type]
    texts = {number: [*prompts[number], *reply] for number, reply in plain.items()}
    batch = Batch(runner, Numbers(), "m", guessing=FromTexts(texts))  # type: ignore[arg-type]
    found = write(batch, prompts, sampling)
    assert all(len(reply) == 90 for reply in found.values())
    # Float16 sums of more rows come in another order: now and then one of two tokens that are as
    # likely is chosen, and all that follows is another text. A wrong state shows within a few.
    alike = [list(takewhile(bool, map(eq, found[n], plain[n]))) for n in plain]
    assert sum(map(len, alike)) > 40
    assert batch.meter.accepted_tokens > 15
