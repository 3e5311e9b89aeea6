"""Says what a model holds and whether it would load, by the checks of loading itself."""

from dataclasses import dataclass
from pathlib import Path

from bot.engine.models.architectures import check_runs, why_not_fast
from bot.engine.models.embedded import CREDIT
from bot.engine.models.folders.config import context_length
from bot.engine.models.folders.folder import ModelFolder, read_model_folder
from bot.engine.models.folders.templates import read_template
from bot.engine.models.gguf.file import read_gguf_header
from bot.engine.models.hub.fetching import ask_for
from bot.engine.models.source import (
    ModelSource,
    SourceKind,
    identify,
    locate,
    require_libraries,
)
from bot.errors import ModelError
from bot.invocation import command


@dataclass(frozen=True, slots=True)
class Inspection:
    """What is known of a model without loading it. Unknown texts are empty, unknown numbers 0."""

    model: str  # as it was asked for
    name: str
    kind: str  # "the embedded model", "folder", "GGUF file", "Hugging Face model"
    path: str = ""
    architecture: str = ""
    weights: str = ""  # "float32", "GPTQ 4 bits, group 128" ...
    parameters: int = 0
    bytes: int = 0
    context_tokens: int = 0
    license: str = ""
    memory: tuple[tuple[int, int], ...] = ()  # (tokens of one conversation, bytes it takes in all)
    chat_template: str | None = None
    bos_token: str = ""
    eos_token: str = ""
    is_known: bool = True  # False: it is not on this machine, and nobody was asked
    notes: tuple[str, ...] = ()  # what will happen at loading
    problems: tuple[str, ...] = ()  # why it would not load, and what to do

    @property
    def has_chat_template(self) -> bool:
        """Whether the model says how it wants to be written to."""
        return self.chat_template is not None

    @property
    def is_gguf(self) -> bool:
        """Whether llama.cpp is what runs it."""
        return self.kind in (_KINDS[SourceKind.GGUF], _KINDS[SourceKind.EMBEDDED])

    @property
    def loads(self) -> bool:
        """Whether nothing is in the way."""
        return not self.problems


MEMORY_LENGTHS = (2048, 8192)  # tokens of context for which a model's memory is told
_KINDS = {
    SourceKind.EMBEDDED: "the embedded model",
    SourceKind.FOLDER: "folder",
    SourceKind.GGUF: "GGUF file",
    SourceKind.HUB: "Hugging Face model",
}


def inspect_model(model: str, *, data_dir: Path, ask_hub: bool = True) -> Inspection:
    """Look a model over. Problems are part of the answer, never raised. Downloads nothing.

    `ask_hub`: whether the hub may be asked about a model that is not on this machine.
    """
    try:
        source = identify(model)
    except ModelError as error:
        return Inspection(model, name=model, kind="unknown", problems=(str(error),))
    try:
        return _inspect(model, source, data_dir, ask_hub=ask_hub)
    except ModelError as error:
        return Inspection(
            model,
            name=source.name,
            kind=_KINDS[source.kind],
            path=str(source.path or ""),
            problems=(str(error),),
        )


def _inspect(model: str, source: ModelSource, data_dir: Path, *, ask_hub: bool) -> Inspection:
    if source.hub is not None and source.path is None:
        placed = locate(source, data_dir)
        if placed is not None:
            return _inspect(model, placed, data_dir, ask_hub=ask_hub)
    require_libraries(source)
    if source.hub is not None and source.path is None:
        if ask_hub:
            return _inspect_elsewhere(model, source)
        # In somebody's folder of models: a slip of the pen.
        if "/" in model and Path(model).parent.is_dir():
            raise ModelError(
                f"There is no folder «{source.name}», and no model of that name was downloaded.",
                f"Check MODEL's spelling; {command('model fetch')} asks Hugging Face for it.",
            )
        return Inspection(model, source.name, _KINDS[source.kind], is_known=False)
    if source.path is None:
        raise ModelError(f"{source.name} has no place.")
    if source.kind is SourceKind.FOLDER:
        folder = read_model_folder(source.path, source.weights)
        return _inspect_folder(model, source, folder)
    return _inspect_gguf(model, source, source.path)


def _inspect_elsewhere(model: str, source: ModelSource) -> Inspection:
    """What the hub says of a model that is not here."""
    if source.hub is None:
        raise AssertionError("only a model of the hub is elsewhere")
    try:
        choice = ask_for(source.hub)
    except ModelError as error:
        raise ModelError(
            f"There is no folder «{source.name}». {error.message}", error.fix
        ) from error
    size = f" ({choice.bytes / 1e9:.1f} GB)" if choice.bytes else ""
    note = f"It is not on this machine: it will be downloaded when it is first used{size}."
    return Inspection(model, str(choice.name), _KINDS[source.kind], notes=(note,))


def _inspect_folder(model: str, source: ModelSource, folder: ModelFolder) -> Inspection:
    notes: list[str] = []
    if folder.needs_staging:
        notes.append(
            "AutoGPTQ's old layout: it will be laid out anew with links under DATA_DIR/staging."
        )
    if folder.gptq and folder.gptq.without_g_idx:
        notes.append("g_idx is missing or empty and will be filled in from the group size.")
    if "auto_map" in folder.config:
        notes.append("It brings code of its own (`auto_map`), which is never run.")
    problems: tuple[str, ...] = ()
    not_fast = why_not_fast(folder.config, folder.gptq)
    try:
        check_runs(folder)
    except ModelError as error:
        problems = (str(error),)
    else:
        if not_fast:
            notes.append(f"On a GPU it runs slower: the fast kernels do not take {not_fast}.")
    template, bos, eos = read_template(folder.path)
    dtypes = {tensor.dtype for tensor in folder.tensors.values()}
    return Inspection(
        model,
        name=source.name,
        kind=_KINDS[source.kind],
        path=str(folder.path),
        architecture=str(folder.config.get("model_type", "")),
        weights=folder.gptq.words if folder.gptq else ", ".join(sorted(dtypes)),
        parameters=folder.parameters,
        bytes=folder.bytes,
        context_tokens=context_length(folder.config),
        chat_template=template,
        bos_token=bos,
        eos_token=eos,
        notes=tuple(notes),
        problems=problems,
    )


def _inspect_gguf(model: str, source: ModelSource, path: Path) -> Inspection:
    header = read_gguf_header(path)
    lengths = sorted({min(length, header.context_tokens) for length in MEMORY_LENGTHS})
    credit = (f"{source.name}, {CREDIT}.",) if source.kind is SourceKind.EMBEDDED else ()
    return Inspection(
        model,
        name=source.name,
        kind=_KINDS[source.kind],
        path=str(path),
        architecture=header.architecture,
        weights=f"GGUF {header.quantization}".strip(),
        parameters=header.parameters,
        bytes=header.bytes,
        context_tokens=header.context_tokens,
        license=header.license,
        memory=tuple((length, header.memory(length, 1).total) for length in lengths),
        chat_template=header.chat_template,
        bos_token=header.bos_token,
        eos_token=header.eos_token,
        notes=(*credit, "It is run by llama.cpp."),
    )
