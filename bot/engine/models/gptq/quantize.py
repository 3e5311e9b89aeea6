"""Makes a GPTQ model out of an unquantized one, with gptqmodel."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeStubs=false
# (an edge to a library that is only partly typed)

from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from math import gcd
from pathlib import Path
from typing import Any

from bot.engine.models.extras import require_gpu_libraries
from bot.engine.models.folders.folder import ModelFolder, read_model_folder
from bot.engine.models.folders.making import making_folder
from bot.engine.models.gptq.layout import BITS
from bot.engine.models.progress import Progress
from bot.engine.models.source import fetch, identify
from bot.errors import ModelError

GROUP_SIZES = (128, 64, 32, 16)  # the largest that divides every layer's inputs is taken
CALIBRATION_FILE = Path(__file__).with_name("calibration.txt")
CALIBRATION_BYTES = 16 * 1024 * 1024
ROW_TOKENS = 512
MOST_ROWS = 256
LEAST_ROWS = 4
LOGS_FOLDER = "logs"  # under DATA_DIR: how far each layer is from its original


@dataclass(frozen=True, slots=True)
class QuantizeRequest:
    """What to make. `group_size` 0 chooses; `calibration` None takes the text that ships."""

    model: str
    target: Path
    bits: int = 4
    group_size: int = 0
    calibration: Path | None = None


def quantize_model(request: QuantizeRequest, *, data_dir: Path, progress: Progress) -> ModelFolder:
    """Quantize `request.model` into the new folder `request.target`, whole or not at all.

    Takes about a minute for 135 million weights on two cores. Raises ModelError.
    """
    if request.target.exists():
        raise ModelError(f"{request.target} is there already.", "Name a folder that is not.")
    require_gpu_libraries("Quantizing")
    source = identify(request.model)
    folder = fetch(source, data_dir=data_dir, progress=progress)
    if folder.gptq:
        raise ModelError(f"{source.name} is quantized already ({folder.gptq.words}).")
    if request.bits not in BITS:
        raise ModelError(f"{request.bits} bits cannot be.", f"Take one of {BITS}.")
    group_size = choose_group_size(folder, request.group_size)
    text = read_calibration(request.calibration)
    with making_folder(request.target) as making:
        _import_gptqmodel(data_dir / LOGS_FOLDER)
        _quantize(folder, making, request.bits, group_size, text, progress)
        read_model_folder(making)  # raises when it is not what it should be
    return read_model_folder(request.target)


def choose_group_size(folder: ModelFolder, wanted: int = 0) -> int:
    """The group size to quantize with: `wanted`, or the largest that fits. Raises ModelError.

    Every layer's inputs must be a multiple of it, else the model fails at its first step.
    """
    common = 0
    for name, tensor in folder.tensors.items():
        if ".layers." in name and len(tensor.shape) == 2:
            common = gcd(common, tensor.shape[1])
    if not common:
        raise ModelError(f"{folder.path} has no layers that GPTQ could quantize.")
    if wanted:
        if wanted not in GROUP_SIZES or common % wanted:
            fitting = [size for size in GROUP_SIZES if common % size == 0]
            raise ModelError(
                f"A group size of {wanted} does not divide this model's layers.",
                f"Take one of {', '.join(map(str, fitting))}." if fitting else "",
            )
        return wanted
    for size in GROUP_SIZES:
        if common % size == 0:
            return size
    raise ModelError(f"No group size divides the layers of {folder.path}.")


def read_calibration(path: Path | None) -> str:
    """The text to measure the layers with: the shipped one or a person's file.

    Raises ModelError.
    """
    file = path or CALIBRATION_FILE
    try:
        if file.stat().st_size > CALIBRATION_BYTES:
            raise ModelError(f"{file} is too large.", "A few hundred kilobytes of text are enough.")
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(
            f"The calibration text {file} cannot be read: {error}.", "Name a text file in UTF-8."
        ) from error


def calibration_rows(tokens: Sequence[int], row_tokens: int = ROW_TOKENS) -> list[list[int]]:
    """Tokens in rows of equal length, the last one overlapping. Raises ModelError when too few."""
    if len(tokens) < row_tokens * LEAST_ROWS:
        row_tokens = len(tokens) // LEAST_ROWS
    if row_tokens < 16:
        raise ModelError("The calibration text is too short.", "Give it at least a page.")
    starts = list(range(0, len(tokens) - row_tokens + 1, row_tokens))
    if starts[-1] + row_tokens < len(tokens):
        starts.append(len(tokens) - row_tokens)
    return [list(tokens[start : start + row_tokens]) for start in starts[:MOST_ROWS]]


def _import_gptqmodel(logs: Path) -> None:
    """Import it silently; its logs go to `logs`, not into the working directory."""
    from bot.engine.models.gptq.quiet import import_gptqmodel, silence_libraries

    silence_libraries()  # before the first import of transformers
    import_gptqmodel()
    from gptqmodel.looper import loop_processor

    # It has no option for this one (gptqmodel 7.6).
    loop_processor._PROJECT_LOG_DIR = logs  # pyright: ignore[reportPrivateUsage]


def _quantize(
    folder: ModelFolder,
    making: Path,
    bits: int,
    group_size: int,
    text: str,
    progress: Progress,
) -> None:
    import torch
    from gptqmodel import BACKEND, GPTQModel, QuantizeConfig

    from bot.engine.models.folders.config import transformers_config
    from bot.engine.models.folders.tokenizers import load_tokenizer

    progress("Loading the model", 0.0)
    tokenizer = load_tokenizer(folder.path, transformers_config(folder.path, folder.config))
    rows = calibration_rows(tokenizer(text, add_special_tokens=False).input_ids)
    examples = [{"input_ids": row, "attention_mask": [1] * len(row)} for row in rows]
    layers = max(_layer_numbers(folder), default=0) + 1
    dtype = torch.float16 if torch.cuda.is_available() else torch.float32
    try:
        model: Any = GPTQModel.load(
            str(folder.path),
            QuantizeConfig(bits=bits, group_size=group_size, sym=True, offload_to_disk=False),
            trust_remote_code=False,
            dtype=dtype,
        )
        model.layer_callback = _LayerProgress(progress, layers)
        # It draws bars and prints the config on standard output; ours goes to standard error.
        with redirect_stdout(StringIO()):
            model.quantize(examples, batch_size=1, tokenizer=tokenizer, backend=BACKEND.GPTQ_TORCH)
            progress("Writing it down", 0.97)
            model.save(str(making))
    except (ValueError, RuntimeError, TypeError, KeyError, NotImplementedError, OSError) as error:
        raise ModelError(f"{folder.path} could not be quantized: {str(error)[:300]}") from error
    tokenizer.save_pretrained(making)
    progress("Done", 1.0)


def _layer_numbers(folder: ModelFolder) -> set[int]:
    found: set[int] = set()
    for name in folder.tensors:
        _, _, after = name.partition(".layers.")
        number = after.partition(".")[0]
        if number.isdecimal():
            found.add(int(number))
    return found


class _LayerProgress:
    """gptqmodel calls this after every layer."""

    def __init__(self, progress: Progress, layers: int) -> None:
        self._progress = progress
        self._layers = layers

    def layer_complete(self, *, layer_idx: int, submodule_finalized: bool) -> None:
        """Called twice a layer: when it is measured and when it is packed."""
        if not submodule_finalized:
            done = (layer_idx + 1) / self._layers
            self._progress(f"Layer {layer_idx + 1} of {self._layers}", 0.02 + 0.95 * done)
