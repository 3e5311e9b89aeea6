"""The settings cascade: whose value of a setting holds in a channel."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from bot.chat.definitions import (
    DEFINITIONS,
    ChannelSettings,
    current_key,
    definition_of,
    former_keys,
)
from bot.chat.messages import (
    ChannelKey,
    JsonValue,
    Scope,
    SettingChange,
    StoredSettings,
    StoredValues,
)
from bot.chat.persona import Persona
from bot.chat.ports import Personas
from bot.chat.setting_definition import SettingDefinition
from bot.chat.setting_store import SettingsStore
from bot.errors import ChannelSettingError, NotFound

ModelDefaults: TypeAlias = Callable[[], Mapping[str, float]]
OnChanged: TypeAlias = Callable[[ChannelKey, SettingChange], Awaitable[None]]

MODEL: Final = "model"
PERSONA: Final = "persona"
Origin: TypeAlias = Scope | Literal["model", "persona"] | None


@dataclass(frozen=True, slots=True)
class SettingOrigin:
    """A value in force, and whose it is.

    MODEL is the model's own, PERSONA that of who speaks, None Caduceus's default.
    """

    definition: SettingDefinition
    value: JsonValue
    origin: Origin
    shown: str = ""  # the value as people read it: of a persona, its name


class SettingsCascade:
    """The model's own sampling, overridden by the owner's settings, the guild's, the channel's."""

    def __init__(
        self,
        store: SettingsStore,
        personas: Personas,
        owner: Mapping[str, JsonValue] | None = None,
        model: ModelDefaults = dict,
        on_changed: list[OnChanged] | None = None,
    ) -> None:
        """`owner` is `defaults.toml`, checked; `model` tells of the model that answers now.

        `on_changed` hear of every change, and from which channel it was made.
        """
        self._store = store
        self._personas = personas
        self._owner = dict(owner or {})
        self._model = model
        self.on_changed: list[OnChanged] = [] if on_changed is None else on_changed

    def with_model(self, model: ModelDefaults) -> "SettingsCascade":
        """The same cascade, over what `model` tells."""
        return SettingsCascade(
            self._store, self._personas, self._owner, model, on_changed=self.on_changed
        )

    async def resolve(self, channel: ChannelKey) -> ChannelSettings:
        """The settings in force in `channel`, with the model that answers now."""
        return self.settle(channel, await self._store.values(self.scopes(channel)))

    async def stored(self, channel: ChannelKey) -> StoredSettings:
        """What is set where it concerns `channel`, for :meth:`settle`."""
        return await self._store.stored(self.scopes(channel))

    def scopes_of(self, channels: Iterable[ChannelKey]) -> list[tuple[Scope, str]]:
        """Where the settings of all these channels are stored, each place once."""
        return list(dict.fromkeys(scope for key in channels for scope in self.scopes(key)))

    def settle(
        self,
        channel: ChannelKey,
        stored: StoredValues,
        model: Mapping[str, float] | None = None,
        persona: Persona | None = None,
    ) -> ChannelSettings:
        """The settings in force in `channel`, where `stored` is what is set in its scopes.

        With `persona`, for what that one says: its own sampling goes before the owner's, and what a
        moderator has set before both. Of `max_reply_tokens` the smaller one counts, and
        what either bans is banned.
        """
        origins = self._origins(channel, stored, model, persona)
        values = {o.definition.key: o.value for o in origins}
        if channel.is_direct:  # one person's talk anyway, with its summary
            values["history_scope"] = "channel"
        return ChannelSettings.model_validate(values)

    async def persona(self, channel: ChannelKey, settings: ChannelSettings) -> Persona:
        """Who speaks in `channel`: its settings' persona, or the default one if that is gone."""
        found = None
        if settings.persona:
            found = await self._personas.find(channel.guild_id, settings.persona)
        return found or await self._personas.default()

    async def explain(
        self, channel: ChannelKey, scope: Scope = Scope.CHANNEL
    ) -> list[SettingOrigin]:
        """Every setting with its value here and where it comes from.

        With scope GUILD, as it is where a channel sets nothing of its own.
        """
        scopes = [one for one in self.scopes(channel) if scope is Scope.CHANNEL or one[0] is scope]
        default = await self._personas.default()
        gone = f"gone: {default.name} speaks instead"
        stored = await self._store.values(scopes)
        speaks = await self.persona(channel, self.settle(channel, stored))
        found = [
            replace(o, shown=await self._show(channel, o.definition, o.value, gone))
            for o in self._origins(channel, stored, persona=speaks)
        ]
        return [
            replace(o, shown=speaks.name) if o.definition.kind == "persona" and not o.value else o
            for o in found
        ]

    async def show(
        self, channel: ChannelKey, definition: SettingDefinition, value: JsonValue
    ) -> str:
        """A value as people read it in `channel`: a persona's id as its name."""
        return await self._show(channel, definition, value, "gone")

    async def _show(
        self, channel: ChannelKey, definition: SettingDefinition, value: JsonValue, gone: str
    ) -> str:
        if definition.kind != "persona" or value in ("", None):
            return definition.show(value)
        persona = await self._personas.find(channel.guild_id, str(value))
        return persona.name if persona else f"{value} ({gone})"

    def _origins(
        self,
        channel: ChannelKey,
        stored: StoredValues,
        model: Mapping[str, float] | None = None,
        persona: Persona | None = None,
    ) -> list[SettingOrigin]:
        scopes = self.scopes(channel)
        own = self._model() if model is None else model
        wanted = _sampling_of(persona)
        layers: list[tuple[Origin, Mapping[str, JsonValue]]] = [
            (MODEL, own),
            (Scope.OWNER, self._owner),
            (PERSONA, wanted),
        ]
        layers.extend((scope[0], _by_current_keys(stored.get(scope, {}))) for scope in scopes)
        # Once more, so that they bound what a moderator has set, too.
        layers.append((PERSONA, {key: wanted[key] for key in wanted if key in BOUNDED}))
        return [self._origin(definition, layers) for definition in DEFINITIONS.values()]

    async def set(
        self,
        channel: ChannelKey,
        scope: Scope,
        key: str,
        text: str,
        *,
        by: str,
        seen: int | None = None,
    ) -> SettingChange:
        """Set what a person typed. Raises NotFound or ChannelSettingError.

        `seen` is the number of the :meth:`newest` change when the person looked, 0 for none: raises
        SettingChanged where there is a newer one.
        """
        definition = definition_of(key)
        value = await self.read(channel, definition, text)
        return await self._change(channel, scope, definition.key, value, by=by, seen=seen)

    async def read(
        self, channel: ChannelKey, definition: SettingDefinition, text: str
    ) -> JsonValue:
        """What a person typed, as it would be kept. Raises ChannelSettingError."""
        value = definition.parse(text)
        if definition.kind != "persona":
            return value
        persona = await self._personas.find(channel.guild_id, str(value))
        if persona is None:
            raise ChannelSettingError(
                f"There is no persona «{str(value)[:40]}».", "See `/persona list`."
            )
        return persona.id

    async def reset(
        self, channel: ChannelKey, scope: Scope, key: str, *, by: str, seen: int | None = None
    ) -> SettingChange:
        """Take a value back, so that the wider scope's holds again. `seen` as in :meth:`set`."""
        return await self._change(channel, scope, definition_of(key).key, None, by=by, seen=seen)

    async def newest(self, channel: ChannelKey, scope: Scope, key: str) -> SettingChange | None:
        """The newest change of a setting in one scope of a channel."""
        key = definition_of(key).key
        names = [key, *former_keys(key)]
        return await self._store.newest(scope, self.scope_id(channel, scope), names)

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
        """Put back what a change replaced. That is a change of its own.

        Raises NotFound for a setting that is no more, ChannelSettingError for a value that is no
        longer acceptable: neither would have any effect.
        """
        found = await self.change(channel, change_id)
        definition = DEFINITIONS.get(current_key(found.key))
        if definition is None:
            raise NotFound(f"There is no setting «{found.key}» any more.")
        if found.old is not None:
            definition.check(found.old)
        return await self._change(channel, found.scope, definition.key, found.old, by=by)

    async def _change(
        self,
        channel: ChannelKey,
        scope: Scope,
        key: str,
        value: JsonValue,
        *,
        by: str,
        seen: int | None = None,
    ) -> SettingChange:
        """The one way by which a setting changes."""
        scope_id = self.scope_id(channel, scope)
        change = await self._store.change(
            scope, scope_id, key, value, by=by, formerly=former_keys(key), seen=seen
        )
        for tell in self.on_changed:
            await tell(channel, change)
        return change

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
        self, definition: SettingDefinition, layers: list[tuple[Origin, Mapping[str, JsonValue]]]
    ) -> SettingOrigin:
        found = SettingOrigin(definition, definition.default, None)
        for scope, values in layers:
            value = values.get(definition.key)
            if value is None:
                continue
            try:
                checked = definition.check(value)
            except ChannelSettingError:
                continue  # a range that is narrower by now, or a model's odd number
            newer = SettingOrigin(definition, checked, scope)
            bounded = BOUNDED.get(definition.key)
            found = bounded(found, newer) if bounded else newer
        return found


def _by_current_keys(values: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    """What is stored, by what settings are called now; a newer name goes before an older one."""
    renamed = {current_key(key): value for key, value in values.items()}
    return renamed | {key: values[key] for key in renamed.keys() & values.keys()}


def _shorter(found: SettingOrigin, newer: SettingOrigin) -> SettingOrigin:
    """Whose longest reply counts: a persona's is within what its owner or a moderator allows."""
    is_persona = newer.origin == PERSONA
    if is_persona and found.origin in (MODEL, None):
        return newer
    return found if is_persona and _tokens(found) <= _tokens(newer) else newer


def _with_words(found: SettingOrigin, newer: SettingOrigin) -> SettingOrigin:
    """A persona's banned words stand beside its owner's or a moderator's, never in their place."""
    if newer.origin != PERSONA or not isinstance(found.value, list) or not found.value:
        return newer
    own = newer.value if isinstance(newer.value, list) else []
    return replace(found, value=list(dict.fromkeys([*found.value, *own])))


def _tokens(limit: SettingOrigin) -> int:
    return limit.value if isinstance(limit.value, int) else 0


# Where a persona may be stricter than a moderator, and nothing else.
BOUNDED: Mapping[str, Callable[[SettingOrigin, SettingOrigin], SettingOrigin]] = {
    "max_reply_tokens": _shorter,
    "banned_words": _with_words,
}


def _sampling_of(persona: Persona | None) -> Mapping[str, JsonValue]:
    if persona is None or persona.sampling is None:
        return {}
    return persona.sampling.model_dump(mode="json", exclude_none=True)
