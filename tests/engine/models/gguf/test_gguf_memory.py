"""What a model takes in memory, reckoned: held against what llama.cpp has been measured to take."""

import pytest
from gguf_files import llama

from bot.engine.models.embedded import find_embedded
from bot.engine.models.gguf.file import read_gguf_header
from bot.engine.models.gguf.memory import ModelShape, memory_need

MB = 1 << 20
LLAMA_3_8B = ModelShape(
    layers=32,
    embedding=4096,
    vocabulary=128_256,
    kv_heads=8,
    key_length=128,
    value_length=128,
    feed_forward=14_336,
)


# Resident memory of xllamacpp 2026.10.11549 with the embedded model, after one prompt in each slot.
@pytest.mark.parametrize(
    ("context", "sequences", "cache_bits", "measured_mb"),
    [(2048, 1, 16, 217), (2048, 4, 16, 355), (8192, 1, 16, 355)],
)
def test_it_is_near_what_was_measured(
    context: int, sequences: int, cache_bits: int, measured_mb: int
) -> None:
    header = read_gguf_header(find_embedded().path)
    reckoned = header.memory(context, sequences, cache_bits).total / MB
    assert 0.97 < reckoned / measured_mb < 1.10


def test_the_cache_is_what_llama_cpp_lays_out() -> None:
    header = read_gguf_header(find_embedded().path)
    assert header.memory(2048, 4).cache == 180 * MB
    assert header.memory(8192, 2, 8).cache == int(191.25 * MB)
    assert memory_need(LLAMA_3_8B, 0, 8192, 1).cache == 1024 * MB


def test_layers_with_a_window_keep_no_more_than_it() -> None:
    whole = ModelShape(26, 2304, 256_000, 4, 256, 256, 9216)
    half = ModelShape(26, 2304, 256_000, 4, 256, 256, 9216, window=1024, window_layers=13)
    a_token = 4 * 512 * 2
    assert memory_need(whole, 0, 8192, 1).cache == 26 * 8192 * a_token
    assert memory_need(half, 0, 8192, 1).cache == 13 * (8192 + 1536) * a_token
    assert memory_need(half, 0, 512, 1).cache == memory_need(whole, 0, 512, 1).cache


def test_layers_without_keys_take_no_cache_and_a_state_whatever_the_length() -> None:
    mixed = ModelShape(4, 64, 300, (0, 2, 0, 2), 16, 16, state_elements=1000)
    assert memory_need(mixed, 0, 100, 3).cache == 3 * (2 * 100 * 2 * 32 * 2 + 4000)


def test_more_of_anything_never_takes_less() -> None:
    base = memory_need(LLAMA_3_8B, 5_000, 2048, 1)
    assert base.total == base.weights + base.cache + base.working
    assert memory_need(LLAMA_3_8B, 5_000, 4096, 1).total > base.total
    assert memory_need(LLAMA_3_8B, 5_000, 2048, 2).total > base.total
    assert memory_need(LLAMA_3_8B, 5_000, 2048, 1, 8).total < base.total


def test_shapes_come_from_files_as_from_hand(tmp_path: object) -> None:
    from pathlib import Path

    path = Path(str(tmp_path)) / "tiny.gguf"
    file = llama(layers=3, architecture="gemma3").having(
        gemma3__attention__head_count_kv=("[uint32]", [1, 2, 4]),
        gemma3__attention__key_length=("uint32", 32),
        gemma3__attention__sliding_window=("uint32", 128),
        gemma3__attention__sliding_window_pattern=("uint32", 3),
        gemma3__rope__dimension_count=None,
    )
    shape = read_gguf_header(file.write(path)).shape
    assert shape.kv_heads == (1, 2, 4)
    assert (shape.key_length, shape.value_length) == (32, 16)
    assert (shape.window, shape.window_layers) == (128, 2)
