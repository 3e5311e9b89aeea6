"""`/settings panel`: what it shows and changes, for whom, and what becomes of two at once."""

import asyncio
from pathlib import Path
from typing import Any

import discord
import pytest
import simcord
from api_document import check
from hypothesis import example, given
from hypothesis import strategies as st
from panels import Panel, filled_in
from simcord.backend.models import Overwrite
from worlds import QUICK, World, new_bot, talking

from bot.chat.definitions import DEFINITIONS, THEMES
from bot.chat.messages import ChannelKey, JsonValue, Scope
from cogs.commands.setting_panel.looks import block, text_in
from cogs.commands.setting_panel.place import slug_of


async def kept(world: World, key: str, scope: Scope = Scope.CHANNEL) -> JsonValue:
    """What is set in a scope."""
    place = world.guild.id if scope is Scope.GUILD else world.channel.id
    where = (scope, f"discord:{place}")
    return (await world.database.settings.values([where])).get(where, {}).get(key)


async def test_every_setting_is_on_a_page_with_its_value_and_where_it_comes_from(
    tmp_path: Path,
) -> None:
    async with talking(tmp_path) as world:
        await world.chief.slash(
            world.channel, "settings set", key="temperature", value="1.2", scope="guild"
        )
        panel = await Panel.open(world, world.bob)
        assert panel.opened.ephemeral
        seen = ""
        for theme in THEMES:
            await panel.choose("page", slug_of(theme))
            seen += panel.words()
        assert all(f"`{key}`" in seen for key in DEFINITIONS)
        assert "`temperature` 1.2 · set for the server" in seen
        assert "`top_p` 0.95 · default" in seen


async def test_every_setting_opens_within_what_discord_takes(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        for key in ("instructions", "banned_words"):
            value = "🜁" * 2000 if key == "instructions" else _longest_words()
            await world.keeper.slash(world.channel, "settings set", key=key, value=value)
        for person in (world.keeper, world.bob):
            panel = await Panel.open(world, person)
            for key in DEFINITIONS:
                await panel.open_setting(key)
                assert DEFINITIONS[key].help in panel.words()
        for method in ("POST", "PATCH"):
            for entry in world.requests(method):
                check(method, entry.path, entry.json)


def _longest_words() -> str:
    return ", ".join(f"{number}".ljust(100, "x") for number in range(20))


async def test_a_choice_is_made_in_a_list_and_holds_for_the_next_reply(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        panel = await Panel.open(world, world.keeper, "trigger")
        await panel.choose("take", "off")
        assert await kept(world, "trigger") == "off"
        assert "`trigger` is now off for this channel" in panel.words()
        assert "set for this channel" in panel.words()
        await world.ask("anybody?")
        assert world.said() == []
        await panel.press("Reset")
        assert await kept(world, "trigger") is None
        await world.ask("anybody?")
        assert world.said() == ["Hello, Alice."]


async def test_a_form_opens_with_the_value_and_names_the_range(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        panel = await Panel.open(world, world.keeper, "temperature")
        form = await panel.open_form()
        assert filled_in(form) == "0.7"
        assert form.modal is not None
        assert form.modal["components"][0]["description"] == "0 to 2"
        await world.keeper.submit_modal(form, {"value": "1.5"})
        assert await kept(world, "temperature") == 1.5
        await panel.type("7")
        assert "«7» is not valid for `temperature`. It takes 0 to 2." in panel.told
        assert await kept(world, "temperature") == 1.5


@pytest.mark.parametrize("text", ["Be *brief*.\n\n```py\nx = '`'\n``` and `kind`", "``` `a", "`"])
async def test_a_text_comes_back_as_it_was_typed(tmp_path: Path, text: str) -> None:
    async with talking(tmp_path) as world:
        panel = await Panel.open(world, world.keeper, "instructions")
        await panel.type(text)
        assert await kept(world, "instructions") == text
        assert filled_in(await panel.open_form()) == text


async def test_what_was_typed_and_refused_is_not_lost(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        panel = await Panel.open(world, world.keeper, "banned_words")
        typed = ", ".join(f"word{number}" for number in range(21))
        await panel.type(typed)
        assert typed in panel.told
        assert await kept(world, "banned_words") is None


async def test_the_switch_changes_whose_settings_are_shown_and_changed(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        panel = await Panel.open(world, world.chief, "top_k")
        await panel.type("5")
        await panel.press("The whole server")
        assert "Settings for the server" in panel.words()
        assert "default" in panel.words()  # the channel's own value is not the server's
        await panel.type("40")
        assert await kept(world, "top_k", Scope.GUILD) == 40
        assert await kept(world, "top_k") == 5
        await panel.press("This channel")
        await panel.press("Reset")
        assert "set for the server" in panel.words()


async def test_what_is_set_but_does_not_count_is_shown_and_can_be_reset(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        place = (Scope.CHANNEL, f"discord:{world.channel.id}")
        await world.database.settings.change(*place, "top_k", 5000, by="an older version")
        panel = await Panel.open(world, world.keeper, "top_k")
        assert "Set for this channel, but does not count: 5000" in panel.words()
        await panel.press("Reset")
        assert await kept(world, "top_k") is None


async def test_a_persona_is_chosen_by_its_name(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        panel = await Panel.open(world, world.keeper, "persona")
        assert [one["label"] for one in panel.control("take")["options"]] == [
            *("Ada", "Bram", "Caduceus")
        ]
        await panel.choose("take", "file:bram")
        assert "`persona` is now Bram for this channel" in panel.words()
        assert filled_in(await panel.open_form()) == "Bram"
        await panel.type("ada")
        assert await kept(world, "persona") == "file:ada"


async def test_roles_and_members_are_chosen_and_names_stay(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        role = world.guild.create_role("Trusted")
        panel = await Panel.open(world, world.keeper, "allowed_roles")
        await panel.type("@Friends, 17")
        await panel.choose("whom", role, world.alice)
        whom = [f"<@&{role.id}>", f"<@{world.alice.id}>"]
        everybody = await kept(world, "allowed_roles")
        assert isinstance(everybody, list)
        assert sorted(everybody) == sorted([*whom, "Friends", "17"])
        shown = {one["id"]: one["type"] for one in panel.control("whom")["default_values"]}
        assert shown == {role.id: "role", world.alice.id: "user"}
        await panel.choose("whom", role)
        assert await kept(world, "allowed_roles") == [whom[0], "Friends", "17"]
        await panel.type(whom[0])
        await panel.choose("whom")
        assert await kept(world, "allowed_roles") is None


async def test_who_may_change_nothing_may_look(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        panel = await Panel.open(world, world.bob, "trigger")
        assert "You may look: Changing a channel's settings needs" in panel.words()
        assert not panel.has("take")
        assert panel.control("reset")["disabled"]
        panel = await Panel.open(world, world.keeper, "top_k")
        assert not panel.control("type").get("disabled")
        await panel.press("The whole server")
        assert panel.control("type")["disabled"]
        assert "needs the permission Manage Server" in panel.words()


async def test_rights_are_looked_up_at_every_press(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        choice = await Panel.open(world, world.keeper, "trigger")
        typed = await Panel.open(world, world.keeper, "top_k")
        form = await typed.open_form()
        forbid(world, world.keeper, discord.Permissions(manage_channels=True))
        await choice.choose("take", "off")
        assert "needs the permission" in choice.told
        assert not choice.has("take"), "the panel shows what the person may do now"
        result = await world.keeper.submit_modal(form, {"value": "5"})
        assert "needs the permission" in result.followups[-1].content
        assert await world.database.settings.revision() == 0


def forbid(world: World, member: simcord.MemberActor, what: discord.Permissions) -> None:
    """Take a permission away from a member in the channel."""
    overwrite = Overwrite(target_id=member.id, type=1, allow=0, deny=what.value)
    world.env.backend.set_overwrite(world.channel.id, overwrite)


@pytest.mark.parametrize("reason", ["not valid", "needs the permission", "has changed"])
async def test_a_refused_change_is_told_before_the_panel_is_drawn_anew(
    tmp_path: Path, reason: str
) -> None:
    async with talking(tmp_path) as world:
        panel = await Panel.open(world, world.keeper, "top_k")
        form = await panel.open_form()
        if reason == "needs the permission":
            forbid(world, world.keeper, discord.Permissions(manage_channels=True))
        if reason == "has changed":
            await world.put(top_k=7)
        before = len(world.env.http_requests)
        value = "many" if reason == "not valid" else "5"
        panel.result = await world.keeper.submit_modal(form, {"value": value})
        assert reason in panel.told
        newest = [entry.method for entry in world.env.http_requests[before:]]
        assert [one for one in newest if one != "GET"][-2:] == ["POST", "PATCH"]


async def test_a_refused_change_is_told_also_where_the_panel_cannot_be_drawn(
    tmp_path: Path,
) -> None:
    async with talking(tmp_path) as world:
        panel = await Panel.open(world, world.keeper, "trigger")
        forbid(world, world.keeper, discord.Permissions(manage_channels=True))
        world.env.inject_error("PATCH", "/webhooks/*", status=400, code=50035)
        await panel.choose("take", "off")
        assert "needs the permission" in panel.told


async def test_nobody_elses_panel_can_be_used(tmp_path: Path) -> None:
    """An ephemeral message is its person's alone; its controls say so, too."""
    async with talking(tmp_path) as world:
        panel = await Panel.open(world, world.keeper, "trigger")
        found = world.bot.get_channel(world.channel.id)
        assert found is not None
        view = await _view(panel)
        message = await found.send("a panel in the open", view=view)  # type: ignore[union-attr]
        button = panel.control("take")["custom_id"]
        result = await world.chief.select(message, ["off"], custom_id=button)
        assert result.response is not None
        assert "for the person who asked" in result.response.content
        assert await kept(world, "trigger") is None


async def _view(panel: Panel) -> Any:
    return discord.ui.View.from_message(panel.message.message, timeout=None)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (":trigger:", ":loudness:", "another version of the bot"),
        (":take:trigger:c:", ":take:trigger:c:9", "has changed since you looked"),
        (":take:trigger:c:", ":take:top_k:c:", "not valid for `top_k`"),
        (":take:trigger:c:", ":take:trigger:g:", "Manage Server"),
        (":take:trigger:c:", ":take:memory:c:", "another version of the bot"),
        (":take:trigger:c:", ":zzz:trigger:c:", "another version of the bot"),
    ],
)
async def test_forged_and_stale_controls_are_refused_plainly(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    async with talking(tmp_path) as world:
        panel = await Panel.open(world, world.keeper, "trigger")
        stored = world.env.backend.get_message(world.channel.id, panel.message.id)
        forged = panel.control("take")["custom_id"].replace(old, new)
        for row in stored.components:
            for one in row["components"]:
                if ":take:" in one["custom_id"]:
                    one["custom_id"] = forged
        panel.result = await world.keeper.select(panel.message, ["off"], custom_id=forged)
        assert said in panel.told + panel.words()
        assert await world.database.settings.revision() == 0


async def test_a_panel_and_its_form_from_before_a_restart_go_on(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        panel = await Panel.open(world, world.keeper, "top_k")
        form = await panel.open_form()
        args = (world.database, world.personas_folder, world.engine, QUICK)
        world.bot = await asyncio.to_thread(new_bot, *args)
        await world.env.restart_bot(world.bot)
        await world.keeper.submit_modal(form, {"value": "5"})
        assert await kept(world, "top_k") == 5
        assert "`top_k` is now 5" in panel.words()
        await panel.press("Reset")
        assert await kept(world, "top_k") is None
        await panel.open_setting("trigger")
        await panel.choose("take", "off")
        assert await kept(world, "trigger") == "off"


async def test_the_second_moderator_sees_what_the_first_did(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        first = await Panel.open(world, world.keeper, "top_k")
        second = await Panel.open(world, world.chief, "top_k")
        await first.type("5")
        await second.type("9")
        assert await kept(world, "top_k") == 5
        assert "It has changed since you looked, so nothing was set." in second.words()
        assert f"not set → 5, by <@{world.keeper.id}>" in second.words()
        await first.type("6")  # and once more, while the second one thinks
        await second.press("Set it all the same")
        assert await kept(world, "top_k") == 5 + 1
        assert "5 → 6" in second.words()
        await second.press("Set it all the same")
        assert await kept(world, "top_k") == 9
        assert not second.has("again")


async def test_a_reset_is_asked_about_too_and_can_be_left(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        first = await Panel.open(world, world.keeper, "trigger")
        await first.choose("take", "always")
        second = await Panel.open(world, world.chief, "trigger")
        await first.choose("take", "off")
        await second.press("Reset")
        assert await kept(world, "trigger") == "off"
        await second.press("Leave it")
        assert await kept(world, "trigger") == "off"
        assert not second.has("clear")
        await first.choose("take", "mention")
        await second.press("Reset")
        await second.press("Reset it all the same")
        assert await kept(world, "trigger") is None


async def test_what_the_first_did_already_is_not_asked_about(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        first = await Panel.open(world, world.keeper, "trigger")
        second = await Panel.open(world, world.chief, "trigger")
        await first.choose("take", "off")
        await second.choose("take", "off")
        assert "It is as you wanted already." in second.words()
        assert not second.has("again")
        assert await world.database.settings.revision() == 1


@pytest.mark.parametrize(
    ("key", "typed", "again"), [("allowed_roles", "@Friends", "friends"), ("persona", "Ada", "ada")]
)
async def test_what_is_typed_in_other_words_is_what_the_first_did_too(
    tmp_path: Path, key: str, typed: str, again: str
) -> None:
    async with talking(tmp_path) as world:
        world.guild.create_role("Friends")
        first = await Panel.open(world, world.keeper, key)
        second = await Panel.open(world, world.chief, key)
        await first.type(typed)
        await second.type(again)
        assert "It is as you wanted already." in second.words()


async def test_in_a_direct_message_the_member_has_a_panel_of_their_own(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        panel = await Panel.open(world, world.alice.user, "trigger")
        assert not panel.has("scope")
        await panel.choose("take", "off")
        assert "is now off" in panel.words()
        await panel.open_setting("rate_limit")
        assert "the bot's owner alone sets it" in panel.words()
        assert panel.control("type")["disabled"]
        await panel.open_setting("allowed_roles")
        assert "the bot's owner alone sets it" in panel.words()
        assert not panel.has("whom")
        await panel.open_setting("voice")
        await panel.choose("take", "bot")
        assert "`voice` is now bot for this channel. In a direct message that" in panel.words()
        await panel.press("Reset")
        assert "changes nothing" not in panel.words()


async def test_the_bots_owner_may_set_anything(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        world.bot.owner_ids = {world.bob.id}
        panel = await Panel.open(world, world.bob, "top_k")
        await panel.press("The whole server")
        await panel.type("40")
        assert await kept(world, "top_k", Scope.GUILD) == 40
        panel = await Panel.open(world, world.bob.user, "rate_limit")
        await panel.type("3")
        direct = ChannelKey("discord", str(panel.message.channel_id), is_direct=True)
        assert (await world.bot.conversations.settings.resolve(direct)).rate_limit == 3


class Message:
    """Of a message, what is read."""

    def __init__(self, text: str) -> None:
        self.embeds = [discord.Embed(title="t", description=block(text))]


@given(st.text(st.sampled_from("`a\n *"), min_size=1, max_size=40) | st.text(min_size=1))
@example("```")
def test_a_block_is_read_as_it_was_written(text: str) -> None:
    text = text.replace("\u200b", "")
    assert text_in(Message(text), "t") == text  # type: ignore[arg-type]
    assert text_in(Message(text), "other") == ""  # type: ignore[arg-type]
    assert text_in(None, "t") == ""
