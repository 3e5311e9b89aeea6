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
for path in json.loads(sys.stdin.readline()):
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.n_ctx, params.n_gpu_layers, params.fit_params, params.warmup = 64, 0, False, False
    try:
        xllamacpp.Server(params)
    except Exception:
        pass  # each lacks its weights
print("all", end="", flush=True)
sys.stdin.read()  # its log is written by a thread, which the end of the process would cut off
"""
LAST = "odd last"
UNKNOWN = re.compile("unknown (?:model architecture|tokenizer|pre-tokenizer type): '([^']*)'")


def unknown(files: Mapping[str, GgufFile], folder: Path) -> set[str]:
    """What llama.cpp does not know of some files, which it loads in a process of its own."""
    paths = [str(file.write(folder / f"{name}.gguf")) for name, file in files.items()]
    loading = [sys.executable, "-c", LOADS]
    pipe = subprocess.PIPE
    with subprocess.Popen(loading, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdin and process.stdout and process.stderr
        print(json.dumps(paths), file=process.stdin, flush=True)
        found = set[str]()
        for line in process.stderr:
            found.update(UNKNOWN.findall(line))
            if LAST in found:
                process.stdin.close()
                break
        assert process.stdout.read() == "all"  # none of them ended the process
    return found


def with_value(key: str, names: Iterable[str]) -> dict[str, GgufFile]:
    """Files without weights, alike but for one value."""
    return {
        name: replace(llama(), tensors=()).having(**{key: ("string", name)})
        for name in ("odd first", *sorted(names), LAST)
    }


@pytest.mark.slow
def test_architectures_are_those_it_knows(tmp_path: Path) -> None:
    names = (TEXT_ARCHITECTURES | OTHER_ARCHITECTURES.keys()) - {"clip"}  # it aborts at that one
    files = with_value("general.architecture", names)
    assert unknown(files, tmp_path) == {"odd first", LAST}


@pytest.mark.slow
def test_tokenizers_are_those_it_knows(tmp_path: Path) -> None:
    names = TOKENIZER_MODELS - {"rwkv", "gemma4"}  # it aborts where they lack what they insist on
    files = with_value("tokenizer.ggml.model", names)
    assert unknown(files, tmp_path) == {"odd first", LAST}


@pytest.mark.slow
def test_pre_tokenizers_are_those_it_knows(tmp_path: Path) -> None:
    files = with_value("tokenizer.ggml.pre", PRE_TOKENIZERS)
    assert unknown(files, tmp_path) == {"odd first", LAST}


def test_kinds_of_weights_are_those_it_knows() -> None:
    theirs = {int(kind): kind.name.removeprefix("GGML_TYPE_") for kind in xllamacpp.ggml_type}
    theirs = {number: name for number, name in theirs.items() if name != "COUNT"}
    assert {number: kind.name for number, kind in TENSOR_TYPES.items()} == theirs
