"""Several personas in one channel: who answers whom, and when it ends."""

from collections.abc import Sequence

import pytest
from conversing import HERE, Stage

from bot.chat.messages import QuotedMessage, Speaker, Turn, TurnState
from bot.chat.persona import Persona
from bot.engine.api import GenerationRequest
from bot.engine.fake import FakeEngine

MIRA = Persona(id="test:mira", name="Mira", description="{{char}} keeps a light. {{group}}")
BRAM = Persona(id="test:bram", name="Bram", nickname="Skipper", description="{{char}} sails.")
NESSA = Persona(id="test:nessa", name="Nessa", description="{{char}} swims.")


class Cast:
    """Bram and Nessa beside the main one."""

    async def cast(self, scope_id: str) -> list[str]:
        return ["test:bram", "test:nessa"]


def crew(stage: Stage, answers: dict[str, str] | None = None) -> Stage:
    """Mira is the main one; each persona says the same again and again."""
    said = answers or {}

    def script(request: GenerationRequest) -> str:
        does = {"keeps a light": "Mira", "sails": "Skipper", "swims": "Nessa"}
        who = next(name for words, name in does.items() if words in request.prompt)
        return said.get(who, f"I am {who}.")

    stage.engine = FakeEngine(script)
    stage.personas.personas = [MIRA, BRAM, NESSA]
    stage.casts = Cast()
    stage.start_again()
    return stage


async def all_answers(stage: Stage) -> list[str]:
    """Who speaks until nobody does."""
    spoke: list[str] = []
    while reply := await stage.answer():
        spoke.append(reply.persona_name)
        assert len(spoke) < 20
    return spoke


async def bots(stage: Stage) -> Sequence[Turn]:
    return [turn for turn in await stage.turns() if turn.role == "bot"]


async def test_who_is_named_answers_in_order_and_else_the_main_one(stage: Stage) -> None:
    on = crew(stage)
    await on.say("Hello?")
    assert await all_answers(on) == ["Mira"]
    await on.say("Nessa, and you, Skipper?")
    assert await all_answers(on) == ["Nessa", "Bram"]
    last = (await bots(on))[-1]
    assert (last.persona_id, last.asked_by) == ("test:bram", frozenset({"bob"}))
    record = await on.history.generation(last.turn_id, 0)
    assert record is not None
    assert (record.persona_id, record.persona_version) == ("test:bram", BRAM.version)
    assert not (await on.conversations.why(last.turn_id)).changed_since
    assert "sails" in on.prompt
    assert "Nessa: I am Nessa." in on.prompt


async def test_a_reply_to_a_persona_wakes_that_one(stage: Stage) -> None:
    on = crew(stage)
    await on.say("Nessa?")
    await all_answers(on)
    (nessa,) = await bots(on)
    quote = QuotedMessage(nessa.message_ids[0], Speaker("x", "Nessa", is_bot=True), nessa.text)
    await on.say("Really?", reply_to=quote, to_bot=True, mention=False)
    assert await all_answers(on) == ["Nessa"]


async def test_nobody_answers_twice_to_messages_that_come_while_others_are_answered(
    stage: Stage,
) -> None:
    on = crew(stage)
    await on.say("Nessa and Bram?")
    await on.say("Bram?", by="eve")
    first = await on.conversations.next_reply(HERE)
    assert first is not None
    await on.say("Mira, Bram?")
    await on.show(first)
    assert first.persona_name == "Nessa"
    assert await all_answers(on) == ["Bram", "Mira"]


@pytest.mark.parametrize("chain", [0, 1, 2, 8])
async def test_personas_answer_each_other_so_often_and_no_more(stage: Stage, chain: int) -> None:
    on = crew(stage, {"Mira": "What do you say, Bram?", "Skipper": "Ask Mira."})
    await on.set("persona_chain", chain)
    await on.say("Hello?")
    spoke = await all_answers(on)
    assert spoke == ["Mira", "Bram"] * ((chain + 1) // 2) + ["Mira"] * ((chain + 1) % 2)
    await on.say("Go on.")
    assert len(await all_answers(on)) == chain + 1


async def test_a_stopped_reply_sets_nobody_off(stage: Stage) -> None:
    on = crew(stage, {"Mira": "What do you say, Bram? And so on and on."})
    await on.say("Hello?")
    reply = await on.conversations.next_reply(HERE)
    assert reply is not None
    async with reply:
        async for text in reply:
            await reply.shown(text, ["m1"])
            reply.stop()
    assert (await bots(on))[-1].state is TurnState.CUT
    assert await all_answers(on) == []


async def test_a_reset_ends_it_and_so_does_the_deletion_of_the_question(stage: Stage) -> None:
    on = crew(stage)
    await on.say("Nessa and Bram?")
    assert (await on.answer()) is not None
    await on.conversations.reset(HERE)
    assert await all_answers(on) == []
    heard = await on.say("Nessa and Bram?")
    assert (await on.answer()) is not None
    assert heard.turn is not None
    await on.conversations.deleted(HERE, heard.turn.message_ids)
    assert await all_answers(on) == []


async def test_every_name_wakes_where_wake_words_do(stage: Stage) -> None:
    on = crew(stage)
    await on.set("trigger", "wakeword")
    assert (await on.overhear("Is the skipper here?")).addressed
    assert (await on.overhear("Is NESSA here?")).addressed
    assert not (await on.overhear("Is anybody here?")).addressed


async def test_the_others_are_known_to_macros(stage: Stage) -> None:
    on = crew(stage)
    await on.say("Hello?")
    await on.answer()
    assert "Mira keeps a light. Mira, Bram, Nessa" in on.prompt


async def test_regenerate_is_the_same_persona_again(stage: Stage) -> None:
    on = crew(stage)
    await on.say("Nessa and Bram?")
    await all_answers(on)
    turn = (await bots(on))[-1]
    reply = await on.conversations.regenerate(turn.turn_id)
    await on.show(reply)
    assert reply.persona_name == "Bram"
    assert await all_answers(on) == []
