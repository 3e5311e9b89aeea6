"""Edits that address the bot, and messages that take another one's place."""

from dataclasses import replace
from datetime import timedelta

import pytest
from conversing import HERE, Stage

from bot.chat.messages import Speaker


async def test_an_edit_that_names_the_bot_is_answered_once(stage: Stage) -> None:
    said = stage.message("what is two and two?", mention=False)
    assert not (await stage.conversations.hear(said)).addressed
    edited = replace(said, mentions_bot=True)
    assert (await stage.conversations.edited_message(edited)).addressed
    assert not (await stage.conversations.edited_message(edited)).addressed
    assert await stage.answer() is not None
    assert await stage.answer() is None
    assert not (await stage.conversations.edited_message(edited)).addressed
    assert await stage.texts() == ["what is two and two?", "One."]


async def test_a_message_that_was_overheard_is_taken_up_when_its_edit_names_the_bot(
    stage: Stage,
) -> None:
    await stage.set("context", "channel")
    said = stage.message("my cat is red", mention=False)
    await stage.conversations.hear(said)
    await stage.overhear("and mine is blue")
    edited = replace(said, text="my cat is green, is it ill?", mentions_bot=True)
    assert (await stage.conversations.edited_message(edited)).addressed
    assert await stage.answer() is not None
    assert await stage.texts() == ["and mine is blue", "my cat is green, is it ill?", "One."]


async def test_however_old_a_message_is_its_edit_now_is_answered(stage: Stage) -> None:
    said = stage.message("well?", age=timedelta(hours=3))
    assert (await stage.conversations.edited_message(said)).addressed
    assert await stage.answer() is not None


@pytest.mark.parametrize("trigger", ["always", "chance", "off"])
async def test_other_edits_wake_nobody(stage: Stage, trigger: str) -> None:
    said = stage.message("hm", mention=False)
    await stage.conversations.hear(said)
    await stage.set("trigger", trigger)
    await stage.set("chance", 1.0)
    edited = replace(said, text="hm!", mentions_bot=trigger == "off")
    assert not (await stage.conversations.edited_message(edited)).addressed
    assert await stage.answer() is None


async def test_an_edit_that_brings_a_wake_word_is_answered(stage: Stage) -> None:
    await stage.set("trigger", "wakeword")
    await stage.set("wake_words", ["ada"])
    said = stage.message("who knows?", mention=False)
    assert not (await stage.conversations.hear(said)).addressed
    assert (await stage.conversations.edited_message(replace(said, text="Ada?"))).addressed


async def test_an_edit_that_brings_the_personas_name_is_answered(stage: Stage) -> None:
    await stage.set("trigger", "wakeword")
    name = await stage.conversations.persona_name(HERE)
    said = stage.message("who knows?", mention=False)
    assert not (await stage.conversations.hear(said)).addressed
    edited = replace(said, text=f"{name}, who knows?")
    assert (await stage.conversations.edited_message(edited)).addressed


async def test_an_edit_to_an_aside_takes_the_message_out(stage: Stage) -> None:
    said = stage.message("who knows?")
    await stage.conversations.hear(said)
    heard = await stage.conversations.edited_message(replace(said, text="((never mind))"))
    assert not heard.kept
    assert await stage.texts() == []
    assert await stage.answer() is None


async def test_a_stand_in_for_what_is_being_answered_is_not_answered_again(stage: Stage) -> None:
    said = stage.message("L: who are you?")
    await stage.conversations.hear(said)
    reply = await stage.conversations.next_reply(HERE)
    assert reply is not None
    copy = replace(said, message_id="9", author=Speaker("proxy:1:Luna", "Luna"), text="who?")
    heard = await stage.conversations.took_place(copy, said.message_id)
    assert heard is not None
    assert not heard.addressed
    assert await stage.conversations.deleted(HERE, [said.message_id]) == 0
    assert await stage.show(reply) == "One."
    assert await stage.answer() is None
    assert [turn.speaker.name for turn in await stage.turns()] == ["Luna", "Ada"]


async def test_a_stand_in_for_what_waits_is_answered_in_its_place(stage: Stage) -> None:
    said = stage.message("L: who are you?")
    await stage.conversations.hear(said)
    copy = replace(said, message_id="9", author=Speaker("proxy:1:Luna", "Luna"), text="who?")
    heard = await stage.conversations.took_place(copy, said.message_id)
    assert heard is not None
    assert heard.addressed
    await stage.conversations.deleted(HERE, [said.message_id])
    assert await stage.answer() is not None
    assert await stage.texts() == ["who?", "One."]


async def test_a_stand_in_for_what_is_not_kept_is_nobodys(stage: Stage) -> None:
    assert await stage.conversations.took_place(stage.message("who?"), "12") is None
    assert await stage.texts() == []
