"""Once more: regenerating, going on, swiping, and asking why."""

import asyncio
from dataclasses import replace

import pytest
from conversing import ADA, BYRON, HERE, THERE, Stage, StageMaker, until

from bot.chat.messages import GenerationRecord, Speaker, Turn, TurnState
from bot.chat.prompt.preparation import PersonaSince
from bot.chat.talk.faults import NOTHING_TO_ADD
from bot.chat.talk.reply import Reply
from bot.engine.api import FinishReason
from bot.engine.fake import FakeEngine
from bot.errors import EngineFailed, NotAllowed, NotFound


async def exchange(stage: Stage, text: str = "a question", **details: object) -> Turn:
    """A question and its answer, which is returned."""
    await stage.say(text, **details)
    reply = await stage.answer(details.get("channel", HERE))  # type: ignore[arg-type]
    assert reply is not None
    return reply.turn


async def regenerate(stage: Stage, turn_id: int) -> Reply:
    reply = await stage.conversations.regenerate(turn_id)
    await stage.show(reply)
    return reply


async def test_regenerating_adds_a_swipe_from_the_same_prompt(stage: Stage) -> None:
    turn = await exchange(stage, by="eve")
    reply = await regenerate(stage, turn.turn_id)
    assert reply.asked_by == {"eve"}
    assert [asked.text for asked in reply.answers] == ["a question"]
    assert reply.text_before == ""
    first, second = stage.engine.requests
    assert first.prompt == second.prompt
    assert first.sampling.seed != second.sampling.seed
    stored = await stage.history.turn(turn.turn_id)
    assert [swipe.text for swipe in stored.swipes] == ["One.", "Two."]
    assert stored.text == "Two."
    assert stored.state is TurnState.WHOLE
    assert await stage.history.generation(turn.turn_id, 1) is not None
    assert await stage.texts() == ["a question", "Two."]
    assert stage.is_idle


async def test_an_older_reply_is_regenerated_from_what_stood_before_it(stage: Stage) -> None:
    first = await exchange(stage, "first question")
    await exchange(stage, "second question")
    await regenerate(stage, first.turn_id)
    assert "second question" not in stage.prompt
    assert await stage.texts() == ["first question", "Three.", "second question", "Two."]


async def test_a_reply_whose_question_was_deleted_is_written_again_from_what_was_said_before(
    stage: Stage,
) -> None:
    await exchange(stage, "how are you?")
    turn = await exchange(stage)
    question = (await stage.turns())[2]
    await stage.conversations.deleted(HERE, question.message_ids)
    reply = await regenerate(stage, turn.turn_id)
    assert reply.outcome is not None
    assert reply.outcome.error == ""
    assert "a question" not in stage.prompt
    assert await stage.texts() == ["how are you?", "One.", "Three."]


async def test_regenerating_keeps_the_persona_who_spoke(stage: Stage) -> None:
    turn = await exchange(stage)
    await stage.set("persona", "Byron")
    reply = await regenerate(stage, turn.turn_id)
    assert reply.persona_name == "Ada"
    assert "Byron" not in stage.prompt


@pytest.mark.parametrize("stopped", [True, False])
async def test_a_swipe_of_which_nothing_was_shown_goes_again(
    set_stage: StageMaker, stopped: bool
) -> None:
    stage = set_stage(replies=["One.", "Two.", EngineFailed("dead"), "Four."])
    turn = await exchange(stage)
    await regenerate(stage, turn.turn_id)
    await stage.conversations.swipe(turn.turn_id, 1)  # back to the first
    reply = await stage.conversations.regenerate(turn.turn_id)
    if stopped:
        reply.stop()
    await stage.show(reply)
    assert reply.turn.text == "One."
    stored = await stage.history.turn(turn.turn_id)
    assert [swipe.text for swipe in stored.swipes] == ["One.", "Two."]
    assert stored.text == "One."
    assert await stage.history.pending(HERE) == []
    assert stage.is_idle


async def test_a_new_swipe_waits_for_the_running_reply(set_stage: StageMaker) -> None:
    gate = asyncio.Event()
    gate.set()
    stage = set_stage(engine=FakeEngine(["One.", "Two.", "Three."], gate=gate))
    turn = await exchange(stage)
    gate.clear()
    await stage.say("more?")
    running = asyncio.create_task(stage.answer())
    await until(lambda: stage.engine.status().running)
    again = asyncio.create_task(stage.conversations.regenerate(turn.turn_id))
    await asyncio.sleep(0.01)
    assert not again.done()
    gate.set()
    await running
    await stage.show(await again)
    assert await stage.texts() == ["a question", "Three.", "more?", "Two."]


async def test_going_on_lets_the_same_swipe_grow(set_stage: StageMaker) -> None:
    stage = set_stage(replies=["Once upon", " a time.", " The end."])
    turn = await exchange(stage)
    reply = await stage.conversations.continue_reply(turn.turn_id)
    assert reply.text_before == "Once upon"
    assert await stage.show(reply) == "Once upon a time."
    assert stage.prompt.endswith("Once upon")
    await stage.show(await stage.conversations.continue_reply(turn.turn_id))
    stored = await stage.history.turn(turn.turn_id)
    assert stored.text == "Once upon a time. The end."
    assert len(stored.swipes) == 1
    record = await stage.history.generation(turn.turn_id, 0)
    assert record is not None
    assert record.sampling.seed == stage.engine.requests[0].sampling.seed
    assert record.statistics.reply_tokens == sum(
        await stage.engine.count_tokens(["Once upon", " a time.", " The end."])
    )
    assert not (await stage.conversations.why(turn.turn_id)).changed_since


@pytest.mark.parametrize("nothing", [["One.", "", ""], ["One.", EngineFailed("dead")]])
async def test_going_on_with_nothing_leaves_the_reply_as_it_was(
    set_stage: StageMaker, nothing: list[str | EngineFailed]
) -> None:
    stage = set_stage(replies=nothing)
    turn = await exchange(stage)
    before = await stage.history.generation(turn.turn_id, 0)
    reply = await stage.conversations.continue_reply(turn.turn_id)
    assert await stage.show(reply) == "One."
    assert reply.outcome is not None
    assert reply.outcome.error
    assert (reply.outcome.error == NOTHING_TO_ADD) == (nothing[1] == "")
    stored = await stage.history.turn(turn.turn_id)
    assert stored.text == "One."
    assert stored.state is TurnState.WHOLE
    assert await stage.history.generation(turn.turn_id, 0) == before


async def test_a_stopped_reply_can_go_on(set_stage: StageMaker) -> None:
    stage = set_stage(engine=FakeEngine(["Once upon a time.", " A time there was."]))
    await stage.say("a story")
    reply = await stage.conversations.next_reply(HERE)
    assert reply is not None
    await stage.show(reply, pieces=1)
    assert reply.turn.state is TurnState.CUT
    more = await stage.conversations.continue_reply(reply.turn.turn_id)
    await stage.show(more)
    stored = await stage.history.turn(reply.turn.turn_id)
    assert stored.state is TurnState.WHOLE
    assert stored.swipes[0].finish is FinishReason.STOP


async def test_swipes_go_round(stage: Stage) -> None:
    turn = await exchange(stage)
    assert (await stage.conversations.swipe(turn.turn_id, 1)).text == "One."
    await regenerate(stage, turn.turn_id)
    await regenerate(stage, turn.turn_id)
    seen = [(await stage.conversations.swipe(turn.turn_id, 1)).text for _ in range(4)]
    assert seen == ["One.", "Two.", "Three.", "One."]
    assert (await stage.conversations.swipe(turn.turn_id, -1)).text == "Three."
    await stage.say("and?")
    await stage.answer()
    assert "Three." in stage.prompt
    assert "Two." not in stage.prompt


async def test_a_swipe_that_is_being_written_is_left_alone(stage: Stage) -> None:
    turn = await exchange(stage)
    reply = await stage.conversations.regenerate(turn.turn_id)
    with pytest.raises(NotAllowed):
        await stage.conversations.swipe(turn.turn_id, 1)
    await stage.show(reply)


async def test_only_the_bots_own_turns_are_done_again(stage: Stage) -> None:
    heard = await stage.say("mine")
    assert heard.turn is not None
    conversations, turn_id = stage.conversations, heard.turn.turn_id
    for attempt in (
        conversations.regenerate(turn_id),
        conversations.continue_reply(turn_id),
        conversations.swipe(turn_id, 1),
    ):
        with pytest.raises(NotAllowed):
            await attempt
    for gone in (conversations.regenerate(99), conversations.swipe(99, 1), conversations.why(99)):
        with pytest.raises(NotFound):
            await gone
    with pytest.raises(NotFound):
        await conversations.why(turn_id)
    await stage.answer()
    assert stage.is_idle


async def test_why_rebuilds_the_very_prompt(stage: Stage) -> None:
    await exchange(stage, "first question")
    turn = await exchange(stage, "second question")
    asked = stage.engine.requests[-1].prompt
    await exchange(stage, "third question")
    explanation = await stage.conversations.why(turn.turn_id)
    assert explanation.prompt.text == asked
    assert not explanation.changed_since
    assert explanation.record is not None
    assert explanation.turn.text == "Two."
    assert sum(section.tokens for section in explanation.sections) > 0


async def test_why_says_when_something_has_changed_since(stage: Stage) -> None:
    heard = await stage.say("I like cats")
    assert heard.turn is not None
    reply = await stage.answer()
    assert reply is not None
    await stage.conversations.edited(HERE, heard.turn.message_ids[0], "I like dogs")
    explanation = await stage.conversations.why(reply.turn.turn_id)
    assert explanation.changed_since
    assert "dogs" in explanation.prompt.text
    assert "cats" not in explanation.prompt.text


async def test_why_does_not_mind_that_older_turns_than_it_showed_are_gone(
    set_stage: StageMaker,
) -> None:
    stage = set_stage(engine=FakeEngine(["An answer of some words."], context_tokens=400))
    await stage.set("max_reply_tokens", 64)
    for number in range(20):
        turn = await exchange(stage, f"question number {number}")
    asked = stage.engine.requests[-1].prompt
    assert "question number 0\n" not in asked
    explanation = await stage.conversations.why(turn.turn_id)
    assert explanation.prompt.text == asked
    assert not explanation.changed_since
    assert explanation.prompt.left_out
    for old in (await stage.turns())[:3]:
        await stage.conversations.delete_turn(old.turn_id)
    assert not (await stage.conversations.why(turn.turn_id)).changed_since


async def test_turn_and_record_name_the_persona_and_its_version(stage: Stage) -> None:
    turn = await exchange(stage)
    assert (turn.persona, turn.persona_id, turn.speaker.speaker_id) == (
        ADA.name,
        ADA.id,
        f"persona:{ADA.id}",
    )
    record = await record_of(stage, turn)
    assert (record.persona, record.persona_id, record.persona_version) == (
        ADA.name,
        ADA.id,
        ADA.version,
    )


async def test_why_says_that_the_persona_is_another_now_than_the_one_recorded(
    stage: Stage,
) -> None:
    turn = await exchange(stage)
    why = stage.conversations.why
    assert (await why(turn.turn_id)).persona_since is PersonaSince.SAME
    edits = {"name": "Lady Ada", "description": "{{char}} has changed her mind."}
    stage.personas.personas[0] = edited = ADA.model_copy(update=edits)
    explanation = await why(turn.turn_id)
    assert (explanation.persona_since, explanation.persona) == (PersonaSince.EDITED, edited)
    assert explanation.changed_since
    assert "changed her mind" in explanation.prompt.text
    stage.personas.personas[0] = ADA.model_copy(update={"summary": "never in a prompt"})
    explanation = await why(turn.turn_id)
    assert explanation.persona_since is PersonaSince.EDITED
    assert not explanation.changed_since
    stage.personas.personas[:] = [BYRON]
    explanation = await why(turn.turn_id)
    assert (explanation.persona_since, explanation.persona) == (PersonaSince.GONE, BYRON)
    assert (await stage.history.turn(turn.turn_id)).persona == ADA.name


async def test_why_shows_the_prompt_with_the_version_that_wrote_it(stage: Stage) -> None:
    turn = await exchange(stage)
    was = (await stage.conversations.why(turn.turn_id)).prompt.text
    stage.personas.personas[0] = ADA.model_copy(update={"description": "{{char}} is muddled."})
    stage.personas.earlier.append(ADA)
    explanation = await stage.conversations.why(turn.turn_id)
    assert (explanation.persona_since, explanation.persona) == (PersonaSince.EDITED, ADA)
    assert explanation.is_kept_version
    assert not explanation.changed_since
    assert explanation.prompt.text == was
    await regenerate(stage, turn.turn_id)
    assert "muddled" in stage.prompt  # what is said from now on is the edited one's
    newest = await stage.conversations.why(turn.turn_id)
    assert (newest.persona_since, newest.is_kept_version) == (PersonaSince.SAME, False)
    await stage.conversations.swipe(turn.turn_id, -1)
    assert (await stage.conversations.why(turn.turn_id)).persona == ADA


async def test_a_renamed_persona_writes_its_own_replies_again(stage: Stage) -> None:
    turn = await exchange(stage)
    stage.personas.personas[:] = [BYRON, ADA.model_copy(update={"name": "Countess"})]
    await regenerate(stage, turn.turn_id)
    assert "clear head" in stage.prompt
    assert (await record_of(stage, turn)).persona == "Countess"


async def test_a_turn_of_before_there_were_ids_is_explained_by_its_name(stage: Stage) -> None:
    heard = await stage.say("a question")
    assert heard.turn is not None
    speaker = Speaker("persona:Byron", "Byron", is_bot=True)
    turn = await stage.history.begin_reply(
        HERE, speaker, persona="Byron", answers=[heard.turn.turn_id]
    )
    await stage.history.show_reply(turn.turn_id, "I brood.", ["b1"])
    before = replace(await record_of_another(stage), persona_id="", persona_version="")
    await stage.history.finish_reply(turn.turn_id, TurnState.WHOLE, before)
    explanation = await stage.conversations.why(turn.turn_id)
    assert explanation.persona == BYRON
    assert explanation.persona_since is PersonaSince.SAME


async def record_of_another(stage: Stage) -> GenerationRecord:
    return await record_of(stage, await exchange(stage, "of another", channel=THERE))


async def test_why_of_a_reply_that_never_was_recorded(stage: Stage) -> None:
    await stage.say("a question")
    reply = await stage.conversations.next_reply(HERE)
    assert reply is not None
    explanation = await stage.conversations.why(reply.turn.turn_id)
    assert explanation.record is None
    assert not explanation.changed_since
    assert "a question" in explanation.prompt.text
    await stage.show(reply)


async def test_why_of_another_swipe(stage: Stage) -> None:
    turn = await exchange(stage)
    await stage.set("temperature", 1.5)
    await regenerate(stage, turn.turn_id)
    assert (await record_of(stage, turn)).sampling.temperature == 1.5
    await stage.conversations.swipe(turn.turn_id, 1)
    assert (await record_of(stage, turn)).sampling.temperature == 0.7


async def record_of(stage: Stage, turn: Turn) -> GenerationRecord:
    record = (await stage.conversations.why(turn.turn_id)).record
    assert record is not None
    return replace(record)
