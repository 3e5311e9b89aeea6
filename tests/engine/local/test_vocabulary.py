"""What tokens are as texts, and which of them would complete a banned word."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.engine.local.banned import BannedWords
from bot.engine.local.tokens import TextTokens
from bot.engine.local.vocabulary import Vocabulary, piece_of


@pytest.fixture(scope="module")
def tokens(tiny_loader: Callable[..., Any]) -> TextTokens:
    return TextTokens(tiny_loader().tokenizer)


@given(st.text(max_size=40))
def test_the_pieces_of_a_text_are_its_bytes(tokens: TextTokens, text: str) -> None:
    encoded = tokens.encode_prompt(text) if text else []
    assert b"".join(map(tokens.vocabulary.piece, encoded)).decode() == text


def test_special_tokens_and_those_beyond_have_no_text(tokens: TextTokens) -> None:
    for token in (*tokens.end_tokens, 10**6):
        assert tokens.vocabulary.piece(token) == b""


def test_half_characters_are_told_by_their_names() -> None:
    assert piece_of("<0xF0>", "\ufffd") == b"\xf0"
    assert piece_of("\u00f0\u0141", "\ufffd") == b"\xf0\x9f"
    assert piece_of("\u2581a", " a") == b" a"
    assert piece_of("\ufffd", "\ufffd") == b"\xef\xbf\xbd"


@given(st.lists(st.text("aAb\u00e4 \n", max_size=4), max_size=20), st.text("ab\u00e4 ", min_size=1))
def test_tokens_are_found_by_their_text(texts: list[str], wanted: str) -> None:
    vocabulary = Vocabulary([text.encode() for text in texts])
    folded = [text.casefold() for text in texts]
    wanted = wanted.casefold()
    expected = {token for token, text in enumerate(folded) if text.startswith(wanted)}
    assert set(vocabulary.starting_with(wanted)) == expected
    expected = {token for token, text in enumerate(folded) if wanted in text}
    assert vocabulary.containing([wanted]) == expected


@given(
    st.lists(st.text("shive \U0001f40dé", min_size=1, max_size=4), min_size=1, max_size=3),
    st.randoms(use_true_random=False),
)
def test_a_word_never_comes_about_however_it_is_cut(
    tokens: TextTokens, words: list[str], dice: Any
) -> None:
    """A reply that does all it can to write the words: any token that is not forbidden."""
    banned = BannedWords(words, tokens.vocabulary, [])
    spelled = [each for word in words for each in (word + word.upper(), "\u200b".join(word))]
    wanted = [token for each in spelled for token in tokens.encode_prompt(each)]
    reply: list[int] = []
    for _ in range(30):
        forbidden = banned.always | set(banned.now())
        if allowed := [token for token in wanted if token not in forbidden]:
            reply.append(dice.choice(allowed))
            banned.take(reply[-1])
    text = tokens.decode(reply).casefold().replace("\u200b", "")  # which nobody sees
    assert not any(word.casefold() in text for word in words)


def test_a_word_may_have_begun_before_the_reply(tokens: TextTokens) -> None:
    before = tokens.encode_prompt("She felt a Shi")
    banned = BannedWords(["a shiver"], tokens.vocabulary, before)
    (token,) = tokens.encode_prompt("v")
    assert token not in set(banned.now())
    banned.take(token)
    banned.take(tokens.encode_prompt("e")[0])
    assert set(tokens.encode_prompt("R")) <= set(banned.now())
    assert not banned.always & set(tokens.encode_prompt("r"))
