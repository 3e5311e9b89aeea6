# pyright: basic
"""Steps that check guessed tokens: rows of an ordinary decode step that share a slot.

A guess is a row of its own at the position after the one before it. In each layer the keys and
values of all rows are stored before any row attends, and a row reads no farther than to itself, so
the kernels are those of single steps. The sampler goes over the rows turn by turn: a slot whose
guess was not what was drawn takes no further part, so its state, whatever is in it, moves along
what was drawn alone. What stands in the cache after that is written over by later tokens; in 8 bits
too, since a scale belongs to one token's head.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from bot.engine.cuda.graphs import captured
from bot.engine.cuda.llama import LlamaDecoder
from bot.engine.cuda.pages import PagedCache
from bot.engine.cuda.sampler import SamplerTensors, sample
from bot.engine.local.runner import Segment

NO_TOKEN = -1  # where there is no guess: nothing that is drawn equals it


@dataclass(frozen=True, slots=True)
class CheckShape:
    """For up to so many streams, with up to so many guesses each."""

    streams: int
    guesses: int

    @property
    def rows(self) -> int:
        """Turn by turn: row `turn * streams + stream`."""
        return self.streams * (1 + self.guesses)


# Without guesses: nothing was found in this step, and the next one may have some.
SHAPES = tuple(
    CheckShape(streams, guesses)
    for streams, counts in ((1, (0, 1, 3, 7)), (2, (0, 1, 3, 7)), (4, (0, 1, 3)), (8, (0, 1)))
    for guesses in counts
)


class CheckInputs:
    """Views into a shape's numbers, int32."""

    def __init__(self, shape: CheckShape, numbers: torch.Tensor) -> None:
        rows = shape.rows
        self.shape = shape
        self.numbers = numbers
        self.tokens, self.positions, self.slots, guesses = numbers.split(
            [rows, rows, rows, rows - shape.streams]
        )
        self.guesses = guesses.view(shape.guesses, shape.streams)


@dataclass(frozen=True, slots=True)
class CheckGraph:
    """A captured check."""

    graph: torch.cuda.CUDAGraph
    inputs: CheckInputs  # written before each launch
    chosen: torch.Tensor  # [1 + guesses, streams] int32


def best_shape(shapes: Sequence[CheckShape], pieces: Sequence[Segment]) -> CheckShape | None:
    """The smallest that takes all guesses, else the one that takes most of them."""
    wanted = max((len(piece.guesses) for piece in pieces), default=0)
    fitting = [shape for shape in shapes if shape.streams >= len(pieces)]
    return min(
        fitting,
        key=lambda shape: (max(wanted - shape.guesses, 0), shape.rows),
        default=None,
    )


def check_numbers(pieces: Sequence[Segment], shape: CheckShape, idle_slot: int) -> torch.Tensor:
    """The numbers for some pieces of one token. What is padding belongs to the idle slot."""
    rows, streams = shape.rows, shape.streams
    tokens, positions, slots = [0] * rows, [0] * rows, [idle_slot] * rows
    guesses = [NO_TOKEN] * (rows - streams)
    for stream, piece in enumerate(pieces):
        followed = [*piece.tokens, *piece.guesses[: shape.guesses]]
        for turn, token in enumerate(followed):
            row = turn * streams + stream
            tokens[row], positions[row], slots[row] = token, piece.start + turn, piece.slot
            if turn:
                guesses[row - streams] = token
    return torch.tensor([*tokens, *positions, *slots, *guesses], dtype=torch.int32)


def run_check(
    decoder: LlamaDecoder,
    cache: PagedCache,
    state: SamplerTensors,
    inputs: CheckInputs,
    chosen: torch.Tensor,
    idle_slot: int,
) -> None:
    """One check, eagerly. chosen: [1 + guesses, streams] int32, written as far as guesses hold."""
    shape = inputs.shape
    logits = decoder.decode(inputs.tokens, cache, inputs.slots, inputs.positions)
    going = inputs.slots[: shape.streams].clone()
    for turn in range(1 + shape.guesses):
        rows = logits[turn * shape.streams : (turn + 1) * shape.streams]
        sample(
            rows,
            going,
            state,
            chosen[turn],
            vocabulary=decoder.shape.vocabulary,
            idle_slot=idle_slot,
        )
        if turn < shape.guesses:
            going = going.masked_fill(chosen[turn] != inputs.guesses[turn], idle_slot)


def right_runs(
    pieces: Sequence[Segment], shape: CheckShape, chosen: Sequence[Sequence[int]]
) -> list[list[int]]:
    """What was drawn for each piece: as :func:`run_check` went on, so far."""
    runs: list[list[int]] = []
    for stream, piece in enumerate(pieces):
        run = [chosen[0][stream]]
        for turn, guess in enumerate(piece.guesses[: shape.guesses], 1):
            if run[-1] != guess:
                break
            run.append(chosen[turn][stream])
        runs.append(run)
    return runs


def capture_checks(
    decoder: LlamaDecoder,
    cache: PagedCache,
    state: SamplerTensors,
    *,
    rows: int,
    idle_slot: int,
    report: Callable[[str, float | None], None],
) -> dict[CheckShape, CheckGraph]:
    """A graph for each shape of no more streams than `rows`, largest first."""
    device = decoder.embedding.device
    graphs: dict[CheckShape, CheckGraph] = {}
    pool, side = torch.cuda.graph_pool_handle(), torch.cuda.Stream()
    shapes = [shape for shape in SHAPES if shape.streams <= rows]
    for done, shape in enumerate(sorted(shapes, key=lambda one: -one.rows)):
        report("Capturing checks of guesses", done / len(shapes))
        inputs = CheckInputs(shape, check_numbers([], shape, idle_slot).to(device))
        size = (1 + shape.guesses, shape.streams)
        chosen = torch.zeros(size, dtype=torch.int32, device=device)

        def run(inputs: CheckInputs = inputs, chosen: torch.Tensor = chosen) -> None:
            run_check(decoder, cache, state, inputs, chosen, idle_slot)

        graphs[shape] = CheckGraph(captured(run, pool, side), inputs, chosen)
    torch.cuda.synchronize()
    return graphs
