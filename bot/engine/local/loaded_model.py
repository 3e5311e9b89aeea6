"""A model as the loader hands it to whoever runs it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bot.engine.api import ModelInfo
from bot.engine.models.folders.folder import ModelFolder
from bot.engine.models.progress import Progress

if TYPE_CHECKING:  # importing this loads neither
    import torch
    from transformers import PreTrainedModel


@dataclass(slots=True)
class LoadedModel:
    """A model ready to run, in evaluation mode on its device.

    The fast runner reads the weights itself: what is made for it has no `model`, and `folder` says
    where the weights are.
    """

    model: "PreTrainedModel | None"
    tokenizer: Any  # transformers' PreTrainedTokenizerBase, which is untyped
    info: ModelInfo
    device: "torch.device"
    kernel: str  # which kernels run, in words
    folder: ModelFolder | None = None
    config: Any = None  # transformers' PretrainedConfig
    generation_config: Any = None
    progress: Progress | None = None
    end_tokens: Collection[int] | None = None  # instead of those that its files name
