"""Loads a model's folder with transformers: safetensors as they are, or GPTQ, old and new.

Importing this is what brings torch. Nothing of a model's own code is ever run (`trust_remote_code`
stays off; an `auto_map` in its config is ignored), and no pickle is ever read.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (an edge to a library that is only partly typed)

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import psutil
import torch

from bot.engine.models.folders.folder import ModelFolder
from bot.engine.models.progress import Progress
from bot.engine.portable import gptq_loading
from bot.errors import ModelError
from bot.invocation import command

if TYPE_CHECKING:  # transformers is imported late, once it has been silenced
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)

_SHOWN_NAMES = 3  # of weights that are missing, in an error
# What old converters wrote and no model needs: rotary tables, and biases of zeros.
_IGNORED_SUFFIXES = (".rotary_emb.inv_freq", ".masked_bias", ".attn.bias", ".bias")
# What transformers raises for weights that do not fit the config.
WEIGHT_ERRORS = (ValueError, KeyError, TypeError, AttributeError, RuntimeError, OSError)
_SIZES_DIFFER = "ignore_mismatched_sizes"  # within its message when they do


def load_folder(
    folder: ModelFolder, config: Any, device: torch.device, progress: Progress
) -> "tuple[PreTrainedModel, str]":
    """(the model in evaluation mode, which kernels run it, in words). Raises ModelError.

    `config` is the folder's, as transformers' PretrainedConfig.
    """
    if folder.gptq:
        loaded, kernel = gptq_loading.load(folder, config, device, progress, load_weights)
    else:
        dtype = choose_dtype(folder, device)
        check_room(folder, device, dtype)
        loaded = load_weights(folder, config, device, dtype)
        kernel = f"{str(dtype).removeprefix('torch.')}, PyTorch"
    loaded.eval().requires_grad_(requires_grad=False)
    return loaded, kernel


def choose_device() -> torch.device:
    """The first GPU that CUDA offers, else the processor."""
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


def set_threads(count: int) -> None:
    """How many threads torch computes with, for the thread that calls this."""
    if count != torch.get_num_threads():
        torch.set_num_threads(count)


def choose_dtype(folder: ModelFolder, device: torch.device) -> torch.dtype:
    """float32 on the processor; on a GPU what the weights are in, float16 when in doubt."""
    if device.type == "cpu":
        return torch.float32
    kept = {tensor.dtype for tensor in folder.tensors.values()}
    if "BF16" in kept and folder.gptq is None and torch.cuda.is_bf16_supported():
        return torch.bfloat16
    return torch.float16


def check_room(folder: ModelFolder, device: torch.device, dtype: torch.dtype) -> None:
    """Raises ModelError when the weights cannot fit: better than being killed for memory."""
    needed = folder.parameters * dtype.itemsize
    free = free_bytes(device)
    if needed > free:
        raise ModelError(
            f"{folder.path.name} needs about {needed / 1e9:.1f} GB, and {device} has "
            f"{free / 1e9:.1f} GB free.",
            "Use a smaller model or a GPTQ one, or free some memory.",
        )


def free_bytes(device: torch.device) -> int:
    """Memory that a model may take on `device` now."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available


def load_weights(
    folder: ModelFolder, config: Any, device: torch.device, dtype: torch.dtype
) -> "PreTrainedModel":
    """`from_pretrained` with every weight accounted for. Raises ModelError."""
    from transformers import AutoModelForCausalLM

    from_pretrained = cast("Any", AutoModelForCausalLM.from_pretrained)
    try:
        loaded, account = from_pretrained(
            str(folder.path),
            config=config,
            dtype=dtype,
            device_map={"": device} if device.type != "cpu" else None,
            attn_implementation="sdpa",
            trust_remote_code=False,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{folder.path.name} does not fit into the memory of {device}.",
            "Use a smaller model or a GPTQ one, or free some memory.",
        ) from error
    except WEIGHT_ERRORS as error:
        if _SIZES_DIFFER in str(error):
            raise _misfit(folder, "sizes differ") from error
        raise ModelError(
            f"{folder.path} cannot be loaded: {first_line(error)}",
            f"Check with {command('model inspect')}; the model's kind must be one that "
            "transformers knows without code of its own.",
        ) from error
    _check_account(folder, cast("Mapping[str, Any]", account))
    return cast("PreTrainedModel", loaded)


def first_line(error: BaseException) -> str:
    """The gist of a foreign exception."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kind = type(error).__name__
    if not lines:
        return kind
    # These say little without their kind: KeyError('metadata') reads «'metadata'».
    bare = isinstance(error, KeyError | TypeError | AttributeError)
    return (f"{kind}: {lines[0]}" if bare else lines[0])[:300]


def _check_account(folder: ModelFolder, account: Mapping[str, Any]) -> None:
    missing = sorted(str(name) for name in account.get("missing_keys", ()))
    if missing:
        raise ModelError(
            f"{folder.path} lacks {len(missing)} of the model's weights: "
            f"{', '.join(missing[:_SHOWN_NAMES])}{' ...' if len(missing) > _SHOWN_NAMES else ''}.",
            "Download the model again, all of its files.",
        )
    mismatched = [str(entry) for entry in account.get("mismatched_keys", ())]
    if mismatched:
        raise _misfit(folder, mismatched[0][:200])
    surplus = [
        str(name)
        for name in account.get("unexpected_keys", ())
        if not str(name).endswith(_IGNORED_SUFFIXES)
    ]
    if surplus:
        log.warning(
            "%s: %d weights are not part of the model and stay unused (%s)",
            folder.path,
            len(surplus),
            ", ".join(surplus[:_SHOWN_NAMES]),
        )


def _misfit(folder: ModelFolder, how: str) -> ModelError:
    return ModelError(
        f"{folder.path / 'config.json'} does not fit the weights: {how}.",
        "Use the config.json that came with these weights.",
    )
