"""What a benchmark found, as records; all figures as they were measured, and their medians."""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.bench.load import Load, Round, median, percentile

MILLISECONDS = 1e3
GIGABYTE = 1e9
FORMAT_VERSION = 2  # 2: several chats, a peer


@dataclass(frozen=True, slots=True)
class LoadResult:
    """One row of the table: the same load, measured several times."""

    load: Load
    rounds: tuple[Round, ...]
    memory_bytes: int
    floor_seconds: float = 0.0  # of a step; 0 where it was not worked out

    @property
    def step_milliseconds(self) -> float:
        """Median of the rounds in which all streams wrote together; 0 where none did."""
        found = [r.step_seconds * MILLISECONDS for r in self.rounds if r.step_seconds]
        return median(found) if found else 0.0

    @property
    def worst_gap_milliseconds(self) -> float:
        """The longest wait within a stream that writes, median."""
        return median([r.worst_gap_seconds * MILLISECONDS for r in self.rounds])

    @property
    def tokens_per_second(self) -> float:
        """Median, over all streams together, prompts' time included."""
        return median([r.tokens_per_second for r in self.rounds])

    @property
    def first_token_milliseconds(self) -> float:
        """The median stream of the median round."""
        return median([median(r.first_token_seconds) for r in self.rounds]) * MILLISECONDS

    @property
    def first_token_95_milliseconds(self) -> float:
        """The slowest streams but one in twenty, of the median round."""
        found = [percentile(r.first_token_seconds, 95) for r in self.rounds]
        return median(found) * MILLISECONDS

    @property
    def accepted_a_step(self) -> float:
        """Right guesses for each stream's step, over all rounds."""
        accepted = sum(r.accepted_tokens for r in self.rounds)
        return accepted / max(sum(r.reply_tokens for r in self.rounds) - accepted, 1)

    @property
    def right_share(self) -> float:
        """Of the guesses that were checked; 0 where there were none."""
        guessed = sum(r.guessed_tokens for r in self.rounds)
        return sum(r.accepted_tokens for r in self.rounds) / guessed if guessed else 0.0

    def as_json(self) -> dict[str, object]:
        """Plain data."""
        rounds = self.rounds
        found: dict[str, object] = {
            "streams": self.load.streams,
            "prompt_tokens": self.load.prompt_tokens,
            "new_tokens": self.load.new_tokens,
            "repetition_penalty": self.load.repetition_penalty,
            "step_ms": figure([r.step_seconds * MILLISECONDS for r in rounds]),
            "tokens_per_second": figure([r.tokens_per_second for r in rounds]),
            "first_token_ms": figure(
                [median(r.first_token_seconds) * MILLISECONDS for r in rounds]
            ),
            "first_token_95_ms": figure(
                [percentile(r.first_token_seconds, 95) * MILLISECONDS for r in rounds]
            ),
            "worst_gap_ms": figure([r.worst_gap_seconds * MILLISECONDS for r in rounds]),
            "processor_seconds": figure([r.processor_seconds for r in rounds]),
            "memory_gb": round(self.memory_bytes / GIGABYTE, 2),
            "prompt_tokens_counted": [r.prompt_tokens for r in rounds],
            "cached_prompt_tokens": [r.cached_prompt_tokens for r in rounds],
            "guessed_tokens": [r.guessed_tokens for r in rounds],
            "accepted_tokens": [r.accepted_tokens for r in rounds],
        }
        if self.floor_seconds:
            found["floor_step_ms"] = round(self.floor_seconds * MILLISECONDS, 3)
        return found


@dataclass(frozen=True, slots=True)
class ChatResult:
    """The chat, repeated: seconds of every channel in each round."""

    channels: int
    turns: int
    persona_tokens: int
    message_tokens: int
    reply_tokens: int
    prompt_tokens: int
    cached_tokens: int
    cached_tokens_fresh: int
    reused: tuple[tuple[float, ...], ...]
    fresh: tuple[tuple[float, ...], ...]

    def as_json(self) -> dict[str, object]:
        """Plain data."""
        return {
            "channels": self.channels,
            "turns": self.turns,
            "persona_tokens": self.persona_tokens,
            "message_tokens": self.message_tokens,
            "reply_tokens": self.reply_tokens,
            "last_prompt_tokens": self.prompt_tokens,
            "last_cached_tokens": self.cached_tokens,
            "last_cached_tokens_without_reuse": self.cached_tokens_fresh,
            "first_token_ms_with_reuse": _spread(self.reused),
            "first_token_ms_without_reuse": _spread(self.fresh),
        }


@dataclass(frozen=True, slots=True)
class PeerResult:
    """What another engine did with the same prompts on the same machine, before ours ran."""

    name: str
    version: str
    settings: dict[str, object]  # what it was told, in its own words
    start_seconds: float = 0.0
    room_tokens: int = 0
    loads: tuple[LoadResult, ...] = ()
    chats: tuple[ChatResult, ...] = ()
    notes: tuple[str, ...] = ()  # what failed, and what else a reader has to know
    complete: bool = True  # False when something failed

    def as_json(self) -> dict[str, object]:
        """Plain data."""
        return {
            "name": self.name,
            "version": self.version,
            "settings": self.settings,
            "start_seconds": round(self.start_seconds, 1),
            "kv_room_tokens": self.room_tokens,
            "loads": [load.as_json() for load in self.loads],
            "chats": [chat.as_json() for chat in self.chats],
            "notes": list(self.notes),
            "complete": self.complete,
        }


@dataclass(frozen=True, slots=True)
class Results:
    """Everything that one run of the benchmark found."""

    date: str
    command: str
    machine: dict[str, object]
    load_average: float  # of the machine, before anything was measured
    model: str
    device: str
    kernel: str
    rows: int
    kv_room_tokens: int
    copy_bytes_per_second: float
    weight_bytes: int
    kv_token_bytes: int
    loads: tuple[LoadResult, ...]
    baseline: tuple[LoadResult, ...] = ()
    baseline_missing: str = ""  # why there is none, in words
    chats: tuple[ChatResult, ...] = ()
    peer: PeerResult | None = None
    notes: tuple[str, ...] = ()
    complete: bool = True  # False when something failed: the notes say what

    def times_baseline(self, result: LoadResult) -> float | None:
        """How many times the tokens a second of `generate()` with the same penalty."""
        for base in self.baseline:
            if base.load.repetition_penalty == result.load.repetition_penalty:
                return result.tokens_per_second / base.tokens_per_second
        return None

    def as_json(self) -> dict[str, object]:
        """Plain data."""
        return {
            "format": FORMAT_VERSION,
            "date": self.date,
            "command": self.command,
            "machine": self.machine,
            "load_average_before": self.load_average,
            "model": self.model,
            "device": self.device,
            "kernel": self.kernel,
            "rows": self.rows,
            "kv_room_tokens": self.kv_room_tokens,
            "floor": {
                "copy_gb_per_second": round(self.copy_bytes_per_second / GIGABYTE, 2),
                "weight_gb_per_step": round(self.weight_bytes / GIGABYTE, 4),
                "kv_bytes_per_token": self.kv_token_bytes,
            },
            "loads": [load.as_json() for load in self.loads],
            "generate": [load.as_json() for load in self.baseline],
            "generate_missing": self.baseline_missing,
            "chats": [chat.as_json() for chat in self.chats],
            "peer": self.peer.as_json() if self.peer else None,
            "notes": list(self.notes),
            "complete": self.complete,
        }


def figure(values: Sequence[float]) -> dict[str, object]:
    """A median beside the values it is of."""
    return {"median": round(median(values), 3), "values": [round(value, 3) for value in values]}


def _spread(rounds: Sequence[Sequence[float]]) -> dict[str, object]:
    return {
        "median": figure([median(times) * MILLISECONDS for times in rounds]),
        "percentile_95": figure([percentile(times, 95) * MILLISECONDS for times in rounds]),
    }
