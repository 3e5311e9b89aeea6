"""Several personas in one channel: who answers whom, and when it ends."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import pytest
from conversing import HERE, Stage, until

from bot.chat.definitions import ChannelSettings
from bot.chat.limits.gate import Access, Admission
from bot.chat.messages import ChannelKey, QuotedMessage, Speaker, Turn, TurnState
from bot.chat.persona import Persona
from bot.engine.api import GenerationRequest
from bot.engine.fake import FakeEngine
from bot.errors import StoreError

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


async def waits(on: Stage) -> bool:
    return HERE in await on.history.channels_with_pending(HERE.platform, since=on.now)


async def test_a_restart_between_two_answers_loses_none_of_them(stage: Stage) -> None:
    on = crew(stage)
    await on.say("Nessa, Bram and Mira?")
    spoke: list[str] = []
    for _ in range(3):
        assert await waits(on)
        on.start_again()
        reply = await on.answer()
        assert reply is not None
        assert [turn.text for turn in reply.answers] == ["Nessa, Bram and Mira?"]
        assert reply.asked_by == {"bob"}
        spoke.append(reply.persona_name)
    assert spoke == ["Nessa", "Bram", "Mira"]
    assert not await waits(on)
    on.start_again()
    assert await all_answers(on) == []
    regenerated = await on.conversations.regenerate((await bots(on))[1].turn_id)
    await on.show(regenerated)
    assert regenerated.persona_name == "Bram"
    assert all(turn.role == "user" for turn in regenerated.answers)
    assert await all_answers(on) == []


async def test_a_restart_while_the_second_answer_waits_for_the_model(stage: Stage) -> None:
    on = crew(stage)
    await on.say("Nessa and Bram?")
    await on.answer()
    second = await on.conversations.next_reply(HERE)
    assert second is not None
    await on.history.abandon_reply(second.turn.turn_id, requeue=True)  # as a dead run's is
    on.start_again()
    assert await all_answers(on) == ["Bram"]


@pytest.mark.parametrize("chain", [0, 1, 2])
async def test_a_restart_does_not_lengthen_the_chain(stage: Stage, chain: int) -> None:
    on = crew(stage, {"Nessa": "What do you say, Mira?", "Mira": "Ask Nessa."})
    await on.set("persona_chain", chain)
    await on.say("Nessa and Bram?")
    await on.answer()
    on.start_again()
    assert await all_answers(on) == ["Bram", "Mira", "Nessa"][: chain + 1]


async def test_what_came_meanwhile_is_taken_up_with_what_was_left(stage: Stage) -> None:
    on = crew(stage)
    await on.say("Nessa and Bram?")
    await on.answer()
    on.start_again()
    await on.say("Mira and Bram?", by="eve")
    reply = await on.answer()
    assert reply is not None
    assert (reply.persona_name, reply.asked_by) == ("Bram", {"bob", "eve"})
    on.start_again()
    assert await all_answers(on) == ["Mira"]


async def test_two_programs_do_not_both_take_up_what_is_left(stage: Stage) -> None:
    on = crew(stage)
    await on.say("Nessa and Bram?")
    await on.answer()
    # The one that goes on, and those that begin just then.
    programs = [on.conversations, on.start_again(), on.start_again()]
    replies = await asyncio.gather(*(each.next_reply(HERE) for each in programs))
    (second,) = [reply for reply in replies if reply is not None]
    await on.show(second)
    assert [turn.persona for turn in await bots(on)] == ["Nessa", "Bram"]
    for each in programs:
        assert await each.next_reply(HERE) is None


class EverybodyBlocked:
    """A check that hears nobody."""

    async def admit(
        self, channel: ChannelKey, speaker: Speaker, settings: ChannelSettings, *, asks: bool
    ) -> Admission:
        return Admission(Access.UNHEARD)


async def end_by_undo(on: Stage, question: Turn) -> None:
    await on.conversations.undo(HERE)


async def end_by_undo_of_the_second(on: Stage, question: Turn) -> None:
    await on.answer()
    await on.conversations.undo(HERE)


async def end_by_deletion(on: Stage, question: Turn) -> None:
    await on.conversations.deleted(HERE, question.message_ids)


async def end_by_reset(on: Stage, question: Turn) -> None:
    await on.conversations.reset(HERE)


async def end_by_deletion_of_the_second(on: Stage, question: Turn) -> None:
    await on.answer()
    await on.conversations.delete_turn((await bots(on))[-1].turn_id)


async def end_by_time(on: Stage, question: Turn) -> None:
    on.now += timedelta(minutes=11)


async def end_by_the_gate(on: Stage, question: Turn) -> None:
    on.keep_gate(checks=[EverybodyBlocked()])


@pytest.mark.parametrize(
    "end",
    [
        end_by_undo,
        end_by_undo_of_the_second,
        end_by_deletion,
        end_by_reset,
        end_by_deletion_of_the_second,
        end_by_time,
        end_by_the_gate,
    ],
)
async def test_after_a_restart_nobody_speaks_where_the_round_had_ended(
    stage: Stage, end: Callable[[Stage, Turn], Awaitable[None]]
) -> None:
    on = crew(stage)
    heard = await on.say("Nessa, Bram and Mira?")
    await on.answer()
    assert heard.turn is not None
    await end(on, heard.turn)
    on.start_again()
    assert await all_answers(on) == []


@pytest.mark.parametrize("does", ["reset", "undo"])
async def test_what_ended_a_round_right_after_a_restart_ends_it_for_good(
    stage: Stage, does: str
) -> None:
    on = crew(stage)
    await on.say("Nessa, Bram and Mira?")
    await on.answer()
    assert await waits(on)
    on.start_again()
    if does == "reset":
        old, _new = await on.conversations.reset(HERE)
        await on.history.restore(HERE, old)
    else:
        await on.history.unhide(await on.conversations.undo(HERE))
    assert not await waits(on)
    assert await all_answers(on) == []


async def test_what_is_written_stops_although_the_store_fails(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    on = crew(stage)
    await on.say("Hello?")
    reply = await on.conversations.next_reply(HERE)
    assert reply is not None

    async def fail(*_given: object, **_named: object) -> list[Turn]:
        raise StoreError("The database is locked.")

    monkeypatch.setattr(on.history, "unended_round", fail)
    async with reply:
        reset = asyncio.create_task(on.conversations.reset(HERE))
        await until(lambda: reply.outcome is not None or reset.done())
        assert reply.outcome is not None, "it goes on"
    with pytest.raises(StoreError):
        await reset


async def test_the_history_of_a_round_is_as_it_was(stage: Stage) -> None:
    on = crew(stage)
    await on.say("Nessa and Bram?")
    await all_answers(on)
    last = (await bots(on))[-1]
    assert not (await on.conversations.why(last.turn_id)).changed_since
    hidden = await on.history.hide_last_exchange(HERE)
    assert hidden == [last.turn_id]
