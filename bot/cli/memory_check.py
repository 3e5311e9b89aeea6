"""What `doctor` says of the memory that a GGUF file takes here: the plan of its next start."""

from pathlib import Path

from bot.cli.findings import Finding, Grade, from_error
from bot.engine.llamacpp.plan import make_plan
from bot.engine.models.gguf_file import read_gguf_header
from bot.engine.models.machine import Machine, look_at_machine
from bot.engine.models.threads import choose_threads
from bot.errors import ModelError
from bot.settings import DEMO_MODEL, ProcessSettings


def check_memory(
    settings: ProcessSettings, path: Path, machine: Machine | None = None
) -> list[Finding]:
    """How much of its context a file would get now, without a card; blocks while it is read."""
    machine = machine or look_at_machine()
    asked = settings.context_tokens
    try:
        header = read_gguf_header(path)
        plan = make_plan(
            header,
            free_bytes=machine.memory_free_bytes,
            threads=choose_threads(settings.cpu_threads),
            context_tokens=asked,
            kv_cache=settings.kv_cache,
            is_frugal=settings.model == DEMO_MODEL,
        )
    except ModelError as error:
        found = from_error("memory", error)
        fix = f"{found.fix} (If the bot runs already, or has a graphics card, it may fit.)"
        return [Finding(Grade.WARN, "memory", found.text, fix)]
    text = (
        f"{plan.need.total / 1e9:.1f} GB, for a context of {plan.context_tokens:,} tokens and room "
        f"for {plan.pool_tokens:,} in all conversations ({plan.cache_bits}bit, KV_CACHE)."
    )
    if asked <= plan.context_tokens:
        return [Finding(Grade.OK, "memory", text)]
    why = f"CONTEXT_TOKENS is {asked:,}, but the model was made for {header.context_tokens:,}."
    return [Finding(Grade.WARN, "memory", f"{text} {why}", "Set it lower, or to 0.")]
