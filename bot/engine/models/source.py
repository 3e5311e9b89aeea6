"""What the MODEL setting points to: the embedded model, a folder, a GGUF file or a hub id.

GGUF files are handed to llama.cpp as they are; folders are what torch computes.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from bot.engine.models import embedded
from bot.engine.models.extras import OR_GGUF, missing_gpu_libraries, require_gpu_libraries
from bot.engine.models.folders.folder import (
    PICKLE_SUFFIXES,
    WEIGHTS_NAME,
    ModelFolder,
    is_shard,
    read_model_folder,
)
from bot.engine.models.gguf.checks import is_part
from bot.engine.models.gguf.file import is_gguf_inside
from bot.engine.models.hub.fetching import fetch_model
from bot.engine.models.hub.names import HubName, parse_name
from bot.engine.models.hub.store import Found, find
from bot.engine.models.progress import Progress
from bot.engine.models.suggest.catalogue import named, nearest
from bot.errors import ModelError

DEMO = "demo"
_SHOWN_NAMES = 4  # of several files, in an error


class SourceKind(StrEnum):
    """Where a model comes from."""

    EMBEDDED = "embedded"
    FOLDER = "folder"
    GGUF = "gguf"
    HUB = "hub"


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model that can be looked at and loaded. `path` is None for a hub id."""

    kind: SourceKind
    name: str  # for people
    path: Path | None
    weights: Path | None = None  # the one file of a folder that was named
    hub: HubName | None = None  # what it is called on the hub, for what comes from there

    @property
    def gguf(self) -> Path | None:
        """The file that llama.cpp runs; None for what torch computes, and what is not here."""
        return self.path if self.kind in (SourceKind.EMBEDDED, SourceKind.GGUF) else None


def identify(model: str) -> ModelSource:
    """What `model` means. Raises ModelError when it can mean nothing.

    Looks at names only, and at the first bytes of a file whose name tells nothing.
    """
    model = model.strip()
    if model == DEMO:
        return ModelSource(SourceKind.EMBEDDED, embedded.NAME, embedded.find_embedded().path)
    if not model or "\0" in model:
        raise ModelError(
            "MODEL is empty.", "Set it to `demo`, a model's folder, or a Hugging Face id."
        )
    path = _expanded(model)
    try:
        if path.is_dir():
            return _folder_source(path)
        if path.is_file():
            return _file_source(path)
        is_there = path.exists()
    except OSError as error:  # a folder on the way that is not for us, or a name too long for any
        raise ModelError(
            f"{_shown(str(path))} cannot be looked at: {error.strerror or error}.",
            "Name a model that this user may read, and whose name is right.",
        ) from error
    if is_there:
        raise ModelError(
            f"{_shown(str(path))} is neither a file nor a folder.",
            "Set MODEL to a model's folder or GGUF file.",
        )
    suggested = named(model)
    on_hub = parse_name(model) if suggested is None else suggested.hub_name
    is_file = path.suffix.lower() in (".gguf", ".safetensors")
    if on_hub and (on_hub.file or not is_file):
        return ModelSource(SourceKind.HUB, str(on_hub), None, hub=on_hub)
    raise ModelError(
        f"There is no {'file' if is_file else 'model folder'} {_shown(str(path))}.",
        f"{'' if '/' in model else nearest(model)}"
        f"Set MODEL to a {'file' if is_file else 'folder'} that is there, to `demo`, or to a "
        "Hugging Face id (owner/name).",
    )


def _expanded(model: str) -> Path:
    """A path with its `~` written out. Raises ModelError for a user who is not there."""
    try:
        return Path(model).expanduser()
    except RuntimeError as error:
        raise ModelError(
            f"{_shown(model)} lies with a user who is not known here.", "Write the path in full."
        ) from error


def fetch(source: ModelSource, *, data_dir: Path, progress: Progress) -> ModelFolder:
    """A source that torch computes as a checked folder, downloaded where it must be.

    Raises ModelError, also for GGUF files: they are no folders, and are used where they lie.
    """
    require_libraries(source)
    if source.gguf is not None:
        raise ModelError(
            f"{source.name} is a GGUF file; this needs a model's folder, with safetensors.",
            "Name the folder of the model from which the GGUF was made.",
        )
    if source.hub is not None and source.path is None:
        return fetch(bring(source, data_dir, progress), data_dir=data_dir, progress=progress)
    if source.path is None:
        raise ModelError(f"{source.name} has no place.")
    return read_model_folder(source.path, source.weights)


def locate(source: ModelSource, data_dir: Path) -> ModelSource | None:
    """A source with the place where it lies; None for a model of the hub that is not here.

    Raises ModelError where several files of it are here, and none is named.
    """
    if source.path is not None or source.hub is None:
        return source
    found = find(data_dir, source.hub)
    return None if found is None else _placed(source, found)


def bring(source: ModelSource, data_dir: Path, progress: Progress) -> ModelSource:
    """A source with the place where it lies; a model of the hub is downloaded where it must be.

    Blocks. Raises ModelError.
    """
    if source.path is not None or source.hub is None:
        return source
    return _placed(source, fetch_model(source.hub, data_dir, progress))


def _placed(source: ModelSource, found: Found) -> ModelSource:
    kind = SourceKind.GGUF if found.is_gguf else SourceKind.FOLDER
    return replace(source, kind=kind, path=found.path, hub=found.name)


def require_libraries(source: ModelSource) -> None:
    """Raise ModelError where this machine lacks what a model of that kind is loaded with.

    What is wrong with the model itself is told first, as far as it can be seen without them.
    """
    # Of a model of the hub it is known once it lies here: it may be a GGUF file.
    if source.kind is not SourceKind.FOLDER or not missing_gpu_libraries():
        return
    if source.path is not None:
        read_model_folder(source.path, source.weights)
    require_gpu_libraries(f"{source.name}, a model of safetensors files,", OR_GGUF)


def _folder_source(path: Path) -> ModelSource:
    """A folder of a model, or one around a single GGUF file. Raises ModelError for several."""
    ggufs = sorted(file for file in path.iterdir() if file.suffix.lower() == ".gguf")
    ggufs = [file for file in ggufs if file.is_file()]
    if ggufs and not any(path.glob("*.safetensors")):
        # The part that looks at pictures often lies beside its model.
        models = [file for file in ggufs if not file.name.lower().startswith("mmproj")] or ggufs
        if len(models) > 1 and not all(is_part(file) for file in models):
            raise _several(path, models)
        return ModelSource(SourceKind.GGUF, _shown(models[0].stem), models[0])
    return ModelSource(SourceKind.FOLDER, _shown(path.resolve().name), path)


def _shown(name: str) -> str:
    """A file's name as a model's: what a terminal or a page would take otherwise is left out."""
    return "".join(c if c.isprintable() else "?" for c in name)


def _several(path: Path, files: list[Path]) -> ModelError:
    names = ", ".join(file.name for file in files[:_SHOWN_NAMES])
    more = f" and {len(files) - _SHOWN_NAMES} more" if len(files) > _SHOWN_NAMES else ""
    return ModelError(
        f"{path} holds several GGUF files: {names}{more}.",
        f"Set MODEL to one of them, as {files[0]}.",
    )


def _file_source(path: Path) -> ModelSource:
    suffix = path.suffix.lower()
    if suffix == ".gguf":
        return ModelSource(SourceKind.GGUF, _shown(path.stem), path)
    if suffix == ".safetensors":
        folder = path.parent.resolve()
        is_whole = path.name == WEIGHTS_NAME or is_shard(path)
        name = folder.name if is_whole else f"{folder.name}/{path.stem}"
        return ModelSource(SourceKind.FOLDER, name, path.parent, path)
    if is_gguf_inside(path):  # renamed, or one of Ollama's, which have no names
        return ModelSource(SourceKind.GGUF, _shown(path.name), path)
    if path.name.endswith(PICKLE_SUFFIXES):
        raise ModelError(
            f"{path} is a pickle; pickles can run code and are never read.",
            "Get the model as safetensors or GGUF.",
        )
    raise ModelError(
        f"{path} is not a model.", "Only folders of safetensors and .gguf files are read."
    )
