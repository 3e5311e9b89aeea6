"""Whether Marlin, the fastest kernel for GPTQ, is there: gptqmodel compiles it at its first use.

Loads neither torch nor gptqmodel, so that `doctor` may ask too.
"""

import os
import shutil
from pathlib import Path

BUILDS_VARIABLE = "GPTQMODEL_TORCH_EXTENSIONS_DIR"  # gptqmodel's own
BUILDS = ".cache/gptqmodel/torch_extensions"
LIBRARIES = "marlin_fp16/*/*.so"
LOCKS = "marlin_fp16/**/lock"


def marlin_is_compiled() -> bool:
    """Whether a compiled Marlin is kept here."""
    return any(_builds().glob(LIBRARIES))


def _builds() -> Path:
    named = os.environ.get(BUILDS_VARIABLE)
    return Path(named) if named else Path.home() / BUILDS


def forget_build() -> None:
    """Take away the locks of a build that was broken off: the next one would wait for ever."""
    for lock in _builds().glob(LOCKS):
        lock.unlink(missing_ok=True)


def marlin_is_there() -> bool:
    """Whether Marlin has been compiled here, or can be: by nvcc, in about three minutes."""
    return marlin_is_compiled() or shutil.which("nvcc") is not None
