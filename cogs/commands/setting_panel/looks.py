"""How settings and their changes read."""

import re
from collections.abc import Iterable, Mapping

import discord

from bot.chat.definitions import DEFINITIONS, THEMES, current_key
from bot.chat.messages import ChannelKey, JsonValue, Scope, SettingChange
from bot.chat.setting_definition import in_words
from bot.chat.settings import MODEL, PERSONA, SettingOrigin, SettingsCascade
from cogs.platform import escaped

SHOWN_CHARACTERS = 100  # of a long value in a list
SHORTER_CHARACTERS = (SHOWN_CHARACTERS, 40, 16)  # where a list is too long for a message
DESCRIPTION_CHARACTERS = 4096
LIST_CHARACTERS = 4000
_BLOCK = re.compile(r"```\n(.*)\n```", re.DOTALL)
_FENCE, _PARTED_FENCE = "```", "`\u200b`\u200b`"


def lines_by_theme(origins: Iterable[SettingOrigin]) -> str:
    """All settings under the names of their themes, cut so that all of them fit."""
    by_key = {origin.definition.key: origin for origin in origins}
    text = ""
    for most in SHORTER_CHARACTERS:
        parts = [
            "\n".join([f"**{theme}**", *(line_of(by_key[key], most) for key in keys)])
            for theme, keys in THEMES.items()
        ]
        text = "\n".join(parts)
        if len(text) <= LIST_CHARACTERS:
            break
    return cut(text, DESCRIPTION_CHARACTERS)


def line_of(origin: SettingOrigin, most: int = SHOWN_CHARACTERS) -> str:
    """A setting in a list."""
    value = cut(" ".join(origin.shown.split()), most)
    shown = escaped(value)
    return f"`{origin.definition.key}` {shown} · {source(origin)}"


def describe_one(origin: SettingOrigin) -> discord.Embed:
    """A setting in full."""
    definition = origin.definition
    embed = discord.Embed(
        title=definition.key,
        description=cut(escaped(origin.shown), DESCRIPTION_CHARACTERS),
    )
    embed.add_field(name="Comes from", value=source(origin))
    embed.add_field(name="Takes", value=definition.range_text)
    embed.add_field(name="What it does", value=definition.help, inline=False)
    embed.add_field(name="Who may set it", value=definition.setters_text, inline=False)
    return embed


async def values_of_change(
    cascade: SettingsCascade, channel: ChannelKey, change: SettingChange
) -> tuple[str, str]:
    """What a change replaced, and by what, as people read them."""
    return (
        await _value_of(cascade, channel, change.key, change.old),
        await _value_of(cascade, channel, change.key, change.new),
    )


async def _value_of(
    cascade: SettingsCascade, channel: ChannelKey, key: str, value: JsonValue
) -> str:
    if value is None:
        return "not set"
    definition = DEFINITIONS.get(current_key(key))
    if definition is None:  # a setting of an earlier version; its history stays readable
        return in_words(value)
    return await cascade.show(channel, definition, value)


async def line_of_change(
    cascade: SettingsCascade, channel: ChannelKey, change: SettingChange
) -> str:
    """A change in a list."""
    old, new = await values_of_change(cascade, channel, change)
    text = escaped(f"{_short(old)} → {_short(new)}")
    where = name_of(change.scope)
    return (
        f"**{change.change_id}** {key_in_history(change.key)} {text} for {where}, {by_whom(change)}"
    )


def key_in_history(key: str) -> str:
    """A setting by the name that it had, with what it is called now."""
    now = current_key(key)
    if now not in DEFINITIONS:
        return f"`{key}` (no longer there)"
    return f"`{key}`" if now == key else f"`{key}` (now `{now}`)"


def by_whom(change: SettingChange) -> str:
    """Who made a change, and when."""
    when = discord.utils.format_dt(change.changed_at, "R")
    who = f"<@{change.changed_by}>" if change.changed_by.isdecimal() else change.changed_by
    return f"by {who} {when}"


def name_of(scope: Scope) -> str:
    """Whose setting."""
    return {Scope.OWNER: "the bot", Scope.GUILD: "the server", Scope.CHANNEL: "this channel"}[scope]


_SOURCES: Mapping[object, str] = {
    None: "default",
    MODEL: "the model's own",
    PERSONA: "the persona's own",
    Scope.OWNER: "set by the bot's owner",
    Scope.GUILD: "set for the server",
    Scope.CHANNEL: "set for this channel",
}


def source(origin: SettingOrigin) -> str:
    """Where a value comes from."""
    return _SOURCES[origin.origin]


def cut(text: str, limit: int) -> str:
    """At most `limit` characters."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _short(text: str) -> str:
    return cut(text, SHOWN_CHARACTERS)


def fitting(lines: Iterable[str]) -> str:
    """As many lines as an embed takes."""
    text = ""
    for line in lines:
        if len(text) + len(line) > DESCRIPTION_CHARACTERS - 1:
            break
        text += f"{line}\n"
    return text


def block(text: str) -> str:
    """A text to be read again as it is: see :func:`text_in`."""
    return f"```\n{text.replace(_FENCE, _PARTED_FENCE)}\n```"


def text_in(message: discord.Message | None, title: str) -> str:
    """What the block of a message's embed with this title holds, "" where there is none.

    So a form can open with what its person sees, before anything is waited for.
    """
    embeds = message.embeds if message is not None else []
    described = next((one.description or "" for one in embeds if one.title == title), "")
    found = _BLOCK.fullmatch(described)
    return found[1].replace(_PARTED_FENCE, _FENCE) if found else ""
