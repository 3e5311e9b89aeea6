"""A persona of many texts full of macros does not hold up the event loop."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest
from prompting import PLAYED, count, request, said

from bot.chat.persona import Persona
from bot.chat.prompt.build import DRAFTED_AT_ONCE, build_prompt
from bot.errors import RequestTooLarge


async def turns_of_the_loop(persona: Persona) -> int:
    """How often others got the event loop before the first text was to be counted."""
    turns, until_counted = 0, 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def counted(texts: Sequence[str]) -> list[int]:
        nonlocal until_counted
        until_counted = until_counted or turns
        return await count(texts)

    beside = asyncio.create_task(others())
    await asyncio.sleep(0)
    before = turns
    with suppress(RequestTooLarge):
        await build_prompt(request(said("Ann", "Hello!"), persona=persona), counted)
    beside.cancel()
    return until_counted - before


@pytest.mark.parametrize("field", ["description", "example_dialogue", "system_text"])
async def test_others_go_on_while_a_large_persona_is_read(field: str) -> None:
    text = "{{char}} " * (DRAFTED_AT_ONCE // 9 + 1)
    large = PLAYED.model_copy(update={field: text})
    assert await turns_of_the_loop(large) > 1


async def test_a_small_one_is_not_worth_a_thread() -> None:
    assert await turns_of_the_loop(PLAYED) == 0
