"""`/memory summary`: who sees it, who may write it by hand or have it made anew."""

import json
from pathlib import Path

import simcord
from worlds import World, labels, talking

from bot.chat.messages import ChannelKey
from bot.chat.roleplay.memory.sections import NewSection
from bot.chat.roleplay.memory.summary import Summary
from cogs.commands.memories.summary import embed_of


async def look(world: World, actor: simcord.MemberActor) -> simcord.InteractionResult:
    return await actor.slash(world.channel, "memory summary")


def told(result: simcord.InteractionResult) -> str:
    assert result.response is not None
    assert result.response.flags.ephemeral
    embeds = result.response.embeds
    return "\n".join([result.response.content, *(embed.description or "" for embed in embeds)])


async def fold(world: World, text: str) -> ChannelKey:
    """Let a text stand for what was said so far."""
    turns = await world.turns()
    key, conversation = turns[0].channel, turns[0].conversation_id
    made = NewSection(
        conversation,
        text,
        0,
        turns[0].turn_id,
        turns[-1].turn_id,
        turns[-1].created_at,
        turns=tuple(turns),
    )
    assert await world.database.summaries.keep_section(key, made)
    return key


async def test_it_is_shown_to_whoever_reads_here_and_changed_by_moderators(
    tmp_path: Path,
) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        assert "Nothing has been said here yet" in told(await look(world, world.alice))
        await world.ask("The *ferry* sails at noon.")
        assert "There is none yet" in told(await look(world, world.alice))
        await fold(world, "They spoke of a *ferry*.")
        shown = await look(world, world.alice)
        assert "They spoke of a \\*ferry\\*." in told(shown)
        assert shown.response is not None
        assert labels(shown.response.message) == []

        shown = await look(world, world.chief)
        assert shown.response is not None
        assert labels(shown.response.message) == ["Rewrite", "Rebuild"]
        form = await world.chief.click(shown.response.message, label="Rewrite")
        assert form.modal is not None
        assert "They spoke of a *ferry*." in json.dumps(form.modal)
        refused = await world.chief.submit_modal(form, {"text": "word " * 700})
        assert "That is too long" in refused.followups[-1].content
        form = await world.chief.click(shown.response.message, label="Rewrite")
        assert form.modal is not None
        assert "word word" in json.dumps(form.modal), "what was typed is not lost"
        await world.chief.submit_modal(form, {"text": "The ferry sails at noon."})
        await world.ask("And now?")
        assert "The ferry sails at noon." in world.engine.requests[-1].prompt
        why = await world.bob.context_menu(world.channel, "Why this reply?", world.messages()[-1])
        assert why.response is not None
        fields = {field.name: field.value for field in why.response.embeds[0].fields}
        assert "The ferry sails at noon. (written by hand)" in (fields["Memory"] or "")

        shown = await look(world, world.chief)
        assert shown.response is not None
        assert labels(shown.response.message) == ["Rewrite", "Throw away and rebuild"]
        await world.chief.click(shown.response.message, label="Throw away and rebuild")
        assert "There is none yet" in told(await look(world, world.alice))


def test_what_is_to_be_known_of_it_is_said() -> None:
    footer = embed_of(Summary(1, "text", 3, by_hand=True, is_on=False, unfinished=True)).footer.text
    assert footer is not None
    assert "memory_summary is off" in footer
    assert "A moderator wrote it" in footer
    long = embed_of(Summary(1, "*" * 5_000, 3, by_hand=False, is_on=True, unfinished=True))
    assert len(long.description or "") < 4_096
    assert long.footer.text == "Something is yet to be folded in."
