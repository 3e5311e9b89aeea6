"""Each kernel of the fast runner against plain sums in float32, on random inputs."""

from collections.abc import Iterator

import pytest
import torch

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
    pytest.mark.timeout(300),
]

HALF_ERROR = 2e-3
EIGHT_BIT_ERROR = 1.5e-2
ROWS = (1, 2, 7, 8, 9, 16, 17, 32, 33, 48, 64, 65, 130)


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found.float() - expected).norm() / expected.norm())


def random_weights(inputs: int, outputs: int, group: int, *, zeros: bool):
    from bot.engine.cuda.gptq import GptqTensors

    words = torch.randint(
        -(2**31), 2**31 - 1, (inputs // 8, outputs), dtype=torch.int32, device="cuda"
    )
    scales = (torch.rand(inputs // group, outputs, device="cuda") * 0.002 + 0.0005).half()
    eights = torch.full_like(scales, 8)
    kept = torch.randint(0, 17, scales.shape, device="cuda").half() if zeros else eights
    return GptqTensors(words, scales, kept, group)


@pytest.mark.parametrize("zeros", [False, True], ids=["symmetric", "asymmetric"])
@pytest.mark.parametrize("group", [32, 64, 128])
@pytest.mark.parametrize(("inputs", "outputs"), [(128, 64), (256, 768), (1408, 5120)])
def test_the_packed_product_is_right_for_any_rows_and_the_same_each_time(
    inputs: int, outputs: int, group: int, zeros: bool
) -> None:
    from bot.engine.cuda.gptq import dequantize
    from bot.engine.cuda.packed import PackedProduct, PackedWeights

    weights = random_weights(inputs, outputs, group, zeros=zeros)
    numbers = dequantize(weights, torch.empty(inputs * outputs, device="cuda"))
    packed = PackedWeights(weights)
    memory = torch.full((inputs * outputs,), float("nan"), dtype=torch.float16, device="cuda")
    assert distance(packed.numbers(memory).T, numbers) < HALF_ERROR
    product = PackedProduct(packed)
    for rows in ROWS:
        x = torch.randn(rows, inputs, device="cuda").half()
        found = product(x)
        assert distance(found, x.float() @ numbers) < HALF_ERROR, rows
        assert torch.equal(found, product(x)), rows


class Cached:
    """Random keys and values of some rows, as they are and as the cache keeps them."""

    def __init__(self, lengths: list[int], heads: int, kv_heads: int, size: int, bits: int) -> None:
        from bot.engine.cuda.elementwise import rotate_and_store
        from bot.engine.cuda.pages import PagedCache

        self.lengths, self.group = lengths, heads // kv_heads
        pages = [-(-length // 64) for length in lengths]
        cache = PagedCache(
            1,
            kv_heads,
            size,
            pages=sum(pages),
            slots=len(lengths),
            pages_per_slot=max(pages),
            dtype=torch.float16,
            device=torch.device("cuda"),
            bits=bits,
        )
        plain = (torch.ones(4096, size // 2).cuda(), torch.zeros(4096, size // 2).cuda())
        self.queries: list[torch.Tensor] = []
        self.keys: list[torch.Tensor] = []
        self.values: list[torch.Tensor] = []
        for slot, length in enumerate(lengths):
            cache.resize(slot, length)
            parts = [
                torch.randn(length, n, size).cuda().half() for n in (heads, kv_heads, kv_heads)
            ]
            qkv = torch.cat([part.flatten(1) for part in parts], 1)
            positions = torch.arange(length, dtype=torch.int32, device="cuda")
            slots = torch.full_like(positions, slot)
            stored = rotate_and_store(qkv, cache.layer(0), positions, slots, plain, heads)
            assert torch.equal(stored, parts[0])
            self.queries.append(parts[0])
            self.keys.append(parts[1].float().repeat_interleave(self.group, 1))
            self.values.append(parts[2].float().repeat_interleave(self.group, 1))
        self.layer = cache.layer(0)

    def expected(self, slot: int, first: int) -> torch.Tensor:
        """Of the tokens from `first` on."""
        query, keys = self.queries[slot][first:].float(), self.keys[slot]
        scores = torch.einsum("qhd,thd->hqt", query, keys) * query.shape[-1] ** -0.5
        token = torch.arange(len(keys), device="cuda")
        later = token[None] > token[first:, None]
        weights = scores.masked_fill(later, float("-inf")).softmax(-1)
        return torch.einsum("hqt,thd->qhd", weights, self.values[slot]).flatten(1)


SHAPES = [(8, 2, 64), (9, 3, 64), (4, 4, 128), (40, 40, 128)]


@pytest.mark.parametrize("bits", [16, 8])
@pytest.mark.parametrize(("heads", "kv_heads", "size"), SHAPES)
def test_attention_of_one_token_a_row(heads: int, kv_heads: int, size: int, bits: int) -> None:
    from bot.engine.cuda.attention import DecodeSchedule, decode_attention, decode_schedule

    lengths = [1, 2, 31, 32, 33, 63, 64, 65, 130, 300]
    cached = Cached(lengths, heads, kv_heads, size, bits)
    query = torch.stack([rows[-1] for rows in cached.queries])
    expected = torch.cat([cached.expected(n, length - 1) for n, length in enumerate(lengths)])
    slots = torch.arange(len(lengths), dtype=torch.int32, device="cuda")
    before = torch.tensor(lengths, dtype=torch.int32, device="cuda") - 1
    for schedule in (
        decode_schedule(len(lengths) * kv_heads, 132, quantized=bits == 8),
        DecodeSchedule(1),
        DecodeSchedule(2, 32, 2, 2),
        DecodeSchedule(8),
    ):
        found = decode_attention(query, cached.layer, slots, before[slots.long()], schedule)
        assert distance(found, expected) < (HALF_ERROR if bits == 16 else EIGHT_BIT_ERROR)


@pytest.mark.parametrize("bits", [16, 8])
@pytest.mark.parametrize(("heads", "kv_heads", "size"), SHAPES)
@pytest.mark.parametrize(
    ("tokens", "before"), [(1, 0), (1, 64), (41, 200), (64, 63), (100, 0), (130, 5), (300, 130)]
)
def test_attention_of_prompts_with_and_without_a_prefix(
    tokens: int, before: int, heads: int, kv_heads: int, size: int, bits: int
) -> None:
    from bot.engine.cuda.attention import TILE_TOKENS, prompt_attention

    cached = Cached([tokens + before], heads, kv_heads, size, bits)
    firsts = list(range(0, tokens, TILE_TOKENS))
    columns = [
        [0] * len(firsts) + [0],
        [*firsts, 0],
        [min(TILE_TOKENS, tokens - first) for first in firsts] + [0],  # the last tile is nobody's
        [before + first for first in firsts] + [0],
    ]
    tiles = tuple(torch.tensor(column, dtype=torch.int32, device="cuda") for column in columns)
    query = cached.queries[0][before:].contiguous()
    found = prompt_attention(query, cached.layer, tiles)  # type: ignore[arg-type]
    expected = cached.expected(0, before)
    assert distance(found, expected) < (HALF_ERROR if bits == 16 else EIGHT_BIT_ERROR)


@pytest.mark.parametrize("bits", [16, 8])
def test_several_heads_a_program_store_the_same_bit_for_bit(
    bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bot.engine.cuda import elementwise

    kept = []
    for block in (1, 8):
        monkeypatch.setattr(elementwise, "head_block", lambda *_, block=block: block)
        torch.manual_seed(0)
        kept.append(Cached([150, 20], 16, 8, 64, bits).layer)
    assert torch.equal(kept[0].keys, kept[1].keys)
    assert torch.equal(kept[0].values, kept[1].values)
    assert torch.equal(kept[0].key_scales, kept[1].key_scales)
