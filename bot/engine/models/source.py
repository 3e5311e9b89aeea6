"""What the MODEL setting points to: the embedded model, a folder, a GGUF file or a hub id."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bot.engine.models import embedded, gguf_cache, hub
from bot.engine.models.extras import OR_GGUF, missing_gpu_libraries, require_gpu_libraries
from bot.engine.models.folder import (
    PICKLE_SUFFIXES,
    WEIGHTS_NAME,
    ModelFolder,
    is_shard,
    read_model_folder,
)
from bot.engine.models.progress import Progress
from bot.errors import ModelError

DEMO = "demo"


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


def identify(model: str) -> ModelSource:
    """What `model` means. Looks at names only. Raises ModelError when it can mean nothing."""
    model = model.strip()
    if model == DEMO:
        return ModelSource(SourceKind.EMBEDDED, embedded.NAME, embedded.find_embedded().path)
    if not model or "\0" in model:
        raise ModelError(
            "MODEL is empty.", "Set it to `demo`, a model's folder, or a Hugging Face id."
        )
    path = Path(model).expanduser()
    if path.is_dir():
        return _folder_source(path)
    if path.is_file():
        return _file_source(path)
    if hub.is_hub_id(model) and path.suffix.lower() not in (".gguf", ".safetensors"):
        return ModelSource(SourceKind.HUB, model, None)
    raise ModelError(
        f"There is no model folder {path}.",
        "Set MODEL to a folder that is there, to `demo`, or to a Hugging Face id (owner/name).",
    )


def fetch(source: ModelSource, *, data_dir: Path, progress: Progress) -> ModelFolder:
    """The source as a checked folder, converted or downloaded where it must be.

    Raises ModelError.
    """
    require_libraries(source)
    if source.kind is SourceKind.EMBEDDED:
        return gguf_cache.embedded_folder(data_dir, progress)
    if source.kind is SourceKind.GGUF and source.path is not None:
        return gguf_cache.gguf_folder(source.path, data_dir, progress)
    if source.path is not None:
        return read_model_folder(source.path, source.weights)
    return hub.cached_folder(source.name) or read_model_folder(
        hub.download_folder(source.name, progress)
    )


def require_libraries(source: ModelSource) -> None:
    """Raise ModelError where this machine lacks what a model of that kind is loaded with.

    What is wrong with the model itself is told first, as far as it can be seen without them.
    """
    if source.kind not in (SourceKind.FOLDER, SourceKind.HUB) or not missing_gpu_libraries():
        return
    if source.path is not None:
        read_model_folder(source.path, source.weights)
    elif Path(source.name).parent.is_dir():  # somebody's folder of models: a slip of the pen
        raise ModelError(*hub.not_here(source.name))
    require_gpu_libraries(f"{source.name}, a model of safetensors files,", OR_GGUF)


def _folder_source(path: Path) -> ModelSource:
    """A folder of a model, or one around a single GGUF file."""
    ggufs = [file for file in path.glob("*.gguf") if file.is_file()]
    if len(ggufs) == 1 and not any(path.glob("*.safetensors")):
        return ModelSource(SourceKind.GGUF, ggufs[0].stem, ggufs[0])
    return ModelSource(SourceKind.FOLDER, path.resolve().name, path)


def _file_source(path: Path) -> ModelSource:
    suffix = path.suffix.lower()
    if suffix == ".gguf":
        return ModelSource(SourceKind.GGUF, path.stem, path)
    if suffix == ".safetensors":
        folder = path.parent.resolve()
        is_whole = path.name == WEIGHTS_NAME or is_shard(path)
        name = folder.name if is_whole else f"{folder.name}/{path.stem}"
        return ModelSource(SourceKind.FOLDER, name, path.parent, path)
    if path.name.endswith(PICKLE_SUFFIXES):
        raise ModelError(
            f"{path} is a pickle; pickles can run code and are never read.",
            "Get the model as safetensors or GGUF.",
        )
    raise ModelError(
        f"{path} is not a model.", "Only folders of safetensors and .gguf files are read."
    )
