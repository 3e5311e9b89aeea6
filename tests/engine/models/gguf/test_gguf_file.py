"""What a GGUF file says of itself: the embedded model, and small files made for it."""

import tracemalloc
from pathlib import Path
from time import process_time
from typing import Any

import pytest
from gguf_files import F16, Q4_0, Q8_0, llama

from bot.engine.models.embedded import find_embedded
from bot.engine.models.gguf.file import GgufHeader, read_gguf_header


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tiny.gguf"


def read(path: Path, **changes: tuple[str, Any] | None) -> GgufHeader:
    return read_gguf_header(llama().having(**changes).write(path))


def test_the_embedded_model() -> None:
    header = read_gguf_header(find_embedded().path)
    assert (header.architecture, header.quantization, header.license) == (
        "llama",
        "Q4_1",
        "apache-2.0",
    )
    assert (header.context_tokens, header.parameters) == (8192, 134_515_008)
    assert (header.bos_token, header.eos_token) == ("<|im_start|>", "<|im_end|>")
    assert not header.adds_bos
    assert {"<|im_start|>", "<|im_end|>", "<|endoftext|>"} <= set(header.special_tokens)
    assert len(header.special_tokens) == 17
    assert header.chat_template is not None
    assert "<|im_start|>" in header.chat_template
    assert header.sampling_defaults["temperature"] == 0.2
    assert (header.shape.layers, header.shape.kv_heads, header.shape.key_length) == (30, 3, 64)


def test_what_is_not_said_is_empty(path: Path) -> None:
    header = read(path, general__name=None, general__license=None, tokenizer__chat_template=None)
    assert (header.name, header.license, header.chat_template) == ("tiny", "", None)
    assert header.named_templates == {}
    assert header.sampling_defaults == {}


@pytest.mark.parametrize("type_number", [F16, Q4_0, Q8_0])
def test_the_quantization_is_named_as_people_know_it(type_number: int, path: Path) -> None:
    names = {F16: "F16", Q4_0: "Q4_0", Q8_0: "Q8_0"}
    read_gguf_header(llama(type_number=type_number).write(path))
    unnamed = llama(type_number=type_number).having(general__file_type=None)
    assert read_gguf_header(unnamed.write(path)).quantization == names[type_number]


@pytest.mark.parametrize("said", [float("nan"), float("inf"), 7.5])
def test_a_quantization_that_is_no_number_is_not_taken(said: float, path: Path) -> None:
    odd = llama(type_number=F16).having(general__file_type=("float64", said))
    assert read_gguf_header(odd.write(path)).quantization == "F16"


def test_of_several_templates_the_default_is_first(path: Path) -> None:
    header = read(
        path,
        **{
            "tokenizer.chat_template.tool_use": ("string", "tools"),
            "tokenizer.chat_template": ("string", "plain"),
        },
    )
    assert header.chat_template == "plain"
    assert list(header.named_templates.items()) == [("default", "plain"), ("tool_use", "tools")]


def test_a_named_template_alone_is_taken(path: Path) -> None:
    header = read(
        path,
        **{
            "tokenizer.chat_template": None,
            "tokenizer.chat_template.default": ("string", "by name"),
        },
    )
    assert header.chat_template == "by name"


def test_sampling_comes_in_our_words(path: Path) -> None:
    header = read(
        path,
        **{
            "general.sampling.temp": ("float32", 0.6),
            "general.sampling.top_k": ("int32", 20),
            "general.sampling.top_p": ("float32", 0.95),
            "general.sampling.min_p": ("float32", float("nan")),
            "general.sampling.penalty_repeat": ("float32", 1.05),
            "general.sampling.mirostat": ("int32", 2),
        },
    )
    assert header.sampling_defaults == {
        "temperature": 0.6,
        "top_k": 20,
        "top_p": 0.95,
        "repetition_penalty": 1.05,
    }


@pytest.mark.parametrize(
    ("changes", "adds"),
    [
        ({}, False),
        ({"tokenizer.ggml.add_bos_token": ("bool", True)}, True),
        ({"tokenizer.ggml.pre": ("string", "llama-bpe")}, True),
        (
            {
                "tokenizer.ggml.pre": ("string", "llama-bpe"),
                "tokenizer.ggml.add_bos_token": ("bool", False),
            },
            False,
        ),
        ({"tokenizer.ggml.model": ("string", "llama")}, True),
        (
            {
                "tokenizer.ggml.model": ("string", "gemma4"),
                "tokenizer.ggml.add_bos_token": ("bool", False),
            },
            True,
        ),
    ],
)
def test_a_text_begins_as_llama_cpp_begins_it(
    changes: dict[str, Any], adds: bool, path: Path
) -> None:
    assert read(path, **changes).adds_bos is adds


def test_markers_are_special_and_html_is_not(path: Path) -> None:
    file = llama(vocabulary=270)
    tokens = file.metadata["tokenizer.ggml.tokens"][1][:260]
    tokens += ["<think>", "[INST]", "<td>", "</h1>", "word", "<|eot_id|>", "<a b>", "\n\n"]
    kinds = [2, 3, 3] + [1] * 257 + [4] * 5 + [1] + [4] * 2
    changed = file.having(
        tokenizer__ggml__tokens=("[string]", tokens),
        tokenizer__ggml__token_type=("[int32]", kinds),
        tokenizer__ggml__eot_token_id=("uint32", 265),
    )
    table = changed.tensors[0].__class__("token_embd.weight", (64, len(tokens)))
    path = type(changed)(changed.metadata, (table, *changed.tensors[1:])).write(path)
    header = read_gguf_header(path)
    assert set(header.special_tokens) == {
        "<unk>",
        "<s>",
        "</s>",
        "<think>",
        "[INST]",
        "<|eot_id|>",
    }
    assert header.end_tokens == ("</s>", "<|eot_id|>")


def test_ids_outside_the_vocabulary_name_nothing(path: Path) -> None:
    header = read(path, tokenizer__ggml__bos_token_id=("uint32", 4_000_000_000))
    assert (header.bos_token, header.adds_bos) == ("", False)


def test_a_name_is_one_plain_line(path: Path) -> None:
    header = read(path, general__name=("string", "two\nlines\x1b[31m " + "x" * 500))
    assert header.name.isprintable()
    assert len(header.name) < 80


def test_a_vocabulary_of_three_hundred_thousand_is_read_in_a_moment(path: Path) -> None:
    tokens = [f"token {number}" for number in range(300_000)]
    file = llama(vocabulary=261).having(
        tokenizer__ggml__tokens=("[string]", tokens),
        tokenizer__ggml__token_type=("[int32]", [1] * 300_000),
        tokenizer__ggml__merges=("[string]", ["a b"] * 300_000),
    )
    table = file.tensors[0].__class__("token_embd.weight", (64, 300_000))
    type(file)(file.metadata, (table, *file.tensors[1:])).write(path)
    begun = process_time()
    read_gguf_header(path)
    assert process_time() - begun < 2  # a fifth of this where nothing else runs
    tracemalloc.start()
    try:
        read_gguf_header(path)
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()
