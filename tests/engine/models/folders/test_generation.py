"""What ends a reply, and how a model's makers choose its tokens: from all of its files."""

import json
from pathlib import Path

import pytest
from checkpoints import make_float, make_gptq, write_new_layout, write_old_layout

from bot.engine.api import FinishReason, GenerationRequest
from bot.engine.building import load_model
from bot.engine.local.request import AdmittedRequest, Submission
from bot.engine.local.tokens import TextTokens
from bot.engine.local.worker import _end_tokens
from bot.engine.models.folders.generation import sampling_defaults

REPLY = "Hello!<|im_end|>\n<|im_start|>user\nand you?<|im_end|>\n"


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def chatml_model(folder: Path, *, special: bool) -> Path:
    """A Llama whose two last-but-some tokens are ChatML's, as a fine-tune adds them."""
    write_new_layout(make_float(), folder)
    file = folder / "tokenizer.json"
    described = json.loads(file.read_text())
    by_number = {number: text for text, number in described["model"]["vocab"].items()}
    for number, text in ((290, "<|im_end|>"), (291, "<|im_start|>")):
        del described["model"]["vocab"][by_number[number]]
        described["model"]["vocab"][text] = number
        added = {"lstrip": False, "rstrip": False, "single_word": False, "normalized": False}
        described["added_tokens"].append(
            {"id": number, "content": text, "special": special, **added}
        )
    file.write_text(json.dumps(described))
    return folder


def written(folder: Path, data_dir: Path, stop: tuple[str, ...]) -> tuple[str, FinishReason | None]:
    """What people see when the model writes REPLY, token by token."""
    loaded = load_model(str(folder), data_dir=data_dir)
    tokens = TextTokens(loaded.tokenizer, _end_tokens(loaded))
    request = GenerationRequest(prompt="Hi", channel="c", user="u", max_tokens=200, stop=stop)
    submission = Submission(1, request, tuple(tokens.encode_prompt("Hi")), 1, 0.0)
    admitted = AdmittedRequest(submission, 0, 0, 0.0)
    writing, text = admitted.open(tokens, 2048), ""
    for token in tokens.encode_prompt(REPLY):
        if admitted.finish is None:
            text += writing.take(token)
    return text, admitted.finish


@pytest.mark.parametrize("special", [True, False])
@pytest.mark.parametrize("beside", [None, {"eos_token_id": 2}, {"eos_token_id": [2, 0]}])
def test_an_end_that_only_the_tokenizer_names_ends_the_reply(
    special: bool, beside: dict[str, object] | None, tmp_path: Path
) -> None:
    folder = chatml_model(tmp_path / "model", special=special)
    change(folder / "tokenizer_config.json", eos_token="<|im_end|>")
    if beside is not None:
        (folder / "generation_config.json").write_text(json.dumps(beside))
    assert written(folder, tmp_path / "data", ()) == ("Hello!", FinishReason.STOP)


def test_an_end_that_only_config_json_names_ends_the_reply(tmp_path: Path) -> None:
    folder = chatml_model(tmp_path / "model", special=True)
    change(folder / "config.json", eos_token_id=[2, 290])
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": 2}))
    assert written(folder, tmp_path / "data", ()) == ("Hello!", FinishReason.STOP)


def test_a_special_token_that_is_a_stop_of_the_format_ends_the_reply(tmp_path: Path) -> None:
    folder = chatml_model(tmp_path / "model", special=True)
    for name in ("tokenizer.json",):  # names of its own, so that nothing else knows them
        text = (folder / name).read_text()
        (folder / name).write_text(text.replace("im_end", "stop_here"))
    loaded = load_model(str(folder), data_dir=tmp_path / "data")
    tokens = TextTokens(loaded.tokenizer, _end_tokens(loaded))
    assert 290 not in tokens.end_tokens
    assert 290 in tokens.end_tokens_for(("<|stop_here|>",))


def test_a_special_token_that_ends_turns_everywhere_needs_no_mention(tmp_path: Path) -> None:
    folder = chatml_model(tmp_path / "model", special=True)
    assert written(folder, tmp_path / "data", ()) == ("Hello!", FinishReason.STOP)


def test_an_old_layout_keeps_what_its_files_say(tmp_path: Path) -> None:
    folder = write_old_layout(make_gptq(), tmp_path / "hermes")
    change(folder / "tokenizer_config.json", chat_template="{{ 'of its own' }}")
    (folder / "generation_config.json").write_text(json.dumps({"temperature": 0.3}))
    info = load_model(str(folder), data_dir=tmp_path / "data").info
    assert info.chat_template == "{{ 'of its own' }}"
    assert info.sampling_defaults == {"temperature": 0.3}


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ('{"temperature": 0.3, "top_p": 0.8, "top_k": 20, "max_length": 9}', (0.3, 0.8, 20)),
        ('{"temperature": null, "top_p": true, "top_k": "20"}', (None, None, None)),
        ('{"temperature": NaN, "top_p": Infinity, "top_k": [1]}', (None, None, None)),
        ("[1]", (None, None, None)),
        ("{", (None, None, None)),
    ],
)
def test_only_numbers_that_are_said_count(
    said: str, found: tuple[float | None, ...], tmp_path: Path
) -> None:
    (tmp_path / "generation_config.json").write_text(said)
    values = sampling_defaults("some-model", tmp_path)
    assert tuple(values.get(key) for key in ("temperature", "top_p", "top_k")) == found


def test_every_value_of_ours_that_is_said_counts(tmp_path: Path) -> None:
    said = {"top_k": 40, "min_p": 0.05, "repetition_penalty": 1.1, "do_sample": True}
    (tmp_path / "generation_config.json").write_text(json.dumps(said))
    expected = {"top_k": 40, "min_p": 0.05, "repetition_penalty": 1.1}
    assert sampling_defaults("some-model", tmp_path) == expected


def test_not_to_sample_is_to_be_greedy(tmp_path: Path) -> None:
    said = {"do_sample": False, "temperature": 0.9, "top_p": 0.6, "repetition_penalty": 1.2}
    (tmp_path / "generation_config.json").write_text(json.dumps(said))
    expected = {"temperature": 0, "repetition_penalty": 1.2}
    assert sampling_defaults("some-model", tmp_path) == expected


def test_a_model_whose_files_say_nothing_may_be_known(tmp_path: Path) -> None:
    assert sampling_defaults("SmolLM2-135M-Instruct", tmp_path) == {
        "temperature": 0.2,
        "top_p": 0.9,
        "repetition_penalty": 1.0,
    }
    assert sampling_defaults("nous-hermes-13b", tmp_path) == {}
    (tmp_path / "generation_config.json").write_text('{"top_p": 0.5}')
    assert sampling_defaults("SmolLM2-135M-Instruct", tmp_path) == {"top_p": 0.5}
