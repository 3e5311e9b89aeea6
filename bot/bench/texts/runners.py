# pyright: basic
"""The runners that are compared: the float reference, and on a GPU each kernel and cache."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from bot.bench.texts.measuring import Computing, Texts
from bot.engine.api import ModelInfo
from bot.engine.local.loaded_model import LoadedModel
from bot.engine.local.runner import RunnerLimits
from bot.engine.models.folders.config import transformers_config
from bot.engine.models.folders.folder import ModelFolder, read_model_folder
from bot.engine.models.folders.tokenizers import load_tokenizer
from bot.engine.models.gptq.quiet import silence_libraries
from bot.engine.models.progress import no_progress

BLOCK_TOKENS = 64
REFERENCE = "float reference"
CACHE_BITS = (16, 8)


@dataclass(frozen=True, slots=True)
class Variant:
    """What computes: a kernel's name for few rows, and how keys and values are kept.

    `kernel` "" is cuBLAS, for weights of 16 bits; `cache_bits` 32 is the reference's.
    """

    is_gptq: bool
    kernel: str
    cache_bits: int

    @property
    def words(self) -> str:
        """For people."""
        weights = "GPTQ" if self.is_gptq else "16 bits"
        return f"{weights}, {self.kernel or 'cuBLAS'}, {self.cache_bits}-bit cache"


def variants(*, on_gpu: bool) -> Iterator[Variant]:
    """The references first."""
    for is_gptq in (False, True):
        yield Variant(is_gptq, REFERENCE, 32)
    if not on_gpu:
        return
    from bot.engine.cuda.products import FewRows

    for bits in CACHE_BITS:
        for few in FewRows:
            yield Variant(True, few.value, bits)
        yield Variant(False, "", bits)


def build(variant: Variant, path: Path, texts: Texts) -> Computing:
    """A runner over the folder `path` with room for the texts. Raises ModelError."""
    silence_libraries()
    folder = read_model_folder(path)
    longest = -(-texts.longest_tokens // BLOCK_TOKENS) * BLOCK_TOKENS + BLOCK_TOKENS
    limits = RunnerLimits(
        rows=texts.most_rows, room_tokens=longest * texts.most_rows, cache_bits=variant.cache_bits
    )
    if variant.kernel == REFERENCE:
        return _reference(folder, longest, limits)
    from bot.engine.cuda.building import build_cuda_runner
    from bot.engine.cuda.products import FewRows

    only = next((few for few in FewRows if few.value == variant.kernel), None)
    config = transformers_config(folder.path, folder.config)
    return build_cuda_runner(folder, config, longest, limits, no_progress, only=only)


def _reference(folder: ModelFolder, context_tokens: int, limits: RunnerLimits) -> Computing:
    """float32 on the processor, a machine with a GPU too; GPTQ unpacked, which is exact."""
    from bot.engine.portable.llama import LlamaRunner
    from bot.engine.portable.loading import load_folder

    device = torch.device("cpu")
    config = transformers_config(folder.path, folder.config)
    model, kernel = load_folder(folder, config, device, no_progress)
    info = ModelInfo(folder.path.name, context_tokens)
    tokenizer = load_tokenizer(folder.path, config)
    return LlamaRunner(LoadedModel(model, tokenizer, info, device, kernel), limits)
