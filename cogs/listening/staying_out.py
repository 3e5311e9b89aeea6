"""People who have opted out, in the messages of others: nothing of theirs is read from these."""

import re
from collections.abc import Callable, Collection, Coroutine, Iterator
from typing import Any, TypeAlias

import discord

from cogs.listening.pointing import forwarded_message

PEOPLE = 200  # asked about, of one message: what it names beyond them is named by nobody

WhoStaysOut: TypeAlias = Callable[[Collection[str]], Coroutine[Any, Any, frozenset[str]]]
"""Those of some people, by their ids, who have opted out."""

_MENTION = re.compile(r"<@!?(\d{1,20})>")
_PICTURE = re.compile(r"/(?:avatars|users)/(\d{1,20})/")  # in the address of somebody's picture


async def nobody(_people: Collection[str]) -> frozenset[str]:
    """Where nobody has opted out."""
    return frozenset()


async def who_stays_out(ask: WhoStaysOut, message: discord.Message) -> frozenset[int]:
    """Those whom a message names, beside its author, who have opted out."""
    people = list(dict.fromkeys(_people(message)))[:PEOPLE]
    out = await ask([str(number) for number in people]) if people else ()
    return frozenset(int(number) for number in out)


async def take_out(message: discord.Message, out: frozenset[int], ask: WhoStaysOut) -> None:
    """Take out of a message what it repeats of people who have opted out.

    Whose words are forwarded, Discord does not tell: the original is looked for, where the bot may
    read it. Of an embed, the author's picture tells.
    """
    if out:
        message.embeds = [each for each in message.embeds if _pictured(each) not in out]
    if not message.message_snapshots:
        return
    original = await forwarded_message(message)
    if original is not None and await ask([str(original.author.id)]):
        message.message_snapshots.clear()


def _people(message: discord.Message) -> Iterator[int]:
    if isinstance(message.channel, discord.Thread):
        yield message.channel.owner_id  # whose words its title is
    yield from (user.id for user in message.mentions)
    for text in _texts(message):
        yield from (int(match[1]) for match in _MENTION.finditer(text))
    for embed in message.embeds:
        if (number := _pictured(embed)) is not None:
            yield number


def _texts(message: discord.Message) -> Iterator[str]:
    yield message.content
    yield from (snapshot.content for snapshot in message.message_snapshots)
    for embed in message.embeds:
        yield from (embed.title or "", embed.description or "")
        for field in embed.fields:
            yield from (field.name or "", field.value or "")


def _pictured(embed: discord.Embed) -> int | None:
    """The account whose picture stands beside an embed's author."""
    found = _PICTURE.search(embed.author.icon_url or "")
    return int(found[1]) if found else None
