"""What the MODEL setting points to: the embedded model, a folder, a GGUF file or a hub id.

GGUF files are handed to llama.cpp as they are; folders and hub ids are what torch computes.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bot.engine.models import embedded, hub
from bot.engine.models.folder import (
    PICKLE_SUFFIXES,
    WEIGHTS_NAME,
    ModelFolder,
    is_shard,
    read_model_folder,
)
from bot.engine.models.gguf.checks import is_part
from bot.engine.models.progress import Progress
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

    @property
    def gguf(self) -> Path | None:
        """The file that llama.cpp runs; None for what torch computes."""
        return self.path if self.kind in (SourceKind.EMBEDDED, SourceKind.GGUF) else None


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


def fetch(source: ModelSource, *, progress: Progress) -> ModelFolder:
    """A source that torch computes as a checked folder, downloaded where it must be.

    Raises ModelError, also for GGUF files: they are no folders, and are used where they lie.
    """
    if source.gguf is not None:
        raise ModelError(
            f"{source.name} is a GGUF file; this needs a model's folder, with safetensors.",
            "Name the folder of the model from which the GGUF was made.",
        )
    if source.path is not None:
        return read_model_folder(source.path, source.weights)
    return hub.cached_folder(source.name) or read_model_folder(
        hub.download_folder(source.name, progress)
    )


def _folder_source(path: Path) -> ModelSource:
    """A folder of a model, or one around a single GGUF file. Raises ModelError for several."""
    ggufs = sorted(file for file in path.iterdir() if file.suffix.lower() == ".gguf")
    ggufs = [file for file in ggufs if file.is_file()]
    if ggufs and not any(path.glob("*.safetensors")):
        # The part that looks at pictures often lies beside its model.
        models = [file for file in ggufs if not file.name.lower().startswith("mmproj")] or ggufs
        if len(models) > 1 and not all(is_part(file) for file in models):
            raise _several(path, models)
        return ModelSource(SourceKind.GGUF, models[0].stem, models[0])
    return ModelSource(SourceKind.FOLDER, path.resolve().name, path)


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
