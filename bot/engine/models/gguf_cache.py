"""GGUF files, converted once to a folder of safetensors that loads several times faster.

A conversion appears under its final name only when it is whole, and is checked when it is used:
a damaged one is made again.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (an edge to a library that is only partly typed)

import hashlib
import shutil
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bot.engine.models.architectures import check_portable
from bot.engine.models.embedded import NAME, find_embedded
from bot.engine.models.folder import WEIGHTS_NAME, ModelFolder, read_model_folder
from bot.engine.models.gguf_file import GgufHeader, read_gguf_header
from bot.engine.models.making_folder import making_folder
from bot.engine.models.progress import Progress
from bot.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

_VERSION = 2  # of what is written here; an older conversion is made again


def embedded_folder(data_dir: Path, progress: Progress) -> ModelFolder:
    """The embedded model as a folder under `data_dir`/models, converted if it is not there yet."""
    embedded = find_embedded()
    target = _embedded_target(data_dir)
    kept = _kept(target)
    if kept is None:
        progress(f"Preparing the embedded model {NAME}, once: checking it", 0.0)
        embedded.check_hash()
        _convert(embedded.path, target, f"Preparing the embedded model {NAME}, once", progress)
        kept = read_model_folder(target)
    return kept


def gguf_folder(path: Path, data_dir: Path, progress: Progress) -> ModelFolder:
    """A GGUF file as a folder under `data_dir`/models, converted if it is not there yet."""
    status = path.stat()
    known_by = f"{path.resolve()}\n{status.st_size}\n{status.st_mtime_ns}\n{_VERSION}"
    fingerprint = hashlib.sha256(known_by.encode()).hexdigest()[:16]
    target = data_dir / "models" / f"{path.stem[:60]}-{fingerprint}"
    kept = _kept(target)
    if kept is None:
        _convert(path, target, f"Converting {path.name}, once", progress)
        kept = read_model_folder(target)
    return kept


def converted_embedded(data_dir: Path) -> ModelFolder | None:
    """The embedded model's folder when it is ready for a quick start, else None."""
    return _read_kept(_embedded_target(data_dir))


def _embedded_target(data_dir: Path) -> Path:
    return data_dir / "models" / f"demo-{find_embedded().sha256[:12]}-{_VERSION}"


def _read_kept(target: Path) -> ModelFolder | None:
    try:
        return read_model_folder(target)
    except ModelError:
        return None


def _kept(target: Path) -> ModelFolder | None:
    """What was converted before, or None, with whatever is unusable taken away."""
    folder = _read_kept(target)
    if folder is None:
        shutil.rmtree(target, ignore_errors=True)
    return folder


def _convert(path: Path, target: Path, what: str, progress: Progress) -> None:
    header = read_gguf_header(path)
    check_portable(path, header.config)
    with making_folder(target) as making:  # first of all: is there a place to write to?
        progress(f"{what}: reading its vocabulary", 0.05)
        try:
            model, tokenizer = _read(path, what, progress)
        except (ValueError, KeyError, RuntimeError, OSError, NotImplementedError) as error:
            raise ModelError(
                f"{path} cannot be read ({header.architecture}): {str(error)[:300]}",
                "Use a GGUF of a Llama-like model, or the model as safetensors.",
            ) from error
        _set_beginning(tokenizer, header)
        progress(f"{what}: writing it down", 0.8)
        _write(model, tokenizer, making)
    progress(f"{what}: done", 1.0)


def _read(path: Path, what: str, progress: Progress) -> "tuple[PreTrainedModel, Any]":
    # Imported late: looking at models must stay quick, and the libraries must be silenced first.
    from bot.engine.models.quiet import silence_libraries

    silence_libraries()
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    place, file = str(path.parent), path.name
    tokenizer = AutoTokenizer.from_pretrained(place, gguf_file=file, trust_remote_code=False)
    unpacking = f"{what}: unpacking its weights"
    progress(unpacking, 0.3)
    with _unpacking_reported(unpacking, progress):
        model = AutoModelForCausalLM.from_pretrained(
            place,
            gguf_file=file,
            dtype=torch.float32,
            # Without this, transformers looks for a kernel to download.
            quantization_config=GgufConfig(dequantize=True),
            trust_remote_code=False,
        )
    return cast("PreTrainedModel", model), tokenizer


def _set_beginning(tokenizer: Any, header: GgufHeader) -> None:
    """Have texts begin with the beginning of sequence, where llama.cpp would put it.

    transformers goes by the file's flag alone, which the first files of Llama 3 do not have (nor a
    word on the kind of their vocabulary).
    """
    if header.adds_bos and tokenizer.bos_token_id is not None:
        tokenizer.add_bos_token = True


def _write(model: "PreTrainedModel", tokenizer: Any, folder: Path) -> None:
    """`save_pretrained` refuses a model that came from GGUF; its weights are plain ones by now."""
    from safetensors.torch import save_file

    save_file(_without_tied(model), folder / WEIGHTS_NAME, metadata={"format": "pt"})
    model.config.__dict__.pop("quantization_config", None)
    model.config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _without_tied(model: "PreTrainedModel") -> "dict[str, Tensor]":
    """Its weights; of several names for the same tensor the first."""
    seen: set[int] = set()
    weights: dict[str, Tensor] = {}
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() not in seen:
            seen.add(tensor.data_ptr())
            weights[name] = tensor.contiguous()
    return weights


@contextmanager
def _unpacking_reported(what: str, progress: Progress) -> Generator[None]:
    """Put our progress where transformers would draw a bar of its own on the terminal."""
    from transformers import modeling_gguf_pytorch_utils

    unpacker: Any = modeling_gguf_pytorch_utils

    def report(tensors: Sequence[object], **_options: object) -> Iterator[object]:
        for done, tensor in enumerate(tensors):
            progress(what, 0.3 + 0.4 * done / len(tensors))
            yield tensor

    drawn = unpacker.tqdm
    unpacker.tqdm = report
    try:
        yield
    finally:
        unpacker.tqdm = drawn
