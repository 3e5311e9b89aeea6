"""What a run of the benchmark is to measure."""

from dataclasses import dataclass

from bot.bench.chat import Chat
from bot.bench.checkpoint import Shapes
from bot.bench.load import Load
from bot.engine.local.runner import GuessAhead
from bot.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Peer:
    """What else is measured with the same prompts. `python` "" is the one that runs this."""

    python: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be measured. An empty `model` is a checkpoint of `shapes` with random weights."""

    model: str
    shapes: Shapes | None
    streams: tuple[int, ...]
    prompt_tokens: int
    new_tokens: int
    penalties: tuple[float, ...]
    repeats: int
    baseline_tokens: int  # 0: not compared
    chats: tuple[Chat, ...]
    rows: int = 0
    gpu_memory_gb: float = 0.0  # 0: all of it
    kv_cache: str = "auto"  # as the setting KV_CACHE says it
    peer: Peer | None = None
    guess_ahead: GuessAhead = "auto"

    def loads(self) -> list[Load]:
        """For the engine, in the order of the table."""
        return [
            Load(count, self.prompt_tokens, self.new_tokens, penalty)
            for penalty in self.penalties
            for count in self.streams
        ]

    def baseline_loads(self) -> list[Load]:
        """For `generate()`."""
        return [
            Load(1, self.prompt_tokens, self.baseline_tokens, penalty) for penalty in self.penalties
        ]

    def check_fits(self, context_tokens: int) -> None:
        """Raises SettingsError when a request cannot fit the model's context."""
        if self.prompt_tokens + max(self.new_tokens, self.baseline_tokens) > context_tokens:
            raise SettingsError(
                f"{self.prompt_tokens} tokens of prompt and {self.new_tokens} new ones do not fit "
                f"the context of {context_tokens}.",
                "Ask for fewer (--prompt-tokens, --new-tokens, --baseline-tokens).",
            )
        for chat in self.chats:
            chat.check_fits(context_tokens)

    @property
    def longest_tokens(self) -> int:
        """Of the longest request with its reply."""
        replies = self.prompt_tokens + max(self.new_tokens, self.baseline_tokens)
        return max([replies, *(chat.longest_tokens for chat in self.chats)])

    @property
    def most_streams(self) -> int:
        """How many ask at once."""
        return max([*self.streams, *(chat.channels for chat in self.chats)])

    def notes(self, rows: int) -> tuple[str, ...]:
        """What a reader has to know when `rows` streams run together at most."""
        if max(self.streams) > rows:
            return (f"more than {rows} streams wait for one another: see --rows",)
        return ()
