"""The panel as it is drawn: a page of settings, the one that is opened, and its controls."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import discord

from bot.chat.definitions import DEFINITIONS, THEMES
from bot.chat.messages import JsonValue, Scope, SettingChange
from bot.chat.settings import SettingOrigin
from bot.errors import NotAllowed
from cogs.client import Interaction, bot_of, channel_of
from cogs.commands.setting_panel.looks import (
    SHORTER_CHARACTERS,
    block,
    by_whom,
    cut,
    fitting,
    line_of,
    name_of,
    source,
    values_of_change,
)
from cogs.commands.setting_panel.place import Place, require_setter, slug_of
from cogs.controls import view_of_kept
from cogs.interactions import shown, shown_embeds
from cogs.platform import escaped, key_of

OPTIONS = 25
EMBEDS_CHARACTERS = 5_900  # of 6,000
WANTED = "What you wanted"
_TYPED = ("text", "words", "integer", "number", "hours", "roles", "persona")

_Item: TypeAlias = discord.ui.Item[Any]
Wrap: TypeAlias = Callable[[_Item], _Item]


@dataclass(frozen=True, slots=True)
class Overtaken:
    """What somebody wanted to set (None: to reset) when another change had been made."""

    wanted: str | None


@dataclass(frozen=True, slots=True)
class Drawing:
    """The panel as a message."""

    embeds: list[discord.Embed]
    view: discord.ui.View


async def draw(
    interaction: Interaction, place: Place, wrap: Wrap, overtaken: Overtaken | None = None
) -> Drawing:
    """The panel at a place as it is now. `wrap` makes items live ones."""
    channel = key_of(channel_of(interaction))
    cascade = bot_of(interaction).conversations.settings
    if channel.guild_id is None:
        place = replace(place, scope=Scope.CHANNEL)
    key = place.key
    newest = None
    if key is not None:
        # Before the value: a change in between is asked about once too often, never lost.
        newest = await cascade.newest(channel, place.scope, key)
        place = replace(place, seen=newest.change_id if newest else 0)
    origins = {one.definition.key: one for one in await cascade.explain(channel, place.scope)}
    here = [origins[one] for one in THEMES[place.theme]]
    page = discord.Embed(title=f"Settings for {_where(place, is_direct=channel.guild_id is None)}")
    embeds = [page]
    view = view_of_kept()
    view.add_item(wrap(_page_select(place)))
    view.add_item(wrap(_setting_select(place, here)))
    if key is None:
        page.description = await shown(interaction, _lines(here))
        _add_buttons(view, place, wrap, channel.guild_id is not None)
        return Drawing(embeds, view)
    refusal = _refusal(interaction, place)
    page.description = await shown(
        interaction, _lines([one for one in here if one.definition.key != key])
    )
    opened = origins[key]
    embeds.append(_opened(opened, newest, refusal, is_direct=channel.guild_id is None))
    is_set = opened.origin is place.scope
    if newest is not None and newest.new is not None and not is_set:
        # A persona's own bounds it, or it is out of a range that is narrower by now.
        is_set = True
        _, own = await values_of_change(cascade, channel, newest)
        name = f"Set for {name_of(place.scope)}, but does not count"
        embeds[-1].insert_field_at(0, name=name, value=escaped(cut(own, 500)), inline=False)
    if refusal:  # else it is theirs to edit, as it was typed
        await shown_embeds(interaction, embeds[-1:])
    else:
        select = await _value_select(interaction, place, opened)
        if select is not None:
            view.add_item(wrap(select))
    _add_buttons(view, place, wrap, channel.guild_id is not None, refusal, is_set=is_set)
    if overtaken is not None:
        _add_question(view, place, wrap, overtaken)
        if overtaken.wanted is not None:
            embeds.append(discord.Embed(title=WANTED, description=block(overtaken.wanted)))
    if sum(map(len, embeds)) > EMBEDS_CHARACTERS:
        page.description = None
    return Drawing(embeds, view)


def _where(place: Place, *, is_direct: bool) -> str:
    where = "this conversation" if is_direct else name_of(place.scope)
    return f"{where}: {place.theme}"


def _lines(origins: list[SettingOrigin]) -> str:
    return fitting(line_of(origin, SHORTER_CHARACTERS[1]) for origin in origins)


def _refusal(interaction: Interaction, place: Place) -> str:
    """Why the person may not change what is opened, "" where they may."""
    try:
        require_setter(interaction, place.definition, place.scope)
    except NotAllowed as error:
        return str(error)
    return ""


def _opened(
    origin: SettingOrigin, newest: SettingChange | None, refusal: str, *, is_direct: bool
) -> discord.Embed:
    definition = origin.definition
    is_empty = origin.value in ("", [], None) and definition.kind != "persona"
    embed = discord.Embed(
        title=definition.key, description="(none)" if is_empty else block(origin.shown)
    )
    if definition.kind == "roles" and not is_empty:
        embed.add_field(name="Those are", value=escaped(cut(origin.shown, 500)), inline=False)
    made = f", {by_whom(newest)}" if newest and origin.origin is newest.scope else ""
    embed.add_field(name="Comes from", value=f"{source(origin)}{made}")
    embed.add_field(name="Takes", value=definition.range_text)
    embed.add_field(name="What it does", value=definition.help, inline=False)
    if refusal:
        embed.add_field(name="You may look", value=cut(refusal, 1000), inline=False)
    elif not is_direct:
        embed.add_field(name="Who may set it", value=definition.setters_text, inline=False)
    return embed


def _page_select(place: Place) -> _Item:
    options = [
        discord.SelectOption(
            label=theme,
            value=slug_of(theme),
            description=cut(", ".join(keys), 100),
            default=theme == place.theme,
        )
        for theme, keys in THEMES.items()
    ]
    return discord.ui.Select(custom_id=place.control("page"), options=options)


def _setting_select(place: Place, origins: list[SettingOrigin]) -> _Item:
    options = [
        discord.SelectOption(
            label=one.definition.key,
            value=one.definition.key,
            description=cut(one.definition.help, 100),
            default=one.definition.key == place.key,
        )
        for one in origins
    ]
    return discord.ui.Select(
        custom_id=place.control("pick"), placeholder="Which setting?", options=options
    )


async def _value_select(
    interaction: Interaction, place: Place, origin: SettingOrigin
) -> _Item | None:
    """A select for what can be chosen, rather than typed."""
    definition = origin.definition
    if definition.kind == "roles":
        return _roles_select(interaction, place, origin)
    if definition.kind == "persona":
        options = await _personas(interaction, origin)
    else:
        options = [
            discord.SelectOption(label=choice, value=choice, default=choice == origin.value)
            for choice in definition.choices
        ]
    if not options:
        return None
    return discord.ui.Select(
        custom_id=place.control("take"), placeholder=f"Set {definition.key}", options=options
    )


async def _personas(interaction: Interaction, origin: SettingOrigin) -> list[discord.SelectOption]:
    channel = key_of(channel_of(interaction))
    entries = await bot_of(interaction).desk.personas.entries(channel.guild_id)
    fitting_ids = [one for one in entries if len(one.id) <= 100]
    fitting_ids.sort(key=lambda one: one.id != origin.value)  # the present one is among them
    reading = await bot_of(interaction).conversations.censor.reading(channel)
    return [
        discord.SelectOption(
            label=cut(reading.shown(one.name), 100),
            value=one.id,
            description=cut(reading.shown(one.summary), 100) or None,
            default=one.id == origin.value,
        )
        for one in fitting_ids[:OPTIONS]
    ]


def _roles_select(interaction: Interaction, place: Place, origin: SettingOrigin) -> _Item:
    chosen, _ = chosen_and_others(interaction, origin.value)
    return discord.ui.MentionableSelect(
        custom_id=place.control("whom"),
        placeholder=f"Choose for {origin.definition.key}",
        min_values=0,
        max_values=20,
        default_values=chosen,
    )


def chosen_and_others(
    interaction: Interaction, value: JsonValue
) -> tuple[list[discord.SelectDefaultValue], list[str]]:
    """Of roles and members: those that a select can show, and the others, as they are written."""
    chosen: list[discord.SelectDefaultValue] = []
    others: list[str] = []
    kinds = discord.SelectDefaultValueType
    for whom in value if isinstance(value, list) else ():
        role, user = whom.startswith("<@&"), whom.startswith("<@")
        number = int("".join(sign for sign in whom if sign.isdecimal()) or 0) if user else 0
        guild = interaction.guild
        if role and guild is not None and guild.get_role(number) is not None:
            chosen.append(discord.SelectDefaultValue(id=number, type=kinds.role))
        elif user and not role:
            chosen.append(discord.SelectDefaultValue(id=number, type=kinds.user))
        else:
            others.append(whom)
    return chosen, others


def _add_buttons(
    view: discord.ui.View,
    place: Place,
    wrap: Wrap,
    in_guild: bool,
    refusal: str = "",
    *,
    is_set: bool = False,
) -> None:
    """The switch between channel and server, and what can be done with what is opened."""
    styles = discord.ButtonStyle
    if in_guild:
        for scope, label in ((Scope.CHANNEL, "This channel"), (Scope.GUILD, "The whole server")):
            is_here = scope is place.scope
            to = replace(place, scope=scope)
            view.add_item(
                wrap(
                    discord.ui.Button(
                        label=label,
                        custom_id=to.control("scope"),
                        style=styles.primary if is_here else styles.secondary,
                        disabled=is_here,
                        row=3,
                    )
                )
            )
    if place.key is None:
        return
    if DEFINITIONS[place.key].kind in _TYPED:
        view.add_item(
            wrap(
                discord.ui.Button(
                    label="Type a value…",
                    custom_id=place.control("type"),
                    disabled=bool(refusal),
                    row=3,
                )
            )
        )
    view.add_item(
        wrap(
            discord.ui.Button(
                label="Reset",
                custom_id=place.control("reset"),
                style=styles.danger,
                disabled=bool(refusal) or not is_set,
                row=3,
            )
        )
    )


def _add_question(view: discord.ui.View, place: Place, wrap: Wrap, overtaken: Overtaken) -> None:
    is_reset = overtaken.wanted is None
    label = "Reset it all the same" if is_reset else "Set it all the same"
    act = "clear" if is_reset else "again"
    for custom_id, text in ((place.control(act), label), (place.control("leave"), "Leave it")):
        view.add_item(wrap(discord.ui.Button(label=text, custom_id=custom_id, row=4)))
