"""Which models run where, told from the config alone."""

import json
from pathlib import Path
from typing import Any

import pytest
from checkpoints import make_float, write_new_layout
from hypothesis import given
from hypothesis import strategies as st

from bot.engine.building import load_model
from bot.engine.models.architectures import ARCHITECTURES, check_portable, why_not_fast
from bot.engine.models.folders.config import transformers_config
from bot.engine.models.gptq.layout import GptqLayout
from bot.engine.models.inspection import inspect_model
from bot.errors import ModelError


def runs(config: dict[str, Any]) -> bool:
    try:
        check_portable(Path("model"), config)
    except ModelError:
        return False
    return True


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"model_type": "gpt2"}, "models of the kind «gpt2»"),
        ({}, "models of the kind «unknown»"),
        ({"model_type": "llama", "rope_parameters": {"rope_type": "dynamic"}}, "«dynamic»"),
        ({"model_type": "llama", "rope_scaling": {"type": "dynamic", "factor": 2}}, "«dynamic»"),
        ({"model_type": "mistral", "sliding_window": 4096}, "sliding window"),
        ({"model_type": "mistral"}, "sliding window"),
        ({"model_type": "qwen2", "layer_types": ["full_attention", "sliding"]}, "sliding window"),
        ({"model_type": "qwen2", "use_sliding_window": True}, "sliding window"),
    ],
)
def test_models_that_cannot_be_computed_are_refused_with_the_way_out(
    config: dict[str, Any], words: str
) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        check_portable(Path("model"), config)
    assert "vLLM" in str(caught.value)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"model_type": "qwen3"}, "models of the kind qwen3"),
        ({"model_type": "mistral"}, "a sliding window"),
        ({"model_type": "llama", "hidden_act": "gelu"}, "the activation gelu"),
        ({"model_type": "llama", "hidden_size": 640, "num_attention_heads": 8}, "heads of 80"),
        ({"model_type": "llama", "head_dim": 256}, "heads of 256"),
        ({"model_type": "llama", "vocab_size": 200_000}, "a vocabulary of 200000"),
        ({"model_type": "llama", "vocab_size": 32_000, "head_dim": 128}, ""),
        ({"model_type": "mistral", "sliding_window": None}, ""),
    ],
)
def test_what_the_fast_runner_does_not_take_is_named(config: dict[str, Any], words: str) -> None:
    assert why_not_fast(config, None) == words


@pytest.mark.parametrize(
    ("bits", "group", "takes"), [(4, 128, True), (8, 128, False), (4, -1, False)]
)
def test_the_fast_runner_takes_gptq_of_its_own_layouts(bits: int, group: int, takes: bool) -> None:
    layout = GptqLayout(bits, group, False, True, "gptq", ("layer",), ())
    assert (why_not_fast({"model_type": "llama"}, layout) == "") is takes


@given(
    kind=st.sampled_from([*ARCHITECTURES, "gpt2", "gemma2"]),
    said=st.fixed_dictionaries(
        {},
        optional={
            "sliding_window": st.sampled_from([None, 0, 512]),
            "use_sliding_window": st.booleans(),
            "max_window_layers": st.integers(0, 4),
            "num_hidden_layers": st.integers(1, 4),
            "head_dim": st.sampled_from([64, 80, 128]),
            "hidden_act": st.sampled_from(["silu", "gelu"]),
        },
    ),
)
def test_a_config_says_the_same_before_and_after_transformers_filled_it_in(
    kind: str, said: dict[str, Any]
) -> None:
    config = {"model_type": kind, **said}
    filled = transformers_config(Path("model"), config).to_dict()
    assert runs(config) is runs(filled)
    assert bool(why_not_fast(config, None)) is bool(why_not_fast(filled, None))


def test_a_model_that_runs_nowhere_is_refused_before_its_weights_are_read(tmp_path: Path) -> None:
    folder = write_new_layout(make_float(), tmp_path / "model")
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_type": "gemma2"}))
    found = inspect_model(str(folder), data_dir=tmp_path / "data")
    assert not found.loads
    with pytest.raises(ModelError, match="models of the kind «gemma2»") as caught:
        load_model(str(folder), data_dir=tmp_path)
    assert found.problems == (str(caught.value),)
