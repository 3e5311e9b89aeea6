"""The engine's contract: plain records and one Protocol. Importing this loads no torch.

A consumer iterates over :meth:`Engine.generate`; closing that iterator cancels the request.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol, runtime_checkable

from bot.errors import EngineError

PENALTY_TOKENS = 256
DRY_TOKENS = 2048
DRY_BREAKERS = ("\n", ":", '"', "*")


class FinishReason(StrEnum):
    """Why a generation ended."""

    STOP = "stop"  # end of sequence, or a stop string
    LENGTH = "length"  # max_tokens, or the end of the context
    CANCELLED = "cancelled"  # the consumer went away, or the engine was told to stop


class EngineState(StrEnum):
    """What the engine is doing as a whole."""

    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"  # it died and comes back after a back-off
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen, in this order: banned words, penalties, DRY, temperature,
    top-k, top-p, min-p, XTC.

    `temperature` 0 is greedy (and XTC then has nothing to choose from); `top_k` 0, `top_p` 1 and
    `min_p` 0 are off; `repetition_penalty` 1 is off, as are `presence_penalty`,
    `frequency_penalty`, `dry_multiplier` and `xtc_probability` at 0; `seed` None draws a fresh
    seed, which the statistics report.

    What each does is llama.cpp's, so that its engine and ours do the same. The repetition penalty
    looks at the whole of prompt and reply. Where one of the other two penalties is on, all three
    look at the newest `PENALTY_TOKENS` of them alone: llama.cpp has one window for all, and over a
    whole prompt a frequency penalty would forbid every «the».
    DRY looks at the newest `DRY_TOKENS` of prompt and reply, and no repetition reaches over a token
    with one of `DRY_BREAKERS` in it. Banned words are texts that the reply never contains,
    whatever their case and however they are cut into tokens, inside of longer words too; signs
    that nobody sees (zero-width ones) hide none.
    """

    temperature: float = 0.7
    top_k: int = 0
    top_p: float = 0.95
    min_p: float = 0.0
    repetition_penalty: float = 1.15
    seed: int | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    dry_multiplier: float = 0.0
    dry_base: float = 1.75
    dry_allowed_length: int = 2
    xtc_probability: float = 0.0
    xtc_threshold: float = 0.1
    banned_words: tuple[str, ...] = ()

    @property
    def counts_tokens(self) -> bool:
        """Whether it matters how often a token was said."""
        return self.presence_penalty != 0 or self.frequency_penalty != 0

    @property
    def reads_texts(self) -> bool:
        """Whether it matters which text a token is."""
        return bool(self.banned_words) or self.dry_multiplier > 0


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a conversation, in the roles of OpenAI's chat API."""

    role: Literal["system", "user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One reply to generate.

    `prompt` is the complete text in the model's own format, special tokens spelled out.
    `messages` says the same in roles, for a server that takes nothing else: how it writes them for
    its model is unknown here. Every other engine reads `prompt` alone.
    `channel` and `user` are opaque keys: the queue holds one running request a channel and takes
    users in turn; `channel` also names the KV prefix that may be reused.
    `max_tokens` counts new tokens. `stop` strings end the text and are not part of it.
    """

    prompt: str
    channel: str
    user: str
    max_tokens: int = 512
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()
    messages: tuple[ChatMessage, ...] = ()
    # What a server that thinks apart from the reply may take for that, beside `max_tokens`.
    thinking_tokens: int = 0


@dataclass(frozen=True, slots=True)
class GenerationStatistics:
    """What one generation took. Seconds are wall clock from the moment of the call."""

    model: str
    seed: int
    prompt_tokens: int
    cached_prompt_tokens: int  # of these, taken from a kept prefix
    reply_tokens: int
    queued_seconds: float
    first_token_seconds: float
    total_seconds: float
    thinking_tokens: int = 0  # before the reply, of which nobody sees any

    @property
    def tokens_per_second(self) -> float:
        """Decode speed after the first token; 0 for a reply of fewer than two tokens."""
        decoding = self.total_seconds - self.first_token_seconds
        return (self.reply_tokens - 1) / decoding if self.reply_tokens > 1 and decoding > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of the reply. Only the last has `finish` and `statistics` (its text may be "").

    The first may have `so_far`, the statistics as they stand then: all that an engine can tell of a
    reply that is broken off later.
    Texts never contain a stop string or part of one that was completed: partial matches are held
    back. Texts never split a character.
    """

    text: str
    finish: FinishReason | None = None
    statistics: GenerationStatistics | None = None
    so_far: GenerationStatistics | None = None


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What the core needs to know of the loaded model."""

    name: str
    context_tokens: int
    chat_template: str | None = None  # Jinja source, as hint for PROMPT_FORMAT=auto
    special_tokens: tuple[str, ...] = ()  # spelled out; neutralised in what users write
    eos_token: str = ""
    bos_token: str = ""
    counts_exactly: bool = True  # False: token counts are an estimate
    added_tokens: int = 0  # before a prompt, by a server that keeps its BOS to itself
    takes_prompts: bool = True  # False: a server that reads a request's messages alone
    # How its makers choose its tokens, as far as they say it: values of Sampling's fields.
    sampling_defaults: Mapping[str, float] = field(default_factory=dict[str, float])

    @property
    def room_tokens(self) -> int:
        """What a prompt and its reply have together."""
        return self.context_tokens - max(bool(self.bos_token), self.added_tokens)


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """A snapshot for `/status`, the workbench and the metrics."""

    state: EngineState
    model: str
    device: str = ""  # "cpu (2 threads)", "cuda:0 NVIDIA ...", "remote http://..."
    kernel: str = ""  # which kernels run, in words
    running: int = 0
    waiting: int = 0
    slots: int = 0  # most requests that can run together
    kv_tokens_used: int = 0
    kv_tokens_total: int = 0
    host_kv_tokens_used: int = 0  # in the machine's memory, for what the device has no room for
    host_kv_tokens_total: int = 0
    host_kv_tokens_restored: int = 0  # copied back to the device, since the model was loaded
    expected_wait_seconds: float = 0.0  # for a request made now, from what was measured lately
    tokens_per_second: float = 0.0  # over all rows, lately
    guessed_tokens: int = 0  # that were checked ahead, since the start
    accepted_tokens: int = 0  # of these, that were right
    restarts: int = 0
    last_error: str = ""  # plain words
    activity: str = ""  # while starting: what is being done, in words
    progress: float | None = None  # while starting: 0 to 1 of `activity`, where it can be told
    starting_seconds: float = 0.0  # while starting: since when


class Engine(Protocol):
    """Generates text. All methods are called on the event loop and never block it."""

    async def start(self) -> None:
        """Load the model and warm up. Raises ModelError or EngineError."""
        ...

    async def close(self) -> None:
        """Cancel what runs, free everything. Idempotent."""
        ...

    @property
    def info(self) -> ModelInfo:
        """The loaded model. Only after :meth:`start`."""
        ...

    async def count_tokens(self, texts: Sequence[str]) -> tuple[int, ...]:
        """Tokens of each text, as the model sees it within a prompt (no BOS added)."""
        ...

    def generate(self, request: GenerationRequest) -> AsyncGenerator[Chunk, None]:
        """Stream one reply. `aclose()` cancels. Raises EngineError on first or any `__anext__`."""
        ...

    def status(self) -> EngineStatus:
        """A snapshot; cheap."""
        ...


@runtime_checkable
class CanBeLost(Protocol):
    """An engine that a fault can end for as long as this process lives."""

    async def lost(self) -> EngineError:
        """Wait for such a fault: only another process can use the device again."""
        ...


@runtime_checkable
class CanForget(Protocol):
    """An engine that keeps something of a talk for its next request, and can let go of it."""

    def forget(self, channel: str, *, only_copies: bool = False) -> None:
        """Keep nothing of a channel's talk; a running reply goes on. Cheap, never blocks.

        With `only_copies` one is kept, where the channel's next reply writes over what has changed.
        """
        ...
