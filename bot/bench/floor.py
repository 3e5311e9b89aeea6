"""The floor of a decode step: the bytes it must read, over the bandwidth of the memory."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# (an edge to a library that is only partly typed)

import time
from typing import TYPE_CHECKING, Any, cast

import torch

from bot.bench.load import median
from bot.engine.local.runner import DEFAULT_CACHE_BITS

if TYPE_CHECKING:
    from bot.engine.local.loaded_model import LoadedModel
    from bot.engine.models.folders.folder import ModelFolder

COPY_BYTES_CPU = 256 << 20  # far more than caches hold
COPY_BYTES_GPU = 2 << 30
SHARE_OF_FREE = 0.25  # of a small card
COPIES = 9
UNREAD_SUFFIXES = (".g_idx",)
HALF_BYTES = 2
EIGHT_BITS = 8
SCALE_BYTES = 4  # of each key and value that is kept in 8 bits


def copy_bandwidth(device: torch.device) -> float:
    """Bytes a second that a copy reads and writes together: the median of some copies."""
    size = COPY_BYTES_CPU
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        size = min(COPY_BYTES_GPU, int(free * SHARE_OF_FREE))
    source = torch.ones(size // 4, dtype=torch.float32, device=device)
    target = torch.empty_like(source)
    target.copy_(source)
    seconds: list[float] = []
    for _ in range(COPIES):
        _wait(device)
        started = time.perf_counter()
        target.copy_(source)
        _wait(device)
        seconds.append(time.perf_counter() - started)
    moved = 2 * source.numel() * source.element_size()
    del source, target
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return moved / median(seconds)


def weight_bytes(loaded: "LoadedModel") -> int:
    """What of the weights one step reads: all but the rows of the embedding that it looks up."""
    if loaded.model is None:
        return _stored_bytes(cast("ModelFolder", loaded.folder))
    model = cast("Any", loaded.model)
    everything = [*model.parameters(), *model.buffers()]
    total = sum(int(tensor.numel() * tensor.element_size()) for tensor in everything)
    embedding = model.get_input_embeddings().weight
    head = model.get_output_embeddings().weight
    if head.data_ptr() == embedding.data_ptr():  # then it is read as the head
        return total
    return total - int(embedding.numel() * embedding.element_size())


def kv_token_bytes(loaded: "LoadedModel", bits: int = 0) -> int:
    """Keys and values of one token in all layers. `bits` are of the fast runner's, 0 its choice."""
    config = cast("Any", loaded.config if loaded.model is None else loaded.model.config)
    size = HALF_BYTES if loaded.model is None else cast("Any", loaded.model).dtype.itemsize
    heads = int(config.num_attention_heads)
    width = int(getattr(config, "head_dim", None) or config.hidden_size // heads)
    kv_heads = int(getattr(config, "num_key_value_heads", None) or heads)
    kept = width * size
    if loaded.folder is not None and not bits:
        bits = 16 if loaded.folder.is_bfloat16 else DEFAULT_CACHE_BITS
    if loaded.model is None and bits == EIGHT_BITS:
        kept = width + SCALE_BYTES
    return 2 * int(config.num_hidden_layers) * kv_heads * kept


def floor_seconds(
    weights: int, kv_token: int, streams: int, mean_tokens: float, bandwidth: float
) -> float:
    """A step of `streams` rows whose sequences are `mean_tokens` long on average."""
    return (weights + streams * mean_tokens * kv_token) / bandwidth


def _stored_bytes(folder: "ModelFolder") -> int:
    """As the weights lie in their files; those that are not quantized become half precision."""
    symmetric = folder.gptq is not None and folder.gptq.sym
    tied = not any(name.startswith("lm_head.") for name in folder.tensors)
    total = 0
    for name, tensor in folder.tensors.items():
        if name.endswith(UNREAD_SUFFIXES) or (symmetric and name.endswith(".qzeros")):
            continue
        if name.endswith("embed_tokens.weight") and not tied:
            continue
        packed = name.endswith((".qweight", ".qzeros"))
        total += tensor.elements * (4 if packed else HALF_BYTES)
    return total


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
