"""How a model is run, from what it is and what is free."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.engine.llamacpp.plan import SLOTS, USED_SHARE, Asks, describe, make_plan
from bot.engine.models.gguf.file import GgufHeader
from bot.engine.models.gguf.memory import ModelShape
from bot.errors import ModelError

GB = 10**9


@pytest.fixture
def llama(header: GgufHeader) -> GgufHeader:
    """Llama 3.1 8B as Q4_K_M: 128 KiB of cache a token, 131,072 tokens of its own."""
    shape = ModelShape(
        layers=32,
        embedding=4096,
        vocabulary=128_256,
        kv_heads=8,
        key_length=128,
        value_length=128,
        feed_forward=14_336,
    )
    return replace(
        header,
        name="Llama 3.1 8B",
        bytes=4_920_000_000,
        parameters=8_030_000_000,
        context_tokens=131_072,
        shape=shape,
    )


def test_the_embedded_model_leaves_a_small_machine_its_memory(header: GgufHeader) -> None:
    plan = make_plan(header, free_bytes=24 * GB, threads=2, is_frugal=True)
    assert (plan.context_tokens, plan.pool_tokens, plan.cache_bits) == (4096, 5120, 16)
    assert plan.saved_bytes == 0
    assert plan.need.total < 300_000_000


def test_a_longer_context_can_be_asked_for(header: GgufHeader) -> None:
    plan = make_plan(header, free_bytes=24 * GB, threads=2, is_frugal=True, context_tokens=8192)
    assert (plan.context_tokens, plan.pool_tokens) == (8192, 8192)


def test_more_than_the_model_was_made_for_is_not_given(
    header: GgufHeader, caplog: pytest.LogCaptureFixture
) -> None:
    assert make_plan(header, free_bytes=24 * GB, threads=2, context_tokens=9999).context_tokens == (
        header.context_tokens
    )
    assert "was made for 8192" in caplog.text


def test_a_laptop_gets_what_fits(llama: GgufHeader) -> None:
    plan = make_plan(llama, free_bytes=9 * GB, threads=4)
    assert (plan.context_tokens, plan.cache_bits) == (8192, 16)
    assert plan.pool_tokens >= plan.context_tokens
    assert plan.batch_tokens == 64  # others write meanwhile


def test_a_small_one_gets_less_by_itself(llama: GgufHeader) -> None:
    plan = make_plan(llama, free_bytes=6_300_000_000, threads=4)
    assert 1024 <= plan.context_tokens < 8192 or plan.cache_bits == 8
    assert plan.need.total <= 6_300_000_000


def test_what_does_not_fit_is_refused_with_numbers(llama: GgufHeader) -> None:
    with pytest.raises(
        ModelError, match=r"needs 5\.\d GB of memory .* 3\.6 GB are free for it"
    ) as caught:
        make_plan(llama, free_bytes=4 * GB, threads=4)
    assert "smaller quantization" in caught.value.fix
    with pytest.raises(ModelError, match="context of 131,072 tokens") as caught:
        make_plan(llama, free_bytes=9 * GB, threads=4, context_tokens=131_072)
    assert "CONTEXT_TOKENS lower" in caught.value.fix


def test_the_cache_is_as_asked(llama: GgufHeader) -> None:
    plans = {
        name: make_plan(
            llama,
            free_bytes=24 * GB,
            threads=4,
            context_tokens=8192,
            kv_cache=name,  # type: ignore[arg-type]
        )
        for name in ("16bit", "8bit")
    }
    assert plans["8bit"].pool_tokens >= plans["16bit"].pool_tokens
    for name, number in (("16bit", 1), ("8bit", 8)):
        said = plans[name].parameters(llama.path, "x", "key", is_verbose=False)
        assert said["cache_type_k"] == said["cache_type_v"] == number


def test_auto_halves_the_cache_before_the_context_that_was_asked_for(llama: GgufHeader) -> None:
    free = int(Asks(llama, 32).need(32_768, 8).total / USED_SHARE) + GB // 10
    plan = make_plan(llama, free_bytes=free, threads=4, context_tokens=32_768)
    assert (plan.context_tokens, plan.cache_bits) == (32_768, 8)


def test_cards_take_longer_contexts_and_larger_batches(llama: GgufHeader) -> None:
    plan = make_plan(llama, free_bytes=16 * GB, card_bytes=[24 * GB], threads=4)
    assert (plan.context_tokens, plan.batch_tokens) == (32_768, 512)
    assert plan.need.total <= 24 * GB  # all of it on the card
    assert describe(plan, {"RTX 4090": "33/33"}) == "RTX 4090 (33/33 layers)"
    assert describe(plan, {}) == "cpu (4 threads)"


@given(
    st.integers(0, 200 * GB), st.lists(st.integers(0, 90 * GB), max_size=2), st.integers(0, 200_000)
)
def test_whatever_is_chosen_fits(
    header: GgufHeader, free: int, cards: list[int], asked: int
) -> None:
    try:
        plan = make_plan(header, free_bytes=free, card_bytes=cards, threads=1, context_tokens=asked)
    except ModelError:
        return
    assert plan.need.total <= free + sum(cards)
    assert 1 <= plan.context_tokens <= plan.pool_tokens <= SLOTS * plan.context_tokens
    assert plan.context_tokens <= header.context_tokens
    assert 0 <= plan.saved_bytes <= free
