"""From a GGUF's metadata to the shape that decides what the model takes in memory."""

from collections.abc import Mapping

from bot.engine.models.gguf.container import Damaged, GgufArray, GgufScalar, GgufValue
from bot.engine.models.gguf.known import WINDOW_PERIODS
from bot.engine.models.gguf.memory import ModelShape

MOST_LAYERS = 512  # LLAMA_MAX_LAYERS
LARGEST_NUMBER = 1 << 24  # of any size that counts here; the largest known are a hundredth of it
_GEMMA_2_WINDOW = 4096  # where its file does not say it


class Numbers:
    """The whole numbers that a file says of its architecture, checked for sense."""

    def __init__(self, architecture: str, metadata: Mapping[str, GgufValue]) -> None:
        self._architecture = architecture
        self._metadata = metadata

    def one(self, key: str, otherwise: int = 0) -> int:
        """`<architecture>.<key>`. Raises Damaged where it is no whole number, or absurd."""
        found = self._metadata.get(f"{self._architecture}.{key}")
        if found is None:
            return otherwise
        # llama.cpp takes no other kind of number.
        if not isinstance(found, GgufScalar) or found.kind != "uint32":
            raise Damaged(f"has a value of «{key}» that is no whole number")
        return self._whole(key, found.value)

    def each(self, key: str, layers: int, otherwise: int = 0) -> tuple[int, ...]:
        """The same, one for each layer; a single number is every layer's."""
        found = self._metadata.get(f"{self._architecture}.{key}")
        if not isinstance(found, GgufArray):
            return (self.one(key, otherwise),) * layers
        if found.kind not in ("uint32", "int32", "bool"):
            raise Damaged(f"has values of «{key}» that are no whole numbers")
        if found.count != layers:
            raise Damaged(f"lists {found.count} values of «{key}» for {layers} layers")
        return tuple(self._whole(key, item) for item in found.items)

    def items(self, key: str) -> tuple[int | float | bytes, ...] | None:
        """A list as it is; None where there is none."""
        found = self._metadata.get(f"{self._architecture}.{key}")
        return tuple(found.items) if isinstance(found, GgufArray) else None

    def has(self, key: str) -> bool:
        """Whether the file says anything of it."""
        return f"{self._architecture}.{key}" in self._metadata

    def _whole(self, key: str, value: object) -> int:
        if not isinstance(value, int) or not 0 <= value <= LARGEST_NUMBER:
            raise Damaged(f"has an impossible value of «{key}»")
        return int(value)


def read_shape(architecture: str, metadata: Mapping[str, GgufValue], vocabulary: int) -> ModelShape:
    """The shape of a model. Raises Damaged for sizes that cannot be."""
    numbers = Numbers(architecture, metadata)
    layers, embedding = numbers.one("block_count"), numbers.one("embedding_length")
    if not 0 < layers <= MOST_LAYERS or not embedding:
        raise Damaged(f"has {layers} layers of {embedding} numbers")
    heads = numbers.each("attention.head_count", layers)
    kv_heads = list(numbers.each("attention.head_count_kv", layers, max(heads)))
    head_length = embedding // heads[0] if heads[0] else embedding // max(1, *heads)
    key_length = numbers.one("attention.key_length", head_length)
    value_length = numbers.one("attention.value_length", head_length)
    if numbers.has("attention.key_length_mla"):
        value_length = 0
    shared = numbers.one("attention.shared_kv_layers")
    if 0 < shared < layers:
        kv_heads[layers - shared :] = [0] * shared
    recurrent = _recurrent_layers(numbers, kv_heads)
    for layer in recurrent:
        kv_heads[layer] = 0
    if architecture == "falcon-h1":  # every layer is of both kinds
        recurrent = list(range(layers))
    window, window_layers = _window(architecture, numbers, layers)
    return ModelShape(
        layers=layers,
        embedding=embedding,
        vocabulary=vocabulary,
        kv_heads=tuple(kv_heads) if len(set(kv_heads)) > 1 else kv_heads[0],
        key_length=max(key_length, numbers.one("attention.key_length_swa")),
        value_length=max(value_length, numbers.one("attention.value_length_swa")),
        feed_forward=max(
            *numbers.each("feed_forward_length", layers),
            *numbers.each("expert_feed_forward_length", layers),
            0,
        ),
        window=window,
        window_layers=window_layers,
        experts=numbers.one("expert_count"),
        experts_used=max(numbers.each("expert_used_count", layers)),
        state_elements=len(recurrent) * _state_elements(numbers, embedding, max(heads)),
    )


def _recurrent_layers(numbers: Numbers, kv_heads: list[int]) -> list[int]:
    if not (numbers.has("ssm.state_size") or numbers.has("wkv.head_size")):
        if numbers.has("shortconv.l_cache"):
            return [layer for layer, heads in enumerate(kv_heads) if not heads]
        return []
    every = numbers.one("full_attention_interval")
    if every:  # the Qwen3-Next family
        return [layer for layer in range(len(kv_heads)) if (layer + 1) % every]
    return [layer for layer, heads in enumerate(kv_heads) if not heads]


def _state_elements(numbers: Numbers, embedding: int, heads: int) -> int:
    """What one recurrent layer keeps of one conversation (n_embd_r and n_embd_s)."""
    head = numbers.one("wkv.head_size")
    if head:
        return embedding * head + numbers.one("token_shift_count", 2) * embedding
    cached = numbers.one("shortconv.l_cache")
    if cached:
        return embedding * (cached - 1)
    kernel = max(1, numbers.one("ssm.conv_kernel", 1))
    head = numbers.one("kda.head_dim")
    if head:
        return 3 * (kernel - 1) * heads * head + head * head * heads
    inner, state = numbers.one("ssm.inner_size"), numbers.one("ssm.state_size")
    convolution = (kernel - 1) * (inner + 2 * numbers.one("ssm.group_count") * state)
    return convolution + inner * state


def _window(architecture: str, numbers: Numbers, layers: int) -> tuple[int, int]:
    """(how many tokens a sliding window has, how many layers have one)."""
    window = numbers.one("attention.sliding_window")
    if not window and architecture == "gemma2":
        window = _GEMMA_2_WINDOW
    listed = numbers.items("attention.sliding_window_pattern")
    if not window or (listed is None and architecture not in WINDOW_PERIODS):
        return 0, 0
    if listed is not None:
        return window, sum(1 for item in listed[:layers] if item)
    period = numbers.one("attention.sliding_window_pattern", WINDOW_PERIODS[architecture])
    return window, layers - layers // period if period else layers
