"""What computes: the Protocol that the running batch drives.

A runner never decides. It is told which tokens of which slots to compute, and for which of them
to choose the next token. Everything with tensors in it lies behind this Protocol.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from bot.engine.api import Sampling
from bot.engine.local.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Segment:
    """Tokens of one slot to compute in a step, the first of them at position `start`."""

    slot: int
    start: int
    tokens: Sequence[int]
    chooses: bool  # whether to choose the token that follows the last one
    guesses: Sequence[int] = ()  # what may follow, for `check`; `tokens` is one token then
    ahead: bool = True  # whether the slot's next step will be a plain one: it may be begun already


class RunnerOutOfMemory(MemoryError):  # noqa: N818 - reads as the sentence it is
    """There was no memory for what was asked. The runner lives on; what slots hold may be lost."""


class HostMemory(Protocol):
    """Pages in the machine's memory for keys and values, numbered from 0. Used from one thread.

    Each takes BLOCK_TOKENS tokens of a slot, from a multiple of that on. Copies may be under way
    when these methods return: whatever is asked of the runner or of this afterwards comes out as
    if they were done. `save` and `load` may raise RunnerOutOfMemory.
    """

    @property
    def pages(self) -> int:
        """How many there are."""
        ...

    @property
    def page_bytes(self) -> int:
        """What each takes."""
        ...

    @property
    def bytes_per_second(self) -> float:
        """How fast copies were lately; 0 before the first is done."""
        ...

    @property
    def pending_bytes(self) -> int:
        """How much is being copied now."""
        ...

    def save(self, slot: int, first_page: int, pages: Sequence[int]) -> None:
        """Copy a slot's pages from `first_page` on into these."""
        ...

    def load(self, slot: int, first_page: int, pages: Sequence[int]) -> None:
        """Copy these into a slot's pages from `first_page` on."""
        ...

    def is_here(self, slot: int) -> bool:
        """Whether nothing is being copied into a slot: until then its steps would wait."""
        ...

    def wipe(self, pages: Sequence[int]) -> None:
        """Overwrite pages. Waits for copies under way."""
        ...


class Runner(Protocol):
    """Computes steps over slots. Used from one thread.

    Every method but `release` and `give_back` may raise RunnerOutOfMemory: then the slots are to
    be released and begun anew. Whatever else the library raises comes out as it is.
    """

    rows: int  # most pieces in a step that are one token long
    slots: int  # slots are numbered from 0 to this
    room_tokens: int  # KV room of all slots together
    context_tokens: int  # longest sequence
    chunk_tokens: int  # how much of a prompt is best computed in one step
    guessed_tokens: int  # how many guesses `check` takes for a slot at most; 0: it is not called
    device: str  # in words
    kernel: str  # which kernels run, in words

    @property
    def host(self) -> HostMemory | None:
        """Memory for what slots have no room for; None where there is none, or none is wanted."""
        ...

    def begin(self, slot: int, room_tokens: int, cached_tokens: int) -> None:
        """Give a slot its size. The keys and values of its first `cached_tokens` are kept."""
        ...

    def copy(self, source: int, target: int, tokens: int) -> None:
        """Copy the keys and values of the first `tokens` from one slot to another."""
        ...

    def sample(
        self,
        slot: int,
        prompt: Sequence[int],
        sampling: Sampling,
        seed: int,
        step: int = 0,
        vocabulary: Vocabulary | None = None,
    ) -> None:
        """How the tokens of the request in `slot` are to be chosen. The prompt counts as said.

        `step` is how many of the prompt's last tokens were chosen for this very request before:
        the choices go on where they were. `vocabulary` is there where `sampling` reads texts.
        """
        ...

    def step(self, pieces: Sequence[Segment]) -> list[int]:
        """Compute the pieces; returns one token for each that chooses, in their order."""
        ...

    def check(self, pieces: Sequence[Segment]) -> list[list[int]]:
        """As `step`, and go on where a guess was right: one token or more for each that chooses.

        Each is what `step` would have chosen there, with all that was chosen before it taken into
        account; of the guesses, those count that agree with it, up to the first that does not.
        They are hints: fewer may be looked at. Beyond the newest token whose successor was chosen,
        the slot holds what nobody may read: it is written over as the text goes on.
        """
        ...

    def release(self, slot: int) -> None:
        """Free a slot's room. Slots that have none are no error."""
        ...

    def give_back(self) -> None:
        """Return memory that is held in reserve to the device."""
        ...


GuessAhead = Literal["auto", "on", "off"]  # as the setting GUESS_AHEAD says it
CACHE_BITS = {"auto": 0, "16bit": 16, "8bit": 8}  # by the setting KV_CACHE
# On a GPU, for float16 (perplexity grows by 0.2% at most: docs/benchmarks/h100-8bit.md). Else 16.
DEFAULT_CACHE_BITS = 8


@dataclass(frozen=True, slots=True)
class RunnerLimits:
    """What the owner asks for. 0 leaves it to what the machine has."""

    rows: int = 0
    room_tokens: int = 0
    cache_bits: int = 0  # of the keys and values that are kept: 16, or 8 where the runner can
    guess_ahead: GuessAhead = "auto"
    host_bytes: int | None = 0  # for what the device has no room for; None: by the machine
