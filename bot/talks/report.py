"""What played scripts came to: a table for people, JSON for programs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import median

from bot.bench.report import Table
from bot.talks.measuring import ReplyFigures
from bot.talks.playing import Played

COLUMNS = (
    "script", "replies", "spoken for", "headers", "empty", "repeated", "twice", "failed", "facts",
    "prompt tokens", "reply tokens", "s to first", "s",
)  # fmt: skip


def table(played: Sequence[Played]) -> Table:
    """A row a script, and one for all."""
    rows = [_row(each.name, each.replies) for each in played]
    if len(played) > 1:
        rows.append(_row("all", [reply for each in played for reply in each.replies]))
    return Table("Talks", COLUMNS, tuple(rows))


def as_markdown(played: Sequence[Played], facts: Mapping[str, object]) -> str:
    """The whole report as a page."""
    told = "\n".join(f"- {name}: {value}" for name, value in facts.items())
    return f"# Talks\n\n{told}\n\n{table(played).markdown()}"


def as_json(played: Sequence[Played], facts: Mapping[str, object]) -> dict[str, object]:
    """Everything that was measured, the replies' texts too."""
    scripts = [
        {
            "name": each.name,
            "title": each.script.title,
            "language": each.script.language,
            "players": list(each.script.players),
            "figures": figures(each.replies),
            "replies": [asdict(reply) for reply in each.replies],
        }
        for each in played
    ]
    everything = [reply for each in played for reply in each.replies]
    return {**facts, "figures": figures(everything), "scripts": scripts}


def figures(replies: Sequence[ReplyFigures]) -> dict[str, object]:
    """The sums of some replies; of tokens and seconds the medians."""
    shown = [reply for reply in replies if reply.text]
    return {
        "replies": len(replies),
        "lines_spoken_for_people": sum(reply.spoken_for for reply in replies),
        "headers_shown": sum(reply.headers for reply in replies),
        "empty": sum(reply.is_empty for reply in replies),
        "repeated": sum(reply.is_repeated for reply in replies),
        "written_twice": sum(reply.retry is not None for reply in replies),
        "failed": sum(bool(reply.error) for reply in replies),
        "cut_by_length": sum(reply.is_cut for reply in replies),
        "facts": sum(reply.facts for reply in replies),
        "facts_in_prompt": sum(reply.facts_found for reply in replies),
        "wasted_tokens": sum(reply.wasted_tokens for reply in replies),
        "prompt_tokens": _median([reply.prompt_tokens for reply in shown]),
        "reply_tokens": _median([reply.reply_tokens for reply in shown]),
        "first_seconds": _median([reply.first_seconds for reply in shown]),
        "seconds": _median([reply.seconds for reply in shown]),
    }


def _row(name: str, replies: Sequence[ReplyFigures]) -> tuple[str, ...]:
    found = figures(replies)
    counts = (
        "replies", "lines_spoken_for_people", "headers_shown", "empty", "repeated", "written_twice",
        "failed",
    )  # fmt: skip
    return (
        name,
        *(str(found[key]) for key in counts),
        f"{found['facts_in_prompt']} of {found['facts']}",
        f"{found['prompt_tokens']:g}",
        f"{found['reply_tokens']:g}",
        f"{found['first_seconds']:.2f}",
        f"{found['seconds']:.2f}",
    )


def _median(values: Sequence[float]) -> float:
    return round(median(values), 3) if values else 0.0
