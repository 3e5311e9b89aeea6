"""What the journal hears of from elsewhere: changed settings, and whether replies can be made."""

from bot.chat.definitions import DEFINITIONS
from bot.chat.messages import ChannelKey, JsonValue, Scope, SettingChange
from bot.chat.moderation.journal import Event, EventKind, Journal
from bot.chat.setting_definition import in_words
from bot.chat.settings import SettingsCascade
from bot.chat.talk.writer import Outcome
from bot.errors import CaduceusError

VALUE_CHARACTERS = 80


class SettingsReports:
    """Tells of every change of a setting, however it was made."""

    def __init__(self, settings: SettingsCascade, journal: Journal) -> None:
        """Listens from now on."""
        self._settings = settings
        self._journal = journal
        settings.on_changed.append(self._changed)

    async def _changed(self, channel: ChannelKey, change: SettingChange) -> None:
        old, new = [await self._shown(channel, change, v) for v in (change.old, change.new)]
        in_channel = change.scope is Scope.CHANNEL
        where = "" if in_channel else ", for the whole server"
        event = Event(
            EventKind.SETTINGS,
            f"{change.key}: {old} → {new}{where}",
            by=change.changed_by,
            channel_id=(channel.parent_id or channel.channel_id) if in_channel else "",
        )
        await self._journal.note(channel.guild_id, event)

    async def _shown(self, channel: ChannelKey, change: SettingChange, value: JsonValue) -> str:
        if value is None:
            return "not set"
        definition = DEFINITIONS.get(change.key)
        try:
            shown = (
                in_words(value)
                if definition is None
                else await self._settings.show(channel, definition, value)
            )
        except CaduceusError:  # who that was cannot be looked up now
            shown = in_words(value)
        shown = " ".join(shown.split())
        return shown if len(shown) <= VALUE_CHARACTERS else f"{shown[: VALUE_CHARACTERS - 1]}…"


class Outages:
    """Tells a guild once when replies begin to fail there, and once when they come again."""

    def __init__(self, journal: Journal) -> None:
        """All is well at first."""
        self._journal = journal
        self._failing: set[str] = set()  # guilds that were told

    async def ended(self, channel: ChannelKey, outcome: Outcome | None) -> None:
        """A reply has ended."""
        guild_id = channel.guild_id
        if guild_id is None or outcome is None:
            return
        if outcome.is_engine_down and guild_id not in self._failing:
            self._failing.add(guild_id)
            text = f"Replies fail: {outcome.error}"
            event = Event(EventKind.ENGINE, text, channel_id=channel.channel_id)
            await self._journal.note(guild_id, event)
        elif not outcome.error and outcome.statistics is not None and guild_id in self._failing:
            self._failing.discard(guild_id)
            await self._journal.note(guild_id, Event(EventKind.ENGINE, "Replies come again."))


class Erasures:
    """Tells a guild that somebody's data has gone, and not whose."""

    def __init__(self, journal: Journal) -> None:
        """Nothing at first."""
        self._journal = journal

    async def erased(self, guild_id: str) -> None:
        """What was kept of somebody there has been erased."""
        await self._journal.note(guild_id, Event(EventKind.PRIVACY, "A member's data was erased."))
