"""The forward pass of Llama-shaped models, for rows that join and leave at any step.

One step takes the tokens of all its pieces as one flat batch through the model's own linear
layers, quantized ones too, and does attention a piece at a time over that slot's own cache: no
padding, no copies, and a row's attention does not depend on its neighbours. It computes what the
model's own `forward` does; tests compare it token for token with `generate()`.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from bot.engine.api import Sampling
from bot.engine.local.guessing.agreement import COUNTS
from bot.engine.local.memory import (
    device_in_words,
    free_room_tokens,
    give_back_memory,
    telling_out_of_memory,
)
from bot.engine.local.runner import RunnerLimits, Segment
from bot.engine.local.slots import BLOCK_TOKENS
from bot.engine.local.vocabulary import Vocabulary
from bot.engine.machine.spare import host_cache_bytes
from bot.engine.portable.host import HostTensors
from bot.engine.portable.sampling import Sampler

if TYPE_CHECKING:
    from bot.engine.local.loaded_model import LoadedModel

ROWS_CPU = 8
ROWS_GPU = 32
SLOTS_A_ROW = 4  # sequences kept for later, for each that can run
CHUNK_TOKENS_CPU = 128
CHUNK_TOKENS_GPU = 512
# Up to here a processor multiplies weights by rows faster than rows by weights; from 6 on, alike.
FEW_ROWS = 4

Linear = Callable[[Tensor], Tensor]


class _Layer:
    """One decoder layer's parts, looked up once. Plain projections of one input are merged."""

    def __init__(self, layer: Any) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.input_norm = norm(layer.input_layernorm)
        self.query_key_value = side_by_side(attention.q_proj, attention.k_proj, attention.v_proj)
        self.query_norm = norm(attention.q_norm) if hasattr(attention, "q_norm") else None
        self.key_norm = norm(attention.k_norm) if hasattr(attention, "k_norm") else None
        self.output = projection(attention.o_proj)
        self.scaling = float(attention.scaling)
        self.mlp_norm = norm(layer.post_attention_layernorm)
        self.gate_up = side_by_side(mlp.gate_proj, mlp.up_proj)
        self.activation = cast(Linear, mlp.act_fn)
        self.down = projection(mlp.down_proj)


class LlamaRunner:
    """Runs a loaded Llama-shaped model on any device that torch knows."""

    def __init__(self, loaded: "LoadedModel", limits: RunnerLimits) -> None:
        """Takes over the model: projections of one input come to share one storage."""
        model = cast(Any, loaded.model)
        config = model.config
        on_cpu = loaded.device.type == "cpu"
        self._device = loaded.device
        self._heads = int(config.num_attention_heads)
        self._kv_heads = int(config.num_key_value_heads)
        self._head_width = int(
            getattr(config, "head_dim", None) or config.hidden_size // self._heads
        )
        self._embed = model.model.embed_tokens
        with torch.no_grad():
            self._layers = [_Layer(layer) for layer in model.model.layers]
            self._norm = norm(model.model.norm)
            self._lm_head = projection(model.lm_head)
            self.context_tokens = loaded.info.context_tokens
            self._cosines, self._sines = _rotations(model.model, self.context_tokens)
        self._dtype = self._cosines.dtype
        self.device = device_in_words(loaded.device)
        self.kernel = loaded.kernel
        self.rows = limits.rows or (ROWS_CPU if on_cpu else ROWS_GPU)
        self.slots = self.rows * SLOTS_A_ROW
        self.chunk_tokens = CHUNK_TOKENS_CPU if on_cpu else CHUNK_TOKENS_GPU
        self.guessed_tokens = COUNTS[-1] if limits.guess_ahead == "on" else 0
        token_bytes = 2 * len(self._layers) * self._kv_heads * self._head_width
        room = limits.room_tokens or free_room_tokens(
            loaded.device, token_bytes * self._dtype.itemsize
        )
        most = self.rows * self.context_tokens
        self.room_tokens = max(min(room, most) // BLOCK_TOKENS, 1) * BLOCK_TOKENS
        self._caches: dict[int, Tensor] = {}  # slot: [layers, 2, kv heads, room, head width]
        # By itself only beside a device with memory of its own.
        asked = 0 if on_cpu and limits.host_bytes is None else limits.host_bytes
        page = (len(self._layers), 2, self._kv_heads, BLOCK_TOKENS, self._head_width)
        host = HostTensors(self._caches, page, self._dtype, host_cache_bytes(asked))
        self.host = host if host.pages else None
        vocabulary = int(config.vocab_size)
        self._sampler = Sampler(slots=self.slots, vocabulary=vocabulary, device=loaded.device)

    @telling_out_of_memory()
    @torch.inference_mode()
    def begin(self, slot: int, room_tokens: int, cached_tokens: int) -> None:
        """See :class:`~bot.engine.local.runner.Runner`."""
        old = self._caches.get(slot)
        if old is not None and old.shape[3] == room_tokens:
            return
        if not cached_tokens:
            old = None
            self._caches.pop(slot, None)  # its memory may be what the new one needs
        shape = (len(self._layers), 2, self._kv_heads, room_tokens, self._head_width)
        new = torch.empty(shape, dtype=self._dtype, device=self._device)
        if old is not None and cached_tokens:
            new[:, :, :, :cached_tokens] = old[:, :, :, :cached_tokens]
        self._caches[slot] = new

    @telling_out_of_memory()
    @torch.inference_mode()
    def copy(self, source: int, target: int, tokens: int) -> None:
        """See :class:`~bot.engine.local.runner.Runner`."""
        self._caches[target][:, :, :, :tokens] = self._caches[source][:, :, :, :tokens]

    @telling_out_of_memory()
    def sample(
        self,
        slot: int,
        prompt: Sequence[int],
        sampling: Sampling,
        seed: int,
        step: int = 0,
        vocabulary: Vocabulary | None = None,
    ) -> None:
        """See :class:`~bot.engine.local.runner.Runner`."""
        self._sampler.begin(slot, prompt, sampling, seed, step, vocabulary)

    def release(self, slot: int) -> None:
        """See :class:`~bot.engine.local.runner.Runner`."""
        self._caches.pop(slot, None)

    def give_back(self) -> None:
        """See :class:`~bot.engine.local.runner.Runner`."""
        give_back_memory()

    @telling_out_of_memory()
    @torch.inference_mode()
    def step(self, pieces: Sequence[Segment]) -> list[int]:
        """See :class:`~bot.engine.local.runner.Runner`."""
        logits = self.logits(pieces)
        slots = [piece.slot for piece in pieces if piece.chooses]
        return self._sampler.choose(logits, slots) if slots else []

    @telling_out_of_memory()
    @torch.inference_mode()
    def check(self, pieces: Sequence[Segment]) -> list[list[int]]:
        """See :class:`~bot.engine.local.runner.Runner`.

        A guess is a piece of one token: in every layer it finds what those before it have written.
        """
        expanded = [one for piece in pieces for one in _one_by_one(piece)]
        logits = self.logits(expanded)
        choosing = [piece for piece in pieces if piece.chooses]
        slots, guesses = [p.slot for p in choosing], [p.guesses for p in choosing]
        return self._sampler.choose_while_right(logits, slots, guesses) if slots else []

    @torch.inference_mode()
    def logits(self, pieces: Sequence[Segment]) -> Tensor:
        """Compute the pieces; the logits after each that chooses, [choosing, vocabulary]."""
        spans = [_Span(piece, self._caches[piece.slot]) for piece in pieces]
        offset = 0
        for span in spans:
            offset = span.place(offset, self._dtype, self._device)
        tokens = torch.tensor([token for piece in pieces for token in piece.tokens])
        positions = torch.cat([torch.arange(span.start, span.end) for span in spans])
        positions = positions.to(self._device)
        cosines = self._cosines[positions].unsqueeze(1)
        sines = self._sines[positions].unsqueeze(1)
        hidden = self._embed(tokens.to(self._device))
        for index, layer in enumerate(self._layers):
            hidden = self._through(index, layer, hidden, cosines, sines, spans)
        last = [span.after - 1 for span in spans if span.chooses]
        if not last:
            return hidden.new_empty(0, 0)
        return self._lm_head(self._norm(hidden[torch.tensor(last, device=self._device)]))

    def _through(
        self,
        index: int,
        layer: _Layer,
        hidden: Tensor,
        cosines: Tensor,
        sines: Tensor,
        spans: "Sequence[_Span]",
    ) -> Tensor:
        count = hidden.shape[0]
        projected = layer.query_key_value(layer.input_norm(hidden)).view(
            count, self._heads + 2 * self._kv_heads, self._head_width
        )
        rotating = projected[:, : self._heads + self._kv_heads]
        if layer.query_norm is not None and layer.key_norm is not None:
            query, key = rotating[:, : self._heads], rotating[:, self._heads :]
            rotating = torch.cat((layer.query_norm(query), layer.key_norm(key)), dim=1)
        halves = rotating.roll(self._head_width // 2, -1)
        rotated = torch.addcmul(rotating * cosines, halves, sines)
        query, key = rotated[:, : self._heads], rotated[:, self._heads :]
        value = projected[:, self._heads + self._kv_heads :]
        attended = [span.attend(index, query, key, value, layer.scaling) for span in spans]
        mixed = attended[0] if len(attended) == 1 else torch.cat(attended)
        hidden = hidden + layer.output(mixed)
        gate, up = layer.gate_up(layer.mlp_norm(hidden)).chunk(2, dim=-1)
        return hidden + layer.down(layer.activation(gate) * up)


def _one_by_one(piece: Segment) -> list[Segment]:
    """A piece, and one for each token that is guessed to follow it."""
    after = piece.start + len(piece.tokens)
    guesses = enumerate(piece.guesses)
    return [piece, *(Segment(piece.slot, after + n, [token], True) for n, token in guesses)]


class _Span:
    """A piece's place in the flat batch, and its attention."""

    def __init__(self, piece: Segment, cache: Tensor) -> None:
        self.start = piece.start
        self.count = len(piece.tokens)
        self.end = piece.start + self.count
        self.chooses = piece.chooses
        self._layers = cache[:, :, :, : self.end].unbind(0)
        self._mask: Tensor | None = None
        self.before = self.after = 0

    def place(self, offset: int, dtype: torch.dtype, device: torch.device) -> int:
        """Take the rows from `offset` on; returns the first one after them."""
        self.before, self.after = offset, offset + self.count
        if self.count > 1 and self.start > 0:
            allowed = torch.ones(self.count, self.end, dtype=torch.bool, device=device)
            allowed = allowed.tril(self.start)
            mask = torch.zeros(self.count, self.end, dtype=dtype, device=device)
            self._mask = mask.masked_fill(~allowed, float("-inf"))
        return self.after

    def attend(
        self, index: int, query: Tensor, key: Tensor, value: Tensor, scaling: float
    ) -> Tensor:
        """Write this layer's keys and values; returns what the queries find, [count, width]."""
        keys, values = self._layers[index].unbind(0)  # [kv heads, tokens so far, head width]
        rows = slice(self.before, self.after)
        keys[:, self.start :] = key[rows].transpose(0, 1)
        values[:, self.start :] = value[rows].transpose(0, 1)
        if self.count == 1:
            # Queries that share keys stand as rows of one small product: nothing is repeated.
            asked = query[self.before].view(1, keys.shape[0], -1, keys.shape[2])
            found = functional.scaled_dot_product_attention(
                asked, keys[None], values[None], scale=scaling
            )
            return found.reshape(1, -1)
        found = functional.scaled_dot_product_attention(
            query[rows].transpose(0, 1)[None],
            keys[None],
            values[None],
            attn_mask=self._mask,
            is_causal=self._mask is None,
            scale=scaling,
            enable_gqa=query.shape[1] != keys.shape[0],
        )
        return found[0].transpose(0, 1).reshape(self.count, -1)


def _rotations(model: Any, context_tokens: int) -> tuple[Tensor, Tensor]:
    """The model's own rotary angles for every position: cosines, and sines with their signs."""
    like = model.embed_tokens.weight
    positions = torch.arange(context_tokens, device=like.device)[None]
    cosines, sines = cast("tuple[Tensor, Tensor]", model.rotary_emb(like[:1], positions))
    half = sines.shape[-1] // 2
    signed = torch.cat((-sines[0, :, :half], sines[0, :, half:]), dim=-1)
    return cosines[0].contiguous(), signed


def norm(module: Any) -> Linear:
    """RMS normalisation in one call. In half precision the module's own rounding is kept."""
    weight = cast(Tensor, module.weight)
    if weight.dtype != torch.float32:
        return cast(Linear, module)
    epsilon = float(module.variance_epsilon)
    shape = list(weight.shape)
    return lambda hidden: torch.rms_norm(hidden, shape, weight, epsilon)


def projection(module: Any) -> Linear:
    """A projection, without the cost of a module's call where it is a plain one."""
    if type(module) is not nn.Linear:
        return cast(Linear, module)
    return _product(module.weight, module.bias)


def _product(weight: Tensor, bias: Tensor | None = None) -> Linear:
    """A plain projection. On a processor, a few rows take the product the other way round."""
    if weight.device.type != "cpu":
        return lambda hidden: functional.linear(hidden, weight, bias)

    def project(hidden: Tensor) -> Tensor:
        if bias is None and 1 < hidden.shape[0] <= FEW_ROWS:
            return torch.mm(weight, hidden.t()).t().contiguous()
        return functional.linear(hidden, weight, bias)

    return project


def _is_plain(module: Any) -> bool:
    return type(module) is nn.Linear and cast("Tensor | None", module.bias) is None


def side_by_side(*modules: Any) -> Linear:
    """Projections of one input, their results side by side. Plain ones become one product.

    The modules keep working: their weights become views of the merged one, so that nothing is
    held twice.
    """
    if not all(_is_plain(module) for module in modules):
        linears = [projection(module) for module in modules]
        return lambda hidden: torch.cat([linear(hidden) for linear in linears], dim=-1)
    merged = torch.cat([module.weight for module in modules])
    row = 0
    for module in modules:
        height = module.weight.shape[0]
        module.weight.data = merged[row : row + height]
        row += height
    return _product(merged)
