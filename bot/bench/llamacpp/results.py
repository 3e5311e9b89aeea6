"""What the benchmark of a GGUF file found: every measured value, and the medians."""

from dataclasses import asdict, dataclass

from bot.bench.load import Load, Round, median

FORMAT_VERSION = 1
GOAL = 0.95  # of llama.cpp's own server


@dataclass(frozen=True, slots=True)
class PairedResult:
    """One row of the table: rounds of the same load, ours and the server's in turns."""

    load: Load
    ours: tuple[Round, ...]
    servers: tuple[Round, ...]

    @property
    def ratios(self) -> tuple[float, ...]:
        """Our tokens/s over the server's, round by round."""
        pairs = zip(self.ours, self.servers, strict=True)
        return tuple(o.tokens_per_second / s.tokens_per_second for o, s in pairs)

    @property
    def ratio(self) -> float:
        """Median."""
        return median(self.ratios)

    @property
    def tokens_per_second(self) -> tuple[float, float]:
        """Ours and the server's, medians; over all streams together, prompts' time included."""
        ours = median([found.tokens_per_second for found in self.ours])
        return ours, median([found.tokens_per_second for found in self.servers])

    @property
    def first_token_milliseconds(self) -> tuple[float, float]:
        """Ours and the server's: the median stream of the median round."""
        ours = median([median(found.first_token_seconds) for found in self.ours])
        servers = median([median(found.first_token_seconds) for found in self.servers])
        return ours * 1e3, servers * 1e3


@dataclass(frozen=True, slots=True)
class LastTurn:
    """The last turn of a chat: seconds to its first text, one a channel."""

    turns: int
    channels: int
    prompt_tokens: int
    cached_tokens: int
    with_prefix_seconds: tuple[float, ...]
    without_prefix_seconds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class LlamaCppResults:
    """All of a run. Seconds of a start are from nothing to ready; memory is of that moment."""

    model: str
    file_bytes: int
    command: str
    date: str
    machine: dict[str, object]
    kernel: str
    threads: int
    slots: int
    room_tokens: int
    start_seconds: float
    server_start_seconds: float
    memory_bytes: int  # proportional set size of our process and llama.cpp's, after the first round
    load_average: float
    rows: tuple[PairedResult, ...]
    chat: LastTurn | None

    @property
    def complete(self) -> bool:
        """Whether everything was measured."""
        return bool(self.rows)

    def as_json(self) -> dict[str, object]:
        """For a file."""
        return {
            "format": FORMAT_VERSION,
            "what": "llama.cpp",
            **{
                name: getattr(self, name)
                for name in (
                    "model",
                    "file_bytes",
                    "command",
                    "date",
                    "machine",
                    "kernel",
                    "threads",
                    "slots",
                    "room_tokens",
                    "start_seconds",
                    "server_start_seconds",
                    "memory_bytes",
                    "load_average",
                )
            },
            "loads": [
                {
                    **asdict(row.load),
                    "ratio": row.ratio,
                    "ratios": row.ratios,
                    "tokens_per_second": row.tokens_per_second[0],
                    "server_tokens_per_second": row.tokens_per_second[1],
                    "first_token_ms": row.first_token_milliseconds[0],
                    "server_first_token_ms": row.first_token_milliseconds[1],
                    "ours": [asdict(found) for found in row.ours],
                    "servers": [asdict(found) for found in row.servers],
                }
                for row in self.rows
            ],
            "chat": None if self.chat is None else asdict(self.chat),
        }
