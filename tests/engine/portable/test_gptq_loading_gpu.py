"""GPTQ on a GPU, where the fast runner does not take the model: every kernel against the float."""

from pathlib import Path

import pytest
import torch
from checkpoints import logits, make_float, make_gptq, write_new_layout, write_old_layout

from bot.engine import building
from bot.engine.building import load_model
from bot.engine.models.folders.folder import read_model_folder
from bot.engine.portable import gptq_loading
from bot.engine.portable.gptq_loading import CUDA_KERNELS, Kernel

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
    pytest.mark.timeout(600),  # Marlin is compiled at its first use
]

TOLERANCE = 4e-2  # of logits: float16 through all layers; 0.022 was seen, by all kernels alike
VARIANTS = {
    "plain": {},
    "asymmetric": {"sym": False},
    "act-order": {"desc_act": True},
    "no-groups": {"group_size": -1},
    "8-bits": {"bits": 8},
    "v2": {"checkpoint_format": "gptq_v2"},
}


@pytest.fixture(autouse=True)
def without_fast_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "_for_fast_runner", lambda *_: None)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("kernel", CUDA_KERNELS, ids=lambda kernel: kernel.name)
def test_each_kernel_gives_the_float_models_logits(
    kernel: Kernel, variant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gptq_loading, "CUDA_KERNELS", (kernel,))
    checkpoint = make_gptq(**VARIANTS[variant])
    folder = write_old_layout(checkpoint, tmp_path / "model")
    layout = read_model_folder(folder).gptq
    if layout is None or not kernel.takes(layout):
        pytest.skip("not a layout for this kernel")
    loaded = load_model(str(folder), data_dir=tmp_path / "data")
    assert loaded.device.type == "cuda"
    difference = (logits(checkpoint.reference) - logits(loaded.model)).abs().max()
    assert difference < TOLERANCE


def test_an_unquantized_model_is_half_precision(tmp_path: Path) -> None:
    folder = write_new_layout(make_float(), tmp_path / "model")
    loaded = load_model(str(folder), data_dir=tmp_path / "data")
    assert loaded.kernel == "float16, PyTorch"
    assert (logits(make_float().reference) - logits(loaded.model)).abs().max() < TOLERANCE
