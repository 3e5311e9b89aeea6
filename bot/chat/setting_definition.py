"""One setting of a guild or channel: what it takes, how it is shown, and who may set it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Literal, NoReturn, cast

from bot.chat.messages import JsonValue, Scope
from bot.chat.text import quiet_hours
from bot.errors import ChannelSettingError, NotAllowed

Kind = Literal["text", "words", "choice", "integer", "number", "persona", "roles", "hours"]

TEXT_CHARACTERS = 2_000
WORDS = 20
WORD_CHARACTERS = 100

_MENTION = re.compile(r"<@[!&]?[0-9]{1,20}>")
_LISTS = ("words", "roles")


class InDirect(Enum):
    """Who may set something in a direct message, besides the bot's owner."""

    MEMBER = "its member"
    OWNER = "the bot's owner alone"
    IDLE = "its member, to no effect"


@dataclass(frozen=True, slots=True)
class Setter:
    """Who wants to change a setting, as far as it counts for that."""

    is_owner: bool = False  # of the bot
    manages_server: bool = False
    manages_channel: bool = False


@dataclass(frozen=True, slots=True)
class SettingDefinition:
    """One setting: its type, range, default and help, and who may set it."""

    key: str
    kind: Kind
    default: JsonValue
    help: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    above_minimum: bool = False  # the minimum itself is excluded
    in_direct: InDirect = InDirect.MEMBER

    @property
    def range_text(self) -> str:
        """The acceptable values, in words."""
        match self.kind:
            case "choice":
                return ", ".join(self.choices)
            case "words":
                return f"up to {WORDS} words of {WORD_CHARACTERS} characters, separated by commas"
            case "roles":
                return f"up to {WORDS} roles and members, separated by commas"
            case "hours":
                return f"hours and a time zone, as `{quiet_hours.EXAMPLE}`"
            case "text":
                return f"text of up to {TEXT_CHARACTERS} characters"
            case "persona":
                return "the name of a persona"
            case _:
                above = "above " if self.above_minimum else ""
                return f"{above}{_figure(self.minimum)} to {_figure(self.maximum)}"

    @property
    def setters_text(self) -> str:
        """Who may set it, in words."""
        return (
            "Manage Server; for a channel, Manage Channels too. In a direct message: "
            f"{self.in_direct.value}."
        )

    def require_setter(self, setter: Setter, scope: Scope, *, is_direct: bool) -> None:
        """Raise NotAllowed unless somebody may set it in a scope."""
        require_scope(setter, scope, is_direct=is_direct)
        if not is_direct:
            return
        if self.in_direct is InDirect.OWNER and not setter.is_owner:
            raise NotAllowed(
                f"`{self.key}` bounds who uses the machine that the bot runs on, and how much: in "
                "a direct message, the bot's owner alone sets it."
            )

    def parse(self, text: str) -> JsonValue:
        """What a person typed, as a value. Raises ChannelSettingError."""
        text = _storable(text).strip()
        match self.kind:
            case "integer" | "number":
                return self._number(text)
            case "choice":
                value = text.lower()
                if value not in self.choices:
                    raise self._refusal(text)
                return value
            case "words":
                return self._words(text.split(",")) or self._refuse(text)
            case "roles":
                listed = _MENTION.sub(r",\g<0>,", text)
                return self._words(map(_whom, listed.split(","))) or self._refuse(text)
            case "hours":
                try:
                    return str(quiet_hours.parse(text))
                except ValueError as error:
                    raise self._refusal(text, str(error)) from None
            case _:
                if not text or len(text) > TEXT_CHARACTERS:
                    raise self._refusal(text)
                return text

    def check(self, value: object) -> JsonValue:
        """A stored or configured value, checked. Raises ChannelSettingError."""
        if isinstance(value, list):
            words = cast("list[object]", value)
            if self.kind not in _LISTS or not all(isinstance(word, str) for word in words):
                raise self._refusal(repr(words))
            listed = [_storable(str(word)) for word in words]
            return self._words(map(_whom, listed) if self.kind == "roles" else listed)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise self._refusal(repr(value))
        return self.parse(str(value))

    def show(self, value: JsonValue) -> str:
        """A value as people read it."""
        return in_words(value)

    def _number(self, text: str) -> JsonValue:
        try:
            value = int(text) if self.kind == "integer" else float(text)
        except ValueError:
            raise self._refusal(text) from None
        low, high = self.minimum or 0.0, self.maximum or 0.0
        fits = low < value if self.above_minimum else low <= value
        if not (fits and value <= high):  # also refuses NaN
            raise self._refusal(text)
        return value

    def _words(self, given: Iterable[str]) -> list[str]:
        words = list(dict.fromkeys(word.strip() for word in given if word.strip()))
        if len(words) > WORDS or max(map(len, words), default=0) > WORD_CHARACTERS:
            self._refuse(", ".join(words))
        return words

    def _refuse(self, text: str) -> NoReturn:
        raise self._refusal(text)

    def _refusal(self, text: str, fix: str = "") -> ChannelSettingError:
        shown = text if len(text) <= 40 else f"{text[:40]}…"
        return ChannelSettingError(
            f"«{shown}» is not valid for `{self.key}`.", fix or f"It takes {self.range_text}."
        )


def require_scope(setter: Setter, scope: Scope, *, is_direct: bool) -> None:
    """Raise NotAllowed unless somebody may set anything at all in a scope."""
    if scope is Scope.OWNER:
        raise NotAllowed("What holds for the whole bot stands in its owner's `defaults.toml`.")
    if is_direct:
        if scope is not Scope.CHANNEL:
            raise NotAllowed(
                "There is no server here.", "In a direct message, use scope `channel`."
            )
        return
    is_channel = scope is Scope.CHANNEL
    if setter.is_owner or setter.manages_server or (is_channel and setter.manages_channel):
        return
    needed = "Manage Channels or Manage Server" if is_channel else "Manage Server"
    whose = "a channel's" if is_channel else "the server's"
    raise NotAllowed(f"Changing {whose} settings needs the permission {needed}.")


def in_words(value: JsonValue) -> str:
    """A value as people read it, also one of a setting that is no more."""
    if isinstance(value, list):
        return ", ".join(value) or "(none)"
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return str(value) if value not in ("", None) else "(none)"


def _figure(bound: float | None) -> str:
    """The end of a range, a large one in full, as it can be typed."""
    bound = bound or 0.0
    return f"{bound:.0f}" if bound == round(bound) else f"{bound:g}"


def _whom(text: str) -> str:
    """A role or member as it is kept: a mention, an id, or a name without its «@»."""
    return text.strip().replace("<@!", "<@").removeprefix("@").strip()


def _storable(text: str) -> str:
    """Without what no database takes: NUL and halves of surrogate pairs."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
