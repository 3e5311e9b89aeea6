"""A runner whose random model sees nothing but what stands in its slots."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from bot.engine.api import Chunk, GenerationRequest, Sampling
from bot.engine.local.batch import Batch
from bot.engine.local.guessing.guessing import Guessing, Stream
from bot.engine.local.request import Submission
from bot.engine.local.runner import RunnerOutOfMemory, Segment
from bot.engine.local.slots import BLOCK_TOKENS
from bot.engine.local.vocabulary import Vocabulary
from bot.engine.portable.sampling import Sampler

WIDTH = 9  # tokens; 0 ends a reply
STALE = -7
PLAIN_TEXTS = ["", "a", "b", "ab", ":", "\n", "c", "d", "e"]


class Letters:
    """Tokens as texts."""

    end_tokens = frozenset({0})
    vocabulary = Vocabulary([text.encode() for text in PLAIN_TEXTS])

    def end_tokens_for(self, stops: Sequence[str]) -> frozenset[int]:
        return self.end_tokens

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(PLAIN_TEXTS[token] for token in tokens)


class Remembering:
    """The next token depends on all that the slot holds, most of all on the newest two."""

    rows = 4
    slots = 8
    room_tokens = 32 * BLOCK_TOKENS
    context_tokens = 512
    chunk_tokens = 16
    device = kernel = "none"
    host = None

    def __init__(self, model_seed: int, *, guessed_tokens: int = 0, fails_at: int = -1) -> None:
        """At call `fails_at` memory runs out, and everything that was held is lost."""
        self.guessed_tokens = guessed_tokens
        self.held: dict[int, list[int]] = {}
        self.checked = 0
        self._seed = model_seed
        self._fails_at = fails_at
        self._calls = 0
        self._sampler = Sampler(slots=self.slots, vocabulary=WIDTH, device=torch.device("cpu"))

    def begin(self, slot: int, room_tokens: int, cached_tokens: int) -> None:
        kept = self.held.get(slot, [])[:cached_tokens]
        assert len(kept) == cached_tokens
        self.held[slot] = kept + [STALE] * (room_tokens - cached_tokens)

    def copy(self, source: int, target: int, tokens: int) -> None:
        self.held[target][:tokens] = self.held[source][:tokens]

    def sample(self, slot: int, *arguments: Any) -> None:
        self._sampler.begin(slot, *arguments)

    def step(self, pieces: Sequence[Segment]) -> list[int]:
        assert not any(piece.guesses for piece in pieces)
        return [tokens[0] for tokens in self.check(pieces)]

    def check(self, pieces: Sequence[Segment]) -> list[list[int]]:
        self._calls += 1
        if self._calls == self._fails_at:
            self.held = {slot: [STALE] * len(held) for slot, held in self.held.items()}
            raise RunnerOutOfMemory("at this call")
        rows: list[torch.Tensor] = []
        for piece in pieces:
            held, tokens = self.held[piece.slot], [*piece.tokens, *piece.guesses]
            assert len(tokens) == 1 or not piece.guesses or len(piece.tokens) == 1
            assert piece.start + len(tokens) <= min(len(held), self.context_tokens)
            assert STALE not in held[: piece.start]
            held[piece.start : piece.start + len(tokens)] = tokens
            self.checked += len(piece.guesses)
            if piece.chooses:
                first = piece.start + len(piece.tokens)
                rows += [self._logits(held[: first + n]) for n in range(1 + len(piece.guesses))]
        choosing = [piece for piece in pieces if piece.chooses]
        if not choosing:
            return []
        slots, guesses = [p.slot for p in choosing], [p.guesses for p in choosing]
        return self._sampler.choose_while_right(torch.stack(rows), slots, guesses)

    def release(self, slot: int) -> None:
        self.held.pop(slot, None)

    def give_back(self) -> None:
        pass

    def _logits(self, before: Sequence[int]) -> torch.Tensor:
        newest = self._noise(*before[-2:])
        everything = self._noise(len(before), *before)
        ends = torch.tensor([-2.0] + [0.0] * (WIDTH - 1))
        return 3 * newest + everything / 4 + ends

    def _noise(self, *key: int) -> torch.Tensor:
        dice = random.Random(f"{self._seed} {key}")
        return torch.tensor([dice.uniform(-1, 1) for _ in range(WIDTH)])


class Oracle(Guessing):
    """Guesses in every step, from what is known to come: often right, never too long."""

    def __init__(
        self,
        replies: dict[int, Sequence[int]],
        dice: random.Random,
        most: int,
        *,
        always: bool = False,
    ) -> None:
        """`replies` are the whole texts, prompts and replies, by number.

        `always`: as many as it may, and right as far as they are known.
        """
        super().__init__(most)
        self._replies = replies
        self._always = always
        self._dice = dice

    def guesses(self, streams: Sequence[Stream]) -> dict[int, tuple[int, ...]]:
        self.is_on = self.checks = True
        found: dict[int, tuple[int, ...]] = {}
        for stream in streams:
            known = list(self._replies.get(stream.number, ()))[len(stream.tokens) :]
            most = min(stream.most, self.most)
            count = most if self._always else self._dice.randint(0, most)
            known += [self._dice.randrange(WIDTH) for _ in range(count)]  # beyond its end
            right = 1.0 if self._always else 0.8
            guess = [
                t if self._dice.random() < right else self._dice.randrange(WIDTH) for t in known
            ]
            found[stream.number] = tuple(guess[:count])
        return found


@dataclass(frozen=True)
class Asked:
    """A request, as the tests write it."""

    prompt: tuple[int, ...]
    max_tokens: int
    sampling: Sampling
    stop: tuple[str, ...] = ()
    channel: str = ""


def submit(batch: Batch, number: int, asked: Asked) -> None:
    request = GenerationRequest(
        "",
        asked.channel or f"c{number}",
        f"u{number}",
        asked.max_tokens,
        asked.sampling,
        asked.stop,
    )
    batch.add(Submission(number, request, asked.prompt, asked.sampling.seed or 0, asked_at=0.0))


@dataclass
class Written:
    """What came of a request."""

    text: str = ""
    last: Chunk | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        assert self.last is not None
        assert self.last.statistics is not None
        return self.text, self.last.finish, self.last.statistics.reply_tokens


def play(
    batch: Batch, asked: Sequence[Asked], after_step: Callable[[int], None] = lambda step: None
) -> dict[int, Written]:
    """All of them to their ends, numbered from 1 on."""
    written = {number: Written() for number, _ in enumerate(asked, 1)}
    for number, one in enumerate(asked, 1):
        submit(batch, number, one)
    step = 0
    while not batch.idle:
        after_step(step)
        for number, chunk in batch.step():
            assert isinstance(chunk, Chunk), chunk
            written[number].text += chunk.text
            written[number].last = chunk if chunk.finish is not None else written[number].last
        step += 1
    return written


def new_batch(runner: Any, guessing: Guessing | None = None) -> Batch:
    """Its clock stands still: every step costs the same."""
    return Batch(runner, Letters(), "m", guessing=guessing, clock=lambda: 0.0)  # type: ignore[arg-type]
