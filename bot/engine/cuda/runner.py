# pyright: basic
"""The fast runner for one NVIDIA GPU: graphs for decode steps, chunks for prompts, no waiting.

The engine asks for a step and gets its tokens; between two asks Python turns tokens into text. So
that the GPU does not idle meanwhile, every step that is returned has its successor launched
already, from the tokens that the GPU chose itself. When a row has ended in between, its part of
the successor is wasted, a row's work depending on nothing but its own slot; nothing is undone.

Guesses need the text, which is here and not on the GPU: where a slot's next step may have some,
nothing is launched ahead for it, and a check is launched and waited for at once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch

from bot.engine.api import Sampling
from bot.engine.cuda.banning import Banning
from bot.engine.cuda.checking import (
    CheckGraph,
    CheckShape,
    best_shape,
    capture_checks,
    check_numbers,
    right_runs,
)
from bot.engine.cuda.graphs import (
    PromptGraph,
    StepGraph,
    capture,
    capture_prompts,
    graph_sizes,
    prompt_sizes,
    run_decode,
    run_prompts,
)
from bot.engine.cuda.host import PinnedPages
from bot.engine.cuda.llama import LlamaDecoder
from bot.engine.cuda.pages import PagedCache
from bot.engine.cuda.prompts import PromptInputs, PromptLayout, prompt_numbers
from bot.engine.cuda.sampler import SamplerTensors
from bot.engine.local.banned import BannedWords
from bot.engine.local.memory import give_back_memory, telling_out_of_memory
from bot.engine.local.runner import Segment
from bot.engine.local.vocabulary import Vocabulary

PINNED_BUFFERS = 4  # two steps are under way at most, each with one buffer in and one out


@dataclass(slots=True)
class _Ahead:
    """A step that runs already: which slots, at which positions, and where its tokens will be."""

    row_of: dict[int, int] = field(default_factory=dict)  # slot: row
    position_of: dict[int, int] = field(default_factory=dict)  # slot: its input's position
    tokens: torch.Tensor | None = None  # pinned
    done: torch.cuda.Event | None = None


class CudaRunner:
    """A :class:`~bot.engine.local.runner.Runner` over a :class:`LlamaDecoder`."""

    def __init__(
        self,
        decoder: LlamaDecoder,
        cache: PagedCache,
        *,
        rows: int,
        slots: int,
        room_tokens: int,
        context_tokens: int,
        chunk_tokens: int,
        device: str,
        kernel: str,
        guessed_tokens: int = 0,
    ) -> None:
        """`cache` has a table of slots + 1 entries: the last one is the idle rows'."""
        self.rows = rows
        self.slots = slots
        self.room_tokens = room_tokens
        self.context_tokens = context_tokens
        self.chunk_tokens = chunk_tokens
        self.guessed_tokens = guessed_tokens
        self.device = device
        self.kernel = kernel
        self.host: PinnedPages | None = None
        self._decoder = decoder
        self._cache = cache
        self._idle = slots
        self._on = decoder.embedding.device
        self._state = SamplerTensors(slots + 1, decoder.shape.vocabulary, self._on, rows=rows + 1)
        self._banning: dict[int, Banning] = {}  # slots whose request has banned words
        self._graphs: dict[int, StepGraph] = {}
        self._prompt_graphs: list[PromptGraph] = []
        self._checks: dict[CheckShape, CheckGraph] = {}
        # slot: position and token that its next step begins with, if none is launched ahead
        self._settled: dict[int, tuple[int, int]] = {}
        self._room_of: dict[int, int] = {}
        self._last_token: dict[int, int] = {}  # slot: the newest token that was returned
        self._ahead = _Ahead()
        self._pinned = [
            (_pinned(rows, torch.int32), _pinned(rows, torch.int32)) for _ in range(PINNED_BUFFERS)
        ]
        self._turn = 0

    @torch.inference_mode()
    def warm_up(self, report) -> None:
        """Run everything once at its largest, then capture the graphs."""
        report("Compiling kernels", None)
        self.compute_largest()
        self._prompt_graphs = capture_prompts(
            self._decoder,
            self._cache,
            self._state,
            sizes=prompt_sizes(self.chunk_tokens),
            rows=self.rows,
            idle_slot=self._idle,
            report=report,
        )
        self._graphs = capture(
            self._decoder,
            self._cache,
            self._state,
            sizes=graph_sizes(self.rows),
            idle_slot=self._idle,
            report=report,
        )
        if self.guessed_tokens:
            self._checks = capture_checks(
                self._decoder,
                self._cache,
                self._state,
                rows=self.rows,
                idle_slot=self._idle,
                report=report,
            )

    def set_host_memory_aside(self, room_bytes: int, report) -> None:
        """Once the graphs are captured: taking pinned memory would break that off."""
        pinned = PinnedPages(self._cache, room_bytes, report)
        self.host = pinned if pinned.pages else None

    @torch.inference_mode()
    def compute_largest(self) -> None:
        """The largest step and the smallest, so that kernels are compiled and memory is known."""
        for tokens in (self.chunk_tokens, 1):
            room = min(tokens + 1, self.context_tokens, self.room_tokens)
            self.begin(0, room, 0)
            self.sample(0, [1], Sampling(), 0)
            self._prefill([Segment(0, 0, [1] * (room - 1), chooses=True)])
            torch.cuda.synchronize()
            self.release(0)

    @telling_out_of_memory()
    def begin(self, slot: int, room_tokens: int, cached_tokens: int) -> None:
        """See :class:`~bot.engine.local.runner.Runner`."""
        self._settle(slot)
        self._room_of[slot] = room_tokens
        self._last_token.pop(slot, None)
        self._settled.pop(slot, None)
        self._cache.resize(slot, room_tokens)

    @telling_out_of_memory()
    @torch.inference_mode()
    def copy(self, source: int, target: int, tokens: int) -> None:
        """See :class:`~bot.engine.local.runner.Runner`."""
        self._settle(source)
        self._settle(target)
        self._cache.copy(source, target, tokens)

    @telling_out_of_memory()
    @torch.inference_mode()
    def sample(
        self,
        slot: int,
        prompt: Sequence[int],
        sampling: Sampling,
        seed: int,
        step: int = 0,
        vocabulary: Vocabulary | None = None,
    ) -> None:
        """See :class:`~bot.engine.local.runner.Runner`."""
        self._banning.pop(slot, None)
        self._settled.pop(slot, None)
        if vocabulary is not None and sampling.banned_words:
            words = BannedWords(sampling.banned_words, vocabulary, prompt)
            self._banning[slot] = Banning(words, list(prompt), sampling, seed, step, vocabulary)
        self._state.begin(slot, prompt, sampling, seed, step, vocabulary)
        if slot in self._banning:
            self._state.steering.ban(slot, self._banning[slot].words.always)

    def release(self, slot: int) -> None:
        """See :class:`~bot.engine.local.runner.Runner`."""
        self._room_of.pop(slot, None)
        self._last_token.pop(slot, None)
        self._settled.pop(slot, None)
        self._banning.pop(slot, None)
        self._settle(slot)
        self._cache.release(slot)

    def give_back(self) -> None:
        """See :class:`~bot.engine.local.runner.Runner`."""
        give_back_memory()

    @telling_out_of_memory()
    @torch.inference_mode()
    def step(self, pieces: Sequence[Segment]) -> list[int]:
        """See :class:`~bot.engine.local.runner.Runner`."""
        for piece in pieces if self.host is not None else ():
            self._settle(piece.slot)
        ahead, self._ahead = self._ahead, _Ahead()
        fresh = [piece for piece in pieces if not self._is_ahead(ahead, piece)]
        first = self._prefill(fresh) if fresh else None
        self._launch([piece for piece in pieces if piece.chooses and piece.ahead])
        tokens = self._collect(pieces, fresh, ahead, first)
        choosing = [piece for piece in pieces if piece.chooses]
        for at, piece in enumerate(choosing):
            if piece.slot in self._banning:
                (tokens[at],) = self._run_without_banned(piece, tokens[at : at + 1])
            self._last_token[piece.slot] = token = tokens[at]
            if self._checks:  # which alone ask for it
                self._settled.pop(piece.slot, None)
                if piece.slot not in self._ahead.position_of:
                    self._settled[piece.slot] = piece.start + len(piece.tokens), token
        return tokens

    @torch.inference_mode()
    def logits(self, pieces: Sequence[Segment]) -> torch.Tensor:
        """Compute the pieces; the logits after each that chooses, [choosing, vocabulary].

        Without a graph, and nothing is chosen: to compare with, not to serve. Pieces of one token
        each that all choose are computed as a step of decoding is.
        """
        self._ahead = _Ahead()
        choosing = sum(piece.chooses for piece in pieces)
        if all(len(piece.tokens) == 1 and piece.chooses and piece.start for piece in pieces):
            slots, tokens, starts = (
                torch.tensor(column, dtype=torch.int32, device=self._on)
                for column in zip(*((p.slot, p.tokens[0], p.start) for p in pieces), strict=True)
            )
            found = self._decoder.decode(tokens, self._cache, slots, starts)
        else:
            layout = PromptLayout(sum(len(piece.tokens) for piece in pieces), len(pieces))
            numbers = prompt_numbers(pieces, layout, self._idle).to(self._on)
            found = self._decoder.prefill(PromptInputs(layout, numbers), self._cache)[:choosing]
        return found[:, : self._decoder.shape.vocabulary]

    @telling_out_of_memory()
    @torch.inference_mode()
    def check(self, pieces: Sequence[Segment]) -> list[list[int]]:
        """See :class:`~bot.engine.local.runner.Runner`. What was launched ahead is a plain step."""
        shape = best_shape(list(self._checks), pieces)
        if shape is None or not all(self._is_settled(piece) for piece in pieces):
            return [[token] for token in self.step(pieces)]
        self._ahead = _Ahead()
        graph = self._checks[shape]
        numbers = check_numbers(pieces, shape, self._idle).pin_memory()
        graph.inputs.numbers.copy_(numbers, non_blocking=True)
        graph.graph.replay()
        runs = right_runs(pieces, shape, graph.chosen.tolist())  # waits for it
        for at, piece in enumerate(pieces):
            if piece.slot in self._banning:
                runs[at] = self._run_without_banned(piece, runs[at])
            self._last_token[piece.slot] = newest = runs[at][-1]
            self._settled[piece.slot] = piece.start + len(runs[at]), newest
        return runs

    def _is_settled(self, piece: Segment) -> bool:
        single = len(piece.tokens) == 1 and piece.chooses
        return single and self._settled.get(piece.slot) == (piece.start, piece.tokens[0])

    def _run_without_banned(self, piece: Segment, run: Sequence[int]) -> list[int]:
        """What was drawn, up to where it completes a banned word: there another token ends it."""
        banning, last = self._banning[piece.slot], piece.start + len(piece.tokens) - 1
        computed = [piece.tokens[-1], *piece.guesses]
        kept: list[int] = []
        for at, token in enumerate(run):
            now = banning.words.now()
            is_banned = token in now
            if is_banned:
                again = Segment(piece.slot, last + at, [computed[at]], chooses=True)
                token = self._choose_again(again, banning, now)
            banning.take(token)
            kept.append(token)
            if is_banned:
                break
        return kept

    def _choose_again(self, piece: Segment, banning: "Banning", now: Iterable[int]) -> int:
        """Compute a slot's last token once more, the only one of `piece`, with more tokens banned.

        Rare: so rows with banned words need not wait for their tokens in every step. What was
        launched ahead for the slot is forgotten; it is computed anew with the next step.
        """
        slot, steering = piece.slot, self._state.steering
        self._state.begin(
            slot, banning.said, banning.sampling, banning.seed, banning.step, banning.vocabulary
        )
        steering.ban(slot, {*banning.words.always, *now})
        arrived, done = self._prefill([piece])
        done.synchronize()
        steering.ban(slot, banning.words.always)
        self._ahead.row_of.pop(slot, None)
        self._ahead.position_of.pop(slot, None)
        return int(arrived[0])

    def _settle(self, slot: int) -> None:
        if self.host is not None:
            self.host.settle(slot)

    def _is_ahead(self, ahead: _Ahead, piece: Segment) -> bool:
        """Whether this piece is the one that was launched for its slot."""
        return (
            len(piece.tokens) == 1
            and ahead.position_of.get(piece.slot) == piece.start
            and self._last_token.get(piece.slot) == piece.tokens[0]
        )

    def _prefill(self, pieces: Sequence[Segment]) -> tuple[torch.Tensor, torch.cuda.Event]:
        """Compute prompt tokens; the chosen ones arrive in pinned memory, in the pieces' order."""
        graph = next((g for g in self._prompt_graphs if g.layout.takes(pieces)), None)
        if graph is not None:
            numbers = prompt_numbers(pieces, graph.layout, self._idle)
            graph.inputs.numbers.copy_(numbers, non_blocking=True)
            graph.graph.replay()
            chosen = graph.chosen
        else:
            layout = PromptLayout(sum(len(piece.tokens) for piece in pieces), len(pieces))
            numbers = prompt_numbers(pieces, layout, self._idle).to(self._on, non_blocking=True)
            chosen = torch.empty(layout.rows, dtype=torch.int32, device=self._on)
            inputs = PromptInputs(layout, numbers)
            run_prompts(self._decoder, self._cache, self._state, inputs, chosen, self._idle)
        arrived = _pinned(len(chosen), torch.int32)
        arrived.copy_(chosen, non_blocking=True)
        return arrived, _recorded()

    def _launch(self, pieces: Sequence[Segment]) -> None:
        """Start the step after this one, for the rows that have room for one more token."""
        going = [piece for piece in pieces if self._has_room(piece)][: self.rows]
        if not going:
            return
        slots = [piece.slot for piece in going]
        size = min(size for size in self._graphs if size >= len(slots)) if self._graphs else 0
        self._turn = (self._turn + 1) % PINNED_BUFFERS
        wanted, arrived = self._pinned[self._turn]
        rows = size or len(slots)
        wanted[:rows] = torch.tensor(slots + [self._idle] * (rows - len(slots)))
        if size:
            graph = self._graphs[size]
            graph.slots.copy_(wanted[:rows], non_blocking=True)
            graph.graph.replay()
            chosen = graph.chosen
        else:
            chosen = torch.empty(rows, dtype=torch.int32, device=self._on)
            on_device = wanted[:rows].to(self._on, non_blocking=True)
            run_decode(self._decoder, self._cache, self._state, on_device, chosen, self._idle)
        arrived[:rows].copy_(chosen, non_blocking=True)
        self._ahead = _Ahead(
            {slot: row for row, slot in enumerate(slots)},
            {piece.slot: piece.start + len(piece.tokens) for piece in going},
            arrived,
            _recorded(),
        )

    def _has_room(self, piece: Segment) -> bool:
        following = piece.start + len(piece.tokens) + 1
        return following <= min(self._room_of.get(piece.slot, 0), self.context_tokens)

    def _collect(
        self,
        pieces: Sequence[Segment],
        fresh: Sequence[Segment],
        ahead: _Ahead,
        first: tuple[torch.Tensor, torch.cuda.Event] | None,
    ) -> list[int]:
        """The tokens of this step, in the pieces' order: the only place that waits for the GPU."""
        of_slot: dict[int, int] = {}
        fresh_slots = {piece.slot for piece in fresh}
        if ahead.tokens is not None and ahead.done is not None and len(fresh) < len(pieces):
            ahead.done.synchronize()
            found = ahead.tokens.tolist()
            for slot, row in ahead.row_of.items():
                if slot not in fresh_slots:
                    of_slot[slot] = found[row]
        if first is not None:
            first[1].synchronize()
            choosing = [piece.slot for piece in fresh if piece.chooses]
            of_slot |= dict(zip(choosing, first[0].tolist(), strict=False))  # then padding
        return [of_slot[piece.slot] for piece in pieces if piece.chooses]


def _pinned(count: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.zeros(count, dtype=dtype, pin_memory=True)


def _recorded() -> torch.cuda.Event:
    event = torch.cuda.Event()
    event.record()
    return event
