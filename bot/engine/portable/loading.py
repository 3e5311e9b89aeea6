"""Loads a model: the embedded one, a folder of safetensors, GPTQ old and new, GGUF.

Importing this is what brings torch. Nothing of a model's own code is ever run (`trust_remote_code`
stays off; an `auto_map` in its config is ignored), and no pickle is ever read.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (an edge to a library that is only partly typed)

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import psutil
import torch

from bot.engine.api import ModelInfo
from bot.engine.models.config import context_length
from bot.engine.models.folder import ModelFolder
from bot.engine.models.gguf_cache import Progress
from bot.engine.models.inspection import Inspection, inspect_model
from bot.engine.models.quiet import silence_libraries
from bot.engine.models.source import fetch, identify
from bot.engine.models.staging import stage
from bot.engine.models.tokenizers import fit_vocabulary, load_tokenizer, special_tokens
from bot.engine.portable import gptq_loading
from bot.errors import ModelError

if TYPE_CHECKING:  # transformers is imported late, once it has been silenced
    from transformers import PreTrainedModel

__all__ = ["Inspection", "LoadedModel", "inspect_model", "load_model"]

log = logging.getLogger(__name__)

_SHOWN_NAMES = 3  # of weights that are missing, in an error
# What old converters wrote and no model needs: rotary tables, and biases of zeros.
_IGNORED_SUFFIXES = (".rotary_emb.inv_freq", ".masked_bias", ".attn.bias", ".bias")
# What transformers raises for a config it does not know, or weights that do not fit it.
_FOREIGN_ERRORS = (ValueError, KeyError, TypeError, AttributeError, RuntimeError, OSError)
_SIZES_DIFFER = "ignore_mismatched_sizes"  # within its message when they do


@dataclass(slots=True)
class LoadedModel:
    """A model ready to run, in evaluation mode on its device.

    Where the fast runner for one GPU takes the model, that reads the weights itself: `model` is
    None, and `folder` says where they lie.
    """

    model: "PreTrainedModel | None"
    tokenizer: Any  # transformers' PreTrainedTokenizerBase, which is untyped
    info: ModelInfo
    device: torch.device
    kernel: str  # which kernels run, in words
    folder: ModelFolder | None = None
    config: Any = None  # transformers' PretrainedConfig
    generation_config: Any = None
    progress: Progress | None = None


def load_model(
    model: str,
    *,
    data_dir: Path,
    context_tokens: int = 0,
    progress: Progress | None = None,
) -> LoadedModel:
    """Find, check and load what the MODEL setting says. Blocks for seconds to minutes.

    `data_dir` takes conversions and stages. `context_tokens` above 0 makes the context shorter
    than the model's own. `progress` gets what is being done and how much of it, if known (0 to 1).
    Raises ModelError, naming the file that is to blame and what to do.
    """
    report = progress or _silent
    silence_libraries()
    source = identify(model)
    fetched = fetch(source, data_dir=data_dir, progress=report)
    _check_config(fetched)  # before all that reads it too, and would blame another file
    folder = stage(fetched, data_dir=data_dir)
    report(f"Loading {source.name}", None)
    tokenizer = load_tokenizer(folder.path)
    device = choose_device()
    if device.type == "cuda":
        fast = _for_fast_runner(source.name, folder, tokenizer, device, context_tokens)
        if fast is not None:
            fast.progress = report
            return fast
    if folder.gptq:
        loaded, kernel = gptq_loading.load(folder, device, report, load_weights)
    else:
        dtype = choose_dtype(folder, device)
        check_room(folder, device, dtype)
        loaded = load_weights(folder, device, dtype)
        kernel = f"{str(dtype).removeprefix('torch.')}, PyTorch"
    loaded.eval().requires_grad_(requires_grad=False)
    fit_vocabulary(tokenizer, _vocabulary(loaded), folder.path)
    log.info("loaded %s on %s: %s", source.name, device, kernel)
    return LoadedModel(
        model=loaded,
        tokenizer=tokenizer,
        info=_describe(source.name, folder, tokenizer, context_tokens),
        device=device,
        kernel=kernel,
    )


def _check_config(folder: ModelFolder) -> None:
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig

    try:
        AutoConfig.from_pretrained(str(folder.path), trust_remote_code=False)
    except (*_FOREIGN_ERRORS, StrictDataclassError) as error:
        raise ModelError(
            f"{folder.path / 'config.json'} cannot be used: {' '.join(str(error).split())[:300]}",
            "The model's kind must be one that transformers knows without code of its own; if it "
            "is, download that file again.",
        ) from error


def _for_fast_runner(
    name: str, folder: ModelFolder, tokenizer: Any, device: torch.device, context_tokens: int
) -> LoadedModel | None:
    """The model as :mod:`bot.engine.cuda` takes it; None (and a line in the log) when it cannot."""
    from transformers import AutoConfig, GenerationConfig

    try:
        from bot.engine.cuda.checkpoint import why_not
    except ImportError as error:  # no Triton: Windows, or a build of torch without it
        log.warning("The fast kernels cannot be used: %s. PyTorch's own are slower.", error)
        return None
    config: Any = AutoConfig.from_pretrained(str(folder.path), trust_remote_code=False)
    reason = why_not(folder, config)
    if reason:
        log.warning("The fast kernels do not take %s. PyTorch's own are slower.", reason)
        return None
    fit_vocabulary(tokenizer, cast("int", config.vocab_size), folder.path)
    try:
        generation_config: Any = GenerationConfig.from_pretrained(str(folder.path))
    except OSError:  # there is no such file: the config says it too
        generation_config = GenerationConfig.from_model_config(config)
    return LoadedModel(
        model=None,
        tokenizer=tokenizer,
        info=_describe(name, folder, tokenizer, context_tokens),
        device=device,
        kernel="",
        folder=folder,
        config=config,
        generation_config=generation_config,
    )


def choose_device() -> torch.device:
    """The first GPU that CUDA offers, else the processor."""
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


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
    folder: ModelFolder,
    device: torch.device,
    dtype: torch.dtype,
    **arguments: Any,
) -> "PreTrainedModel":
    """`from_pretrained` with every weight accounted for. Raises ModelError."""
    from transformers import AutoModelForCausalLM

    from_pretrained = cast("Any", AutoModelForCausalLM.from_pretrained)
    try:
        loaded, account = from_pretrained(
            str(folder.path),
            dtype=dtype,
            device_map={"": device} if device.type != "cpu" else None,
            attn_implementation="sdpa",
            trust_remote_code=False,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            **arguments,
        )
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{folder.path.name} does not fit into the memory of {device}.",
            "Use a smaller model or a GPTQ one, or free some memory.",
        ) from error
    except _FOREIGN_ERRORS as error:
        if _SIZES_DIFFER in str(error):
            raise _misfit(folder, "sizes differ") from error
        raise ModelError(
            f"{folder.path} cannot be loaded: {first_line(error)}",
            "Check with `python -m bot model inspect`; the model's kind must be one that "
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


def _describe(name: str, folder: ModelFolder, tokenizer: Any, context_tokens: int) -> ModelInfo:
    own = context_length(folder.config)
    if context_tokens > own:
        log.warning("CONTEXT_TOKENS is %d, but %s was made for %d", context_tokens, name, own)
    template = tokenizer.chat_template
    return ModelInfo(
        name=name,
        context_tokens=min(context_tokens, own) if context_tokens > 0 else own,
        chat_template=template if isinstance(template, str) else None,
        special_tokens=special_tokens(tokenizer),
        eos_token=tokenizer.eos_token or "",
        bos_token=tokenizer.bos_token or "",
    )


def _vocabulary(model: "PreTrainedModel") -> int:
    """How many tokens the model knows."""
    return int(cast("Any", model.get_input_embeddings()).weight.shape[0])


def _silent(_text: str, _fraction: float | None) -> None:
    """Where nobody watches."""
