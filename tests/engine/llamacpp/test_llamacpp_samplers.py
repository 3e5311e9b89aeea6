"""llama.cpp chooses tokens as our own engine does, and writes no banned word."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from bot.engine.api import GenerationRequest, Sampling
from bot.engine.llamacpp.banning import vocabulary_of
from bot.engine.llamacpp.completion import body_of
from bot.engine.llamacpp.engine import LlamaCppEngine
from bot.engine.models.gguf.file import GgufHeader
from bot.engine.models.gguf.texts import FileVocabulary, Kind, TokenName, read_vocabulary

pytestmark = pytest.mark.asyncio(loop_scope="module")

GREEDY = Sampling(temperature=0, top_p=1, repetition_penalty=1)
Ask = Callable[..., GenerationRequest]
QUESTION = "What is the capital of France?"
LINE = " the cat sat on the mat, and"
AGAIN = LINE * 6


async def test_its_vocabulary_is_read_as_it_writes_it(
    engine: LlamaCppEngine, header: GgufHeader
) -> None:
    vocabulary = vocabulary_of(await asyncio.to_thread(read_vocabulary, header.path))
    text = "The café said: «Ça va?» 🐍\n  two spaces"
    server = engine._ready_server()  # pyright: ignore[reportPrivateUsage]
    tokens = await server.tokenize(text)
    assert b"".join(vocabulary.piece(token) for token in tokens).decode() == text
    special = await server.tokenize("<|im_end|>")
    assert [vocabulary.piece(token) for token in special] == [b""]


async def test_sentencepiece_vocabularies_are_read_too() -> None:
    kinds = [
        ("<s>", Kind.CONTROL),
        ("\u2581the", Kind.NORMAL),
        ("<0xE2>", Kind.BYTE),
        ("\u2581", Kind.USER_DEFINED),
    ]
    found = FileVocabulary(tuple(TokenName(name, kind) for name, kind in kinds), False)
    vocabulary = vocabulary_of(found)
    assert [vocabulary.piece(t) for t in range(4)] == [b"", b" the", b"\xe2", "\u2581".encode()]


@pytest.mark.parametrize(
    "words",
    [("Paris",), ("capital of",), ("PARIS", "the"), ("e",), ("is P",), ("The capital of France",)],
)
async def test_no_reply_contains_a_banned_word(
    engine: LlamaCppEngine, asking: Ask, write: Callable[..., object], words: tuple[str, ...]
) -> None:
    sampling = replace(GREEDY, banned_words=words)
    text, last = await write(engine, asking(QUESTION, sampling=sampling, max_tokens=24))  # type: ignore[misc]
    assert text
    assert not any(word.lower() in text.lower() for word in words)
    assert last.finish is not None
    assert 0 < last.statistics.reply_tokens <= 24


async def test_penalties_and_dry_keep_it_from_saying_the_same_again(
    engine: LlamaCppEngine, write: Callable[..., object]
) -> None:
    async def said(**changes: float) -> str:
        sampling = replace(GREEDY, **changes)  # type: ignore[arg-type]
        request = GenerationRequest(AGAIN, "again", "u", 30, sampling)
        text, _ = await write(engine, request)  # type: ignore[misc]
        return str(text)

    plain = await said()
    assert plain.count(LINE) > 1
    for changes in ({"dry_multiplier": 2.0}, {"frequency_penalty": 1.5}, {"presence_penalty": 2.0}):
        assert (await said(**changes)).count(LINE) < plain.count(LINE)


async def test_every_sampler_is_told_in_its_own_words(asking: Ask) -> None:
    sampling = Sampling(dry_multiplier=0.8, xtc_probability=0.5, presence_penalty=0.3)
    request = asking("Hi", sampling=sampling)
    body = body_of(request, prompt=[1] * 5, slot=0, seed=1, special_tokens=(), never=[7, 9])
    assert body["samplers"] == [
        "penalties", "dry", "temperature", "top_k", "top_p", "min_p", "xtc"
    ]  # fmt: skip
    assert (body["dry_multiplier"], body["dry_base"], body["dry_allowed_length"]) == (0.8, 1.75, 2)
    assert body["dry_sequence_breakers"] == ["\n", ":", '"', "*"]
    assert (body["xtc_probability"], body["xtc_threshold"]) == (0.5, 0.1)
    assert (body["repeat_last_n"], body["dry_penalty_last_n"]) == (256, 2048)
    assert body["logit_bias"] == [[7, False], [9, False]]
