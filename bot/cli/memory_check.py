"""What `doctor` and `model inspect` say of the memory that a model takes here, and what is free."""

from pathlib import Path
from typing import Protocol

from bot.cli.findings import Finding, Grade, from_error
from bot.engine.llamacpp.plan import KvCache, make_plan
from bot.engine.machine.hardware import Machine, look_at_machine
from bot.engine.machine.spare import host_cache_bytes
from bot.engine.machine.threads import choose_threads
from bot.engine.models.gguf.file import read_gguf_header
from bot.engine.models.inspection import Inspection
from bot.errors import ModelError
from bot.settings import DEMO_MODEL

GB = 1e9


class MemorySettings(Protocol):
    """What decides on a model's memory, of the process's settings."""

    @property
    def model(self) -> str:
        """MODEL."""
        ...

    @property
    def context_tokens(self) -> int:
        """The context that is wanted; 0: by what is free."""
        ...

    @property
    def cpu_threads(self) -> int:
        """0: by the machine."""
        ...

    @property
    def kv_cache(self) -> KvCache:
        """How exactly conversations are kept."""
        ...


class CardSettings(MemorySettings, Protocol):
    """With what a card has no room for."""

    @property
    def host_kv_bytes(self) -> int | None:
        """How much of the machine's memory takes it; None: by what is free."""
        ...


def check_files_memory(
    settings: CardSettings, seen: Inspection, machine: Machine | None = None
) -> list[Finding]:
    """Of a model that was looked over; nothing of one that is not on this machine. Blocks."""
    if not seen.path:
        return []
    if seen.is_gguf:
        return check_memory(settings, Path(seen.path), machine, model=seen.model)
    machine = machine or look_at_machine()
    return [check_weights(seen.bytes, machine), *check_host_memory(settings, machine)]


def check_host_memory(settings: CardSettings, machine: Machine) -> list[Finding]:
    """What is set aside for talks that the card has no room for; nothing without a card."""
    if not any(not gpu.shares_memory for gpu in machine.gpus):
        return []
    asked, free = settings.host_kv_bytes, machine.memory_free_bytes
    taken = host_cache_bytes(asked, free)
    text = f"{taken / GB:.1f} GB of the machine's memory for talks that the card has no room for"
    if asked is not None and taken < asked:
        fix = f"Set HOST_KV_CACHE to {taken / GB:.0f} or less, or to auto."
        return [Finding(Grade.WARN, "memory", f"{text}, not {asked / GB:.1f}: too little.", fix)]
    if not taken:
        text = "none of the machine's memory for talks that the card has no room for"
    return [Finding(Grade.OK, "memory", f"{text} (HOST_KV_CACHE).")]


def check_weights(weight_bytes: int, machine: Machine | None = None) -> Finding:
    """A folder's weights, beside the freest card or the memory; what talks take comes on top."""
    machine = machine or look_at_machine()
    card = max(machine.gpus, key=lambda gpu: gpu.free_bytes, default=None)
    free = card.free_bytes if card else machine.memory_free_bytes
    where = f"on {card.name}" if card else "of this machine's memory"
    text = (
        f"{weight_bytes / GB:.1f} GB for its weights, and more for conversations; "
        f"{free / GB:.1f} GB are free {where}."
    )
    if weight_bytes <= free:
        return Finding(Grade.OK, "memory", text)
    fix = "Close other programs, or take a smaller model. (If the bot runs already, it may fit.)"
    return Finding(Grade.WARN, "memory", text, fix)


def check_memory(
    settings: MemorySettings, path: Path, machine: Machine | None = None, *, model: str = ""
) -> list[Finding]:
    """How much of its context a file would get now, without a card; blocks while it is read.

    `model` is how the file was asked for, where it is not by MODEL.
    """
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
            is_frugal=(model or settings.model) == DEMO_MODEL,
        )
    except ModelError as error:
        found = from_error("memory", error)
        fix = f"{found.fix} (If the bot runs already, or has a graphics card, it may fit.)"
        return [Finding(Grade.WARN, "memory", found.text, fix)]
    text = (
        f"{plan.need.total / GB:.1f} GB of the {machine.memory_free_bytes / GB:.1f} GB that are "
        f"free, for a context of {plan.context_tokens:,} tokens and room for "
        f"{plan.pool_tokens:,} in all conversations ({plan.cache_bits}bit, KV_CACHE)."
    )
    if asked <= plan.context_tokens:
        return [Finding(Grade.OK, "memory", text)]
    why = f"CONTEXT_TOKENS is {asked:,}, but the model was made for {header.context_tokens:,}."
    return [Finding(Grade.WARN, "memory", f"{text} {why}", "Set it lower, or to 0.")]
