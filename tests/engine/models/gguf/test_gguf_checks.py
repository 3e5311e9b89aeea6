"""GGUF files that lie, are cut off or are something else: each refused with one plain line."""

import os
import struct
import tracemalloc
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from gguf_files import ARRAY, F16, Q8_0, STRING, GgufFile, Tensor, llama, text
from hypothesis import given
from hypothesis import strategies as st

from bot.engine.models.gguf.file import read_gguf_header
from bot.errors import ModelError

HUGE = (1 << 62) + 5


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tiny.gguf"


def refusal(path: Path) -> str:
    """How a file is refused: one plain line that names it, quickly and within bounds."""
    begun = perf_counter()
    tracemalloc.start()
    try:
        with pytest.raises(ModelError) as caught:
            read_gguf_header(path)
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()
    assert perf_counter() - begun < 2
    said = str(caught.value)
    assert said.isprintable()
    assert str(path) in said
    assert caught.value.fix
    assert len(said) < 400 + len(str(path))
    return said.replace(str(path), "FILE")


def test_a_right_file_is_none_of_this(path: Path) -> None:
    assert read_gguf_header(llama().write(path)).architecture == "llama"
    assert read_gguf_header(replace(llama(), version=2).write(path)).architecture == "llama"


@pytest.mark.parametrize(
    ("version", "said"),
    [
        (1, "FILE is GGUF of version 1; 2 and 3 are read."),
        (4, "FILE is GGUF of version 4"),
        (3 << 24, "FILE is a big-endian GGUF"),
        (0, "FILE is a big-endian GGUF"),
    ],
)
def test_other_versions_and_the_other_end_first(version: int, said: str, path: Path) -> None:
    assert said in refusal(replace(llama(), version=version).write(path))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty."),
        (b"\0" * 5000, "nothing but zeros"),
        (b"<!DOCTYPE html><html>Sign in</html>", "a web page"),
        (b"\n <html>", "a web page"),
        (b'{"error": "Repository not found"}', "JSON"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "a pointer to the model"),
        (struct.pack("<Q", 900) + b'{"lm_head.weight": {}}', "a safetensors file"),
        (b"FUGG" + b"\0" * 99, "a big-endian GGUF"),
        (b"tjgg" + b"\0" * 99, "before GGUF"),
        (b"PK\x03\x04" + b"\0" * 99, "a zip"),
        (b"\x80\x02}", "a pickle"),
        (b"\x1f\x8b" + b"\1" * 99, "gzip"),
        (b"some words that are no model", "is no GGUF file"),
        (b"GGUF", "broken-off"),
        (b"GGUF\3\0\0\0", "broken-off"),
    ],
)
def test_what_is_something_else_is_named(content: bytes, said: str, path: Path) -> None:
    path.write_bytes(content)
    assert said in refusal(path)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    assert "is no file" in refusal(tmp_path / "pipe.gguf")
    assert "is no file" in refusal(tmp_path)
    loop = tmp_path / "loop.gguf"
    loop.symlink_to(loop)
    assert "cannot be read" in refusal(loop)
    assert "cannot be read: No such file" in refusal(tmp_path / "nowhere.gguf")


def test_a_download_that_broke_off_says_how_much_is_missing(path: Path) -> None:
    whole = llama(embedding=1024, feed_forward=2048).write(path).stat().st_size
    read_gguf_header(path)
    os.truncate(path, whole - 12_345)
    assert "a broken-off download: 12,345 bytes of it are missing." in refusal(path)
    os.truncate(path, whole - 12_345_678)
    assert "a broken-off download: 12 MB of it are missing." in refusal(path)


@given(data=st.data())
def test_a_file_cut_off_anywhere_is_refused(data: st.DataObject, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.gguf"
    whole = llama().write(path).read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    refusal(path)


@given(place=st.integers(4, 4000), rubbish=st.binary(min_size=1, max_size=9))
def test_a_damaged_header_is_read_or_refused(
    place: int, rubbish: bytes, tmp_path_factory: Any
) -> None:
    path = tmp_path_factory.getbasetemp() / "spoiled.gguf"
    whole = llama().write(path).read_bytes()
    path.write_bytes(whole[:place] + rubbish + whole[place + len(rubbish) :])
    try:
        read_gguf_header(path)
    except ModelError as error:
        assert str(error).isprintable()


def array(key: str, kind: int, count: int, content: bytes = b"") -> bytes:
    return text(key) + struct.pack("<IIQ", ARRAY, kind, count) + content


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (replace(llama(), key_count=HUGE), "claims to hold"),
        (replace(llama(), tensor_count=HUGE), "claims to hold"),
        (replace(llama(), key_count=60), "is a"),
        (replace(llama(), more_keys=(struct.pack("<Q", HUGE),)), "claims more"),
        (replace(llama(), more_keys=(text("x" * 20_000) + struct.pack("<IB", 0, 1),)), "a name"),
        (replace(llama(), more_keys=(array("x", STRING, HUGE),)), "texts in the list «x»"),
        (replace(llama(), more_keys=(array("x", 4, HUGE),)), "claims more"),
        (replace(llama(), more_keys=(array("x", ARRAY, 1),)), "lists within lists"),
        (replace(llama(), more_keys=(array("x", 77, 1),)), "unknown kind 77"),
        (replace(llama(), more_keys=(text("x") + struct.pack("<I", 99),)), "unknown kind 99"),
        (
            replace(llama(), more_keys=(text("llama.block_count") + struct.pack("<II", 4, 2),)),
            "the key «llama.block_count» twice",
        ),
        (replace(llama(), more_keys=(text(b"\xff\xfe") + struct.pack("<IB", 0, 1),)), "UTF-8"),
        (replace(llama(), more_keys=(text("") + struct.pack("<IB", 0, 1),)), "without name"),
        (llama().having(general__alignment=("uint32", 0)), "no power of two"),
        (llama().having(general__alignment=("uint32", 48)), "no power of two"),
        (llama().having(general__alignment=("uint64", 32)), "no power of two"),
        (llama().having(general__alignment=("uint32", 1)), "at places where they cannot"),
        (llama().having(general__alignment=("uint32", 16)), "at places where they cannot"),
    ],
)
def test_a_header_that_lies_is_refused(file: GgufFile, said: str, path: Path) -> None:
    assert said in refusal(file.write(path))


def with_tensor(*more: Tensor, without: str = "") -> GgufFile:
    tensors = [tensor for tensor in llama().tensors if tensor.name != without]
    return replace(llama(), tensors=(*tensors, *more))


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (with_tensor(Tensor("output_norm.weight", (64,))), "«output_norm.weight» twice"),
        (with_tensor(Tensor("x" * 64, (64,))), "a name of 64 bytes"),
        (with_tensor(Tensor("x", (1, 1, 1, 1, 1))), "5 dimensions"),
        (with_tensor(Tensor("x", (64,), 77)), "does not know (number 77"),
        (with_tensor(Tensor("x", (64,), 4)), "does not know (number 4"),
        (with_tensor(Tensor("x", (0,))), "impossible size"),
        (with_tensor(Tensor("x", (33,), 2)), "impossible size"),
        (with_tensor(Tensor("x", (64,), offset=0)), "overlap"),
        (with_tensor(Tensor("x", (64,), offset=7)), "overlap"),
        (with_tensor(Tensor("x", (64,), offset=1 << 40)), "overlap or leave gaps"),
        (with_tensor(without="token_embd.weight"), "lacks the weights of its vocabulary"),
        (with_tensor(Tensor("x.weight", (64,), 26)), "cannot be computed"),
        (with_tensor(Tensor("blk.0.attn_q.bias", (64,), F16)), "cannot be computed"),
        (
            with_tensor(Tensor("output_norm.weight", (64,), Q8_0), without="output_norm.weight"),
            "cannot be computed with («output_norm.weight»)",
        ),
        (replace(llama(), tensors=()), "a vocabulary and no weights"),
        (llama().having(llama__block_count=("uint32", 3)), "1 of its 3 layers"),
        (
            llama().having(
                llama__embedding_length=("uint32", 128), llama__rope__dimension_count=None
            ),
            "tokens of 128 numbers",
        ),
        (llama().having(llama__embedding_length=("uint32", HUGE % 2**32)), "is a damaged"),
    ],
)
def test_weights_that_cannot_be_are_refused(file: GgufFile, said: str, path: Path) -> None:
    assert said in refusal(file.write(path))


def test_a_tensor_larger_than_any_disk_is_refused(path: Path) -> None:
    llama().write(path)
    huge = with_tensor(Tensor("x", (1 << 40, 1 << 20), offset=None))
    path.write_bytes(huge.header())
    assert "is a damaged GGUF file" in refusal(path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"general__architecture": ("string", "nobody\nknows")}, "«nobody?knows»"),
        ({"general__architecture": None}, "does not name its architecture"),
        ({"general__architecture": ("uint32", 7)}, "does not name its architecture"),
        ({"general__architecture": ("string", "bert")}, "an embedding model"),
        ({"general__architecture": ("string", "gemma-embedding")}, "an embedding model"),
        ({"general__architecture": ("string", "t5")}, "encoder-decoder"),
        ({"general__architecture": ("string", "clip")}, "looks at pictures"),
        ({"general__architecture": ("string", "llada")}, "a diffusion model"),
        ({"general__architecture": ("string", "wavtokenizer-dec")}, "a model of sound"),
        ({"general__type": ("string", "adapter")}, "an adapter (LoRA)"),
        ({"general__type": ("string", "mmproj")}, "looks at pictures"),
        ({"general__type": ("string", "poem")}, "of the kind «poem»"),
        ({"adapter__type": ("string", "lora")}, "no whole model"),
        ({"llama__pooling_type": ("uint32", 1)}, "embedding or ranking"),
        ({"llama__pooling_type": ("uint32", 4)}, "embedding or ranking"),
        ({"llama__attention__causal": ("bool", False)}, "one token after the other"),
        ({"llama__classifier__output_labels": ("[string]", ["good"])}, "a classifier"),
        ({"split__count": ("uint16", 3)}, "one part of a model that is split into 3"),
        ({"tokenizer__ggml__model": None}, "has no tokenizer"),
        ({"tokenizer__ggml__model": ("string", "none")}, "has no tokenizer"),
        ({"tokenizer__ggml__model": ("string", "odd")}, "its tokenizer («odd»)"),
        ({"tokenizer__ggml__pre": ("string", "odd")}, "cuts words («odd»)"),
        ({"tokenizer__ggml__merges": None}, "without its merges"),
        ({"tokenizer__ggml__tokens": None}, "no vocabulary"),
        ({"tokenizer__ggml__tokens": ("[string]", [])}, "no vocabulary"),
        ({"tokenizer__ggml__tokens": ("[string]", ["a", "a"])}, "same token twice"),
        ({"tokenizer__ggml__tokens": ("[string]", ["a", "a\0b"])}, "same token twice"),
        ({"tokenizer__ggml__tokens": ("[string]", ["a", b"\xff"])}, "not UTF-8"),
        ({"tokenizer__ggml__token_type": ("[int32]", [1])}, "fewer kinds of tokens"),
        ({"tokenizer__ggml__scores": ("[float32]", [1.0])}, "fewer scores"),
        ({"tokenizer__chat_template": ("string", "x" * 2_000_000)}, "chat templates"),
        (
            {
                "tokenizer__ggml__add_eos_token": ("bool", True),
                "tokenizer__ggml__eos_token_id": None,
            },
            "does not name it",
        ),
        ({"llama__embedding_length_out": ("uint32", 1 << 31)}, "impossible value"),
        ({"llama__context_length": ("uint32", 0)}, "no room for a single token"),
        ({"llama__context_length": None}, "no room for a single token"),
        ({"llama__context_length": ("uint64", 512)}, "no whole number"),
        ({"llama__block_count": ("uint32", 0)}, "layers"),
        ({"llama__block_count": ("uint32", 513)}, "layers"),
        ({"llama__attention__head_count": ("uint32", 0)}, "no attention heads"),
        ({"llama__attention__head_count": ("uint32", 65)}, "heads"),
        ({"llama__attention__head_count": ("[uint32]", [4])}, "1 values"),
        ({"llama__attention__head_count_kv": ("uint32", 3)}, "4 attention heads for 3"),
        ({"llama__attention__key_length": ("uint32", 0)}, "without width"),
        ({"llama__rope__dimension_count": ("uint32", 6)}, "turns 6 of the 16"),
        ({"llama__rope__scaling__type": ("string", "")}, "stretches positions"),
        ({"llama__rope__scaling__type": ("string", "su")}, "stretches positions"),
        ({"llama__rope__freq_base": ("float32", float("nan"))}, "impossible value"),
        ({"llama__attention__layer_norm_rms_epsilon": ("float32", -1.0)}, "impossible value"),
        ({"llama__expert_count": ("uint32", 8)}, "uses 0 of 8 experts"),
        ({"llama__expert_used_count": ("uint32", 2)}, "uses 2 of 0 experts"),
        ({"llama__nextn_predict_layers": ("uint32", 2)}, "guess ahead"),
    ],
)
def test_what_llama_cpp_would_trip_over_is_refused(
    changes: dict[str, Any], said: str, path: Path
) -> None:
    assert said in refusal(llama().having(**changes).write(path))


def test_a_part_is_known_by_its_name(tmp_path: Path) -> None:
    path = llama().write(tmp_path / "big-00002-of-00003.gguf")
    said = refusal(path)
    assert "is part 2 of a model that is split into 3 files" in said
    assert "llama-gguf-split --merge" in said
    assert read_gguf_header(llama().write(tmp_path / "whole-00001-of-00001.gguf"))
