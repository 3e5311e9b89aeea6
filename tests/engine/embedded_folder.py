"""The embedded model as a folder of safetensors, for tests of what torch computes.

It is made once a machine, by transformers out of the model's GGUF, and shared by all test
processes: the first one makes it while the others wait.
"""

import os
import tempfile
from fcntl import LOCK_EX, flock
from functools import cache
from pathlib import Path

from bot.bench.texts.dequantizing import dequantize
from bot.engine.models.embedded import find_embedded
from bot.engine.models.gptq.quantize import QuantizeRequest, quantize_model
from bot.engine.models.progress import no_progress

VERSION = 2  # of how the folder is made


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
            dequantize(embedded.path, target, dtype="float32")
    return target


@cache
def gptq_folder() -> Path:
    """The same model quantized anew to GPTQ. Makes it in minutes, once a machine."""
    source = embedded_folder()
    target = source.with_name(f"{source.name}-gptq")
    with (source.parent / "lock").open("w") as lock:
        flock(lock, LOCK_EX)
        if not target.is_dir():
            request = QuantizeRequest(str(source), target)
            quantize_model(request, data_dir=source.parent, progress=no_progress)
    return target
