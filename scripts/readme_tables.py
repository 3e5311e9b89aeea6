"""Writes what is made from definitions: tables of settings and of rights, and `.env.example`.

``--check`` writes nothing and fails when something is out of date.
"""

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from pydantic.fields import FieldInfo  # noqa: E402

from bot.chat.definitions import DEFINITIONS  # noqa: E402
from bot.settings import ProcessSettings  # noqa: E402
from cogs.rights.kinds import Row  # noqa: E402
from cogs.rights.table import COMMANDS, CONTROLS  # noqa: E402

SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Discord": ("discord_token", "owner_ids"),
    "Where things are": ("data_dir", "database_url", "personas_dir"),
    "The model": (
        "engine",
        "model",
        "prompt_format",
        "context_tokens",
        "max_reply_tokens",
        "thinking_tokens",
        "cpu_threads",
        "kv_cache",
        "guess_ahead",
        "host_kv_cache",
    ),
    "A remote server, for ENGINE=openai": (
        "openai_base_url",
        "openai_api_key",
        "openai_model",
        "openai_first_token_seconds",
        "openai_stall_seconds",
        "tokenizer",
    ),
    "A second engine, for when the first is down or too busy": (
        "fallback_engine",
        "fallback_model",
        "fallback_after_seconds",
    ),
    "Watching it": ("log_level", "log_format", "metrics_port"),
}
COMMENT_COLUMNS = 96


def shown_default(field: FieldInfo) -> str:
    """The default as people write it, "" when there is none."""
    value = field.default
    if value in (None, "", frozenset()):
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def process_table() -> str:
    """The settings of the process, as a Markdown table."""
    rows = ["| setting | default | what it is |", "|---|---|---|"]
    for names in SECTIONS.values():
        for name in names:
            field = ProcessSettings.model_fields[name]
            default = shown_default(field)
            shown = f"`{default}`" if default else ""
            rows.append(f"| `{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(rows)


def channel_table() -> str:
    """The settings of guilds and channels, as a Markdown table."""
    rows = [
        "| key | default | takes | what it does | set in a direct message by |",
        "|---|---|---|---|---|",
    ]
    for definition in DEFINITIONS.values():
        default = definition.default
        shown = f"`{definition.show(default)}`" if default not in ("", []) else ""
        takes = definition.range_text
        if definition.kind == "choice":
            takes = ", ".join(f"`{choice}`" for choice in definition.choices)
        row = (f"`{definition.key}`", shown, takes, definition.help, definition.in_direct.value)
        rows.append(f"| {' | '.join(row)} |")
    return "\n".join(rows)


def rights_table() -> str:
    """Who may use which commands and controls, as a Markdown table."""
    named = {name: _command(name) for name in COMMANDS}
    used: dict[str, tuple[list[str], list[str]]] = {}
    for name, row in COMMANDS.items():
        used.setdefault(_who(row), ([], []))[0].append(named[name])
    for row in CONTROLS.values():
        shown = used.setdefault(_who(row), ([], []))[1]
        shown += [row.shown] if row.shown not in shown else []
    rows = ["| who | commands | buttons and forms |", "|---|---|---|"]
    rows += [f"| {who} | {', '.join(c)} | {'; '.join(b)} |" for who, (c, b) in used.items()]
    return "\n".join(rows)


def _command(name: str) -> str:
    return f"`/{name}`" if name[0].islower() else f"«{name}»"


def _who(row: Row) -> str:
    who = "; and of these, ".join(right.value for right in row.rights)
    return f"{who}: if the bot answers them" if row.writes else who


def env_example() -> str:
    """Every setting with its comment, at its default, commented out but for the token."""
    lines = [
        "# The settings of Caduceus. Copy this file to .env and change what you need; what is",
        "# commented out is at its default. The environment's own variables go before this file.",
    ]
    for title, names in SECTIONS.items():
        lines += ["", f"## {title}"]
        for name in names:
            field = ProcessSettings.model_fields[name]
            lines += ["", *_wrapped((field.description or "").replace("`", ""))]
            prefix = "" if name == "discord_token" else "#"
            lines.append(f"{prefix}{name.upper()}={shown_default(field)}")
    return "\n".join(lines) + "\n"


def _wrapped(text: str) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + len(word) < COMMENT_COLUMNS:
            lines[-1] += f" {word}"
        else:
            lines.append(f"# {word}")
    return lines


def with_tables(readme: str) -> str:
    """The README with its tables made anew, between their markers."""
    for name, table in (("process", process_table()), ("channel", channel_table())):
        readme = with_table(readme, f"{name} settings", table)
    return readme


def with_table(text: str, name: str, table: str) -> str:
    """A text with one table made anew, between its markers."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    pattern = re.compile(re.escape(begin) + r".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"A file has lost its marker «{begin}».")
    return pattern.sub(lambda _match: f"{begin}\n{table}\n{end}", text)


def main() -> int:
    """Write, or check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    stale: list[str] = []
    readme, rights = ROOT / "README.md", ROOT / "docs" / "rights.md"
    wanted = {
        rights: with_table(rights.read_text(encoding="utf-8"), "rights", rights_table()),
        readme: with_tables(readme.read_text(encoding="utf-8")),
        ROOT / ".env.example": env_example(),
    }
    for path, text in wanted.items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(path.name)
        if not check:
            path.write_text(text, encoding="utf-8")
    if check and stale:
        sys.stderr.write(f"Out of date: {', '.join(stale)}. Run `make docs`.\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
