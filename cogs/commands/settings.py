"""`/settings`: what holds in a guild or channel, made from the settings' own definitions."""

import discord
from discord import app_commands
from discord.ext import commands

from bot.chat.definitions import DEFINITIONS, current_key, definition_of, former_keys
from bot.chat.messages import ChannelKey, Scope, SettingChange
from bot.chat.setting_definition import InDirect, require_scope
from cogs.client import CaduceusBot, Interaction, channel_of
from cogs.commands.personas.finding import CHOICES, complete_persona
from cogs.commands.setting_panel.looks import (
    by_whom,
    cut,
    describe_one,
    fitting,
    line_of_change,
    lines_by_theme,
    name_of,
    source,
    values_of_change,
)
from cogs.commands.setting_panel.panel import open_panel, submitted
from cogs.commands.setting_panel.place import require_fit, require_setter, setter_of, with_role_ids
from cogs.interactions import acknowledge, shown, shown_embeds
from cogs.platform import NOBODY, escaped, key_of

CHANGES_SHOWN = 20
VALUE_CHARACTERS = 600  # of one value, in an answer
LARGEST_INTEGER = 2**53 - 1  # that a command's option takes

SCOPES = [
    app_commands.Choice(name="this channel", value=Scope.CHANNEL.value),
    app_commands.Choice(name="the whole server", value=Scope.GUILD.value),
]


async def complete_key(_interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
    """The settings that what was typed may mean: by their keys, old ones too, then their help."""
    typed = "_".join(typed.casefold().split())
    names = {key: [key, *former_keys(key)] for key in DEFINITIONS}
    keys = [key for key in DEFINITIONS if any(name.startswith(typed) for name in names[key])]
    keys += [key for key in DEFINITIONS if any(typed in name for name in names[key])]
    typed = typed.replace("_", " ")
    keys += [key for key, d in DEFINITIONS.items() if typed in d.help.casefold()]
    return [
        app_commands.Choice(name=f"{key}: {DEFINITIONS[key].help}"[:100], value=key)
        for key in list(dict.fromkeys(keys))[:CHOICES]
    ]


async def complete_value(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
    """What the chosen setting takes."""
    key = str(getattr(interaction.namespace, "key", "")).strip().lower()
    definition = DEFINITIONS.get(current_key(key))
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
            embed = discord.Embed(title="Settings here", description=lines_by_theme(origins))
        await shown_embeds(interaction, [embed])
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
        require_setter(interaction, definition, where)
        channel = key_of(channel_of(interaction))
        await interaction.response.defer(ephemeral=True, thinking=True)
        await require_fit(interaction, definition, where, value)
        before = await self._cascade.newest(channel, where, key)
        value = with_role_ids(interaction, definition, value)
        change = await self._cascade.set(channel, where, key, value, by=str(interaction.user.id))
        _, new = await self._values_of(channel, change)
        replaced = await self._replaced(channel, change, before)
        idle = ""
        if channel.is_direct and definition.in_direct is InDirect.IDLE:
            idle = " In a direct message that changes nothing."
        await self._answer(
            interaction,
            f"`{definition.key}` is now {new} for {name_of(where)}.{idle}{replaced}",
            change,
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
        require_setter(interaction, definition, where)
        channel = key_of(channel_of(interaction))
        await interaction.response.defer(ephemeral=True, thinking=True)
        before = await self._cascade.newest(channel, where, key)
        change = None
        if before is not None and before.new is not None:
            change = await self._cascade.reset(channel, where, key, by=str(interaction.user.id))
        origins = await self._cascade.explain(channel)
        now = next(o for o in origins if o.definition.key == definition.key)
        value = escaped(cut(now.shown, VALUE_CHARACTERS))
        if change is None:
            said = f"`{definition.key}` is not set for {name_of(where)}; here it is {value}"
            said = await shown(interaction, f"{said} ({source(now)}).")
            await interaction.followup.send(said, ephemeral=True)
            return
        replaced = await self._replaced(channel, change, before)
        await self._answer(
            interaction,
            f"`{definition.key}` is no longer set for {name_of(where)}; here it is now "
            f"{value} ({source(now)}).{replaced}",
            change,
        )

    @app_commands.command()
    async def panel(self, interaction: Interaction) -> None:
        """See and change settings with buttons and lists."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        drawing = await open_panel(interaction)
        await interaction.followup.send(embeds=drawing.embeds, view=drawing.view, ephemeral=True)

    @commands.Cog.listener()
    async def on_interaction(self, interaction: Interaction) -> None:
        """Hear of the panel's forms, also of those that were opened before a restart."""
        await submitted(interaction)

    @app_commands.command()
    async def history(self, interaction: Interaction) -> None:
        """See who changed what, newest first."""
        channel = key_of(channel_of(interaction))
        await interaction.response.defer(ephemeral=True, thinking=True)
        changes = await self._cascade.history(channel, limit=CHANGES_SHOWN)
        lines = [await line_of_change(self._cascade, channel, change) for change in changes]
        embed = discord.Embed(
            title="Changes", description=fitting(lines) if lines else "Nothing was changed yet."
        )
        await shown_embeds(interaction, [embed])
        await interaction.followup.send(embed=embed, ephemeral=True)

    @app_commands.command()
    @app_commands.describe(id="The number that /settings history shows")
    async def undo(
        self, interaction: Interaction, id: app_commands.Range[int, 1, LARGEST_INTEGER]
    ) -> None:
        """Put back what a change replaced."""
        channel = key_of(channel_of(interaction))
        await acknowledge(interaction)
        found = await self._cascade.change(channel, id)
        before = None
        if (key := current_key(found.key)) in DEFINITIONS:
            require_setter(interaction, DEFINITIONS[key], found.scope)
            before = await self._cascade.newest(channel, found.scope, key)
        else:
            is_direct = channel.guild_id is None
            require_scope(setter_of(interaction), found.scope, is_direct=is_direct)
        change = await self._cascade.undo(channel, id, by=str(interaction.user.id))
        line = await line_of_change(self._cascade, channel, change)
        said = f"Change {id} is taken back: {line}"
        if before is not None and before.change_id != id:
            said += f"\nIt was not the newest: this replaces change {before.change_id}, "
            said += f"{by_whom(before)}."
        said = await shown(interaction, said)
        await interaction.followup.send(said, ephemeral=True, allowed_mentions=NOBODY)

    async def _answer(self, interaction: Interaction, line: str, change: SettingChange) -> None:
        line = await shown(interaction, line)
        await interaction.followup.send(
            f"{line} (`/settings undo {change.change_id}` takes it back.)",
            ephemeral=True,
            allowed_mentions=NOBODY,
        )

    async def _values_of(self, channel: ChannelKey, change: SettingChange) -> tuple[str, str]:
        old, new = await values_of_change(self._cascade, channel, change)
        return escaped(cut(old, VALUE_CHARACTERS)), escaped(cut(new, VALUE_CHARACTERS))

    async def _replaced(
        self, channel: ChannelKey, change: SettingChange, before: SettingChange | None
    ) -> str:
        """What a change has replaced: nobody's change is lost in silence."""
        if change.old is None:
            return ""
        old, _ = await self._values_of(channel, change)
        is_known = before is not None and before.new == change.old
        made = f", set {by_whom(before)}" if before is not None and is_known else ""
        return f" It was {old}{made}."
