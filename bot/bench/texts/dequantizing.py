# pyright: basic
"""A GGUF file's weights as numbers: a folder of safetensors, for what compares and quantizes."""

from pathlib import Path
from typing import Any

from bot.engine.models.folders.folder import WEIGHTS_NAME
from bot.engine.models.folders.making import making_folder


def dequantize(path: Path, target: Path, *, dtype: str = "float16") -> None:
    """Write the model in `path` into the new folder `target`, whole or not at all, by transformers.

    Its head is left out where it is the vocabulary's table, as its config says then.
    """
    from bot.engine.models.gptq.quiet import silence_libraries

    silence_libraries()
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    folder, name = str(path.parent), path.name
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    model: Any = AutoModelForCausalLM.from_pretrained(
        folder,
        gguf_file=name,
        dtype=torch.float32,
        # Without this, transformers looks for a kernel to download.
        quantization_config=GgufConfig(dequantize=True),
    )
    kept = getattr(torch, dtype)
    weights = {name: tensor.to(kept).contiguous() for name, tensor in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        weights.pop("lm_head.weight", None)
    model.config.__dict__.pop("quantization_config", None)
    model.config.dtype = dtype
    with making_folder(target) as making:
        save_file(weights, making / WEIGHTS_NAME, metadata={"format": "pt"})
        model.config.save_pretrained(making)
        model.generation_config.save_pretrained(making)
        tokenizer.save_pretrained(making)
