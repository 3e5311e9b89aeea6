"""`model use`: which model the next start loads."""

import os
from pathlib import Path

from rich.console import Console

from bot.cli.model.env_file import write_setting
from bot.cli.model.fetching import meant
from bot.engine.machine.hardware import Machine, look_at_machine
from bot.engine.models.gguf.file import read_gguf_header
from bot.engine.models.inspection import inspect_model
from bot.engine.models.source import (
    DEMO,
    ModelSource,
    SourceKind,
    locate,
    require_libraries,
)
from bot.engine.models.suggest.fit import KEPT_FREE_BYTES, LONG_TALK_TOKENS
from bot.errors import ModelError
from bot.invocation import command

ENV_FILE = Path(".env")
GB = 1e9


def use(model: str, data_dir: Path, console: Console, *, is_local: bool) -> int:
    """Write MODEL into `.env`, and say what comes of it. Raises ModelError and SettingsError."""
    source = locate(meant(model), data_dir)
    if source is None:
        fetching = command(f"model fetch {model}")
        raise ModelError(f"{model} is not on this machine.", f"Download it first: {fetching}.")
    require_libraries(source)
    value = DEMO if source.kind is SourceKind.EMBEDDED else str(source.hub or model)
    found = inspect_model(value, data_dir=data_dir, ask_hub=False)
    if not found.loads:
        raise ModelError(f"{found.name} would not load. {found.problems[0]}")
    is_new = write_setting(ENV_FILE, "MODEL", value)
    made = ", which was made from .env.example" if is_new else ""
    lines = [f"MODEL={value} is in {ENV_FILE}{made}."]
    if source.kind is SourceKind.EMBEDDED:
        lines.append(
            f"The next start loads the embedded model, a toy for trying out: "
            f"{command('model suggest')} lists better ones."
        )
    else:
        lines.append(f"The next start loads it: {_runner(source)}. See {command('doctor')}.")
    lines += _warnings(source, value, is_local=is_local)
    console.print("\n".join(lines), markup=False, soft_wrap=True)
    return 0


def _runner(source: ModelSource) -> str:
    if source.kind is SourceKind.GGUF:
        return "a GGUF file, by llama.cpp"
    return "a folder of safetensors, by torch"


def _warnings(source: ModelSource, value: str, *, is_local: bool) -> list[str]:
    lines: list[str] = []
    named = os.environ.get("MODEL")
    if named and named != value:
        lines.append("Careful: MODEL is set in the environment too, and that goes before .env.")
    if not is_local:
        lines.append("Careful: ENGINE is not `local`, so MODEL is not used. Set ENGINE=local.")
    if source.kind is SourceKind.GGUF and source.path is not None:
        lines += [f"Careful: {line}" for line in memory_warning(source.path, look_at_machine())]
    return lines


def memory_warning(path: Path, machine: Machine) -> list[str]:
    """Where one conversation would not go into what is free now: that, and what to do."""
    header = read_gguf_header(path)
    tokens = min(header.context_tokens or LONG_TALK_TOKENS, LONG_TALK_TOKENS)
    need = header.memory(tokens, 1).total
    free = max(machine.memory_free_bytes - KEPT_FREE_BYTES, machine.gpu_free_bytes)
    if need <= free:
        return []
    needs = f"{need / GB:.1f} GB for one conversation of {tokens:,} tokens"
    return [
        f"it needs {needs}, and {machine.memory_free_bytes / GB:.1f} GB are free now.",
        f"Close other programs, or take a smaller one ({command('model suggest')}).",
    ]
