"""The benchmark of a GGUF file for people: a page, or tables on a terminal."""

from typing import cast

from bot.bench.llamacpp.results import LastTurn, LlamaCppResults, PairedResult
from bot.bench.load import median
from bot.bench.report import IDLE_LOAD, Table

MEGABYTE = 1e6


def facts(results: LlamaCppResults) -> list[str]:
    """What has to be known to read the tables, a line each."""
    machine = results.machine
    file_size = f"{results.file_bytes / MEGABYTE:.0f} MB"
    alike = "the server beside it has the same file, threads, slots and room"
    lines = [
        f"{results.model} ({file_size}) on {machine['processor']}, {results.threads} threads",
        f"{results.kernel}, {results.slots} slots, room for {results.room_tokens} tokens; {alike}",
        f"ready in {results.start_seconds:.2f} s; the server in {results.server_start_seconds:.2f}",
        f"memory {results.memory_bytes / MEGABYTE:.0f} MB (PSS of this process and llama.cpp's)",
    ]
    if results.load_average > IDLE_LOAD + results.threads:
        lines.append(
            f"the machine was busy with other work (load average {results.load_average:g} on "
            f"{machine['cores']} cores): the ratios count, the times are longer than alone"
        )
    return lines


def tables(results: LlamaCppResults) -> list[Table]:
    """The tables of the report."""
    found = [
        Table(
            "Beside llama.cpp's own server",
            (
                "streams",
                "tokens/s",
                "server's",
                "ratio",
                "first token ms",
                "server's",
                "rounds",
            ),
            tuple(_row(row) for row in results.rows),
        )
    ]
    if results.chat is not None:
        found.append(
            Table(
                "The last turn of a chat",
                ("turn", "channels", "prompt tokens", "cached", "first token ms"),
                _chat_rows(results.chat),
            )
        )
    return found


def as_markdown(results: LlamaCppResults) -> str:
    """The whole report as a page."""
    versions = cast("dict[str, str]", results.machine["packages"])
    named = ", ".join(f"{name} {found}" for name, found in versions.items())
    lines = [f"# {results.model} on llama.cpp, {results.date}", "", f"`{results.command}`", ""]
    lines += [f"- {fact}" for fact in facts(results)]
    lines += [f"- Python {results.machine['python']}, {named}", ""]
    for table in tables(results):
        lines += [f"## {table.title}", "", table.markdown(), ""]
    return "\n".join(lines)


def _row(row: PairedResult) -> tuple[str, ...]:
    ours, servers = row.tokens_per_second
    first, servers_first = row.first_token_milliseconds
    return (
        str(row.load.streams),
        f"{ours:.1f}",
        f"{servers:.1f}",
        f"{row.ratio:.2f}",
        f"{first:.0f}",
        f"{servers_first:.0f}",
        str(len(row.ours)),
    )


def _chat_rows(chat: LastTurn) -> tuple[tuple[str, ...], ...]:
    def row(label: str, cached: int, seconds: tuple[float, ...]) -> tuple[str, ...]:
        return (
            f"{chat.turns}, {label} its prefix",
            str(chat.channels),
            str(chat.prompt_tokens),
            str(cached),
            f"{median(seconds) * 1e3:.0f}",
        )

    return (
        row("with", chat.cached_tokens, chat.with_prefix_seconds),
        row("without", 0, chat.without_prefix_seconds),
    )
