"""The settings of a guild or channel: each defined once.

Commands, autocomplete, the workbench's controls and the README's table are all made from
:data:`DEFINITIONS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from bot.chat.messages import ChannelKey, JsonValue, Scope, SettingChange
from bot.chat.ports import Personas, SettingsStore
from bot.chat.setting_definition import SettingDefinition
from bot.engine.api import Sampling
from bot.errors import ChannelSettingError, NotFound

DEFINITIONS: Mapping[str, SettingDefinition] = {
    definition.key: definition
    for definition in (
        SettingDefinition(
            "trigger",
            "choice",
            "mention",
            "When the bot answers, besides replies to it: when mentioned, always, at a wake word "
            "(or mention), by chance (or mention), or never.",
            choices=("mention", "always", "wakeword", "chance", "off"),
        ),
        SettingDefinition(
            "wake_words", "words", [], "Words that wake the bot where trigger is wakeword."
        ),
        SettingDefinition(
            "chance",
            "number",
            0.1,
            "How likely the bot answers a message where trigger is chance: 0 never, 1 always.",
            minimum=0,
            maximum=1,
        ),
        SettingDefinition("persona", "persona", "", "Who the bot is here."),
        SettingDefinition(
            "persona_choice",
            "choice",
            "members",
            "Who may choose the persona with `/persona use`.",
            choices=("members", "moderators"),
        ),
        SettingDefinition(
            "context",
            "choice",
            "addressed",
            "What is kept and seen: only what is said to the bot and its replies, or all that is "
            "said in the channel.",
            choices=("addressed", "channel"),
        ),
        SettingDefinition(
            "temperature",
            "number",
            0.7,
            "How freely the model chooses: 0 always takes the likeliest word.",
            minimum=0,
            maximum=2,
        ),
        SettingDefinition(
            "top_p",
            "number",
            0.95,
            "Choose among the likeliest words that together have this probability; 1 is off.",
            minimum=0,
            maximum=1,
            above_minimum=True,
        ),
        SettingDefinition(
            "top_k",
            "integer",
            0,
            "Choose among this many of the likeliest words; 0 is off.",
            minimum=0,
            maximum=1000,
        ),
        SettingDefinition(
            "min_p",
            "number",
            0.0,
            "Leave out words less likely than this share of the likeliest one; 0 is off.",
            minimum=0,
            maximum=1,
        ),
        SettingDefinition(
            "repetition_penalty",
            "number",
            1.15,
            "Above 1, words already used become less likely; 1 is off.",
            minimum=0.5,
            maximum=2,
        ),
        SettingDefinition(
            "max_reply_tokens",
            "integer",
            512,
            "The longest reply, in tokens (about four characters each).",
            minimum=16,
            maximum=2048,
        ),
        SettingDefinition(
            "history_turns",
            "integer",
            100,
            "How many earlier turns the model sees at most; what fits its context decides too.",
            minimum=0,
            maximum=500,
        ),
        SettingDefinition(
            "instructions", "text", "", "Added to the system text: how the bot should behave here."
        ),
    )
}


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """The settings in force in one channel. The fields are the keys of :data:`DEFINITIONS`."""

    trigger: str = "mention"
    wake_words: tuple[str, ...] = ()
    chance: float = 0.1
    persona: str = ""
    persona_choice: str = "members"
    context: str = "addressed"
    temperature: float = 0.7
    top_p: float = 0.95
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.15
    max_reply_tokens: int = 512
    history_turns: int = 100
    instructions: str = ""

    def sampling(self, seed: int | None = None) -> Sampling:
        """The part of it that the engine wants."""
        return Sampling(
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            min_p=self.min_p,
            repetition_penalty=self.repetition_penalty,
            seed=seed,
        )


@dataclass(frozen=True, slots=True)
class SettingOrigin:
    """A value in force, and whose it is: None for Caduceus's own default."""

    definition: SettingDefinition
    value: JsonValue
    origin: Scope | None


def definition_of(key: str) -> SettingDefinition:
    """The definition of a key. Raises NotFound, naming the keys there are."""
    try:
        return DEFINITIONS[key.strip().lower()]
    except KeyError:
        raise NotFound(
            f"There is no setting «{key[:40]}».", f"There are: {', '.join(DEFINITIONS)}."
        ) from None


class SettingsCascade:
    """The owner's settings, overridden by the guild's, overridden by the channel's."""

    def __init__(
        self, store: SettingsStore, personas: Personas, owner: Mapping[str, JsonValue] | None = None
    ) -> None:
        """`owner` holds the values of `defaults.toml`, checked already."""
        self._store = store
        self._personas = personas
        self._owner = dict(owner or {})

    async def resolve(self, channel: ChannelKey) -> ChannelSettings:
        """The settings in force in `channel`."""
        values = {o.definition.key: o.value for o in await self.explain(channel)}
        values["wake_words"] = tuple(cast("list[str]", values["wake_words"]))  # type: ignore[assignment]
        return ChannelSettings(**values)  # type: ignore[arg-type]

    async def explain(self, channel: ChannelKey) -> list[SettingOrigin]:
        """Every setting with its value here and where it comes from."""
        scopes = self.scopes(channel)
        stored = await self._store.values(scopes)
        layers: list[tuple[Scope, Mapping[str, JsonValue]]] = [(Scope.OWNER, self._owner)]
        layers += [(scope[0], stored.get(scope, {})) for scope in scopes]
        return [self._origin(definition, layers) for definition in DEFINITIONS.values()]

    async def set(
        self, channel: ChannelKey, scope: Scope, key: str, text: str, *, by: str
    ) -> SettingChange:
        """Set what a person typed. Raises NotFound or ChannelSettingError."""
        definition = definition_of(key)
        value = definition.parse(text)
        if definition.kind == "persona":
            persona = self._personas.get(str(value))
            if persona is None:
                raise ChannelSettingError(
                    f"There is no persona «{str(value)[:40]}».", "See `/persona list`."
                )
            value = persona.name
        return await self._store.change(
            scope, self.scope_id(channel, scope), definition.key, value, by=by
        )

    async def reset(self, channel: ChannelKey, scope: Scope, key: str, *, by: str) -> SettingChange:
        """Take a value back, so that the wider scope's holds again."""
        definition = definition_of(key)
        return await self._store.change(
            scope, self.scope_id(channel, scope), definition.key, None, by=by
        )

    async def history(self, channel: ChannelKey, *, limit: int = 20) -> list[SettingChange]:
        """The newest changes that concern this channel."""
        return await self._store.changes(self.scopes(channel), limit=limit)

    async def change(self, channel: ChannelKey, change_id: int) -> SettingChange:
        """A change that concerns this channel. Raises NotFound for any other."""
        found = await self._store.change_by_id(change_id)
        if found is None or (found.scope, found.scope_id) not in self.scopes(channel):
            raise NotFound(f"There is no change {change_id} here.", "See `/settings history`.")
        return found

    async def undo(self, channel: ChannelKey, change_id: int, *, by: str) -> SettingChange:
        """Put back what a change replaced. That is a change of its own."""
        found = await self.change(channel, change_id)
        return await self._store.change(found.scope, found.scope_id, found.key, found.old, by=by)

    async def revision(self) -> int:
        """The newest change's number, 0 before the first."""
        return await self._store.revision()

    def scopes(self, channel: ChannelKey) -> list[tuple[Scope, str]]:
        """Where this channel's settings are stored, widest first."""
        found: list[tuple[Scope, str]] = []
        if channel.guild_id is not None:
            found.append((Scope.GUILD, self.scope_id(channel, Scope.GUILD)))
        found.append((Scope.CHANNEL, self.scope_id(channel, Scope.CHANNEL)))
        return found

    def scope_id(self, channel: ChannelKey, scope: Scope) -> str:
        """The id under which `channel` stores a scope. A thread takes its channel's."""
        if scope is Scope.CHANNEL:
            return f"{channel.platform}:{channel.parent_id or channel.channel_id}"
        if scope is Scope.GUILD and channel.guild_id is not None:
            return f"{channel.platform}:{channel.guild_id}"
        raise ChannelSettingError(
            f"There is no {scope.value} here.", "In a direct message, use the channel's scope."
        )

    def _origin(
        self, definition: SettingDefinition, layers: list[tuple[Scope, Mapping[str, JsonValue]]]
    ) -> SettingOrigin:
        for scope, values in reversed(layers):
            value = values.get(definition.key)
            if value is None:
                continue
            try:
                return SettingOrigin(definition, definition.check(value), scope)
            except ChannelSettingError:
                continue  # a range that has since become narrower: the wider scope's value holds
        return SettingOrigin(definition, definition.default, None)
