"""GGUF: the embedded model, made files, the cache of conversions."""

from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from checkpoints import Checkpoint, logits, make_float
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import pre_tokenizers

from bot.engine.building import load_model
from bot.engine.local.loaded_model import LoadedModel
from bot.engine.local.tokens import TextTokens
from bot.engine.models import embedded, gguf_cache
from bot.engine.models.embedded import EmbeddedModel, find_embedded
from bot.engine.models.gguf_file import read_gguf_header
from bot.engine.models.inspection import inspect_model
from bot.errors import ModelError

HEADS, KV_HEADS = 4, 2


class Steps:
    """A progress callback that remembers."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, float | None]] = []

    def __call__(self, text: str, fraction: float | None) -> None:
        self.taken.append((text, fraction))

    @property
    def converted(self) -> bool:
        return any("once" in text for text, _ in self.taken)


def interleaved(weight: torch.Tensor, heads: int) -> np.ndarray:
    """Query and key rows in llama.cpp's order: each pair of a head's halves side by side."""
    rows, columns = weight.shape
    halves = weight.reshape(heads, 2, rows // heads // 2, columns)
    return halves.swapaxes(1, 2).reshape(rows, columns).numpy()


def write_gguf(
    checkpoint: Checkpoint, path: Path, *, bos: str = "<s>", add_bos: bool | None = None
) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    config = checkpoint.config
    writer.add_name("Tiny")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(config.hidden_size // HEADS)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    tokens = ["<unk>", bos, "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "ab"]
    tokens += [f"<extra{number}>" for number in range(config.vocab_size - len(tokens))]
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3] * 3 + [1] * 257 + [3] * (len(tokens) - 260))
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(1)
    if add_bos is not None:
        writer.add_add_bos_token(add_bos)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template("{{ messages }}")
    names = {
        "model.embed_tokens": "token_embd",
        "model.norm": "output_norm",
        "lm_head": "output",
    }
    layer_names = {
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
    }
    for number in range(config.num_hidden_layers):
        names |= {f"model.layers.{number}.{k}": f"blk.{number}.{v}" for k, v in layer_names.items()}
    for name, target in names.items():
        weight = checkpoint.tensors[f"{name}.weight"]
        if target.endswith("attn_q"):
            array = interleaved(weight, HEADS)
        elif target.endswith("attn_k"):
            array = interleaved(weight, KV_HEADS)
        else:
            array = weight.numpy()
        writer.add_tensor(f"{target}.weight", np.ascontiguousarray(array))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(make_float(), tmp_path_factory.mktemp("gguf") / "tiny.gguf")


def test_a_gguf_file_has_the_float_models_logits(tiny: Path, tmp_path: Path) -> None:
    loaded = load_model(str(tiny), data_dir=tmp_path)
    assert (logits(loaded.model) - logits(make_float().reference)).abs().max() < 1e-5
    assert loaded.info.context_tokens == 2048
    assert loaded.info.eos_token == "</s>"
    assert "<extra0>" in loaded.info.special_tokens


@pytest.mark.parametrize(
    ("bos", "add_bos", "begins"),
    [
        ("<|begin_of_text|>", False, False),
        ("<s>", None, False),
        ("<s>", True, True),
    ],
)
def test_a_prompt_begins_as_the_files_model_was_taught(
    bos: str, add_bos: bool | None, begins: bool, tmp_path: Path
) -> None:
    path = write_gguf(make_float(), tmp_path / "tiny.gguf", bos=bos, add_bos=add_bos)
    for _ in range(2):  # converted, and as it was kept
        tokens = TextTokens(load_model(str(path), data_dir=tmp_path / "data").tokenizer)
        assert (tokens.encode_prompt("ab")[0] == 1) is begins


def test_it_is_converted_once(tiny: Path, tmp_path: Path) -> None:
    first, second = Steps(), Steps()
    load_model(str(tiny), data_dir=tmp_path, progress=first)
    load_model(str(tiny), data_dir=tmp_path, progress=second)
    assert first.converted
    assert not second.converted
    fractions = [fraction for text, fraction in first.taken if "once" in text]
    assert None not in fractions
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_a_folder_around_one_gguf_loads(tiny: Path, tmp_path: Path) -> None:
    assert load_model(str(tiny.parent), data_dir=tmp_path).info.name == "tiny"


def test_a_damaged_conversion_is_made_again(tiny: Path, tmp_path: Path) -> None:
    load_model(str(tiny), data_dir=tmp_path)
    weights = next((tmp_path / "models").glob("tiny-*/model.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1])
    steps = Steps()
    loaded = load_model(str(tiny), data_dir=tmp_path, progress=steps)
    assert steps.converted
    assert (logits(loaded.model) - logits(make_float().reference)).abs().max() < 1e-5


def test_a_conversion_that_breaks_off_leaves_nothing_behind(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(_folder: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bot.engine.models.making_folder._flush", break_off)
    with pytest.raises(KeyboardInterrupt):
        load_model(str(tiny), data_dir=tmp_path)
    assert list((tmp_path / "models").iterdir()) == []


def test_a_data_dir_that_cannot_be_written_is_named(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file in the way")
    with pytest.raises(ModelError, match="cannot be written") as caught:
        load_model(str(tiny), data_dir=tmp_path)
    assert "DATA_DIR" in caught.value.fix


@given(data=st.data())
def test_a_gguf_cut_off_anywhere_is_named(data: st.DataObject, tiny: Path) -> None:
    whole = tiny.read_bytes()
    length = data.draw(st.integers(0, len(whole) - 200) | st.integers(0, 2000))
    cut = tiny.with_name("cut.bin")
    cut.write_bytes(whole[:length])
    with pytest.raises(ModelError, match=r"cut\.bin"):
        read_gguf_header(cut)


@given(place=st.integers(4, 4000), rubbish=st.binary(min_size=1, max_size=9))
def test_a_damaged_header_is_read_or_refused(place: int, rubbish: bytes, tiny: Path) -> None:
    whole = tiny.read_bytes()
    spoiled = tiny.with_name("spoiled.bin")
    spoiled.write_bytes(whole[:place] + rubbish + whole[place + len(rubbish) :])
    try:
        read_gguf_header(spoiled)
    except ModelError as error:
        assert "spoiled.bin" in str(error)


def test_an_architecture_that_nobody_knows_is_named(tmp_path: Path) -> None:
    path = tmp_path / "odd.gguf"
    writer = gguf.GGUFWriter(path, "nobody-knows-this")
    writer.add_tensor("x", np.zeros(32, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ModelError, match=r"odd\.gguf.*«nobody-knows-this»"):
        load_model(str(path), data_dir=tmp_path / "data")
    found = inspect_model(str(path), data_dir=tmp_path / "data")
    assert "«nobody-knows-this»" in found.problems[0]


def test_inspecting_a_gguf_converts_nothing(tiny: Path, tmp_path: Path) -> None:
    found = inspect_model(str(tiny), data_dir=tmp_path)
    assert found.loads
    assert (found.architecture, found.context_tokens) == ("llama", 2048)
    assert found.has_chat_template
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_wheel_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = find_embedded()
    copy = tmp_path / real.path.name
    copy.write_bytes(real.path.read_bytes()[:-1])
    cut = EmbeddedModel(copy, real.size, real.sha256)
    with pytest.raises(ModelError, match="should have") as caught:
        cut.check_size()
    assert "make setup" in caught.value.fix
    copy.write_bytes(real.path.read_bytes()[:-1] + b"\xff")
    cut.check_size()
    monkeypatch.setattr(gguf_cache, "find_embedded", lambda: cut)
    with pytest.raises(ModelError, match="its hash is wrong"):
        load_model("demo", data_dir=tmp_path / "data")


def test_a_missing_wheel_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(embedded, "PACKAGE", "no-such-package-at-all")
    with pytest.raises(ModelError, match="is not installed") as caught:
        load_model("demo", data_dir=tmp_path)
    assert "make setup" in caught.value.fix


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LoadedModel, Steps, Path]]:
    data_dir = tmp_path_factory.mktemp("demo")
    steps = Steps()
    yield load_model("demo", data_dir=data_dir, progress=steps), steps, data_dir


@pytest.mark.slow
def test_the_embedded_model_talks(demo: tuple[LoadedModel, Steps, Path]) -> None:
    loaded, steps, _ = demo
    prompt = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
    tokens = loaded.tokenizer(prompt, return_tensors="pt")
    reply = loaded.model.generate(**tokens, max_new_tokens=8, do_sample=False)
    assert "Paris" in loaded.tokenizer.decode(reply[0][tokens.input_ids.shape[1] :])
    assert steps.converted
    assert loaded.info.name == "SmolLM2-135M-Instruct"
    assert loaded.info.context_tokens == 8192
    assert {"<|im_start|>", "<|im_end|>", "<|endoftext|>"} <= set(loaded.info.special_tokens)
    assert loaded.info.chat_template is not None


@pytest.mark.slow
def test_its_weights_are_the_files(demo: tuple[LoadedModel, Steps, Path]) -> None:
    loaded, _, _ = demo
    state = loaded.model.state_dict()
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(find_embedded().path).tensors}
    for name, ours in {
        "token_embd.weight": "model.embed_tokens.weight",
        "blk.29.ffn_down.weight": "model.layers.29.mlp.down_proj.weight",
    }.items():
        theirs = gguf.dequantize(tensors[name].data, tensors[name].tensor_type)
        assert np.array_equal(state[ours].numpy(), theirs)
    query = gguf.dequantize(
        tensors["blk.0.attn_q.weight"].data, tensors["blk.0.attn_q.weight"].tensor_type
    )
    assert np.array_equal(interleaved(state["model.layers.0.self_attn.q_proj.weight"], 9), query)


@pytest.mark.slow
def test_its_second_start_is_quick(demo: tuple[LoadedModel, Steps, Path]) -> None:
    _, _, data_dir = demo
    steps = Steps()
    load_model("demo", data_dir=data_dir, progress=steps)
    assert not steps.converted
    assert "converted already" in " ".join(inspect_model("demo", data_dir=data_dir).notes)


@pytest.mark.slow
@pytest.mark.parametrize(
    "text", ["Hello   world 12345\n\n  ünïcode 😀", "<|im_start|>user\nHi<|im_end|>\n", " a", ""]
)
def test_its_tokenizer_gives_back_what_it_got(
    text: str, demo: tuple[LoadedModel, Steps, Path]
) -> None:
    tokenizer = demo[0].tokenizer
    assert tokenizer.decode(tokenizer(text).input_ids) == text
