# pyright: basic
"""A GPTQ checkpoint of given shapes with random weights: as fast as a real one.

Speed does not depend on the weights' values. Its tokenizer knows one word a token: `t0`, `t1` ...
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from bot.engine.models.folders.making import making_folder

BITS = 4
UNKNOWN = "t0"
SCALE = 0.0015  # of random weights: activations neither vanish nor overflow float16


@dataclass(frozen=True, slots=True)
class Shapes:
    """What decides a Llama's speed."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    context: int = 2048
    group_size: int = 128

    @property
    def name(self) -> str:
        """For the cache folder."""
        return (
            f"random-gptq-{self.hidden}x{self.intermediate}-{self.layers}l-{self.heads}h"
            f"-{self.kv_heads}kv-{self.vocabulary}v-g{self.group_size}"
        )


LLAMA_13B = Shapes(5120, 13824, 40, 40, 40, 32001)


def make_checkpoint(shapes: Shapes, cache: Path) -> Path:
    """The checkpoint's folder, made once."""
    folder = cache / shapes.name
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with making_folder(folder) as making:
        _write(shapes, making)
    return folder


def _write(shapes: Shapes, folder: Path) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    generator = torch.Generator(device).manual_seed(0)
    weight_map: dict[str, str] = {}

    def save(name: str, tensors: dict[str, torch.Tensor]) -> None:
        on_host = {key: tensor.cpu().contiguous() for key, tensor in tensors.items()}
        save_file(on_host, str(folder / name), metadata={"format": "pt"})
        weight_map.update(dict.fromkeys(tensors, name))

    for layer in range(shapes.layers):
        tensors = _layer(shapes, f"model.layers.{layer}", generator, device)
        save(f"model-{layer:05d}.safetensors", tensors)
    save("model-head.safetensors", _ends(shapes, generator, device))
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(json.dumps(_config(shapes)))
    _write_tokenizer(shapes, folder)


def _layer(
    shapes: Shapes, name: str, generator: torch.Generator, device: str
) -> dict[str, torch.Tensor]:
    hidden, middle = shapes.hidden, shapes.intermediate
    size = hidden // shapes.heads
    sizes = {
        "self_attn.q_proj": (hidden, hidden),
        "self_attn.k_proj": (hidden, shapes.kv_heads * size),
        "self_attn.v_proj": (hidden, shapes.kv_heads * size),
        "self_attn.o_proj": (hidden, hidden),
        "mlp.gate_proj": (hidden, middle),
        "mlp.up_proj": (hidden, middle),
        "mlp.down_proj": (middle, hidden),
    }
    tensors: dict[str, torch.Tensor] = {}
    group = shapes.group_size
    for part, (inputs, outputs) in sizes.items():
        words = torch.randint(
            -(2**31),
            2**31 - 1,
            (inputs * BITS // 32, outputs),
            dtype=torch.int32,
            device=device,
            generator=generator,
        )
        spread = torch.rand(inputs // group, outputs, device=device, generator=generator)
        tensors[f"{name}.{part}.qweight"] = words
        tensors[f"{name}.{part}.scales"] = (SCALE * (0.8 + 0.4 * spread)).half()
        tensors[f"{name}.{part}.qzeros"] = torch.full(
            (inputs // group, outputs * BITS // 32), 0x77777777, dtype=torch.int32
        )
        tensors[f"{name}.{part}.g_idx"] = torch.arange(inputs, dtype=torch.int32) // group
    ones = torch.ones(hidden, dtype=torch.float16)
    tensors[f"{name}.input_layernorm.weight"] = ones
    tensors[f"{name}.post_attention_layernorm.weight"] = ones.clone()
    return tensors


def _ends(shapes: Shapes, generator: torch.Generator, device: str) -> dict[str, torch.Tensor]:
    def table() -> torch.Tensor:
        numbers = torch.randn(shapes.vocabulary, shapes.hidden, device=device, generator=generator)
        return (numbers * 0.02).half()

    return {
        "model.embed_tokens.weight": table(),
        "model.norm.weight": torch.ones(shapes.hidden, dtype=torch.float16),
        "lm_head.weight": table(),
    }


def _config(shapes: Shapes) -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": shapes.hidden,
        "intermediate_size": shapes.intermediate,
        "num_hidden_layers": shapes.layers,
        "num_attention_heads": shapes.heads,
        "num_key_value_heads": shapes.kv_heads,
        "vocab_size": shapes.vocabulary,
        "max_position_embeddings": shapes.context,
        "rms_norm_eps": 1e-6,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "bos_token_id": None,
        "eos_token_id": None,
        "torch_dtype": "float16",
        "quantization_config": {
            "quant_method": "gptq",
            "bits": BITS,
            "group_size": shapes.group_size,
            "desc_act": False,
            "sym": True,
            "checkpoint_format": "gptq",
        },
    }


def _write_tokenizer(shapes: Shapes, folder: Path) -> None:
    words = {f"t{number}": number for number in range(shapes.vocabulary)}
    tokenizer = Tokenizer(WordLevel(words, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": shapes.context}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
