"""Small made checkpoints for the loading tests, with the float weights that they stand for.

The packing here is written from the format's description, bit by bit and apart from the code under
test, so that a shared mistake cannot hide.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

VOCABULARY = 300
WORD_BITS = 32


def pack_rows(codes: np.ndarray, bits: int) -> np.ndarray:
    """Codes [in, out] into int32 words [in * bits / 32, out], lowest bits first, as one stream."""
    count, columns = codes.shape
    stream = (codes[:, None, :] >> np.arange(bits)[None, :, None]) & 1  # [in, bits, out]
    stream = stream.reshape(count * bits // WORD_BITS, WORD_BITS, columns).astype(np.uint64)
    words = (stream << np.arange(WORD_BITS, dtype=np.uint64)[None, :, None]).sum(axis=1)
    return words.astype(np.uint32).view(np.int32)


@dataclass
class Checkpoint:
    """A made model: its float twin, and the tensors of its quantized form."""

    config: LlamaConfig
    reference: LlamaForCausalLM
    tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    quantize_config: dict[str, object] = field(default_factory=dict)


def tiny_config(**changes: object) -> LlamaConfig:
    values: dict[str, object] = {
        "vocab_size": VOCABULARY,
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": False,
        "architectures": ["LlamaForCausalLM"],
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    return LlamaConfig(**(values | changes))


def make_float(**changes: object) -> Checkpoint:
    torch.manual_seed(0)
    config = tiny_config(**changes)
    reference = LlamaForCausalLM(config).float().eval()
    return Checkpoint(config, reference, {k: v.clone() for k, v in reference.state_dict().items()})


def make_gptq(
    *,
    bits: int = 4,
    group_size: int = 32,
    sym: bool = True,
    desc_act: bool = False,
    checkpoint_format: str = "gptq",
    seed: int = 0,
) -> Checkpoint:
    """A quantized model of random codes, and the float model with exactly those weights."""
    checkpoint = make_float()
    random = np.random.default_rng(seed)
    for name, module in checkpoint.reference.model.layers.named_modules():
        if isinstance(module, torch.nn.Linear):
            layer = f"model.layers.{name}"
            weight, parts = _quantized(
                random,
                module.in_features,
                module.out_features,
                bits=bits,
                group_size=group_size,
                sym=sym,
                desc_act=desc_act,
                stored_minus_one=checkpoint_format == "gptq",
            )
            module.weight.data = torch.from_numpy(weight.T.copy())
            del checkpoint.tensors[f"{layer}.weight"]
            checkpoint.tensors |= {f"{layer}.{part}": value for part, value in parts.items()}
    for name, value in checkpoint.tensors.items():
        if value.is_floating_point():
            checkpoint.tensors[name] = value.half()
    for parameter in checkpoint.reference.parameters():
        if parameter.ndim == 2 and parameter.shape[0] == VOCABULARY:
            parameter.data = parameter.data.half().float()
    checkpoint.quantize_config = {
        "bits": bits,
        "group_size": group_size,
        "damp_percent": 0.01,
        "desc_act": desc_act,
        "sym": sym,
        "true_sequential": True,
        "model_name_or_path": None,
        "model_file_base_name": None,
    }
    if checkpoint_format != "gptq":
        checkpoint.quantize_config["checkpoint_format"] = checkpoint_format
    return checkpoint


def _quantized(
    random: np.random.Generator,
    inputs: int,
    outputs: int,
    *,
    bits: int,
    group_size: int,
    sym: bool,
    desc_act: bool,
    stored_minus_one: bool,
) -> tuple[np.ndarray, dict[str, torch.Tensor]]:
    size = inputs if group_size == -1 else group_size
    groups = inputs // size
    codes = random.integers(0, 1 << bits, (inputs, outputs))
    middle = 1 << (bits - 1)
    if sym:
        zeros = np.full((groups, outputs), middle)
    else:  # never 0: the first format stores zeros minus one, so it cannot say 0
        zeros = random.integers(1, 1 << bits, (groups, outputs))
    scales = (random.random((groups, outputs)) * 0.01 + 0.005).astype(np.float16)
    g_idx = np.arange(inputs) // size
    if desc_act:
        g_idx = random.permutation(g_idx)
    weight = np.empty((inputs, outputs), dtype=np.float32)
    for row in range(inputs):
        group = g_idx[row]
        weight[row] = (codes[row] - zeros[group]) * scales[group].astype(np.float32)
    stored = zeros - 1 if stored_minus_one else zeros
    return weight, {
        "qweight": torch.from_numpy(pack_rows(codes, bits)),
        "qzeros": torch.from_numpy(pack_rows(stored.T.copy(), bits).T.copy()),
        "scales": torch.from_numpy(scales),
        "g_idx": torch.from_numpy(g_idx.astype(np.int32)),
    }


def without_g_idx(checkpoint: Checkpoint) -> Checkpoint:
    checkpoint.tensors = {k: v for k, v in checkpoint.tensors.items() if not k.endswith(".g_idx")}
    return checkpoint


def write_old_layout(
    checkpoint: Checkpoint, folder: Path, *, basename: str = "tiny-GPTQ-4bit-32g.no-act.order"
) -> Path:
    """As AutoGPTQ wrote it: quantize_config.json, and weights under a name of their own."""
    _write_common(checkpoint, folder, {})
    (folder / "quantize_config.json").write_text(json.dumps(checkpoint.quantize_config))
    save_file(checkpoint.tensors, folder / f"{basename}.safetensors")
    return folder


def write_new_layout(checkpoint: Checkpoint, folder: Path) -> Path:
    """As transformers and gptqmodel write it: everything in config.json, model.safetensors."""
    quantized = checkpoint.quantize_config
    extra = {"quantization_config": {"quant_method": "gptq", **quantized}} if quantized else {}
    _write_common(checkpoint, folder, extra)
    save_file(checkpoint.tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def _write_common(checkpoint: Checkpoint, folder: Path, extra: dict[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    config = checkpoint.config.to_dict() | {"model_type": "llama"} | extra
    (folder / "config.json").write_text(json.dumps(config))
    write_tokenizer(folder)


def write_tokenizer(folder: Path) -> None:
    """A byte-level tokenizer without merges: every byte is a token."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    specials = ["<unk>", "<s>", "</s>"]
    filling = [f"\u0120filling{number}" for number in range(VOCABULARY - len(specials + alphabet))]
    vocabulary = {t: number for number, t in enumerate([*specials, *alphabet, *filling])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(specials)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "bos_token": "<s>",
                "eos_token": "</s>",
                "unk_token": "<unk>",
                "chat_template": "{{ messages }}",
            }
        )
    )


def logits(model: torch.nn.Module, length: int = 24) -> torch.Tensor:
    """The model's logits for a fixed prompt, on the processor in float32."""
    generator = torch.Generator().manual_seed(3)
    tokens = torch.randint(3, VOCABULARY - 50, (1, length), generator=generator)
    device = next(model.parameters()).device
    with torch.no_grad():
        return model(tokens.to(device)).logits.float().cpu()
