"""Keeps the libraries that load models from talking over us.

They print banners and progress bars of their own to the terminal; ours say what matters.
"""

import logging
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from importlib import import_module
from io import StringIO

from bot.engine.machine.threads import set_wait_policy

_CHATTY_LOGGERS = (
    "accelerate",
    "gguf",
    "httpx",
    "huggingface_hub",
    "optimum",
    "torch.utils._pytree",  # tells of torchao's deprecated enums at its import
    "torchao",  # tells of extensions for other machines that it cannot load
)


def silence_libraries() -> None:
    """Call before transformers is imported for the first time; idempotent."""
    set_wait_policy()
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for name in _CHATTY_LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)

    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def import_gptqmodel(module: str = "gptqmodel") -> None:
    """Import gptqmodel, or a module of it, silently; the process's logging stays as it was.

    In a thread of its own: gptqmodel keeps the ImportError of an optional module, with it the
    frames of whoever imported it first, and so all that these hold (a model, on its GPU).
    """
    with ThreadPoolExecutor(1, "import") as apart:
        apart.submit(_import_gptqmodel, module).result()


def _import_gptqmodel(module: str) -> None:
    with redirect_stdout(StringIO()):  # at import it prints an empty line
        from logbar import LogBar  # pyright: ignore[reportMissingTypeStubs]

    LogBar.shared().setLevel("ERROR")
    # Read at import. With one worker, which it takes on two cores, quantizing crashes.
    os.environ.setdefault("GPTQMODEL_CPU_WORKERS", str(max(2, min(12, (os.cpu_count() or 2) // 2))))
    warnings.filterwarnings("ignore", module=r"gptqmodel\.")
    # optimum looks at every attribute of the model, this deprecated one of transformers' too.
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")
    # Each load of it makes a temporary folder and lets the collector clean up.
    warnings.filterwarnings("ignore", message=r"Implicitly cleaning up <TemporaryDirectory '.*gptq")
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        import_module(module)
    finally:  # what it imports calls logging.basicConfig()
        root.handlers[:] = handlers
        root.setLevel(level)
