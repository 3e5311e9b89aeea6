# pyright: basic
"""A Llama decoder for one GPU: merged products, fused small steps, a paged cache.

The architecture is transformers' `LlamaForCausalLM` (and Mistral's without a sliding window):
RMSNorm, rotary embedding, grouped-query attention, SwiGLU. No module tree: a list of layers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from bot.engine.cuda.attention import decode_attention, decode_schedule, prompt_attention
from bot.engine.cuda.elementwise import add_norm, rotate_and_store, silu_multiply
from bot.engine.cuda.linear import Linear
from bot.engine.cuda.pages import PagedCache
from bot.engine.cuda.prompts import PromptInputs


@dataclass(frozen=True, slots=True)
class LlamaShape:
    """The numbers of a checkpoint's config."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int
    norm_eps: float


@dataclass(frozen=True, slots=True)
class LlamaLayer:
    """One block. `qkv` and `gate_up` are merged: their outputs stand side by side."""

    input_norm: torch.Tensor
    qkv: Linear
    out: Linear
    post_norm: torch.Tensor
    gate_up: Linear
    down: Linear


class LlamaDecoder:
    """Runs blocks over rows of hidden states. Holds no state of its own beyond the weights."""

    def __init__(
        self,
        shape: LlamaShape,
        embedding: torch.Tensor,
        layers: Sequence[LlamaLayer],
        norm: torch.Tensor,
        head: torch.Tensor,
        rotary: tuple[torch.Tensor, torch.Tensor],
    ) -> None:
        """`head` [vocabulary or more, hidden]: more rows, for alignment, are never chosen."""
        self.shape = shape
        self.embedding = embedding
        self.layers = layers
        self.norm = norm
        self.head = head
        self.rotary = rotary
        device = embedding.device
        self.processors = (
            torch.cuda.get_device_properties(device).multi_processor_count
            if device.type == "cuda"
            else 8
        )

    def decode(
        self, tokens: torch.Tensor, cache: PagedCache, slots: torch.Tensor, positions: torch.Tensor
    ) -> torch.Tensor:
        """One token a row. tokens, slots, positions: [rows] int32. -> logits.

        Rows may share a slot, at positions that follow one another: each finds those before it.
        """
        schedule = decode_schedule(
            len(tokens) * self.shape.kv_heads, self.processors, quantized=cache.bits != 16
        )

        def attend(layer: int, query: torch.Tensor) -> torch.Tensor:
            return decode_attention(query, cache.layer(layer), slots, positions, schedule)

        return self._logits(self._blocks(tokens, cache, positions, slots, attend))

    def prefill(self, inputs: PromptInputs, cache: PagedCache) -> torch.Tensor:
        """Several rows' prompt tokens; the logits after those that are asked for, [rows, ...]."""

        def attend(layer: int, query: torch.Tensor) -> torch.Tensor:
            return prompt_attention(query, cache.layer(layer), inputs.tiles)

        hidden = self._blocks(inputs.tokens, cache, inputs.positions, inputs.slots, attend)
        return self._logits(hidden[inputs.last.long()])

    def _blocks(self, tokens, cache, positions, slots, attend) -> torch.Tensor:
        shape = self.shape
        x = self.embedding[tokens.long()]
        residual = torch.empty_like(x)
        normed = add_norm(x, residual, self.layers[0].input_norm, shape.norm_eps, add=False)
        for index, layer in enumerate(self.layers):
            query = rotate_and_store(
                layer.qkv(normed),
                cache.layer(index),
                positions,
                slots,
                self.rotary,
                shape.heads,
            )
            mixed = layer.out(attend(index, query))
            normed = add_norm(mixed, residual, layer.post_norm, shape.norm_eps)
            fed = layer.down(silu_multiply(layer.gate_up(normed)))
            following = self.layers[index + 1].input_norm if index + 1 < shape.layers else self.norm
            normed = add_norm(fed, residual, following, shape.norm_eps)
        return normed

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden @ self.head.T
