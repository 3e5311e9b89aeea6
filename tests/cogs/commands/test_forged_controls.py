"""Ids of panels, deletions, replays and questions that nobody was given, from anywhere."""

from pathlib import Path
from typing import Any

import pytest
from test_rights_of_controls import press, told
from worlds import World, talking

from cogs.platform import bare_key

HUGE = "9" * 19  # more than a database counts to
DIGIT = "\N{ARABIC-INDIC DIGIT ONE}"


async def kept(world: World) -> Any:
    """All that a control could change."""
    key = bare_key(world.channel.id, world.guild.id)
    settings = await world.bot.conversations.settings.resolve(key)
    entries = await world.bot.desk.personas.entries(str(world.guild.id))
    return await world.turns(), settings, [entry.id for entry in entries]


@pytest.mark.parametrize(
    "custom_id",
    [
        "caduceus:settings:{user}:take:top_k:c:" + HUGE,
        "caduceus:settings:{user}:take:top_k:c:0",  # a button where a list should be
        "caduceus:settings:{user}:reset:top_k:c:" + HUGE,
        "caduceus:settings:{user}:reset:top_k:g:0",
        "caduceus:settings:{user}:reset:nothing_such:c:0",
        "caduceus:settings:{user}:scope:nothing_such:g:0",
        "caduceus:settings:{user}:explode:top_k:c:0",
        "caduceus:settings:{user}:type:talk:c:0",
        "caduceus:settings:{user}:again:top_k:c:0",
        "caduceus:settings:{user}:whom:top_k:c:0",
        "caduceus:settings:{user}:whom:allowed_roles:c:0",
        "caduceus:settings:{other}:reset:top_k:c:0",
        "caduceus:settings:" + "9" * 20 + ":reset:top_k:c:0",
        "caduceus:settings:{user}:reset:top_k:c:" + DIGIT,
        "caduceus:settings-form:{user}:type:top_k:c:0",  # a form's id on a button
        "caduceus:replay:0",
        "caduceus:replay:" + HUGE,
        "caduceus:replay:" + DIGIT,
        "caduceus:replay:{asked}",  # a member's turn, not a reply
        "caduceus:regenerate:{asked}",
        "caduceus:continue:{asked}",
        "caduceus:delete:{asked}",
        "caduceus:back:{asked}",
        "caduceus:stop:{asked}",
        "caduceus:persona-back:" + DIGIT,
        "caduceus:lore-back:" + HUGE,
        "caduceus:personas:{other}:0:forth",
    ],
)
@pytest.mark.parametrize("who", ["bob", "chief"])
async def test_a_forged_id_changes_nothing_and_is_answered(
    tmp_path: Path, custom_id: str, who: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with talking(tmp_path) as world:
        await world.ask("one")
        actor = getattr(world, who)
        asked = (await world.turns())[0]
        before = await kept(world)
        custom_id = custom_id.format(user=actor.id, other=world.alice.id, asked=asked.turn_id)
        result = await press(actor, world.channel, world.messages()[0], custom_id)
        assert result.acknowledged
        assert told(result) or ":settings:" in custom_id  # which is drawn anew
        assert "Discord did not let me" not in told(result)
        assert await kept(world) == before
        assert not [record for record in caplog.records if record.exc_info]


async def test_an_undo_of_what_is_gone_leaves_the_greeting_where_it_is(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        values = {"name": "Nova", "greeting": "Good evening."}
        await world.bot.desk.workshop.create(str(world.guild.id), values, "1")
        await world.chief.slash(world.channel, "persona use", name="Nova")
        before, said = await kept(world), world.said()
        assert "Good evening." in said
        for custom_id in ("caduceus:restore:zzzz", "caduceus:restore:" + "z" * 80):
            result = await press(world.chief, world.channel, world.messages()[0], custom_id)
            assert told(result)
        assert await kept(world) == before
        assert world.said() == said
