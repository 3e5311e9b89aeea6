"""Prompts of exact lengths, and rounds through an engine."""

from collections.abc import Callable
from typing import Any

import pytest

from bot.bench.chat import Chat, run_chat
from bot.bench.load import Load, Streams
from bot.bench.prompts import PromptMaker, RandomWordMaker, fixed_text
from bot.engine.api import GenerationRequest
from bot.engine.fake import FakeEngine
from bot.errors import EngineFailed, SettingsError

WORDS = fixed_text()


class Words:
    """A tokenizer of one token a word."""

    def encode_prompt(self, text: str) -> list[int]:
        return [hash(word) for word in text.split()]


def maker(seed: int = 0) -> PromptMaker:
    words: Any = Words()
    return PromptMaker(words, WORDS, seed)


@pytest.mark.parametrize("tokens", [2, 3, 64, 512])
@pytest.mark.parametrize("kind", [maker, lambda: RandomWordMaker(Words(), 512)])  # type: ignore[arg-type]
def test_prompts_have_the_length_asked_for(kind: Callable[[], PromptMaker], tokens: int) -> None:
    prompts = kind()
    assert all(prompts.count(prompts.make(tokens)) == tokens for _ in range(20))


def test_no_two_prompts_begin_the_same() -> None:
    prompts = maker()
    assert len({prompts.make(8).split()[0] for _ in range(200)}) == 200


def test_the_same_seed_makes_the_same_prompts() -> None:
    assert [maker(3).make(30)] == [maker(3).make(30)]
    assert maker(3).make(30) != maker(4).make(30)


async def test_every_request_of_a_round_has_a_channel_of_its_own() -> None:
    engine = FakeEngine(["a b c d e f g h i j k l m n o p"])
    await engine.start()
    streams = Streams(engine, maker())
    for _ in range(2):
        found = await streams.run(Load(3, 16, 5, 1.15))
        assert found.reply_tokens == 15
        assert len(found.first_token_seconds) == 3
    assert len({request.channel for request in engine.requests}) == 6
    assert {request.sampling.repetition_penalty for request in engine.requests} == {1.15}


async def test_a_reply_that_ends_early_spoils_the_round() -> None:
    engine = FakeEngine(["short"])
    await engine.start()
    with pytest.raises(EngineFailed, match="ended after"):
        await Streams(engine, maker()).run(Load(2, 16, 50, 1.0))


async def test_a_chat_grows_by_its_own_replies_and_ends_with_new_channels() -> None:
    engine = FakeEngine(lambda request: f"reply to {request.channel}")
    await engine.start()
    prompts = maker()
    streams = Streams(engine, prompts)
    chat = Chat(channels=2, turns=3, persona_tokens=30, message_tokens=6, reply_tokens=12)
    await run_chat(engine, prompts, streams, chat)
    asked: dict[str, list[GenerationRequest]] = {}
    for request in engine.requests:
        asked.setdefault(request.channel, []).append(request)
    assert sorted(len(requests) for requests in asked.values()) == [1, 1, 3, 3]
    for channel, requests in asked.items():
        if len(requests) == 3:
            first, second, third = (request.prompt for request in requests)
            assert second.startswith(first) and third.startswith(second)
            assert f"reply to {channel}" in second
        else:
            assert not any(
                other.prompt.split()[0] == requests[0].prompt.split()[0]
                for other in engine.requests
                if other.channel != channel
            )


def test_a_chat_too_long_for_the_context_is_refused() -> None:
    with pytest.raises(SettingsError, match="turns"):
        Chat().check_fits(1024)
