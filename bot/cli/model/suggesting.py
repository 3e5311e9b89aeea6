"""`model suggest`: well-known models, and which of them this machine can run."""

import asyncio
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bot.engine.machine.hardware import Gpu, Machine, look_at_machine
from bot.engine.models.extras import missing_gpu_libraries
from bot.engine.models.hub.store import find
from bot.engine.models.suggest.catalogue import Suggestion, catalogue
from bot.engine.models.suggest.fit import Fit, Place, fit, order, pick
from bot.errors import CaduceusError, ModelError
from bot.invocation import command, setup

GB = 1e9
TOKENS = (2048, 8192)
CONVERSATIONS = (1, 8)
CARDS_SECONDS = 20


def suggest(data_dir: Path, in_use: str, console: Console, *, as_json: bool) -> int:
    """Print the table, the best pick first, and the next command. Returns the exit code."""
    machine = look_at_machine()
    has_gptq = not missing_gpu_libraries()
    cards = _llama_cards(machine) if machine.gpus else ()
    fits = [fit(model, machine, cards, has_gptq=has_gptq) for model in catalogue()]
    if as_json:
        print(json.dumps(_document(machine, fits, data_dir), indent=1))
        return 0
    lines = [*_machine_lines(machine, cards), "", *_table(fits, data_dir, in_use), ""]
    lines += _next(fits, data_dir, in_use)
    console.print("\n".join(lines), markup=False, soft_wrap=True)
    return 0


def _machine_lines(machine: Machine, cards: Sequence[Gpu]) -> list[str]:
    cores = "1 core" if machine.cores == 1 else f"{machine.cores} cores"
    free = f"{machine.memory_free_bytes / GB:.1f} free"
    lines = [f"This machine: {machine.memory_bytes / GB:.1f} GB of memory ({free}), {cores}."]
    for gpu in machine.gpus:
        free = f"{gpu.total_bytes / GB:.1f} GB ({gpu.free_bytes / GB:.1f} free)"
        lines.append(f"Graphics card: {gpu.name}, {free}.")
    if not machine.gpus:
        lines.append("No graphics card was found that can be used.")
    if machine.gpus and not cards:
        lines.append("llama.cpp, as it is installed here, runs GGUF files on the processor alone.")
    return lines


HEAD = "  {:<16} {:<14} {:>5} {:>6} {:>5} {:>6} {:>5}  {}"


def _table(fits: Sequence[Fit], data_dir: Path, in_use: str) -> list[str]:
    """At most 80 columns: two lines for each model."""
    best = pick(fits)
    lines = [
        HEAD.format("", "", "", "2,000", "", "8,000", "", "").rstrip(),
        HEAD.format("name", "runs on", "disk", "one", "8", "one", "8", "licence"),
    ]
    for one in order(fits):
        model = one.model
        numbers = [_gigabytes(model.bytes), *(_gigabytes(need) for need in _needs(model))]
        row = HEAD.format(model.name, _runs(one), *numbers, model.licence)
        lines.append(f"*{row[1:]}" if one is best else row)
        here = " (downloaded)" if _is_here(model, data_dir) else ""
        here = " (MODEL)" if str(model.hub_name) == in_use else here
        lines.append(f"    {model.purpose}{_remark(one)}{here}")
    lines += [
        "",
        "GB on the disk, and of memory for one conversation and for eight at once, of",
        "2,000 and of 8,000 tokens each (a page of text has about 500). The speed is a",
        "guess: fast, fair (about as one reads), slow, crawls.",
    ]
    return lines


def _needs(model: Suggestion) -> list[int | None]:
    return [
        model.memory_bytes(tokens, conversations)
        for tokens in TOKENS
        for conversations in CONVERSATIONS
    ]


def _gigabytes(count: int | None) -> str:
    return "-" if count is None else f"{count / GB:.1f}"


def _runs(one: Fit) -> str:
    places = {Place.GPU: "card", Place.PARTLY: "part card", Place.CPU: "CPU"}
    if not one.fits:
        return "does not fit"
    pace = f" {one.pace}" if one.place is not Place.GPU else ""
    return f"{places[one.place]}{pace}"


def _remark(one: Fit) -> str:
    if one.is_tight:
        return "; fits only when other programs are closed"
    if one.why_not == "needs the extra gpu":
        return f"; needs {setup('gpu')} first"
    if not one.fits and one.why_not:
        return "; needs an NVIDIA card"
    if not one.fits:
        return f"; {one.lacking_bytes / GB:.1f} GB of memory are lacking"
    return ""


def _is_here(model: Suggestion, data_dir: Path) -> bool:
    try:
        return find(data_dir, model.hub_name) is not None
    except ModelError:
        return False


def _next(fits: Sequence[Fit], data_dir: Path, in_use: str) -> list[str]:
    best = pick(fits)
    if best is None:
        return [
            "None of them fits here. The embedded model runs on any machine, and a server that",
            "speaks OpenAI's protocol takes the place of a model here (ENGINE=openai).",
        ]
    model = best.model
    if in_use == str(model.hub_name):
        return [f"{model.title} suits this machine, and MODEL names it already."]
    lines = [f"{model.title} suits this machine (*). Next:"]
    if not _is_here(model, data_dir):
        lines.append(f"  {command(f'model fetch {model.name}').strip('`')}")
    lines.append(f"  {command(f'model use {model.name}').strip('`')}")
    folder = data_dir.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if not _is_here(model, data_dir) and free < model.bytes:
        lines.append(
            f"Make room first: it has {model.bytes / GB:.1f} GB, and {data_dir} has "
            f"{free / GB:.1f} GB free."
        )
    return lines


def _document(machine: Machine, fits: Sequence[Fit], data_dir: Path) -> dict[str, object]:
    best = pick(fits)
    return {
        "machine": {
            "memory_bytes": machine.memory_bytes,
            "memory_free_bytes": machine.memory_free_bytes,
            "cores": machine.cores,
            "gpus": [
                {"name": g.name, "total_bytes": g.total_bytes, "free_bytes": g.free_bytes}
                for g in machine.gpus
            ],
        },
        "best": best.model.name if best else None,
        "models": [
            {
                "name": one.model.name,
                "hub": str(one.model.hub_name),
                "licence": one.model.licence,
                "purpose": one.model.purpose,
                "bytes": one.model.bytes,
                "context_tokens": one.model.context,
                "fits": one.fits,
                "place": one.place,
                "pace": one.pace,
                "needs": one.why_not,
                "downloaded": _is_here(one.model, data_dir),
                "memory": [
                    {"context_tokens": tokens, "conversations": count, "bytes": need}
                    for tokens in TOKENS
                    for count in CONVERSATIONS
                    for need in [one.model.memory_bytes(tokens, count)]
                ],
                "sources": {
                    "licence": one.model.licence_source,
                    "size": one.model.size_source,
                    "shape": one.model.shape_source,
                },
            }
            for one in order(fits)
        ],
    }


def _llama_cards(machine: Machine) -> tuple[Gpu, ...]:
    """The cards that llama.cpp, as it is installed here, can use: its own process tells."""
    from bot.engine.llamacpp.process import LlamaProcess

    shared = all(gpu.shares_memory for gpu in machine.gpus)

    async def ask() -> tuple[Gpu, ...]:
        process = LlamaProcess()
        try:
            async with asyncio.timeout(CARDS_SECONDS):
                abilities = await process.start()
        finally:
            process.kill()
        return tuple(
            Gpu(card.name, card.free_bytes, card.free_bytes, shared) for card in abilities.cards
        )

    try:
        return asyncio.run(ask())
    except (CaduceusError, TimeoutError, OSError):
        return ()
