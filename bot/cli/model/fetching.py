"""`model fetch`: a model of the hub onto this machine."""

import time
from pathlib import Path

from rich.console import Console

from bot.cli.model.bars import showing_progress
from bot.engine.models.extras import missing_gpu_libraries
from bot.engine.models.hub.listing import in_words
from bot.engine.models.inspection import Inspection, inspect_model
from bot.engine.models.source import ModelSource, SourceKind, bring, identify, locate
from bot.engine.models.suggest.catalogue import named, nearest
from bot.errors import ModelError
from bot.invocation import command, setup


def meant(model: str) -> ModelSource:
    """What a person means by `model`. Raises ModelError, saying how models are named."""
    try:
        return identify(model)
    except ModelError as error:
        if "/" in model or not model.strip():
            raise
        raise ModelError(
            f"There is no model «{model}» here, and no such short name.",
            f"{nearest(model)}{command('model suggest')} lists the short names; any other model "
            "is named as on the Hugging Face hub: owner/name, or owner/name:FILE.",
        ) from error


def fetch(model: str, data_dir: Path, console: Console) -> int:
    """Download it unless it is here, and check what has come. Raises ModelError."""
    source = meant(model)
    if source.hub is None:
        _check(model, data_dir, source)
        return _say(console, f"{source.name} is on this machine already: {source.path}.")
    here = locate(source, data_dir)
    started = time.monotonic()
    if here is None:
        with showing_progress() as report:
            here = bring(source, data_dir, report)
        took = f" It took {time.monotonic() - started:.0f} s."
    else:
        took = ""
    typed = str(here.hub)
    if here.kind is SourceKind.FOLDER and here.path and missing_gpu_libraries():
        size = in_words(sum(file.stat().st_size for file in here.path.glob("*.safetensors")))
        _say(console, f"{typed} is here: {here.path} ({size}).{took}")
        return _say(console, f"To load it, this machine lacks the extra `gpu`: {setup('gpu')}.")
    found = _check(typed, data_dir, here)
    was = "is ready" if took else "is here already"
    _say(console, f"{typed} {was}: {_where(here)} ({in_words(found.bytes)}).{took}")
    short = model if named(model) is not None else typed
    return _say(
        console,
        f"To use it: {command(f'model use {short}')}. To be rid of it, delete {_folder(here)}.",
    )


def _check(model: str, data_dir: Path, source: ModelSource) -> Inspection:
    """What is here, looked over. Raises ModelError where it would not load."""
    found = inspect_model(model, data_dir=data_dir, ask_hub=False)
    if not found.loads:
        rid = f" To be rid of it, delete {_folder(source)}." if source.hub else ""
        raise ModelError(f"{found.name} is here, but it would not load.", found.problems[0] + rid)
    return found


def _where(source: ModelSource) -> str:
    return str(source.path)


def _folder(source: ModelSource) -> str:
    path = source.path or Path()
    return str(path.parent if path.is_file() else path)


def _say(console: Console, text: str) -> int:
    console.print(text, markup=False, soft_wrap=True)
    return 0
