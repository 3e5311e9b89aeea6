"""By which name somebody goes in a server, and with which roles, also where Discord sends neither.

Quoted and fetched messages carry the account alone. The bot has no list of members (that takes a
privileged intent), so it remembers the names that live messages bring, and asks for the others. By
roles that were remembered nobody is let in for long.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import replace

import discord

from bot.chat.messages import Speaker
from cogs.listening.markup import Spelling
from cogs.listening.proxies import is_proxied, proxy_speaker
from cogs.platform import WRITE_ERRORS, speaker_of

REMEMBERED = 10_000  # members
BELIEVED_SECONDS = 3600.0  # then somebody whom no live message names is asked for again
ROLES_SECONDS = 60.0  # how long roles are believed
ASKED_FOR = 4  # requests about names for one message


class MemberNames:
    """The names of members whom messages brought along or who were asked for."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """No name at first."""
        self._clock = clock
        self._known: OrderedDict[tuple[int, int], tuple[Speaker, float]] = OrderedDict()

    def learn(self, message: discord.Message) -> None:
        """Remember the members that a message brings along."""
        for user in (message.author, *message.mentions):
            if isinstance(user, discord.Member):
                self._remember(user.guild.id, speaker_of(user, user.display_name))

    def known(self, user: discord.abc.User, guild: discord.Guild | None) -> str:
        """Somebody's name as far as it is known: the account's where no other is."""
        if guild is None or isinstance(user, discord.Member):
            return user.display_name
        return self.by_id(user.id, guild) or user.display_name

    def by_id(self, user_id: int, guild: discord.Guild | None) -> str | None:
        """The name of a member of whom there is only the id."""
        if guild is None:
            return None
        if guild.me and guild.me.id == user_id:
            return guild.me.display_name
        found = self._known.get((guild.id, user_id))
        return found[0].name if found else None

    async def ask(self, message: discord.Message, *, with_roles: bool = False) -> None:
        """Ask Discord for the names that a quoted or fetched message does not bring along.

        `with_roles`: its author's roles matter.
        """
        guild = message.guild
        if guild is None:
            return
        unknown = self._unknown_author(message, guild, with_roles=with_roles)
        unknown += [user for user in message.mentions if self._is_unknown(user, guild)]
        await self._ask_for(unknown[:ASKED_FOR], guild)

    async def ask_for_roles(self, message: discord.Message) -> None:
        """The same of its author alone, whose roles matter."""
        if (guild := message.guild) is not None:
            await self._ask_for(self._unknown_author(message, guild, with_roles=True), guild)

    def _unknown_author(
        self, message: discord.Message, guild: discord.Guild, *, with_roles: bool
    ) -> list[discord.abc.User]:
        believed_for = ROLES_SECONDS if with_roles else BELIEVED_SECONDS
        users = [] if message.webhook_id is not None else [message.author]
        return [user for user in users if self._is_unknown(user, guild, believed_for)]

    async def _ask_for(self, users: Iterable[discord.abc.User], guild: discord.Guild) -> None:
        for user in users:
            try:
                found = await guild.fetch_member(user.id)
                speaker = speaker_of(found, found.display_name)
            except WRITE_ERRORS:  # has left, or Discord does not say: the account's name is theirs
                speaker = speaker_of(user, self.known(user, guild))
            self._remember(guild.id, speaker)

    def speaker(self, message: discord.Message) -> Speaker:
        """Who wrote a message, under the name that its server shows."""
        user = message.author
        if is_proxied(message):
            return proxy_speaker(message)
        if message.webhook_id is not None:
            return speaker_of(user, user.display_name)
        speaker = speaker_of(user, self.known(user, message.guild))
        if message.guild is None or isinstance(user, discord.Member):
            return speaker
        remembered = self._known.get((message.guild.id, user.id))
        if remembered is None or self._clock() - remembered[1] > ROLES_SECONDS:
            return speaker
        roles, names = remembered[0].roles, remembered[0].role_names
        return replace(speaker, roles=roles, role_names=names)

    def forget(self, user_id: int, guild_id: int | None = None) -> None:
        """Nobody remembers this member's name, in one server or in any."""
        for key in [key for key in self._known if key[1] == user_id]:
            if guild_id in (None, key[0]):
                del self._known[key]

    def _is_unknown(
        self, user: discord.abc.User, guild: discord.Guild, seconds: float = BELIEVED_SECONDS
    ) -> bool:
        if user.bot or isinstance(user, discord.Member):
            return False
        found = self._known.get((guild.id, user.id))
        return found is None or self._clock() - found[1] > seconds

    def _remember(self, guild_id: int, speaker: Speaker) -> None:
        key = (guild_id, int(speaker.speaker_id))
        self._known[key] = (speaker, self._clock())
        self._known.move_to_end(key)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


def names_in(
    message: discord.Message,
    names: MemberNames,
    own_ids: Iterable[int],
    own_name: str,
    unnamed: frozenset[int] = frozenset(),
) -> Spelling:
    """What the mentions in a message stand for. The bot's own, and its role's, are `own_name`.

    `unnamed` are people who have opted out: they are «someone».
    """
    guild = message.guild
    own = frozenset(own_ids)
    users = {user.id: names.known(user, guild) for user in message.mentions}
    roles = {role.id: role.name for role in message.role_mentions}
    channels = {channel.id: channel.name for channel in message.channel_mentions}

    def name_of(sigil: str, number: int) -> str | None:
        if sigil == "#":
            found = guild.get_channel_or_thread(number) if guild else None
            name = channels.get(number) or (found.name if found else None)
            return f"#{name}" if name else None
        if number in own:
            return own_name
        if sigil == "@" and number in unnamed:
            return None
        if sigil == "@&":
            role = guild.get_role(number) if guild else None
            name = roles.get(number) or (role.name if role else None)
            return f"@{name}" if name else None
        return users.get(number) or names.by_id(number, guild)

    return Spelling(name_of)
