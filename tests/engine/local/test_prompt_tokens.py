"""A prompt that goes on from the channel's last one is cut as if it were new."""

from collections.abc import Callable
from typing import Any

import pytest
from embedded_folder import embedded_folder
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.engine.local.prompt_tokens import PromptTokens
from bot.engine.local.tokens import TextTokens

BEGINNING = "The staff of Hermes has two wings, and two snakes go round it. " * 20
words = st.lists(
    st.sampled_from(
        [
            "snake",
            " snake",
            "  ",
            " ",
            "\n",
            "\n\n",
            "'s",
            "12345",
            "wwwww",
            "é",
            "👩‍🚀",
            "<|im_end|>",
            "<|im_start|>user\n",
            "don",
            "n't",
            ".",
            "...",
            "日本語",
            "aa",
            "a",
            " a",
        ]
    ),
    max_size=60,
).map("".join)


@pytest.fixture(scope="module", params=["embedded", "tiny"])
def tokens(request: pytest.FixtureRequest, tiny_loader: Callable[..., Any]) -> TextTokens:
    if request.param == "tiny":
        return TextTokens(tiny_loader().tokenizer)
    from transformers import AutoTokenizer

    return TextTokens(AutoTokenizer.from_pretrained(embedded_folder()))


@settings(max_examples=60)
@given(st.lists(st.tuples(words, words), min_size=1, max_size=4))
@example([("snake" * 60, "s"), (" snake" * 60, "'s")])
def test_it_is_cut_as_if_it_were_new(tokens: TextTokens, turns: list[tuple[str, str]]) -> None:
    prompts = PromptTokens(tokens)
    said = BEGINNING
    for turn, ending in turns:  # each prompt ends otherwise than the next goes on
        said += turn
        assert prompts.encode("c", said + ending) == tokens.encode_prompt(said + ending)


def test_only_the_end_is_cut_again(tokens: TextTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    if not tokens.tells_places:
        pytest.skip("this tokenizer cuts everything anew")
    cut: list[int] = []
    plain = TextTokens.encode_with_places

    def noting(self: TextTokens, text: str, last: int) -> tuple[list[int], list[int]]:
        cut.append(len(text))
        return plain(self, text, last)

    monkeypatch.setattr(TextTokens, "encode_with_places", noting)
    prompts = PromptTokens(tokens)
    long = BEGINNING * 5
    prompts.encode("c", long)
    more = long + "Who carries it? The messenger of the gods. "
    assert prompts.encode("c", more) == tokens.encode_prompt(more)
    assert len(cut) == 2
    assert cut[1] < len(long) / 5
    prompts.forget("c")
    prompts.encode("c", more + "?")
    assert cut[2] > len(long)


def test_what_is_forgotten_while_it_is_cut_is_not_kept(
    tokens: TextTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not tokens.tells_places:
        pytest.skip("this tokenizer keeps nothing")
    prompts = PromptTokens(tokens)
    cut: list[int] = []
    plain = TextTokens.encode_with_places

    def forgetting(self: TextTokens, text: str, last: int) -> tuple[list[int], list[int]]:
        cut.append(len(text))
        if len(cut) == 1:
            prompts.forget("c")
        return plain(self, text, last)

    monkeypatch.setattr(TextTokens, "encode_with_places", forgetting)
    long = BEGINNING * 5
    for _ in range(3):
        assert prompts.encode("c", long) == tokens.encode_prompt(long)
    assert cut[:2] == [len(long)] * 2
    assert cut[2] < len(long) / 5
