"""How a model is run on a machine: its context, slots, cache and batches. Pure."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor
from pathlib import Path
from typing import Any, Literal

from bot.engine.models.gguf.file import GgufHeader
from bot.engine.models.gguf.memory import MemoryNeed, memory_need
from bot.errors import ModelError

log = logging.getLogger(__name__)

KvCache = Literal["auto", "16bit", "8bit"]

SLOTS = 8
DEFAULT_CONTEXT_TOKENS = 4096  # of a file that does not say for how much it was made
# Without CONTEXT_TOKENS: more would take minutes to read on a processor, and memory for nothing.
MOST_CONTEXT_TOKENS = 8192
MOST_CONTEXT_TOKENS_ON_CARDS = 32_768
LEAST_CONTEXT_TOKENS = 1024
# A toy for trying out is to leave a small machine its memory.
FRUGAL_CONTEXT_TOKENS = 4096
FRUGAL_POOL_TOKENS = 5120

USED_SHARE = 0.9  # of what is free: others need some too
POOL_SHARE = 0.5  # of what the model leaves, for more conversations than one
SAVED_SHARE = 0.25  # of what is left then, for conversations that have lost their slot
MOST_SAVED_BYTES = 2 << 30

# A step computes so many tokens of a prompt, during which every other reply waits: for a second or
# two on two cores, about as long as between two edits of a message. Fewer make prompts slower.
CARD_BATCH_TOKENS = 512
SMALL_MODEL_BATCH_TOKENS = 256
BATCH_TOKENS = 64
SMALL_MODEL_PARAMETERS = 500_000_000

HTTP_THREADS = 12  # besides one for each reply: for counting tokens
Q8_0, F16 = 8, 1  # GGML_TYPE_...
FLASH_ATTENTION_AUTO, FLASH_ATTENTION_ON = -1, 1  # LLAMA_FLASH_ATTN_TYPE_...
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Plan:
    """What was chosen. `pool_tokens` is the room that all conversations share."""

    context_tokens: int  # of one conversation
    pool_tokens: int
    slots: int
    cache_bits: int
    batch_tokens: int
    threads: int
    saved_bytes: int  # for conversations that have lost their slot
    need: MemoryNeed

    def parameters(self, path: Path, name: str, key: str, *, is_verbose: bool) -> dict[str, Any]:
        """The attributes of llama.cpp's CommonParams, for a processor alone."""
        cache = Q8_0 if self.cache_bits == 8 else F16
        return {
            "model.path": str(path),
            "model_alias": [name],
            "hostnames": ["127.0.0.1"],
            "port": 0,
            "api_keys": [key],
            "ui": False,
            "offline": True,
            "chat_template": "chatml",  # unused: the file's own, if odd, would be fatal
            "n_ctx": self.pool_tokens,
            "n_parallel": self.slots,
            "kv_unified": True,
            "cache_idle_slots": False,  # they keep what they have
            "cache_ram_mib": self.saved_bytes // MIB,
            "cache_type_k": cache,
            "cache_type_v": cache,
            "flash_attn_type": (
                FLASH_ATTENTION_ON if self.cache_bits == 8 else FLASH_ATTENTION_AUTO
            ),
            "n_batch": self.batch_tokens,
            "n_ubatch": self.batch_tokens,
            "cpuparams.n_threads": self.threads,
            "cpuparams_batch.n_threads": self.threads,
            "cpuparams.poll": 0,
            "cpuparams_batch.poll": 0,
            "n_threads_http": self.slots + HTTP_THREADS,
            "fit_params": False,
            "n_gpu_layers": 0,
            "verbosity": 3 if is_verbose else 2,
        }

    def card_parameters(self) -> dict[str, Any]:
        """What differs where there are cards: llama.cpp puts as many layers there as fit."""
        return {"fit_params": True, "n_gpu_layers": -1, "verbosity": 4}


def make_plan(
    header: GgufHeader,
    *,
    free_bytes: int,
    card_bytes: Sequence[int] = (),
    threads: int,
    context_tokens: int = 0,
    kv_cache: KvCache = "auto",
    is_frugal: bool = False,
) -> Plan:
    """Choose. `free_bytes` of memory and `card_bytes` of each card are there to be used.

    `context_tokens` 0 is as much of the model's own as is sensible here. Raises ModelError where
    the model does not fit, with the numbers.
    """
    own = header.context_tokens or DEFAULT_CONTEXT_TOKENS
    if context_tokens > own:
        log.warning(
            "CONTEXT_TOKENS is %d, but %s was made for %d", context_tokens, header.path.name, own
        )
    most = MOST_CONTEXT_TOKENS_ON_CARDS if card_bytes else MOST_CONTEXT_TOKENS
    most = FRUGAL_CONTEXT_TOKENS if is_frugal else most
    wanted = min(context_tokens or most, own)
    batch = _batch_tokens(header, on_cards=bool(card_bytes))
    room = int(USED_SHARE * (free_bytes + sum(card_bytes)))
    asks = Asks(header, batch)
    least = wanted if context_tokens else min(LEAST_CONTEXT_TOKENS, wanted)
    chosen = _fitting(asks, wanted, least, room, kv_cache)
    if chosen is None:
        raise _too_large(header, asks.need(least, _bits_of(kv_cache)[-1]), least, room)
    context, bits = chosen
    if context < wanted:
        log.warning("memory is free for a context of %d tokens, not %d", context, wanted)
    on_cards = int(USED_SHARE * sum(card_bytes))
    if card_bytes and asks.need(context, bits).total <= on_cards:
        room = on_cards  # what is not on a card would slow all of it down
    pool = _pool_tokens(asks, context, bits, room)
    if is_frugal:
        pool = min(pool, max(context, FRUGAL_POOL_TOKENS))
    need = asks.need(pool, bits)
    left = max(int(USED_SHARE * free_bytes) - (0 if on_cards >= need.total else need.total), 0)
    return Plan(
        context_tokens=context,
        pool_tokens=pool,
        slots=SLOTS,
        cache_bits=bits,
        batch_tokens=batch,
        threads=threads,
        saved_bytes=0 if is_frugal else min(int(SAVED_SHARE * left), MOST_SAVED_BYTES),
        need=need,
    )


@dataclass(frozen=True, slots=True)
class Asks:
    """What a model asks for."""

    header: GgufHeader
    batch_tokens: int

    def need(self, pool_tokens: int, bits: int) -> MemoryNeed:
        """Memory with a pool of so many tokens, for all slots."""
        shape = self.header.shape
        one = memory_need(
            shape, self.header.bytes, pool_tokens, 1, bits, batch_tokens=self.batch_tokens
        )
        states = (SLOTS - 1) * shape.state_elements * 4
        return MemoryNeed(one.weights, one.cache + states, one.working)


def describe(plan: Plan, cards: Mapping[str, str]) -> str:
    """For status: where it is computed, in words."""
    if not cards:
        return f"cpu ({plan.threads} thread{'s' if plan.threads != 1 else ''})"
    return ", ".join(
        f"{name} ({layers} layers)" if layers else name for name, layers in cards.items()
    )


def _fitting(
    asks: Asks, wanted: int, least: int, room: int, kv_cache: KvCache
) -> tuple[int, int] | None:
    """The longest context that fits, and the bits of its cache."""
    context = wanted
    while True:
        for bits in _bits_of(kv_cache):
            if asks.need(context, bits).total <= room:
                return context, bits
        if context <= least:
            return None
        context = max(context // 2, least)


def _pool_tokens(asks: Asks, context: int, bits: int, room: int) -> int:
    """Room for as many whole contexts as memory allows, one at least."""
    spare = room - asks.need(context, bits).total
    contexts = 1
    while contexts < SLOTS:
        more = asks.need(context * (contexts + 1), bits).total - asks.need(context, bits).total
        if more > POOL_SHARE * spare:
            break
        contexts += 1
    return context * contexts


def _batch_tokens(header: GgufHeader, *, on_cards: bool) -> int:
    if on_cards:
        return CARD_BATCH_TOKENS
    is_small = header.parameters < SMALL_MODEL_PARAMETERS
    return SMALL_MODEL_BATCH_TOKENS if is_small else BATCH_TOKENS


def _bits_of(kv_cache: KvCache) -> tuple[int, ...]:
    return {"auto": (16, 8), "16bit": (16,), "8bit": (8,)}[kv_cache]


def _too_large(header: GgufHeader, need: MemoryNeed, context: int, room: int) -> ModelError:
    fix = "Take a smaller quantization of it or a smaller model"
    if need.cache > need.weights // 4:
        fix += ", or set CONTEXT_TOKENS lower"
    return ModelError(
        f"{header.path.name} needs {_gigabytes(need.total)} of memory "
        f"({_gigabytes(need.weights)} for its weights, {_gigabytes(need.cache)} for a context of "
        f"{context:,} tokens), and {_gigabytes(room, floor)} are free for it.",
        f"{fix}; or end other programs.",
    )


def _gigabytes(count: int, rounded: Callable[[float], int] = ceil) -> str:
    return f"{rounded(count / 10**8) / 10:.1f} GB"
