"""What a model takes in memory under llama.cpp, reckoned from its shape before it is loaded.

How llama.cpp lays out its memory: `src/llama-kv-cache.cpp`, `src/llama-kv-cache-iswa.cpp`,
`src/llama-hparams.cpp` (n_embd_r, n_embd_s) of the build that `bot.engine.models.gguf.known`
names. The constants are measured against it; the reckoning never falls far below what it takes.
Weights count once: where llama.cpp lays them out anew for the processor (Q4_0 and its like), the
file's own pages are mapped beside them, which the system takes back whenever it needs room.
"""

from dataclasses import dataclass

BATCH_TOKENS = 512  # llama.cpp's n_ubatch: tokens that are computed at once
PROCESS_BYTES = 48 * 1024 * 1024  # Python, llama.cpp's code, its HTTP server and threads
TOKEN_BYTES = 320  # of llama.cpp's tables for each token of the vocabulary
_WINDOW_STEP = 256  # a sliding window's cache grows by so many tokens
_FLOAT_BYTES = 4
# Bits of one number in the cache: Q8_0 has a scale of 16 bits for every 32 numbers.
_STORED_BITS = {16: 16.0, 8: 8.5, 32: 32.0}


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The sizes of a model that decide what it takes in memory.

    `kv_heads` is one number, or one a layer; 0 where a layer keeps no keys (a recurrent one, or
    one that shares another's). `window_layers` are how many of the layers see only the latest
    `window` tokens. `state_elements` is what all recurrent layers together keep of one
    conversation, however long it is. `value_length` is 0 where values are not kept (MLA).
    """

    layers: int
    embedding: int
    vocabulary: int
    kv_heads: int | tuple[int, ...]
    key_length: int
    value_length: int
    feed_forward: int = 0  # the widest layer; 0: four times the embedding
    window: int = 0
    window_layers: int = 0
    experts: int = 0
    experts_used: int = 0
    state_elements: int = 0

    @property
    def heads_of_layers(self) -> tuple[int, ...]:
        """KV heads of each layer."""
        if isinstance(self.kv_heads, tuple):
            return self.kv_heads
        return (self.kv_heads,) * self.layers


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """Bytes that a model takes: its weights, what it remembers of conversations, all the rest."""

    weights: int
    cache: int
    working: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.cache + self.working


def memory_need(
    shape: ModelShape,
    weights_bytes: int,
    context_tokens: int,
    sequences: int,
    cache_bits: int = 16,
    *,
    batch_tokens: int = BATCH_TOKENS,
) -> MemoryNeed:
    """What a model takes with `sequences` conversations of `context_tokens` each.

    `cache_bits` is 16 or 8 (llama.cpp's Q8_0), `weights_bytes` the size of the file.
    """
    return MemoryNeed(
        weights=weights_bytes,
        cache=_cache_bytes(shape, context_tokens, sequences, cache_bits, batch_tokens),
        working=_working_bytes(shape, context_tokens, sequences, batch_tokens),
    )


def _cache_bytes(
    shape: ModelShape, context_tokens: int, sequences: int, cache_bits: int, batch_tokens: int
) -> int:
    number_bytes = _STORED_BITS.get(cache_bits, float(cache_bits)) / 8
    heads = sorted(shape.heads_of_layers)  # the widest last: they count in full where unsure
    seeing_part = heads[: shape.window_layers] if shape.window else []
    seeing_all = heads[len(seeing_part) :]
    of_window = min(context_tokens, _stepped(shape.window + batch_tokens))
    tokens = context_tokens * sum(seeing_all) + of_window * sum(seeing_part)
    elements = tokens * (shape.key_length + shape.value_length)
    return int(sequences * (elements * number_bytes + shape.state_elements * _FLOAT_BYTES))


def _working_bytes(
    shape: ModelShape, context_tokens: int, sequences: int, batch_tokens: int
) -> int:
    widest = shape.feed_forward or 4 * shape.embedding
    if shape.experts_used > 1:
        widest *= shape.experts_used
    a_token = _FLOAT_BYTES * (4 * widest + 3 * shape.embedding) + 2 * context_tokens
    logits = _FLOAT_BYTES * 2 * shape.vocabulary * sequences
    return PROCESS_BYTES + TOKEN_BYTES * shape.vocabulary + batch_tokens * a_token + logits


def _stepped(tokens: int) -> int:
    return -(-tokens // _WINDOW_STEP) * _WINDOW_STEP
