"""Small models for the engine's tests."""

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bot.engine.api import ModelInfo

DEVICES = ["cpu"]
if torch.cuda.is_available():
    DEVICES += [pytest.param("cuda:0", marks=pytest.mark.gpu)]  # type: ignore[list-item]

CORPUS = [
    "The staff of Hermes has two snakes and two wings.",
    "### Instruction:\nSay hello to everybody.\n\n### Response:\nHello, everybody! 🐍🪽 naïve café",
    "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789 .,;:!?'\"()[]{}#*_-",
]


def make_tokenizer() -> Any:
    """A byte-level BPE of a few hundred pieces, with a beginning and an end of sequence."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


def make_loaded(
    kind: str = "llama",
    *,
    context_tokens: int = 256,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Any:
    """A tiny model with random weights, float32, as the loader would hand it over."""
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = make_tokenizer()
    config = AutoConfig.for_model(
        kind,
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=context_tokens,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
        initializer_range=0.3,  # wide enough that no two tokens are equally likely
        **({"sliding_window": None} if kind == "mistral" else {}),
    )
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval().to(device)
    info = ModelInfo(name=f"tiny-{kind}", context_tokens=context_tokens)
    return SimpleNamespace(
        model=model, tokenizer=tokenizer, info=info, device=torch.device(device), kernel="torch"
    )


@pytest.fixture(scope="session", params=DEVICES)
def device(request: pytest.FixtureRequest) -> torch.device:
    """Where models run: every test that has this runs on a GPU too, where there is one."""
    return torch.device(request.param)


@pytest.fixture(scope="session")
def tiny_loader(device: torch.device) -> Callable[..., Any]:
    return partial(make_loaded, device=device)
