"""Where somebody is in the panel: what its controls carry, so that they survive a restart."""

import re
from dataclasses import dataclass, replace

from bot.chat.definitions import DEFINITIONS, THEMES, current_key, definition_of
from bot.chat.limits.ages import require_may_speak
from bot.chat.limits.roles import compared
from bot.chat.messages import Scope
from bot.chat.setting_definition import Setter, SettingDefinition
from bot.errors import NotFound
from cogs.client import Interaction, bot_of, channel_of
from cogs.platform import key_of
from cogs.rights.holding import holds_server, is_owner

_PATTERN = (
    r"(?P<user>[0-9]{1,20}):(?P<act>[a-z]{1,8}):(?P<place>[a-z0-9_]{1,40}):"
    r"(?P<scope>[cg]):(?P<seen>[0-9]{1,19})"
)
CONTROL = rf"caduceus:settings:{_PATTERN}"
FORM = re.compile(rf"caduceus:settings-form:{_PATTERN}")
OLD = "This panel is from another version of the bot."
OPEN_ANEW = "Open a new one with `/settings panel`."
_SCOPES = {"c": Scope.CHANNEL, "g": Scope.GUILD}
_LETTERS = {scope: letter for letter, scope in _SCOPES.items()}
_SLUGS = {theme.lower().replace(" ", "_"): theme for theme in THEMES}


@dataclass(frozen=True, slots=True)
class Place:
    """A page of somebody's panel, perhaps with one setting opened."""

    user_id: int
    scope: Scope = Scope.CHANNEL
    name: str = next(iter(_SLUGS))  # a setting's key, or a theme as a word
    seen: int = 0  # the setting's newest change when the panel was drawn

    @classmethod
    def of(cls, match: re.Match[str]) -> "Place":
        """What a control or form carries."""
        return cls(int(match["user"]), _SCOPES[match["scope"]], match["place"], int(match["seen"]))

    @property
    def key(self) -> str | None:
        """The setting that is opened. Raises NotFound where there is no such place any more."""
        key = current_key(self.name)
        if key in DEFINITIONS:
            return key
        if self.name in _SLUGS:
            return None
        raise NotFound(OLD, OPEN_ANEW)

    @property
    def definition(self) -> SettingDefinition:
        """The setting that is opened. Raises NotFound where none is."""
        if self.key is None:
            raise NotFound(OLD, OPEN_ANEW)
        return definition_of(self.key)

    @property
    def theme(self) -> str:
        """The page."""
        key = self.key
        if key is None:
            return _SLUGS[self.name]
        return next(theme for theme, keys in THEMES.items() if key in keys)

    def at(self, name: str) -> "Place":
        """Another page or setting of the same panel."""
        return replace(self, name=name, seen=0)

    def control(self, act: str) -> str:
        """The id of a control."""
        return f"caduceus:settings:{self._packed(act)}"

    def form(self) -> str:
        """The id of the form for the setting that is opened."""
        return f"caduceus:settings-form:{self._packed('type')}"

    def _packed(self, act: str) -> str:
        return f"{self.user_id}:{act}:{self.name}:{_LETTERS[self.scope]}:{self.seen}"


def slug_of(theme: str) -> str:
    """A theme as a word."""
    return next(slug for slug, name in _SLUGS.items() if name == theme)


def setter_of(interaction: Interaction) -> Setter:
    """Whoever did this, as far as it counts for changing settings."""
    in_guild = interaction.guild_id is not None
    return Setter(
        is_owner=is_owner(interaction),
        manages_server=in_guild and holds_server(interaction),
        manages_channel=in_guild and interaction.permissions.manage_channels,
    )


def require_setter(interaction: Interaction, definition: SettingDefinition, scope: Scope) -> None:
    """Raise NotAllowed unless the member may change a setting in a scope."""
    is_direct = interaction.guild_id is None
    definition.require_setter(setter_of(interaction), scope, is_direct=is_direct)


async def require_fit(
    interaction: Interaction, definition: SettingDefinition, scope: Scope, text: str
) -> None:
    """Raise NotAllowed where a channel is to have a persona that may not speak there."""
    if definition.kind != "persona" or scope is not Scope.CHANNEL:
        return  # of a server's channels, some may be age-restricted
    channel = key_of(channel_of(interaction))
    persona = await bot_of(interaction).desk.personas.find(channel.guild_id, text.strip())
    if persona is not None:
        require_may_speak(persona, channel)


def with_role_ids(interaction: Interaction, definition: SettingDefinition, text: str) -> str:
    """What was typed, with mentions in place of roles' names: they hold when a role is renamed.

    Of several roles with one name, all are meant. Raises ChannelSettingError.
    """
    guild = interaction.guild
    if definition.kind != "roles" or guild is None:
        return text
    mentions: dict[str, list[str]] = {}
    for role in guild.roles:
        if not role.is_default():  # which is everybody, under one name for ever
            mentions.setdefault(compared(role.name), []).append(role.mention)
    typed = definition.parse(text)
    entries = typed if isinstance(typed, list) else []
    return ", ".join(
        mention for entry in entries for mention in mentions.get(compared(entry), [entry])
    )
