"""What the embedded model writes aside: a summary in its own format, which nobody waits for."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from bot.chat.engines import NamedEngine
from bot.chat.messages import ChannelKey, Speaker, Turn
from bot.chat.prompt.choosing import FormatChooser
from bot.chat.roleplay.memory.writing import Scribe
from bot.engine.api import GenerationRequest
from bot.engine.llamacpp.engine import LlamaCppEngine

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


def said(number: int, name: str, text: str) -> Turn:
    speaker = Speaker(name.lower(), name)
    return Turn(number, 1, ChannelKey("t", "1"), "user", speaker, text, datetime.now(UTC))


async def test_it_sums_up_what_was_said(engine: LlamaCppEngine) -> None:
    named = NamedEngine("local", engine)
    chosen = await FormatChooser().choose(named, named.info)
    scribe = Scribe(named, chosen.format, thinking_tokens=0)
    turns = [said(1, "Ann", "I am going to Lisbon in May."), said(2, "Ben", "Take the tram 28.")]
    text = await scribe.of_turns(turns, 40)
    assert text
    assert "<|im_" not in text
    assert (await engine.count_tokens([text]))[0] <= 40


async def test_it_ends_as_soon_as_somebody_asks(
    engine: LlamaCppEngine, asking: Callable[..., GenerationRequest]
) -> None:
    named = NamedEngine("local", engine)
    long = asking("Count to a thousand.", channel="summary", max_tokens=2_000)
    aside = asyncio.create_task(named.write_aside(long))
    async with asyncio.timeout(60):
        while engine.status().running == 0:  # noqa: ASYNC110 - nobody would set an event
            await asyncio.sleep(0.01)
    async for chunk in named.generate(asking("Hello!", max_tokens=4)):
        assert aside.done(), "before the first word of the other"
        if chunk.finish is not None:
            break
    assert await aside is None
