"""The embedded model as a folder of safetensors, for tests of what torch computes.

It is made once a machine, by transformers out of the model's GGUF, and shared by all test
processes: the first one makes it while the others wait.
"""

import os
import tempfile
from fcntl import LOCK_EX, flock
from functools import cache
from pathlib import Path
from typing import Any

from bot.engine.models.embedded import find_embedded
from bot.engine.models.folders.folder import WEIGHTS_NAME
from bot.engine.models.folders.making import making_folder

VERSION = 1  # of how the folder is made


@cache
def embedded_folder() -> Path:
    """SmolLM2-135M-Instruct as float32 safetensors with its tokenizer. Makes it in seconds."""
    embedded = find_embedded()
    place = Path(tempfile.gettempdir()) / f"caduceus-tests-{os.getuid()}"
    place.mkdir(mode=0o700, exist_ok=True)
    target = place / f"smollm2-{embedded.sha256[:12]}-{VERSION}"
    with (place / "lock").open("w") as lock:
        flock(lock, LOCK_EX)
        if not target.is_dir():
            _convert(embedded.path, target)
    return target


def _convert(path: Path, target: Path) -> None:
    from bot.engine.models.gptq.quiet import silence_libraries

    silence_libraries()
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    tokenizer: Any = AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)
    model: Any = AutoModelForCausalLM.from_pretrained(
        str(path.parent),
        gguf_file=path.name,
        dtype=torch.float32,
        # Without this, transformers looks for a kernel to download.
        quantization_config=GgufConfig(dequantize=True),
    )
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    weights.pop("lm_head.weight")  # the same tensor as the vocabulary's
    model.config.__dict__.pop("quantization_config", None)
    with making_folder(target) as making:
        save_file(weights, making / WEIGHTS_NAME, metadata={"format": "pt"})
        model.config.save_pretrained(making)
        model.generation_config.save_pretrained(making)
        tokenizer.save_pretrained(making)
