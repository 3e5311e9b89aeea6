"""`/moderation block` and `unblock`: who can be blocked, by whom, and how it is taken back."""

from pathlib import Path

import discord
import simcord
from moderating import answer, log_here, logged
from worlds import World, talking

from bot.chat.definitions import ChannelSettings
from bot.chat.limits.blocking import Block, BlockedCheck
from bot.chat.limits.gate import Access
from bot.chat.messages import ChannelKey, Speaker
from bot.store.database import Database
from cogs.platform import bare_key


async def block(world: World, who: object, actor: simcord.MemberActor | None = None) -> str:
    result = await (actor or world.chief).slash(world.channel, "moderation block", member=who)
    return answer(result)


async def unblock(world: World, who: str, actor: simcord.MemberActor | None = None) -> str:
    result = await (actor or world.chief).slash(world.channel, "moderation unblock", member=who)
    return answer(result)


async def access(world: World, actor: simcord.MemberActor, *, guild_id: int | None) -> Access:
    """What the check says of somebody."""
    check = BlockedCheck(world.database.blocks)
    key = bare_key(world.channel.id, guild_id)
    speaker = Speaker(str(actor.id), "Alice")
    return (await check.admit(key, speaker, ChannelSettings(), asks=True)).access


async def test_who_is_blocked_is_unheard_in_that_server_alone(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        here = world.guild.id
        assert "is blocked in this server" in await block(world, world.alice)
        assert await access(world, world.alice, guild_id=here) is Access.UNHEARD
        assert await access(world, world.bob, guild_id=here) is Access.ANSWERED
        assert await access(world, world.alice, guild_id=here + 1) is Access.ANSWERED
        assert await access(world, world.alice, guild_id=None) is Access.ANSWERED
        assert "is not blocked any more" in await unblock(world, str(world.alice.id))
        assert await access(world, world.alice, guild_id=here) is Access.ANSWERED


async def test_another_platforms_id_is_somebody_else(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await block(world, world.alice)
        check = BlockedCheck(world.database.blocks)
        key = ChannelKey("workbench", "1", guild_id=str(world.guild.id))
        speaker = Speaker(str(world.alice.id), "Alice")
        admission = await check.admit(key, speaker, ChannelSettings(), asks=False)
        assert admission.access is Access.ANSWERED


async def test_blocked_twice_is_said_and_changes_nothing(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await block(world, world.alice)
        before = await world.database.blocks.listed("discord", str(world.guild.id))
        said = await block(world, world.alice)
        assert f"is blocked already by <@{world.chief.id}>" in said
        assert await world.database.blocks.listed("discord", str(world.guild.id)) == before


async def test_some_cannot_be_blocked(tmp_path: Path) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        moderator = world.guild.create_role(
            "m", permissions=discord.Permissions(manage_messages=True)
        )
        keeper = world.guild.add_member(world.env.create_user("keeper"), roles=[moderator])
        owner = world.guild.add_member(world.env.create_user("owner"))
        world.bot.owner_ids = {owner.id}
        assert "Manage Server cannot be blocked" in await block(world, world.chief, keeper)
        assert "You cannot block yourself" in await block(world, world.chief, world.chief)
        assert "The bot's owner cannot be blocked" in await block(world, owner)
        assert "Manage Server cannot be blocked" in await block(world, world.guild.owner)
        assert "needs the permission Manage Messages here, or Manage Server" in await block(
            world, world.bob, world.alice
        )
        assert await world.database.blocks.listed("discord", str(world.guild.id)) == []


async def test_who_has_left_is_unblocked_by_id_or_name_or_from_the_list(tmp_path: Path) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        await block(world, world.alice)
        await block(world, world.bob)
        world.guild.remove_member(world.alice)
        offered = await world.chief.autocomplete(
            world.channel, "moderation unblock", "member", "ali"
        )
        assert [choice["value"] for choice in offered] == [str(world.alice.id)]
        assert offered[0]["name"].startswith(f"Alice ({world.alice.id}, since 20")
        assert "Nobody blocked here is called Carol" in await unblock(world, "Carol")
        assert "not blocked any more" in await unblock(world, "alice")
        assert "not blocked any more" in await unblock(world, f"<@{world.bob.id}>")
        assert "is not blocked here" in await unblock(world, str(world.bob.id))


async def test_the_list_is_for_moderators(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await block(world, world.alice)
        offered = await world.bob.autocomplete(world.channel, "moderation unblock", "member", "")
        assert list(offered) == []


async def test_moderators_hear_of_it(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        log = await log_here(world)
        await block(world, world.alice)
        await block(world, world.alice)
        await unblock(world, str(world.alice.id))
        who, by = f"<@{world.alice.id}>", f"by <@{world.chief.id}>"
        assert await logged(world, log) == [
            f"**Block** Blocked {who} · {by}",
            f"**Block** Unblocked {who} · {by}",
        ]


async def test_there_is_nobody_to_block_in_a_direct_message(tmp_path: Path) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        await world.alice.user.send_dm("hello")
        said = await world.alice.user.slash("moderation unblock", member=str(world.bob.id))
        assert "There is no server here" in answer(said)


async def test_nothing_of_the_blocked_is_kept_or_answered_until_they_are_unblocked(
    tmp_path: Path,
) -> None:
    async with talking(tmp_path, ["First.", "Second.", "Third."], check_errors=False) as world:
        await world.ask("before")
        await world.chief.slash(
            world.channel, "settings set", key="context", value="channel", scope="guild"
        )
        await block(world, world.alice)
        await world.ask("are you there?")
        await world.alice.send(world.channel, "nobody hears this")
        assert world.said() == ["First."]
        assert [turn.text for turn in await world.turns()] == ["before", "First."]
        pressed = await world.alice.click(world.messages()[0], label="Regenerate")
        assert world.said() == ["First."]
        assert "You cannot talk to me here" in pressed.followups[0].content
        refused = await world.alice.slash(world.channel, "chat continue")
        assert world.said() == ["First."]
        assert refused is not None
        await unblock(world, str(world.alice.id))
        await world.ask("and now?")
        assert world.said() == ["First.", "Second."]


async def test_a_block_counts_at_once_in_another_process(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        elsewhere = await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'test.db'}")
        try:
            now = discord.utils.utcnow()
            made = Block("discord", str(world.guild.id), str(world.alice.id), "Alice", "1", now)
            assert await elsewhere.blocks.add(made) is None
        finally:
            await elsewhere.close()
        await world.ask("are you there?")
        assert world.said() == []
        assert await world.turns() == []


async def test_a_name_that_turns_the_direction_turns_nothing_of_the_list(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        named = {"evil": "\u202eecila\u2066", "dani": "\u05d3\u05e0\u05d9" * 10}
        for name, shown in named.items():
            user = world.env.create_user(name, global_name=shown)
            await block(world, world.guild.add_member(user))
        offered = await world.chief.autocomplete(world.channel, "moderation unblock", "member", "")
        names = [choice["name"] for choice in offered]
        assert len(names) == len(named)
        assert not any("\u202e" in name or "\u2066" in name for name in names)
        assert all(name.count("\u2068") == name.count("\u2069") for name in names)
