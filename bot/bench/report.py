"""Tables of a benchmark's results: Markdown for files, rich's on a terminal."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from bot.bench.load import median, percentile
from bot.bench.results import (
    GIGABYTE,
    MILLISECONDS,
    ChatResult,
    LoadResult,
    PeerResult,
    Results,
)

LOAD_COLUMNS = (
    "streams",
    "penalty",
    "ms a step",
    "floor",
    "x floor",
    "tokens/s",
    "x generate()",
    "first token ms",
    "95th",
    "worst gap ms",
    "memory GB",
)
IDLE_LOAD = 0.5  # load average of a machine that does little else
CHAT_COLUMNS = ("turn", "channels", "prompt", "cached", "first token ms", "95th")


@dataclass(frozen=True, slots=True)
class Table:
    """Words in rows and columns."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """As GitHub draws it, its columns in line for people too."""
        cells = [self.columns, *self.rows]
        widths = [max(len(row[index]) for row in cells) for index in range(len(self.columns))]
        lines = [_line(row, widths) for row in cells]
        lines.insert(1, "|" + "|".join("-" * (width + 1) + ":" for width in widths) + "|")
        return "\n".join(lines)


def tables(results: Results) -> list[Table]:
    """All tables of a run."""
    loads = [_load_row(results, load) for load in results.loads]
    loads += [_baseline_row(load) for load in results.baseline]
    found: list[Table] = []
    if results.loads:
        first = results.loads[0].load
        title = f"{first.prompt_tokens} tokens of prompt, {first.new_tokens} new ones"
        found.append(Table(title, LOAD_COLUMNS, tuple(loads)))
    if results.chats:
        chat = results.chats[0]
        title = f"The last of {chat.turns} turns, {chat.persona_tokens} tokens of persona"
        rows = tuple(row for chat in results.chats for row in _chat_rows(chat))
        found.append(Table(title, CHAT_COLUMNS, rows))
    if results.peer is not None:
        found += _peer_tables(results, results.peer)
    return found


def facts(results: Results) -> list[str]:
    """What has to be known to read the tables, a line each."""
    machine = results.machine
    where = machine.get("gpu") or f"{machine['processor']}, {machine['threads']} threads"
    reads = (
        f"a step reads {results.weight_bytes / GIGABYTE:.2f} GB of weights and "
        f"{results.kv_token_bytes / 1e3:.0f} kB for each token in the cache; a copy moves "
        f"{results.copy_bytes_per_second / GIGABYTE:.0f} GB/s"
    )
    lines = [
        f"{results.model} on {where}",
        f"kernels: {results.kernel}",
        reads,
        f"up to {results.rows} streams together, {results.kv_room_tokens} tokens of cache",
    ]
    if not machine.get("gpu") and results.load_average > IDLE_LOAD:
        lines.append(
            f"the machine was busy with other work (load average {results.load_average:g} on "
            f"{machine['cores']} cores): times are longer than they would be alone"
        )
    if results.baseline_missing:
        lines.append(f"not compared with generate(): {results.baseline_missing}")
    if results.peer is not None:
        lines += _peer_facts(results.peer)
    lines += [_guessed(load) for load in results.loads if load.right_share]
    return lines + list(results.notes)


def _guessed(result: LoadResult) -> str:
    load = result.load
    return (
        f"guessing ahead, {load.streams} streams, penalty {load.repetition_penalty:g}: "
        f"{result.accepted_a_step:.2f} accepted tokens a step, {result.right_share:.0%} of the "
        "guesses"
    )


def as_markdown(results: Results) -> str:
    """The whole report as a page."""
    versions = cast("dict[str, str]", results.machine["packages"])
    named = ", ".join(f"{name} {found}" for name, found in versions.items())
    lines = [f"# {results.model}, {results.date}", "", f"`{results.command}`", ""]
    lines += [f"- {fact}" for fact in facts(results)]
    driver = results.machine.get("driver")
    lines += [f"- {named}" + (f"; driver {driver}" if driver else ""), ""]
    for table in tables(results):
        lines += [f"## {table.title}", "", table.markdown(), ""]
    return "\n".join(lines)


def print_on_terminal(results: Results) -> None:
    """With rich, which is imported only here."""
    from rich.console import Console
    from rich.table import Table as RichTable

    console = Console(highlight=False)
    for fact in facts(results):
        console.print(fact, markup=False)
    for table in tables(results):
        drawn = RichTable(title=table.title, title_justify="left")
        for column in table.columns:
            drawn.add_column(column, justify="right")
        for row in table.rows:
            drawn.add_row(*row)
        console.print(drawn)


def _load_row(results: Results, result: LoadResult) -> tuple[str, ...]:
    floor = result.floor_seconds * MILLISECONDS
    step = result.step_milliseconds
    times = results.times_baseline(result)
    return (
        str(result.load.streams),
        f"{result.load.repetition_penalty:g}",
        f"{step:.2f}" if step else "",
        f"{floor:.2f}",
        f"{step / floor:.2f}" if floor and step else "",
        f"{result.tokens_per_second:.1f}",
        f"{times:.2f}" if times else "",
        f"{result.first_token_milliseconds:.1f}",
        f"{result.first_token_95_milliseconds:.1f}",
        f"{result.worst_gap_milliseconds:.1f}",
        f"{result.memory_bytes / GIGABYTE:.1f}",
    )


def _baseline_row(result: LoadResult) -> tuple[str, ...]:
    return (
        "generate()",
        f"{result.load.repetition_penalty:g}",
        f"{result.step_milliseconds:.2f}",
        "",
        "",
        f"{result.tokens_per_second:.1f}",
        "1.00",
        f"{result.first_token_milliseconds:.1f}",
        f"{result.first_token_95_milliseconds:.1f}",
        "",
        f"{result.memory_bytes / GIGABYTE:.1f}",
    )


def _chat_rows(chat: ChatResult) -> tuple[tuple[str, ...], ...]:
    def row(label: str, cached: int, rounds: Sequence[Sequence[float]]) -> tuple[str, ...]:
        middle = median([median(times) for times in rounds]) * MILLISECONDS
        slow = median([percentile(times, 95) for times in rounds]) * MILLISECONDS
        return (
            f"{chat.turns}, {label} reuse",
            str(chat.channels),
            str(chat.prompt_tokens),
            str(cached),
            f"{middle:.1f}",
            f"{slow:.1f}",
        )

    return (
        row("with", chat.cached_tokens, chat.reused),
        row("without", chat.cached_tokens_fresh, chat.fresh),
    )


def _peer_facts(peer: PeerResult) -> list[str]:
    told = ", ".join(f"{name} {value}" for name, value in peer.settings.items())
    return [
        f"{peer.name} {peer.version} before it, in a process of its own on the same prompts"
        + (f": {told}" if told else ""),
        *([f"its cache has room for {peer.room_tokens} tokens"] if peer.room_tokens else []),
        *([f"it was ready after {peer.start_seconds:.0f} s"] if peer.start_seconds else []),
        *peer.notes,
    ]


def _peer_tables(results: Results, peer: PeerResult) -> list[Table]:
    """Side by side; a ratio above 1 is in our favour: more tokens, or less time."""
    theirs, loads = f"{peer.name}'s", {load.load: load for load in peer.loads}
    rows = [_peer_row(load, loads[load.load]) for load in results.loads if load.load in loads]
    found: list[Table] = []
    name = f"{peer.name} {peer.version}".strip()
    if rows:
        columns = ("streams", "penalty")
        for column in ("tokens/s", "ms a step", "first token ms", "95th"):
            columns += (column, theirs, "ratio")
        found.append(Table(f"Beside {name}", columns, tuple(rows)))
    chats = {chat.channels: chat for chat in peer.chats}
    rows = [_peer_chat_row(c, chats[c.channels]) for c in results.chats if c.channels in chats]
    if rows:
        columns = ("channels", "cached", theirs)
        for column in ("with reuse ms", "without ms"):
            columns += (column, theirs, "ratio")
        found.append(Table(f"The last turn beside {name}", columns, tuple(rows)))
    if not found and peer.loads:  # ours has not been measured yet
        rows = [_load_row(results, load) for load in peer.loads]
        found.append(Table(f"{name} alone", LOAD_COLUMNS, tuple(rows)))
    return found


def _peer_row(ours: LoadResult, theirs: LoadResult) -> tuple[str, ...]:
    return (
        str(ours.load.streams),
        f"{ours.load.repetition_penalty:g}",
        f"{ours.tokens_per_second:.1f}",
        f"{theirs.tokens_per_second:.1f}",
        f"{ours.tokens_per_second / theirs.tokens_per_second:.2f}",
        *_beside(ours.step_milliseconds, theirs.step_milliseconds, 2),
        *_beside(ours.first_token_milliseconds, theirs.first_token_milliseconds, 1),
        *_beside(ours.first_token_95_milliseconds, theirs.first_token_95_milliseconds, 1),
    )


def _peer_chat_row(ours: ChatResult, theirs: ChatResult) -> tuple[str, ...]:
    def middle(rounds: Sequence[Sequence[float]]) -> float:
        return median([median(times) for times in rounds]) * MILLISECONDS

    return (
        str(ours.channels),
        str(ours.cached_tokens),
        str(theirs.cached_tokens),
        *_beside(middle(ours.reused), middle(theirs.reused), 1),
        *_beside(middle(ours.fresh), middle(theirs.fresh), 1),
    )


def _beside(ours: float, theirs: float, digits: int) -> tuple[str, str, str]:
    """Two times, and how many times ours goes into theirs."""
    ratio = f"{theirs / ours:.2f}" if ours and theirs else ""
    return f"{ours:.{digits}f}", f"{theirs:.{digits}f}", ratio


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
    return "| " + " | ".join(padded) + " |"
