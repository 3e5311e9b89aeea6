"""Every kind of member that there is, and what DESIGN lets each of them do.

This is said here once more, from the rules as people read them: the bot's table is tested against
it, not against itself.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import discord
from worlds import World, talking

from bot.chat.definitions import ChannelSettings
from bot.chat.limits.gate import WELCOME, Access, Admission, Gate
from bot.chat.messages import ChannelKey, Scope, Speaker
from bot.chat.talk.directing import Director
from cogs.platform import bare_key

PERMISSIONS: Mapping[str, str] = {
    "manages messages": "manage_messages",
    "manages channels": "manage_channels",
    "manages the server": "manage_guild",
    "administrator": "administrator",
}
KINDS: Sequence[str] = (
    "plain",
    "asker",
    *PERMISSIONS,
    "guild's owner",
    "bot's owner",
    "another guild's moderator",
    "cannot read what was said",
    "bot's owner who cannot read",
    "not heard",
    "partner in a direct message",
)

SERVER = {"manages the server", "administrator", "guild's owner"}
OWNER = {"bot's owner", "bot's owner who cannot read"}
DIRECT = {"partner in a direct message"}
MODERATORS = SERVER | OWNER | DIRECT | {"manages messages"}
KEEPERS = SERVER | OWNER | DIRECT | {"manages channels"}
UNREADING = {"cannot read what was said", "bot's owner who cannot read"}
UNHEARD = {"not heard"}
OWN = {"asker"}

NEEDS_SERVER = {
    "lore delete", "lore import", "moderation log", "moderation words", "persona create",
    "persona delete", "persona edit", "persona import",
}  # fmt: skip
NEEDS_MODERATOR = {"moderation block", "moderation purge", "moderation unblock"}
READS = {
    "Fork from here", "Remember this", "Why this reply?", "chat export", "memory show",
    "memory summary", "roleplay recap",
}  # fmt: skip
TALKS = {
    "Fork from here", "Remember this", "chat continue", "chat regenerate", "chat reset",
    "chat undo", "memory add", "roleplay me", "roleplay recap", "roleplay say", "roleplay start",
}  # fmt: skip
OF_THE_REPLY = {"chat continue", "chat regenerate"}
OF_THE_SCENE = {
    f"roleplay {name}" for name in ("cast", "end", "note", "pause", "resume", "say", "turns")
}
OF_THE_FACT = {"memory edit", "memory remove"}
CHOOSES = {"persona add", "persona remove", "persona use"}  # where moderators alone choose
SCOPED = {"lore attach", "lore detach", "settings reset", "settings set"}


def may(kind: str, command: str, options: Mapping[str, Any]) -> bool:
    """Whether DESIGN lets such a member use a command with these options."""
    if (command in READS and kind in UNREADING) or (command in TALKS and kind in UNHEARD):
        return False
    if command in NEEDS_SERVER:
        return kind in SERVER | OWNER
    if command in NEEDS_MODERATOR:
        return kind in MODERATORS
    if command in SCOPED:
        is_channel = options["scope"] == "channel"
        return kind in (KEEPERS if is_channel else SERVER | OWNER)
    if command == "settings undo":
        return kind in (KEEPERS if options["id"] == CHANNEL_CHANGE else SERVER | OWNER)
    if command in CHOOSES:
        return kind in KEEPERS
    if command in OF_THE_FACT:
        of_a_persona = options["id"] == PERSONA_FACT
        return kind in OWN | (SERVER | OWNER | DIRECT if of_a_persona else MODERATORS)
    if command in OF_THE_REPLY:
        return kind in OWN | MODERATORS
    if command in OF_THE_SCENE and options.get("action") != "list":
        return kind in OWN | MODERATORS
    if command == "privacy forget" and "member" in options:
        return kind in SERVER
    return True


GUILD_CHANGE, CHANNEL_CHANGE = 1, 2  # as settings number them
CHANNEL_FACT, PERSONA_FACT = 1, 2


@dataclass
class Member:
    """One of them, in a world where the asker has asked, pinned and started a scene."""

    world: World
    kind: str
    actor: Any  # a MemberActor, or the UserHandle of a direct message
    place: Any  # the channel
    reply: discord.Message


class Unheard:
    """A check that lets one person through to nothing."""

    def __init__(self, speaker_id: int) -> None:
        self.speaker_id = str(speaker_id)

    async def admit(
        self, channel: ChannelKey, speaker: Speaker, settings: ChannelSettings, *, asks: bool
    ) -> Admission:
        is_out = speaker.speaker_id == self.speaker_id
        return Admission(Access.UNHEARD) if is_out else WELCOME


@asynccontextmanager
async def member(folder: Path, kind: str) -> AsyncGenerator[Member, None]:
    """A world with such a member in it."""
    async with talking(folder, check_errors=False) as world:
        actor, place = _actor(world, kind), world.channel
        if kind in DIRECT:
            await actor.send_dm("hello")
            place = actor.dm_channel
        by = actor.id if kind in OWN | DIRECT else world.alice.id
        await _furnish(world, place, str(by), kind in DIRECT)
        if kind in DIRECT:
            await actor.send_dm("one")
        else:
            await world.ask("one", actor if kind in OWN else world.alice)
        if kind in UNREADING:
            everyone = world.env.backend.get_guild(world.guild.id).everyone_role
            everyone.permissions &= ~discord.Permissions.read_message_history.flag
        yield Member(world, kind, actor, place, world.messages(place)[-1])


def _actor(world: World, kind: str) -> Any:
    guild, user = world.guild, world.env.create_user("somebody")
    if kind in DIRECT:
        guild.add_member(user)
        return user
    if kind == "another guild's moderator":
        other = world.env.create_guild()
        role = other.create_role("all", permissions=discord.Permissions.all())
        other.add_member(user, roles=[role])
    name = PERMISSIONS.get(kind)
    held = [guild.create_role("r", permissions=discord.Permissions(**{name: True}))] if name else []
    actor = guild.add_member(user, roles=held)
    if kind == "guild's owner":
        world.env.backend.get_guild(guild.id).owner_id = user.id
    if kind in OWNER:
        world.bot.owner_ids = {user.id}
    if kind in UNHEARD:
        world.bot.conversations._gate = Gate([Unheard(user.id)])
    return actor


async def _furnish(world: World, place: Any, by: str, is_direct: bool) -> None:
    """Settings, facts and a scene, with the numbers above."""
    bot = world.bot
    key = bare_key(place.id, None if is_direct else world.guild.id)
    cascade, who = bot.conversations.settings, "chief"
    # A direct message has no server: the numbers stay the same all the same.
    in_guild = bare_key(world.channel.id, world.guild.id)
    await cascade.set(in_guild, Scope.GUILD, "top_k", "7", by=who)
    await cascade.set(key, Scope.CHANNEL, "persona_choice", "moderators", by=who)
    await bot.notebook.pin(key, "It rains.", by=by)
    ada = await bot.conversations.personas.find(key.guild_id, "Ada")
    assert ada is not None
    await bot.notebook.pin(key, "She sails.", by=by, persona_id=ada.id)
    assert bot.conversations.scenes is not None
    director = Director(bot.conversations, bot.conversations.scenes)
    await director.start(key, "The pier", [ada], Speaker(by, "Starter"))
