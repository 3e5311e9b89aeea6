"""Folders whose tokenizer is sentencepiece's `tokenizer.model` alone, as older Llamas have it."""

import asyncio
import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from checkpoints import make_float, tiny_config, write_new_layout, write_tokenizer
from transformers.convert_slow_tokenizer import import_protobuf

from bot.engine.building import load_model
from bot.engine.local.tokens import TextTokens
from bot.engine.models.folders import tokenizers
from bot.engine.models.folders.tokenizers import load_tokenizer
from bot.engine.remote.counting import FolderCounter
from bot.errors import ModelError

NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model with a small byte-pair vocabulary in sentencepiece's own format."""
    folder = write_new_layout(make_float(), tmp_path / "model")
    (folder / "tokenizer.json").unlink()
    proto = import_protobuf().ModelProto()
    proto.trainer_spec.model_type = 2  # byte pairs
    proto.trainer_spec.byte_fallback = True
    proto.trainer_spec.unk_id, proto.trainer_spec.bos_id, proto.trainer_spec.eos_id = 0, 1, 2
    proto.normalizer_spec.add_dummy_prefix = True
    pieces = [("<unk>", UNKNOWN), ("<s>", CONTROL), ("</s>", CONTROL)]
    pieces += [(f"<0x{byte:02X}>", BYTE) for byte in range(256)]
    pieces += [(piece, NORMAL) for piece in ("▁hello", "hello", "hell", "hel", "he", *"▁helowrd")]
    for number, (piece, kind) in enumerate(pieces):
        proto.pieces.add(piece=piece, score=-float(number), type=kind)
    (folder / "tokenizer.model").write_bytes(proto.SerializeToString())
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "LlamaTokenizer",
                "bos_token": "<s>",
                "eos_token": "</s>",
                "unk_token": "<unk>",
            }
        )
    )
    return folder


@pytest.mark.skipif(find_spec("sentencepiece") is None, reason="sentencepiece is not installed")
def test_it_is_read(folder: Path, tmp_path: Path) -> None:
    loaded = load_model(str(folder), data_dir=tmp_path / "data")
    tokens = loaded.tokenizer("hello world\n ü").input_ids
    assert loaded.tokenizer.decode(tokens) == "hello world\n ü"
    assert len(loaded.tokenizer("hello").input_ids) == 1
    assert loaded.info.eos_token == "</s>"


def test_without_the_package_the_error_says_what_to_do(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizers, "find_spec", lambda _name: None)
    with pytest.raises(ModelError, match="needs the package sentencepiece") as caught:
        load_model(str(folder), data_dir=tmp_path / "data")
    assert "tokenizer.model" in caught.value.message
    assert "setup EXTRAS=gpu`" in caught.value.fix


@pytest.mark.skipif(find_spec("sentencepiece") is None, reason="sentencepiece is not installed")
def test_a_damaged_one_is_named(folder: Path, tmp_path: Path) -> None:
    (folder / "tokenizer.model").write_bytes(b"\xff\xff rubbish")
    with pytest.raises(ModelError, match=r"tokenizer\.model cannot be read"):
        load_model(str(folder), data_dir=tmp_path / "data")


LEFT_IN = {
    "truncation": {
        "truncation": {
            "direction": "Right",
            "max_length": 64,
            "strategy": "LongestFirst",
            "stride": 0,
        }
    },
    "padding": {
        "padding": {
            "strategy": {"Fixed": 512},
            "direction": "Left",
            "pad_to_multiple_of": None,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": "<unk>",
        }
    },
}


@pytest.mark.parametrize("left_in", LEFT_IN)
def test_what_training_left_in_a_tokenizer_changes_no_count(left_in: str, tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | LEFT_IN[left_in]))
    text, length = "one two three " * 50, len("one two three " * 50)
    remote = asyncio.run(FolderCounter(tmp_path).count([text, "a"]))
    tokens = TextTokens(load_tokenizer(tmp_path, tiny_config()))
    assert remote == tokens.count([text, "a"]) == (length, 1)
    assert len(tokens.encode_prompt(text)) == length
