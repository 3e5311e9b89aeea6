"""Our lists of what llama.cpp knows, held against the library that is installed."""

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from gguf_files import GgufFile, llama

from bot.engine.models.gguf.known import (
    OTHER_ARCHITECTURES,
    PRE_TOKENIZERS,
    TEXT_ARCHITECTURES,
    TOKENIZER_MODELS,
)
from bot.engine.models.gguf.weight_types import TENSOR_TYPES

xllamacpp = pytest.importorskip("xllamacpp")

LOADS = """
import json, sys, xllamacpp
for path in json.load(sys.stdin):
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.n_ctx, params.n_gpu_layers, params.fit_params, params.warmup = 64, 0, False, False
    try:
        xllamacpp.Server(params)
    except Exception:
        pass  # each lacks its weights
print("all", end="")
"""
UNKNOWN = re.compile("unknown (?:model architecture|tokenizer|pre-tokenizer type): '([^']*)'")


def unknown(files: Mapping[str, GgufFile], folder: Path) -> set[str]:
    """What llama.cpp does not know of some files, which it loads in a process of its own."""
    paths = [str(file.write(folder / f"{name}.gguf")) for name, file in files.items()]
    done = subprocess.run(
        [sys.executable, "-c", LOADS],
        input=json.dumps(paths),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.stdout == "all"  # none of them ended the process
    return set(UNKNOWN.findall(done.stderr))


def with_value(key: str, names: Iterable[str]) -> dict[str, GgufFile]:
    """Files without weights, alike but for one value."""
    return {
        name: replace(llama(), tensors=()).having(**{key: ("string", name)})
        for name in ("odd first", *sorted(names), "odd last")
    }


@pytest.mark.slow
def test_architectures_are_those_it_knows(tmp_path: Path) -> None:
    names = (TEXT_ARCHITECTURES | OTHER_ARCHITECTURES.keys()) - {"clip"}  # it aborts at that one
    files = with_value("general.architecture", names)
    assert unknown(files, tmp_path) == {"odd first", "odd last"}


@pytest.mark.slow
def test_tokenizers_are_those_it_knows(tmp_path: Path) -> None:
    names = TOKENIZER_MODELS - {"rwkv", "gemma4"}  # it aborts where they lack what they insist on
    files = with_value("tokenizer.ggml.model", names)
    assert unknown(files, tmp_path) == {"odd first", "odd last"}


@pytest.mark.slow
def test_pre_tokenizers_are_those_it_knows(tmp_path: Path) -> None:
    files = with_value("tokenizer.ggml.pre", PRE_TOKENIZERS)
    assert unknown(files, tmp_path) == {"odd first", "odd last"}


def test_kinds_of_weights_are_those_it_knows() -> None:
    theirs = {int(kind): kind.name.removeprefix("GGML_TYPE_") for kind in xllamacpp.ggml_type}
    theirs = {number: name for number, name in theirs.items() if name != "COUNT"}
    assert {number: kind.name for number, kind in TENSOR_TYPES.items()} == theirs
