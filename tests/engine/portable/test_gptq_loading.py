"""GPTQ in every layout: the logits are those of the float weights that the codes stand for."""

import gc
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoints import (
    Checkpoint,
    logits,
    make_float,
    make_gptq,
    without_g_idx,
    write_new_layout,
    write_old_layout,
)
from safetensors.torch import save_file

from bot.engine.building import load_model
from bot.engine.models.folders.folder import read_model_folder
from bot.engine.models.gptq.quiet import import_gptqmodel
from bot.engine.models.gptq.staging import stage
from bot.engine.models.inspection import inspect_model
from bot.engine.portable import gptq_loading
from bot.errors import ModelError

EXACT = 1e-5  # float32 against float32
PACKED = 2e-2  # half-precision scales times codes, through two layers

VARIANTS = {
    "plain": {},
    "asymmetric": {"sym": False},
    "act-order": {"desc_act": True},
    "asymmetric-act-order-64": {"sym": False, "desc_act": True, "group_size": 64},
    "no-groups": {"group_size": -1},
    "8-bits": {"bits": 8},
    "3-bits": {"bits": 3},
    "2-bits-asymmetric": {"bits": 2, "sym": False},
    "v2-asymmetric": {"checkpoint_format": "gptq_v2", "sym": False},
}


@pytest.fixture(scope="module", autouse=True)
def _what_is_imported_stays() -> None:
    """Each load collects garbage twice, which need not walk through all of gptqmodel's modules."""
    import_gptqmodel()
    gc.collect()
    gc.freeze()


def difference(checkpoint: Checkpoint, loaded: torch.nn.Module) -> float:
    return float((logits(checkpoint.reference) - logits(loaded)).abs().max())


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("write", [write_old_layout, write_new_layout])
def test_logits_are_those_of_the_dequantized_weights(
    variant: str, write: object, tmp_path: Path
) -> None:
    checkpoint = make_gptq(**VARIANTS[variant])
    folder = write(checkpoint, tmp_path / "model")
    loaded = load_model(str(folder), data_dir=tmp_path / "data")
    assert difference(checkpoint, loaded.model) < EXACT
    assert not loaded.model.training


@pytest.mark.parametrize("variant", ["plain", "asymmetric", "no-groups", "3-bits"])
@pytest.mark.parametrize("write", [write_old_layout, write_new_layout])
def test_a_missing_g_idx_is_filled_in(variant: str, write: object, tmp_path: Path) -> None:
    checkpoint = without_g_idx(make_gptq(**VARIANTS[variant]))
    folder = write(checkpoint, tmp_path / "model")
    loaded = load_model(str(folder), data_dir=tmp_path / "data")
    assert difference(checkpoint, loaded.model) < EXACT


@pytest.mark.parametrize("variant", ["plain", "asymmetric-act-order-64", "3-bits"])
def test_what_does_not_fit_unpacked_stays_packed(
    variant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gptq_loading, "UNPACKED_SHARE", 0.0)
    checkpoint = make_gptq(**VARIANTS[variant])
    folder = write_old_layout(checkpoint, tmp_path / "model")
    loaded = load_model(str(folder), data_dir=tmp_path / "data")
    assert difference(checkpoint, loaded.model) < PACKED
    assert "packed" in loaded.kernel


def test_the_folder_itself_is_never_changed(tmp_path: Path) -> None:
    folder = write_old_layout(without_g_idx(make_gptq()), tmp_path / "model")
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    load_model(str(folder), data_dir=tmp_path / "data")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_a_stage_is_used_again_until_the_folder_changes(tmp_path: Path) -> None:
    folder = write_old_layout(make_gptq(), tmp_path / "model")
    first = stage(read_model_folder(folder), data_dir=tmp_path / "data").path
    assert stage(read_model_folder(folder), data_dir=tmp_path / "data").path == first
    (folder / "notes.txt").write_text("changed")
    assert stage(read_model_folder(folder), data_dir=tmp_path / "data").path != first


def test_a_stage_whose_links_lead_nowhere_is_made_again(tmp_path: Path) -> None:
    folder = write_old_layout(make_gptq(), tmp_path / "model")
    first = stage(read_model_folder(folder), data_dir=tmp_path / "data").path
    next(first.glob("*.safetensors")).unlink()
    again = stage(read_model_folder(folder), data_dir=tmp_path / "data")
    assert again.gptq is not None
    assert again.tensors.keys() == read_model_folder(folder).tensors.keys()


def test_a_folder_laid_out_rightly_is_not_staged(tmp_path: Path) -> None:
    folder = read_model_folder(write_new_layout(make_gptq(), tmp_path / "model"))
    assert stage(folder, data_dir=tmp_path / "data") is folder
    assert not (tmp_path / "data").exists()


def test_model_basename_chooses_among_several_files(tmp_path: Path) -> None:
    checkpoint = make_gptq()
    checkpoint.quantize_config["model_basename"] = "wanted"
    folder = write_old_layout(checkpoint, tmp_path / "model", basename="wanted")
    (folder / "other.safetensors").write_bytes(b"not looked at")
    loaded = load_model(str(folder), data_dir=tmp_path / "data")
    assert difference(checkpoint, loaded.model) < EXACT


def test_act_order_without_g_idx_is_refused(tmp_path: Path) -> None:
    folder = write_old_layout(without_g_idx(make_gptq(desc_act=True)), tmp_path / "model")
    with pytest.raises(ModelError, match=r"g_idx is missing"):
        load_model(str(folder), data_dir=tmp_path / "data")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"group_size": 64}, "does not fit the weights"),
        ({"bits": 8}, "does not fit the weights|does not divide"),
        ({"bits": 5}, "`bits` is 5"),
        ({"bits": True}, "`bits` is True"),
        ({"group_size": 0}, "`group_size` is 0"),
        ({"group_size": "128"}, "`group_size` is 128"),
        ({"desc_act": "no"}, "`desc_act` is no"),
        ({"checkpoint_format": "marlin"}, "in the format marlin"),
        ({"quant_method": "awq"}, "quantized by awq"),
    ],
)
def test_a_quantize_config_that_cannot_be_is_named(
    change: dict[str, object], says: str, tmp_path: Path
) -> None:
    checkpoint = make_gptq()
    checkpoint.quantize_config |= change
    folder = write_old_layout(checkpoint, tmp_path / "model")
    with pytest.raises(ModelError, match=says) as caught:
        load_model(str(folder), data_dir=tmp_path / "data")
    assert "quantize_config.json" in str(caught.value)


def test_quantized_weights_without_a_config_are_refused(tmp_path: Path) -> None:
    folder = write_old_layout(make_gptq(), tmp_path / "model")
    (folder / "quantize_config.json").unlink()
    with pytest.raises(ModelError, match=r"does not say how they\s+were quantized"):
        load_model(str(folder), data_dir=tmp_path / "data")


def test_a_config_without_quantized_weights_is_refused(tmp_path: Path) -> None:
    folder = write_new_layout(make_float(), tmp_path / "model")
    (folder / "quantize_config.json").write_text(json.dumps({"bits": 4, "group_size": 32}))
    with pytest.raises(ModelError, match="none of them is"):
        load_model(str(folder), data_dir=tmp_path / "data")


def test_a_missing_part_of_a_layer_is_named(tmp_path: Path) -> None:
    checkpoint = make_gptq()
    del checkpoint.tensors["model.layers.1.mlp.up_proj.scales"]
    folder = write_old_layout(checkpoint, tmp_path / "model")
    with pytest.raises(ModelError, match=r"model\.layers\.1\.mlp\.up_proj\.scales is missing"):
        load_model(str(folder), data_dir=tmp_path / "data")


def test_a_layer_that_was_left_out_is_named(tmp_path: Path) -> None:
    checkpoint = make_gptq()
    for part in ("qweight", "qzeros", "scales", "g_idx"):
        del checkpoint.tensors[f"model.layers.1.mlp.up_proj.{part}"]
    folder = write_old_layout(checkpoint, tmp_path / "model")
    with pytest.raises(ModelError, match=r"model\.layers\.1\.mlp\.up_proj"):
        load_model(str(folder), data_dir=tmp_path / "data")


def test_biases_of_zeros_that_old_converters_wrote_do_no_harm(tmp_path: Path) -> None:
    checkpoint = make_gptq()
    checkpoint.tensors["model.layers.0.mlp.up_proj.bias"] = torch.zeros(256).half()
    checkpoint.tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(16)
    folder = write_old_layout(checkpoint, tmp_path / "model")
    loaded = load_model(str(folder), data_dir=tmp_path / "data")
    assert difference(checkpoint, loaded.model) < EXACT


@pytest.mark.parametrize("write", [write_old_layout, write_new_layout])
@pytest.mark.parametrize("all_layers", [True, False])
def test_a_g_idx_of_zeros_says_nothing_and_is_filled_in(
    write: Any, all_layers: bool, tmp_path: Path
) -> None:
    checkpoint = make_gptq()
    names = [name for name in checkpoint.tensors if name.endswith(".g_idx")]
    for name in names if all_layers else names[:1]:
        checkpoint.tensors[name] = torch.zeros_like(checkpoint.tensors[name])
    folder = write(checkpoint, tmp_path / "model")
    for _ in range(2):  # laid out anew, and as it was kept
        loaded = load_model(str(folder), data_dir=tmp_path / "data")
        assert difference(checkpoint, loaded.model) < EXACT
    notes = inspect_model(str(folder), data_dir=tmp_path / "data").notes
    assert any("empty" in note for note in notes)


def test_zeros_are_right_where_there_is_one_group(tmp_path: Path) -> None:
    checkpoint = make_gptq(group_size=-1)
    folder = read_model_folder(write_new_layout(checkpoint, tmp_path / "model"))
    assert folder.gptq is not None
    assert folder.gptq.without_g_idx == ()


@pytest.mark.parametrize(
    "spoil", [lambda g: g + 1, lambda g: g - 1, lambda g: g // 2, lambda g: g * 0 + 1]
)
def test_a_g_idx_that_is_no_order_of_the_groups_is_refused(spoil: Any, tmp_path: Path) -> None:
    checkpoint = make_gptq()
    name = next(name for name in checkpoint.tensors if name.endswith(".g_idx"))
    checkpoint.tensors[name] = spoil(checkpoint.tensors[name]).to(torch.int32)
    folder = write_old_layout(checkpoint, tmp_path / "model")
    with pytest.raises(ModelError, match=r"g_idx does not put 32 inputs into each group"):
        load_model(str(folder), data_dir=tmp_path / "data")


def test_act_order_with_a_g_idx_of_zeros_is_refused(tmp_path: Path) -> None:
    checkpoint = make_gptq(desc_act=True)
    name = next(name for name in checkpoint.tensors if name.endswith(".g_idx"))
    checkpoint.tensors[name] = torch.zeros_like(checkpoint.tensors[name])
    folder = write_old_layout(checkpoint, tmp_path / "model")
    with pytest.raises(ModelError, match=r"g_idx is missing or empty"):
        load_model(str(folder), data_dir=tmp_path / "data")


def test_the_file_that_is_named_is_the_one_that_is_loaded(tmp_path: Path) -> None:
    first, second = make_gptq(), make_gptq(seed=9)
    first.quantize_config["model_basename"] = "A"
    folder = write_old_layout(first, tmp_path / "model", basename="A")
    save_file(second.tensors, folder / "B.safetensors")
    for name, expected in (("A", first), ("B", second), ("", first)):
        named = str(folder / f"{name}.safetensors") if name else str(folder)
        loaded = load_model(named, data_dir=tmp_path / "data")
        assert difference(expected, loaded.model) < EXACT


def test_the_file_that_is_named_goes_before_the_standard_one(tmp_path: Path) -> None:
    quantized, plain = make_gptq(), make_float()
    folder = write_old_layout(quantized, tmp_path / "model", basename="A")
    save_file(plain.tensors, folder / "model.safetensors", metadata={"format": "pt"})
    loaded = load_model(str(folder / "A.safetensors"), data_dir=tmp_path / "data")
    assert difference(quantized, loaded.model) < EXACT
    loaded = load_model(str(folder / "model.safetensors"), data_dir=tmp_path / "data")
    assert difference(plain, loaded.model) < EXACT


def test_a_part_that_is_named_stands_for_all_of_its_set(tmp_path: Path) -> None:
    checkpoint = make_float()
    folder = write_new_layout(checkpoint, tmp_path / "model")
    (folder / "model.safetensors").unlink()
    names = sorted(checkpoint.tensors)
    for number, part in enumerate((names[:7], names[7:]), 1):
        tensors = {name: checkpoint.tensors[name] for name in part}
        save_file(tensors, folder / f"B-{number:05d}-of-00002.safetensors")
    save_file({"x": torch.zeros(2)}, folder / "other.safetensors")
    named = folder / "B-00002-of-00002.safetensors"
    loaded = load_model(str(named), data_dir=tmp_path / "data")
    assert difference(checkpoint, loaded.model) < EXACT
