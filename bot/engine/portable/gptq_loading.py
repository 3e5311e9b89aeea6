"""Loads GPTQ weights through gptqmodel, with kernels that we choose and fall back from in order.

gptqmodel's own choice (AUTO) takes Machete on Hopper, which downloads code at its first use; so the
order is ours, and which kernel runs is logged.

On the processor there is no fast exact kernel: the packed one unpacks every layer at every step.
Where memory allows, the weights are unpacked once into plain float32 layers, which is exact and as
fast as the unquantized model; else they stay packed.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeStubs=false
# (an edge to libraries that are only partly typed)

import gc
import logging
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import psutil
import torch
from torch import nn

from bot.engine.models.folders.folder import ModelFolder
from bot.engine.models.gptq.layout import GptqLayout
from bot.engine.models.gptq.quiet import import_gptqmodel
from bot.engine.models.progress import Progress
from bot.errors import ModelError
from bot.invocation import command

if TYPE_CHECKING:  # transformers is imported late, once it has been silenced
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)

UNPACKED_SHARE = 0.6  # of the free memory, that unpacked weights may take on the processor


@dataclass(frozen=True, slots=True)
class Kernel:
    """One of gptqmodel's kernels: what it takes, and what to say of it."""

    backend: str
    name: str
    bits: tuple[int, ...]
    group_sizes: tuple[int, ...]
    asymmetric: bool
    first_use: str = ""  # what takes long when it runs for the first time on a machine

    def takes(self, layout: GptqLayout) -> bool:
        """Whether weights of this layout can run on it."""
        return (
            layout.bits in self.bits
            and layout.group_size in self.group_sizes
            and (layout.sym or self.asymmetric)
        )


_ALL_GROUPS = (-1, 16, 32, 64, 128, 256, 512, 1024)
_TORCH = Kernel("gptq_torch", "PyTorch", (2, 3, 4, 8), _ALL_GROUPS, asymmetric=True)
CUDA_KERNELS = (  # the fastest first
    Kernel(
        "gptq_marlin",
        "Marlin",
        (4, 8),
        (-1, 32, 64, 128),
        asymmetric=False,
        first_use="compiling the Marlin kernels, about three minutes the first time",
    ),
    Kernel("gptq_triton", "Triton", (2, 4, 8), _ALL_GROUPS, asymmetric=True),
    _TORCH,
)
CPU_KERNELS = (_TORCH,)

LoadWeights: TypeAlias = Callable[..., "PreTrainedModel"]


def load(
    folder: ModelFolder,
    config: Any,
    device: torch.device,
    progress: Progress,
    load_weights: LoadWeights,
) -> tuple["PreTrainedModel", str]:
    """(the model, its kernel in words), on the first kernel that runs. Raises ModelError."""
    layout = cast("GptqLayout", folder.gptq)
    import_gptqmodel()
    kernels = CPU_KERNELS if device.type == "cpu" else CUDA_KERNELS
    dtype = torch.float32 if device.type == "cpu" else torch.float16
    _check_room(folder, device)
    failures: list[str] = []
    for kernel in kernels:
        if not kernel.takes(layout):
            log.info("%s does not take %s", kernel.name, layout.words)
            continue
        waiting = f": {kernel.first_use}" if kernel.first_use else ""
        progress(f"Loading {folder.path.name} for {kernel.name}{waiting}", None)
        try:
            model = load_weights(folder, _for_kernel(config, kernel), device, dtype)
            words = _finish(model, folder, layout, device, progress)
            gc.collect()  # gptqmodel's temporary folder goes now, not at some odd moment
        except (ModelError, RuntimeError, ImportError, ValueError, NotImplementedError) as error:
            if kernel is kernels[-1]:
                raise _as_model_error(folder, error) from error
            log.warning("%s does not run here, trying the next: %s", kernel.name, error)
            failures.append(kernel.name)
            continue
        failed = f" ({', '.join(failures)} did not run)" if failures else ""
        return model, f"{layout.words}, {words or kernel.name}{failed}"
    raise ModelError(
        f"{folder.path.name}: no kernel here takes {layout.words}.", "Use a model of 4 bits."
    )


def _for_kernel(config: Any, kernel: Kernel) -> Any:
    """The model's config, with our kernel in place of gptqmodel's choice."""
    changed = copy(config)
    changed.quantization_config = {**config.quantization_config, "backend": kernel.backend}
    return changed


def _finish(
    model: "PreTrainedModel",
    folder: ModelFolder,
    layout: GptqLayout,
    device: torch.device,
    progress: Progress,
) -> str:
    """Make the loaded layers ready to run; the kernel in words when it is another than asked."""
    from gptqmodel.nn_modules.qlinear import BaseQuantLinear

    layers = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, BaseQuantLinear)
    }
    if len(layers) != len(layout.layers):
        raise ModelError(
            f"{folder.path / 'config.json'} does not fit the weights: {len(layout.layers)} layers "
            f"are quantized in them, {len(layers)} in the model that it describes.",
            "Use the config.json that came with these weights.",
        )
    for layer in layers.values():
        # gptqmodel wraps this in torch.compile, which wants a C++ compiler and takes minutes.
        layer.__dict__.pop("dequantize_weight", None)
    if device.type != "cpu":
        return ""
    weights = sum(layer.in_features * layer.out_features for layer in layers.values())
    if weights * torch.float32.itemsize > psutil.virtual_memory().available * UNPACKED_SHARE:
        return "kept packed"
    for done, (name, layer) in enumerate(layers.items()):
        progress("Unpacking the weights", done / len(layers))
        model.set_submodule(name, _unpacked(layer))
    return "unpacked to float32, PyTorch"


def _unpacked(layer: Any) -> nn.Linear:
    """A plain float32 layer with exactly the weights that the packed one stands for."""
    layer.scales = layer.scales.float()
    # On "meta" its random start costs nothing.
    plain = nn.Linear(layer.in_features, layer.out_features, bias=False, device="meta")
    with torch.no_grad():
        weight = layer.dequantize_weight().T.contiguous().float()
    plain.weight = nn.Parameter(weight, requires_grad=False)
    if layer.bias is not None:
        plain.bias = nn.Parameter(layer.bias.float(), requires_grad=False)
    return plain


def _check_room(folder: ModelFolder, device: torch.device) -> None:
    free = (
        torch.cuda.mem_get_info(device)[0]
        if device.type == "cuda"
        else psutil.virtual_memory().available
    )
    if folder.bytes > free:
        raise ModelError(
            f"{folder.path.name} needs {folder.bytes / 1e9:.1f} GB, and {device} has "
            f"{free / 1e9:.1f} GB free.",
            "Use a smaller model, or free some memory.",
        )


def _as_model_error(folder: ModelFolder, error: Exception) -> ModelError:
    if isinstance(error, ModelError):
        return error
    return ModelError(
        f"{folder.path}: the quantized weights cannot be loaded: {str(error)[:300]}",
        f"Check with {command('model inspect')}.",
    )
