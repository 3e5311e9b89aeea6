"""Missing, cut-off and foreign files: an error that names the file, never anything else."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from checkpoints import logits, make_float, make_gptq, write_new_layout, write_old_layout
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from bot.engine.building import load_model
from bot.engine.models.folders.folder import read_model_folder
from bot.engine.models.folders.weight_files import read_weight_file
from bot.engine.models.inspection import inspect_model
from bot.errors import ModelError


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_new_layout(make_float(), tmp_path_factory.mktemp("made") / "model")


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A good model folder that the test may spoil."""
    return Path(shutil.copytree(made, tmp_path / "model"))


def shards(folder: Path) -> list[Path]:
    """Split the folder's weights into two files and an index."""
    checkpoint = make_float()
    (folder / "model.safetensors").unlink()
    names = sorted(checkpoint.tensors)
    weight_map: dict[str, str] = {}
    files: list[Path] = []
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        file = folder / f"model-{number:05d}-of-00002.safetensors"
        save_file({name: checkpoint.tensors[name] for name in part}, file)
        weight_map |= dict.fromkeys(part, file.name)
        files.append(file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return files


def change_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_safetensors_folder_loads_as_it_is(folder: Path, tmp_path: Path) -> None:
    loaded = load_model(str(folder), data_dir=tmp_path / "data")
    assert torch.equal(logits(loaded.model), logits(make_float().reference))
    assert loaded.info.name == "model"
    assert loaded.info.context_tokens == 2048
    assert loaded.info.special_tokens == ("<s>", "</s>", "<unk>")
    assert (loaded.info.bos_token, loaded.info.eos_token) == ("<s>", "</s>")
    assert loaded.info.chat_template == "{{ messages }}"
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(("asked", "given_"), [(0, 2048), (512, 512), (9999, 2048)])
def test_context_tokens_only_ever_shorten(
    asked: int, given_: int, folder: Path, tmp_path: Path
) -> None:
    loaded = load_model(str(folder), data_dir=tmp_path, context_tokens=asked)
    assert loaded.info.context_tokens == given_


def test_shards_load(folder: Path, tmp_path: Path) -> None:
    shards(folder)
    loaded = load_model(str(folder), data_dir=tmp_path / "data")
    assert torch.equal(logits(loaded.model), logits(make_float().reference))


def test_shards_without_their_index_load(folder: Path, tmp_path: Path) -> None:
    shards(folder)
    (folder / "model.safetensors.index.json").unlink()
    loaded = load_model(str(folder), data_dir=tmp_path / "data")
    assert torch.equal(logits(loaded.model), logits(make_float().reference))


@pytest.mark.parametrize("with_index", [True, False])
def test_a_missing_shard_is_named(with_index: bool, folder: Path) -> None:
    shards(folder)[1].unlink()
    if not with_index:
        (folder / "model.safetensors.index.json").unlink()
    with pytest.raises(ModelError, match=r"model-00002-of-00002\.safetensors is missing"):
        read_model_folder(folder)


def test_an_index_that_points_outside_is_refused(folder: Path) -> None:
    shards(folder)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../../secret.safetensors"}}))
    with pytest.raises(ModelError, match="no safetensors file beside it"):
        read_model_folder(folder)


def test_an_index_that_promises_too_much_is_refused(folder: Path) -> None:
    files = shards(folder)
    index = folder / "model.safetensors.index.json"
    weight_map = json.loads(index.read_text())["weight_map"] | {"ghost": files[0].name}
    index.write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(ModelError, match="lacks ghost"):
        read_model_folder(folder)


@given(data=st.data())
def test_a_weight_file_cut_off_anywhere_is_named(data: st.DataObject, made: Path) -> None:
    whole = (made / "model.safetensors").read_bytes()
    length = data.draw(st.integers(0, len(whole) - 1))
    cut = made.parent / "cut.safetensors"
    cut.write_bytes(whole[:length])
    with pytest.raises(ModelError) as caught:
        read_weight_file(cut)
    assert str(cut) in str(caught.value)


@given(rubbish=st.binary(max_size=200))
def test_rubbish_is_no_weight_file(rubbish: bytes, made: Path) -> None:
    file = made.parent / "rubbish.safetensors"
    file.write_bytes(rubbish)
    with pytest.raises(ModelError, match=r"rubbish\.safetensors"):
        read_weight_file(file)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(
    header=st.dictionaries(
        st.text(),
        json_values
        | st.fixed_dictionaries(
            {
                "dtype": st.sampled_from(["F32", "I32", "XX"]) | json_values,
                "shape": st.lists(st.integers(-2, 2**70), max_size=3) | json_values,
                "data_offsets": st.lists(st.integers(-5, 2**70), max_size=3) | json_values,
            }
        ),
        max_size=3,
    ),
    data=st.binary(max_size=64),
)
def test_any_header_is_read_or_refused(header: dict[str, object], data: bytes, made: Path) -> None:
    encoded = json.dumps(header).encode()
    file = made.parent / "header.safetensors"
    file.write_bytes(len(encoded).to_bytes(8, "little") + encoded + data)
    try:
        tensors = read_weight_file(file)
    except ModelError as error:
        assert "header.safetensors" in str(error)
    else:
        assert set(tensors) <= set(header)


def test_bytes_after_the_last_tensor_are_refused(folder: Path) -> None:
    with (folder / "model.safetensors").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(ModelError, match="after its last tensor"):
        read_model_folder(folder)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html>Not found</html>", "web page"),
        (b"PK\x03\x04archive/data.pkl", "pickle"),
        (b"\x80\x02}q\x00.", "pickle"),
        (b"GGUF\x03\x00\x00\x00", "GGUF"),
        (b"", "not a safetensors file"),
        ((1 << 40).to_bytes(8, "little") + b"{}", "not a safetensors file"),
    ],
)
def test_what_people_get_in_place_of_weights_is_recognised(
    content: bytes, says: str, folder: Path
) -> None:
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=says) as caught:
        read_model_folder(folder)
    assert "model.safetensors" in str(caught.value)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "consolidated.00.pth"])
def test_a_folder_of_pickles_is_refused_with_the_way_out(name: str, folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / name)
    with pytest.raises(ModelError, match="never read") as caught:
        read_model_folder(folder)
    assert name in caught.value.message
    assert "save_pretrained" in caught.value.fix


def test_pickles_beside_safetensors_are_not_touched(folder: Path, tmp_path: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x02cos\nsystem\n(S'false'\ntR.")
    load_model(str(folder), data_dir=tmp_path / "data")


def test_several_models_in_one_folder_are_named(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "a.safetensors")
    (folder / "b.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match=r"a\.safetensors, b\.safetensors"):
        read_model_folder(folder)


def test_no_weights_at_all(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="no weights"):
        read_model_folder(folder)


def test_missing_weights_are_counted_and_named(folder: Path, tmp_path: Path) -> None:
    checkpoint = make_float()
    del checkpoint.tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(checkpoint.tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks 1 .*model\.layers\.1\.mlp\.up_proj\.weight"):
        load_model(str(folder), data_dir=tmp_path / "data")


def test_missing_config(folder: Path) -> None:
    (folder / "config.json").unlink()
    with pytest.raises(ModelError, match=r"no config\.json"):
        read_model_folder(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'"x"', b"[" * 100_000])
def test_a_config_that_is_no_object_is_named(content: bytes, folder: Path) -> None:
    (folder / "config.json").write_bytes(content)
    with pytest.raises(ModelError, match=r"config\.json"):
        read_model_folder(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_size": 10**12},
        {"hidden_size": -1},
        {"hidden_size": "128"},
        {"num_hidden_layers": 10**9},
        {"vocab_size": 0},
        {"vocab_size": 1.5},
        {"max_position_embeddings": True},
        {"num_attention_heads": 0},
        {"intermediate_size": [256, 10**12]},
        {"text_config": {"hidden_size": 10**12}},
        {"model_type": None},
        {"model_type": 7},
    ],
)
def test_absurd_sizes_are_refused_before_anything_is_made(
    changes: dict[str, object], folder: Path
) -> None:
    change_config(folder, **changes)
    with pytest.raises(ModelError, match=r"config\.json"):
        read_model_folder(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"vocab_size": 301},
        {"hidden_size": 64},
        {"intermediate_size": 128},
        {"num_hidden_layers": 3},
        {"num_attention_heads": 3},
        {"model_type": "nobody-knows-this"},
        {"rope_parameters": {"rope_type": "nobody-knows-this", "rope_theta": 1.0}},
    ],
)
def test_a_config_of_another_model_is_refused(
    changes: dict[str, object], folder: Path, tmp_path: Path
) -> None:
    change_config(folder, **changes)
    with pytest.raises(ModelError) as caught:
        load_model(str(folder), data_dir=tmp_path / "data")
    assert str(folder) in str(caught.value)


def test_code_that_a_model_brings_is_never_run(folder: Path, tmp_path: Path) -> None:
    trace = tmp_path / "was-run"
    (folder / "evil.py").write_text(f"open({str(trace)!r}, 'w')\nclass Model: pass\n")
    change_config(
        folder, auto_map={"AutoModelForCausalLM": "evil.Model", "AutoConfig": "evil.Model"}
    )
    load_model(str(folder), data_dir=tmp_path / "data")  # the kind is known: its code is ignored
    change_config(folder, model_type="evil")
    with pytest.raises(ModelError):
        load_model(str(folder), data_dir=tmp_path / "data")
    assert not trace.exists()


def test_missing_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="no tokenizer"):
        read_model_folder(folder)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"version": "1.0"}', b"\x00\x01"])
def test_a_broken_tokenizer_is_named(content: bytes, folder: Path, tmp_path: Path) -> None:
    (folder / "tokenizer.json").write_bytes(content)
    with pytest.raises(ModelError, match="tokenizer"):
        load_model(str(folder), data_dir=tmp_path / "data")


def test_a_tokenizer_of_another_model_is_refused(folder: Path, tmp_path: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["zebra"] = 5000
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(ModelError, match="tokenizer has tokens up to number 5000"):
        load_model(str(folder), data_dir=tmp_path / "data")


@pytest.mark.parametrize("special", [True, False])
def test_a_padding_token_that_the_model_never_learned_is_left_out(
    special: bool, folder: Path, tmp_path: Path
) -> None:
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    tokenizer["added_tokens"].append(
        tokenizer["added_tokens"][0] | {"id": 300, "content": "[PAD]", "special": special}
    )
    path.write_text(json.dumps(tokenizer))
    config = folder / "tokenizer_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"pad_token": "[PAD]"}))
    loaded = load_model(str(folder), data_dir=tmp_path / "data")
    assert max(loaded.tokenizer("a[PAD]b").input_ids) < 300
    assert loaded.tokenizer.decode(loaded.tokenizer("a[PAD]b").input_ids) == "a[PAD]b"
    assert "[PAD]" not in loaded.info.special_tokens


@pytest.mark.parametrize(
    "model",
    ["", "  ", "./nowhere", "/nowhere/at/all", "~/nowhere-x", "a/b/c", "x.gguf", "a\0b", ".."],
)
def test_what_is_no_model_is_refused(model: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        load_model(model, data_dir=tmp_path)
    assert caught.value.fix


@pytest.mark.parametrize("name", ["model.bin", "weights.pt", "notes.txt"])
def test_a_single_file_that_is_no_model_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ModelError, match=name):
        load_model(str(tmp_path / name), data_dir=tmp_path)


def spoil_nothing(_folder: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("spoil", "loads"),
    [
        (spoil_nothing, True),
        (lambda folder: (folder / "config.json").unlink(), False),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"cut"), False),
    ],
)
def test_inspection_tells_what_loading_would_say(
    spoil: Callable[[Path], None], loads: bool, folder: Path, tmp_path: Path
) -> None:
    spoil(folder)
    found = inspect_model(str(folder), data_dir=tmp_path / "data")
    assert found.loads is loads
    assert bool(found.problems) is not loads
    if loads:
        assert found.architecture == "llama"
        assert found.parameters == sum(v.numel() for v in make_float().tensors.values())
        assert found.context_tokens == 2048


def test_inspection_of_a_quantized_folder(tmp_path: Path) -> None:
    folder = write_old_layout(make_gptq(), tmp_path / "model")
    found = inspect_model(str(folder), data_dir=tmp_path / "data")
    assert found.weights == "GPTQ 4 bits, group 32"
    assert found.parameters == sum(v.numel() for v in make_float().tensors.values())
    assert any("laid out anew" in note for note in found.notes)
    assert not (tmp_path / "data").exists()
