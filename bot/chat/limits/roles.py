"""`allowed_roles` and `blocked_roles`: roles and members whom the bot answers, or does not hear."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from bot.chat.definitions import ChannelSettings
from bot.chat.limits.gate import WELCOME, Access, Admission
from bot.chat.messages import ChannelKey, Speaker

_MENTION = re.compile(r"<@([&!]?)([0-9]{1,20})>")


@dataclass(frozen=True, slots=True)
class Listed:
    """Who is named in a list."""

    roles: frozenset[str]  # ids
    users: frozenset[str]  # ids
    names: frozenset[str]  # of either

    def has(self, speaker: Speaker) -> bool:
        """Whether somebody is named, or a role of theirs.

        A member is named by their account's name alone: a nickname is whatever they like.
        """
        if speaker.speaker_id in self.users or speaker.roles & self.roles:
            return True
        own = {compared(name) for name in (*speaker.role_names, speaker.username) if name}
        return bool(own & self.names)


@lru_cache(maxsize=1024)
def listed(entries: Sequence[str]) -> Listed:
    """Who is meant by mentions, ids and names. Digits may be any of the three."""
    roles: set[str] = set()
    users: set[str] = set()
    names: set[str] = set()
    for entry in entries:
        text = entry.strip()
        if mention := _MENTION.fullmatch(text):
            (roles if mention[1] == "&" else users).add(mention[2])
            continue
        names.add(compared(text))
        if text.isdecimal():
            roles.add(text)
            users.add(text)
    return Listed(frozenset(roles), frozenset(users), frozenset(names - {""}))


def compared(name: str) -> str:
    """A name as it is compared: `@everyone` is `everyone`."""
    return name.strip().removeprefix("@").strip().casefold()


class Blocked:
    """The :class:`~bot.chat.limits.gate.Check` of `blocked_roles`: who is in it is not heard."""

    async def admit(
        self, channel: ChannelKey, speaker: Speaker, settings: ChannelSettings, *, asks: bool
    ) -> Admission:
        """By what the speaker came with: looks nothing up."""
        del channel, asks
        is_blocked = settings.blocked_roles and listed(settings.blocked_roles).has(speaker)
        return Admission(Access.UNHEARD) if is_blocked else WELCOME


class Allowed:
    """The same of `allowed_roles`: who is not in it is simply not answered."""

    async def admit(
        self, channel: ChannelKey, speaker: Speaker, settings: ChannelSettings, *, asks: bool
    ) -> Admission:
        """By what the speaker came with: looks nothing up."""
        del channel, asks
        is_allowed = not settings.allowed_roles or listed(settings.allowed_roles).has(speaker)
        return WELCOME if is_allowed else Admission(Access.UNANSWERED)
