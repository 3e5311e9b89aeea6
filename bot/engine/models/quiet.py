"""Keeps the libraries that load models from talking over us.

They print banners and progress bars of their own to the terminal; ours say what matters.
"""

import logging
import os
import warnings
from contextlib import redirect_stdout
from io import StringIO

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
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for name in _CHATTY_LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)

    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def import_gptqmodel() -> None:
    """Import gptqmodel silently, leaving the process's logging as it was."""
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
        import gptqmodel  # noqa: F401  # pyright: ignore[reportUnusedImport, reportMissingTypeStubs]
    finally:  # what it imports calls logging.basicConfig()
        root.handlers[:] = handlers
        root.setLevel(level)
