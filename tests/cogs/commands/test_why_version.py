"""«Why this reply?» of a persona that was edited since: the version that wrote it is shown."""

from pathlib import Path

from worlds import talking


async def test_why_is_told_with_the_version_that_wrote_the_reply(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        workshop, guild = world.bot.desk.workshop, str(world.guild.id)
        values = {"name": "Nova", "description": "She maps the stars."}
        nova = await workshop.create(guild, values, "1")
        await world.chief.slash(world.channel, "persona use", name="Nova")
        await world.ask("hello")
        await workshop.edit(nova, {"description": "She digs for coal."}, "1")
        reply = world.messages()[-1]
        why = await world.alice.context_menu(world.channel, "Why this reply?", reply)
        assert why.response is not None
        assert why.response.embeds[0].footer.text == (
            "Nova has been edited since: this is the prompt with the version of then."
        )
        prompt = (await why.response.attachments[0].read()).decode()
        assert "maps the stars" in prompt
        assert "coal" not in prompt
        await world.ask("and now?")
        assert "coal" in world.engine.requests[-1].prompt
