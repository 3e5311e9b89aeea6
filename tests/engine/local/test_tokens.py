"""Text to tokens and back, whole characters only."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.engine.local.tokens import TextStream, TextTokens


@pytest.fixture(scope="module")
def tokens(tiny_loader: Callable[..., Any]) -> TextTokens:
    return TextTokens(tiny_loader().tokenizer)


@pytest.fixture(scope="module")
def sentencepiece_like() -> Any:
    """Llama's way: a sign for spaces, bytes for the rest, a beginning before every text."""
    from tokenizers import Tokenizer, decoders, models, normalizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {"<unk>": 0, "<s>": 1, "</s>": 2}
    vocabulary |= {f"<0x{byte:02X}>": 3 + byte for byte in range(256)}
    for piece in ["▁", *"abcdehilnorst.,!", "▁a", "▁the", "ll", "o", "\n"]:
        vocabulary.setdefault(piece, len(vocabulary))
    merges = [("▁", "a"), ("l", "l")]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, byte_fallback=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def streamed(tokens: TextTokens, prompt: list[int], reply: list[int]) -> list[str]:
    stream = TextStream(tokens, prompt)
    return [*(stream.decode(token) for token in reply), stream.flush()]


@given(st.text(max_size=60), st.text(max_size=20))
def test_streamed_text_equals_the_whole(tokens: TextTokens, text: str, before: str) -> None:
    pieces = streamed(tokens, tokens.encode_prompt(before), tokens.encode_prompt(text))
    assert "".join(pieces).rstrip("\ufffd") == text.rstrip("\ufffd")


@given(st.text(alphabet="a🐍é\u200d界", min_size=1, max_size=12))
def test_no_piece_holds_half_a_character(tokens: TextTokens, text: str) -> None:
    reply = tokens.encode_prompt(text)
    assert len(reply) > len(text) or text.isascii()
    assert not any("\ufffd" in piece for piece in streamed(tokens, [], reply))


def test_half_a_character_at_the_end_is_dropped(tokens: TextTokens) -> None:
    reply = tokens.encode_prompt("hi 🐉")
    assert "".join(streamed(tokens, [], reply[:-1])) == "hi "


def test_bytes_that_are_no_character_do_not_stop_the_text(tokens: TextTokens) -> None:
    broken = tokens.encode_prompt("🐉")[:2] + tokens.encode_prompt("and on")
    assert "".join(streamed(tokens, [], broken)).endswith("and on")


def test_special_tokens_are_not_text(tokens: TextTokens) -> None:
    reply = tokens.encode_prompt("one</s> two<s>")
    assert "".join(streamed(tokens, [], reply)) == "one two"


@given(st.text(alphabet="a the.\n🐍", max_size=20), st.text(alphabet="a the.\n🐍", max_size=20))
def test_a_sentencepiece_reply_goes_on_where_the_prompt_ends(
    sentencepiece_like: Any, before: str, text: str
) -> None:
    llama = TextTokens(sentencepiece_like)
    whole = llama.encode_prompt(before + "." + text)
    beginning = llama.encode_prompt(before + ".")
    reply = whole[len(beginning) :]
    assert whole[: len(beginning)] == beginning
    assert "".join(streamed(llama, beginning, reply)) == text


def test_a_beginning_is_put_once_where_the_tokenizer_puts_one(sentencepiece_like: Any) -> None:
    llama = TextTokens(sentencepiece_like)
    assert llama.encode_prompt("a")[0] == 1
    assert llama.encode_prompt("<s>a").count(1) == 1
    assert llama.encode_prompt("a")[1:] == sentencepiece_like.encode("a", add_special_tokens=False)
    assert llama.count(["a", "", "aa"]) == (1, 0, 2)


def test_no_beginning_is_put_where_the_tokenizer_puts_none(tokens: TextTokens) -> None:
    assert tokens.encode_prompt("<s>a")[0] == 0
    assert tokens.encode_prompt("a")[0] != 0


def test_an_empty_prompt_has_a_token_to_begin_with(tokens: TextTokens) -> None:
    assert len(tokens.encode_prompt("")) == 1


def test_the_ends_that_are_named_go_before_the_tokenizers(
    tokens: TextTokens, tiny_loader: Any
) -> None:
    assert tokens.end_tokens == {1}
    assert TextTokens(tiny_loader().tokenizer, [5, 6]).end_tokens == {5, 6}


@pytest.mark.parametrize("stop", ["<s>", "<s>\n", " <s>"])
def test_a_stop_that_is_a_special_token_ends_where_that_token_comes(
    stop: str, tokens: TextTokens
) -> None:
    assert tokens.end_tokens_for(("wings", stop)) == {0, 1}  # in the text it would never be seen
    assert tokens.end_tokens_for(("wings", "<s>wings")) == {1}


def test_a_tokenizer_without_a_rust_half_will_do(tiny_loader: Callable[..., Any]) -> None:
    real = tiny_loader().tokenizer

    class Slow:
        bos_token_id = None
        eos_token_id = 1

        def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
            return real.encode(text, add_special_tokens=add_special_tokens)  # type: ignore[no-any-return]

        def decode(self, ids: list[int], **options: bool) -> str:
            return real.decode(ids, **options)  # type: ignore[no-any-return]

    slow = TextTokens(Slow())
    reply = slow.encode_prompt("naïve 🐍 café")
    assert "".join(streamed(slow, [], reply)) == "naïve 🐍 café"
    assert slow.count(["naïve"]) == TextTokens(real).count(["naïve"])
