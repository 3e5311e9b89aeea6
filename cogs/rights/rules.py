"""Each right of the table, asked of the person behind an interaction.

What can be told at once is asked first; what lies in the store after the acknowledgement.
"""

from collections.abc import Awaitable, Callable, Mapping

import discord

from bot.chat.messages import ChannelKey, Scope, Turn
from bot.chat.roleplay.memory.facts import Fact, is_ones_own
from bot.errors import NotAllowed, NotFound
from cogs.client import Interaction, bot_of, channel_of
from cogs.platform import key_of
from cogs.rights.holding import (
    is_moderator,
    may_change,
    require_asker,
    require_forgetter,
    require_may_send,
    require_moderator,
    require_reader,
    require_scope,
    require_server,
)
from cogs.rights.kinds import ASKS_THE_STORE, Right, Row
from cogs.rights.talking import require_talker

NO_LONGER = "That reply is no longer kept, so its buttons do nothing."
NOT_YOURS = "That is for the person who asked for it."
BEING_WRITTEN = "That reply is being written. Wait for its end, or stop it."
NEWEST = "newest reply"  # in an interaction's extras
LARGEST_ID = 2**63 - 1  # that a database numbers anything with


def require_at_once(interaction: Interaction, row: Row, *, presser: int | None = None) -> None:
    """Raise NotAllowed where Discord's permissions or what was typed say no.

    `presser` is whom a control was made for.
    """
    for right in row.rights:
        if right not in ASKS_THE_STORE:
            _AT_ONCE[right](interaction, row, presser)


async def require_stored(interaction: Interaction, row: Row, *, turn_id: int | None = None) -> None:
    """Raise NotAllowed, or NotFound, where what is stored says no. Raises StoreError, too.

    `turn_id` is the reply that a control belongs to. Someone who is typing has chosen nothing yet:
    what depends on the choice is asked when it is made.
    """
    for right in row.rights:
        if right in _STORED:
            await _STORED[right](interaction, turn_id)
    is_typing = interaction.type is discord.InteractionType.autocomplete
    if row.writes and not is_typing:
        await _require_free(interaction, row, turn_id)
        await require_talker(interaction, asks=True)


async def turn_here(interaction: Interaction, turn_id: int) -> Turn:
    """A reply in the channel that an interaction comes from, whatever its control's id claims.

    So the permissions that came with it are those of the channel where the turn lives, and what
    people said is nothing that a reply's controls can reach. Raises NotFound.
    """
    if not 0 < turn_id <= LARGEST_ID or interaction.channel is None:
        raise NotFound(NO_LONGER)
    try:
        turn = await bot_of(interaction).conversations.history.turn(turn_id)
    except NotFound:
        raise NotFound(NO_LONGER) from None
    here = key_of(interaction.channel)
    if turn.channel != here or turn.channel.guild_id not in (None, here.guild_id):
        raise NotFound(NO_LONGER)
    if turn.role != "bot":
        raise NotFound(NO_LONGER)
    return turn


# What can be told at once ------------------------------------------------------------------------


def _everyone(_interaction: Interaction, _row: Row, _presser: int | None) -> None:
    """Whoever Discord lets see it."""


def _reader(interaction: Interaction, _row: Row, _presser: int | None) -> None:
    require_reader(interaction)


def _moderator(interaction: Interaction, row: Row, _presser: int | None) -> None:
    require_moderator(interaction, row.does)


def _server(interaction: Interaction, row: Row, _presser: int | None) -> None:
    require_server(interaction, row.does)


def _presser(interaction: Interaction, _row: Row, presser: int | None) -> None:
    if interaction.user.id != presser:
        raise NotAllowed(NOT_YOURS)


def _scope(interaction: Interaction, row: Row, _presser: int | None) -> None:
    """By the option `scope`, which is the channel where nothing is chosen."""
    chosen = getattr(interaction.namespace, "scope", None) or Scope.CHANNEL.value
    is_channel = chosen == Scope.CHANNEL.value
    if interaction.type is discord.InteractionType.autocomplete:
        is_channel = True  # the scope is chosen last
    scope = Scope.CHANNEL if is_channel else Scope.GUILD
    if not may_change(interaction, scope):
        does = "" if row.does == "Changing settings" else row.does
        require_scope(interaction, scope, does)


def _forgetter(interaction: Interaction, _row: Row, _presser: int | None) -> None:
    member = getattr(interaction.namespace, "member", None)
    if member is None or getattr(member, "id", None) == interaction.user.id:
        return
    require_forgetter(interaction)


_AT_ONCE: Mapping[Right, Callable[[Interaction, Row, int | None], None]] = {
    Right.EVERYONE: _everyone,
    Right.READER: _reader,
    Right.MODERATOR: _moderator,
    Right.SERVER: _server,
    Right.PRESSER: _presser,
    Right.SCOPE: _scope,
    Right.FORGETTER: _forgetter,
}


# What the store says -----------------------------------------------------------------------------


async def _talker(interaction: Interaction, _turn_id: int | None) -> None:
    await require_talker(interaction)


async def _asker(interaction: Interaction, turn_id: int | None) -> None:
    require_asker(interaction, (await _turn_meant(interaction, turn_id)).asked_by)


async def _change(interaction: Interaction, _turn_id: int | None) -> None:
    number = _number(interaction)
    if number is not None:
        settings = bot_of(interaction).conversations.settings
        require_scope(interaction, (await settings.change(_key(interaction), number)).scope)


async def _chooser(interaction: Interaction, _turn_id: int | None) -> None:
    settings = await bot_of(interaction).conversations.settings.resolve(_key(interaction))
    if may_change(interaction, Scope.CHANNEL):
        return
    if settings.persona_choice != "members":
        raise NotAllowed(
            "Choosing the persona here needs the permission Manage Channels or Manage Server."
        )
    await require_talker(interaction)


async def _fact(interaction: Interaction, _turn_id: int | None) -> None:
    number = _number(interaction)
    if number is not None:
        fact = await bot_of(interaction).notebook.find(_key(interaction), number)
        _require_own(interaction, fact)


async def _scene(interaction: Interaction, _turn_id: int | None) -> None:
    scene = await bot_of(interaction).conversations.casting.scene(_key(interaction))
    if scene is None:
        raise NotFound(
            "No scene is played here.", "Start one with `/roleplay start`, or go to its thread."
        )
    if is_moderator(interaction):
        return
    if scene.started_by != str(interaction.user.id):
        raise NotAllowed("Only who started this scene, and moderators, can do that.")
    await require_talker(interaction)


_STORED: Mapping[Right, Callable[[Interaction, int | None], Awaitable[None]]] = {
    Right.TALKER: _talker,
    Right.ASKER: _asker,
    Right.CHANGE: _change,
    Right.CHOOSER: _chooser,
    Right.FACT: _fact,
    Right.SCENE: _scene,
}


async def _require_free(interaction: Interaction, row: Row, turn_id: int | None) -> None:
    """Raise NotAllowed where nothing could be written: that does not count as asked for."""
    if Right.ASKER in row.rights or Right.SCENE in row.rights:
        require_may_send(channel_of(interaction))
    running = bot_of(interaction).conversations.running(_key(interaction))
    if Right.ASKER in row.rights and running is not None:
        turn = await _turn_meant(interaction, turn_id)
        if turn.turn_id == running.turn.turn_id:
            raise NotAllowed(BEING_WRITTEN)


async def _turn_meant(interaction: Interaction, turn_id: int | None) -> Turn:
    """The reply whose control it is, else the newest one here. Raises NotFound."""
    if turn_id is not None:
        return await turn_here(interaction, turn_id)
    return await newest_reply(interaction)


async def newest_reply(interaction: Interaction) -> Turn:
    """The reply that somebody means who names none. Raises NotFound, or StoreError.

    It stays that one for the whole interaction, whatever is said meanwhile: the right to it has
    been checked.
    """
    turn: Turn | None = interaction.extras.get(NEWEST)
    if turn is None:
        conversations = bot_of(interaction).conversations
        turn = await conversations.newest_reply(_key(interaction), str(interaction.user.id))
        if turn is None:
            raise NotFound("There is no reply of mine here yet.", "Say something to me first.")
        interaction.extras[NEWEST] = turn
    return turn


def _require_own(interaction: Interaction, fact: Fact) -> None:
    if is_ones_own(fact, str(interaction.user.id)):
        return
    if fact.channel_id or interaction.guild_id is None:
        if is_moderator(interaction):
            return
        raise NotAllowed("Only who pinned or said that, and moderators, can change it.")
    if not may_change(interaction, Scope.GUILD):
        raise NotAllowed(
            "That holds for a persona in the whole server: only who pinned it, and members with "
            "the permission Manage Server, can change it."
        )


def _key(interaction: Interaction) -> ChannelKey:
    return key_of(channel_of(interaction))


def _number(interaction: Interaction) -> int | None:
    number = getattr(interaction.namespace, "id", None)
    return number if isinstance(number, int) else None
