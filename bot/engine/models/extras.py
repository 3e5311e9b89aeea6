"""What of `pyproject.toml`'s extras is installed: the light set of dependencies has no torch.

Nothing here imports what it looks for.
"""

from importlib.util import find_spec

from bot.errors import ModelError
from bot.invocation import setup

# What loading a folder of safetensors imports, GPTQ or not.
GPU_LIBRARIES = (
    "torch",
    "transformers",
    "gptqmodel",
    "optimum",
    "accelerate",
    "safetensors",
    "tokenizers",
)
OR_GGUF = ", or take the model as a GGUF file, which needs nothing more"


def is_installed(module: str) -> bool:
    """Whether a top-level module could be imported."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # ValueError: it is there as a shell without a spec
        return False


def missing_gpu_libraries() -> tuple[str, ...]:
    """Those of GPU_LIBRARIES that are not installed."""
    return tuple(module for module in GPU_LIBRARIES if not is_installed(module))


def require_gpu_libraries(what: str, otherwise: str = "") -> None:
    """Raise ModelError where the extra `gpu` is not installed; `what` needs it, in a few words.

    `otherwise` is the rest of the advice, if there is another way.
    """
    missing = missing_gpu_libraries()
    if missing:
        raise ModelError(
            f"{what} needs the extra `gpu`, which is not installed here ({missing[0]} is missing).",
            f"Run {setup('gpu')} (it takes about 8 GB){otherwise}.",
        )


def require_tokenizers() -> None:
    """Raise ModelError where no folder's tokenizer can be read."""
    if not is_installed("tokenizers"):
        raise ModelError(
            "TOKENIZER needs the extra `tokenizer`, which is not installed here.",
            f"Run {setup('tokenizer')} (about 40 MB), or take TOKENIZER out: tokens are then "
            "estimated.",
        )
