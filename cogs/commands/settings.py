"""`/settings`: what holds in a guild or channel, made from the settings' own definitions."""

import discord
from discord import app_commands
from discord.ext import commands

from bot.chat.definitions import DEFINITIONS, definition_of, in_words
from bot.chat.messages import ChannelKey, JsonValue, Scope, SettingChange
from bot.chat.settings import MODEL, PERSONA, SettingOrigin
from cogs.client import CaduceusBot
from cogs.commands.personas.finding import CHOICES, complete_persona
from cogs.interactions import Interaction, channel_of, require_scope
from cogs.platform import escaped, key_of

SHOWN_CHARACTERS = 100  # of a long value in a list
DESCRIPTION_CHARACTERS = 4096
CHANGES_SHOWN = 20
LARGEST_INTEGER = 2**53 - 1  # that a command's option takes

SCOPES = [
    app_commands.Choice(name="this channel", value=Scope.CHANNEL.value),
    app_commands.Choice(name="the whole server", value=Scope.GUILD.value),
]


async def complete_key(_interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
    """The settings whose key or help holds what was typed, keys first."""
    typed = typed.casefold().strip()
    keys = [key for key in DEFINITIONS if typed in key]
    keys += [key for key, d in DEFINITIONS.items() if typed in d.help.casefold()]
    return [
        app_commands.Choice(name=f"{key}: {DEFINITIONS[key].help}"[:100], value=key)
        for key in list(dict.fromkeys(keys))[:CHOICES]
    ]


async def complete_value(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
    """What the chosen setting takes."""
    definition = DEFINITIONS.get(str(getattr(interaction.namespace, "key", "")))
    if definition is None:
        return []
    if definition.kind == "persona":
        return await complete_persona(interaction, typed)
    typed = typed.casefold()
    values = [choice for choice in definition.choices if typed in choice]
    values.sort(key=lambda choice: not choice.startswith(typed))
    if not definition.choices and definition.kind in ("integer", "number") and not typed:
        values = [definition.show(definition.default)]
    return [app_commands.Choice(name=value, value=value) for value in values[:CHOICES]]


class SettingsCommands(
    commands.GroupCog, group_name="settings", group_description="How the bot behaves here"
):
    """Commands about settings. Everybody may look; changing is checked for its scope."""

    def __init__(self, bot: CaduceusBot) -> None:
        self._cascade = bot.conversations.settings

    @app_commands.command()
    @app_commands.describe(key="One setting, in full")
    @app_commands.autocomplete(key=complete_key)
    async def show(self, interaction: Interaction, key: str | None = None) -> None:
        """See what holds here, and where it comes from."""
        channel = key_of(channel_of(interaction))
        wanted = None if key is None else definition_of(key).key
        await interaction.response.defer(ephemeral=True, thinking=True)
        origins = await self._cascade.explain(channel)
        if wanted is not None:
            origin = next(o for o in origins if o.definition.key == wanted)
            embed = describe_one(origin)
        else:
            lines = [line_of(origin) for origin in origins]
            embed = discord.Embed(title="Settings here", description=fitting(lines))
        await interaction.followup.send(embed=embed, ephemeral=True)

    @app_commands.command()
    @app_commands.describe(key="Which setting", value="Its new value", scope="Where it applies")
    @app_commands.autocomplete(key=complete_key, value=complete_value)
    @app_commands.choices(scope=SCOPES)
    async def set(
        self,
        interaction: Interaction,
        key: str,
        value: str,
        scope: str = Scope.CHANNEL.value,
    ) -> None:
        """Change a setting of this channel or the whole server."""
        where = Scope(scope)
        definition = definition_of(key)
        require_scope(interaction, where)
        channel = key_of(channel_of(interaction))
        await interaction.response.defer(ephemeral=True, thinking=True)
        change = await self._cascade.set(channel, where, key, value, by=str(interaction.user.id))
        new = cut(await self._cascade.show(channel, definition, change.new), 1500)
        await interaction.followup.send(
            f"`{definition.key}` is now {new} for {name_of(where)}. "
            f"(`/settings undo {change.change_id}` takes it back.)",
            ephemeral=True,
        )

    @app_commands.command()
    @app_commands.describe(key="Which setting", scope="Where it is taken back")
    @app_commands.autocomplete(key=complete_key)
    @app_commands.choices(scope=SCOPES)
    async def reset(
        self, interaction: Interaction, key: str, scope: str = Scope.CHANNEL.value
    ) -> None:
        """Take a value back, so that the server's or the bot's own holds again."""
        where = Scope(scope)
        definition = definition_of(key)
        require_scope(interaction, where)
        channel = key_of(channel_of(interaction))
        await interaction.response.defer(ephemeral=True, thinking=True)
        change = await self._cascade.reset(channel, where, key, by=str(interaction.user.id))
        origins = await self._cascade.explain(channel)
        now = next(o for o in origins if o.definition.key == definition.key)
        await interaction.followup.send(
            f"`{definition.key}` is no longer set for {name_of(where)}; here it is now "
            f"{cut(now.shown, 1500)} ({source(now)}). "
            f"(`/settings undo {change.change_id}` takes it back.)",
            ephemeral=True,
        )

    @app_commands.command()
    async def history(self, interaction: Interaction) -> None:
        """See who changed what, newest first."""
        channel = key_of(channel_of(interaction))
        await interaction.response.defer(ephemeral=True, thinking=True)
        changes = await self._cascade.history(channel, limit=CHANGES_SHOWN)
        lines = [await self._line_of_change(channel, change) for change in changes]
        embed = discord.Embed(
            title="Changes", description=fitting(lines) if lines else "Nothing was changed yet."
        )
        await interaction.followup.send(embed=embed, ephemeral=True)

    @app_commands.command()
    @app_commands.describe(id="The number that /settings history shows")
    async def undo(
        self, interaction: Interaction, id: app_commands.Range[int, 1, LARGEST_INTEGER]
    ) -> None:
        """Put back what a change replaced."""
        channel = key_of(channel_of(interaction))
        await interaction.response.defer(ephemeral=True, thinking=True)
        found = await self._cascade.change(channel, id)
        require_scope(interaction, found.scope)
        change = await self._cascade.undo(channel, id, by=str(interaction.user.id))
        await interaction.followup.send(
            f"Change {id} is taken back: {await self._line_of_change(channel, change)}",
            ephemeral=True,
        )

    async def _line_of_change(self, channel: ChannelKey, change: SettingChange) -> str:
        old, new = [
            await self._value_of_change(channel, change.key, value)
            for value in (change.old, change.new)
        ]
        return line_of_change(change, old, new)

    async def _value_of_change(self, channel: ChannelKey, key: str, value: JsonValue) -> str:
        if value is None:
            return "not set"
        definition = DEFINITIONS.get(key)
        if definition is None:  # a setting of an earlier version; its history stays readable
            return in_words(value)
        return await self._cascade.show(channel, definition, value)


def line_of(origin: SettingOrigin) -> str:
    """A setting in a list."""
    definition = origin.definition
    value = cut(origin.shown, SHOWN_CHARACTERS)
    return f"`{definition.key}` {escaped(value)} · {source(origin)}"


def describe_one(origin: SettingOrigin) -> discord.Embed:
    """A setting in full."""
    definition = origin.definition
    embed = discord.Embed(
        title=definition.key,
        description=cut(origin.shown, DESCRIPTION_CHARACTERS),
    )
    embed.add_field(name="Comes from", value=source(origin))
    embed.add_field(name="Takes", value=definition.range_text)
    embed.add_field(name="What it does", value=definition.help, inline=False)
    return embed


def line_of_change(change: SettingChange, old: str, new: str) -> str:
    """A change in a list, with its values as people read them."""
    when = discord.utils.format_dt(change.changed_at, "R")
    text = " → ".join(escaped(cut(value, SHOWN_CHARACTERS)) for value in (old, new))
    who = f"<@{change.changed_by}>" if change.changed_by.isdecimal() else change.changed_by
    where = name_of(change.scope)
    key = f"`{change.key}`" if change.key in DEFINITIONS else f"`{change.key}` (no longer there)"
    return f"**{change.change_id}** {key} {text} for {where}, by {who} {when}"


def name_of(scope: Scope) -> str:
    """Whose setting."""
    return {Scope.OWNER: "the bot", Scope.GUILD: "the server", Scope.CHANNEL: "this channel"}[scope]


def source(origin: SettingOrigin) -> str:
    """Where a value comes from."""
    if origin.origin is None:
        return "default"
    return {
        MODEL: "the model's own",
        PERSONA: "the persona's own",
        Scope.OWNER: "set by the bot's owner",
        Scope.GUILD: "set for the server",
        Scope.CHANNEL: "set for this channel",
    }[origin.origin]


def cut(text: str, limit: int) -> str:
    """At most `limit` characters."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def fitting(lines: list[str]) -> str:
    """As many lines as an embed takes."""
    text = ""
    for line in lines:
        if len(text) + len(line) > DESCRIPTION_CHARACTERS - 1:
            break
        text += f"{line}\n"
    return text
