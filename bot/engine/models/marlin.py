"""Whether Marlin, the fastest kernel for GPTQ, is there: gptqmodel compiles it at its first use.

Loads neither torch nor gptqmodel, so that `doctor` may ask too.
"""

import os
import shutil
from pathlib import Path

BUILDS_VARIABLE = "GPTQMODEL_TORCH_EXTENSIONS_DIR"  # gptqmodel's own
BUILDS = ".cache/gptqmodel/torch_extensions"
LIBRARIES = "marlin_fp16/*/*.so"


def marlin_is_compiled() -> bool:
    """Whether a compiled Marlin is kept here."""
    named = os.environ.get(BUILDS_VARIABLE)
    builds = Path(named) if named else Path.home() / BUILDS
    return any(builds.glob(LIBRARIES))


def marlin_is_there() -> bool:
    """Whether Marlin has been compiled here, or can be: by nvcc, in about three minutes."""
    return marlin_is_compiled() or shutil.which("nvcc") is not None
