"""The settings of a guild or channel, each defined once.

A field of :class:`ChannelSettings` is a setting: its type, range, default and help. Commands,
autocomplete, the workbench's controls and the README's table are all made from
:data:`DEFINITIONS`, which is made from those fields.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NoReturn, cast, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

from bot.chat.messages import JsonValue
from bot.engine.api import Sampling
from bot.errors import ChannelSettingError, NotFound

Kind = Literal["text", "words", "choice", "integer", "number", "persona"]

TEXT_CHARACTERS = 2_000
WORDS = 20
WORD_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class SettingDefinition:
    """One setting: its type, range, default and help."""

    key: str
    kind: Kind
    default: JsonValue
    help: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    above_minimum: bool = False  # the minimum itself is excluded

    @property
    def range_text(self) -> str:
        """The acceptable values, in words."""
        if self.kind == "choice":
            return ", ".join(self.choices)
        if self.kind == "words":
            return f"up to {WORDS} words of {WORD_CHARACTERS} characters, separated by commas"
        if self.kind == "text":
            return f"text of up to {TEXT_CHARACTERS} characters"
        if self.kind == "persona":
            return "the name of a persona"
        low = f"above {self.minimum:g}" if self.above_minimum else f"{self.minimum:g}"
        return f"{low} to {self.maximum:g}"

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
            case _:
                if not text or len(text) > TEXT_CHARACTERS:
                    raise self._refusal(text)
                return text

    def check(self, value: object) -> JsonValue:
        """A stored or configured value, checked. Raises ChannelSettingError."""
        if isinstance(value, list):
            words = cast("list[object]", value)
            if self.kind != "words" or not all(isinstance(word, str) for word in words):
                raise self._refusal(repr(words))
            return self._words([_storable(str(word)) for word in words])
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

    def _words(self, given: list[str]) -> list[str]:
        words = list(dict.fromkeys(word.strip() for word in given if word.strip()))
        if len(words) > WORDS or max(map(len, words), default=0) > WORD_CHARACTERS:
            self._refuse(", ".join(words))
        return words

    def _refuse(self, text: str) -> NoReturn:
        raise self._refusal(text)

    def _refusal(self, text: str) -> ChannelSettingError:
        shown = text if len(text) <= 40 else f"{text[:40]}…"
        return ChannelSettingError(
            f"«{shown}» is not valid for `{self.key}`.", f"It takes {self.range_text}."
        )


def in_words(value: JsonValue) -> str:
    """A value as people read it, also one of a setting that is no more."""
    if isinstance(value, list):
        return ", ".join(value) or "(none)"
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return str(value) if value not in ("", None) else "(none)"


class ChannelSettings(BaseModel):
    """The settings in force in one channel: each key with its type, range, default and help."""

    model_config = ConfigDict(frozen=True)

    trigger: Literal["mention", "always", "wakeword", "chance", "off"] = Field(
        "mention",
        description="When the bot answers, besides replies to it: when mentioned, always, at a "
        "wake word (or mention), by chance (or mention), or never.",
    )
    wake_words: tuple[str, ...] = Field(
        (), description="Words that wake the bot where trigger is wakeword."
    )
    chance: float = Field(
        0.1,
        ge=0,
        le=1,
        description="How likely the bot answers a message where trigger is chance: 0 never, "
        "1 always.",
    )
    persona: Annotated[str, "persona"] = Field("", description="Who the bot is here.")
    persona_choice: Literal["members", "moderators"] = Field(
        "members", description="Who may choose the persona with `/persona use`."
    )
    voice: Literal["webhook", "bot"] = Field(
        "webhook",
        description="How a persona speaks in Discord, unless it is the bot itself: by a webhook, "
        "under its own name and picture, or as the bot, with its name in bold.",
    )
    persona_chain: int = Field(
        2,
        ge=0,
        le=8,
        description="How often personas answer each other, where several are, until somebody else "
        "says something.",
    )
    context: Literal["addressed", "channel"] = Field(
        "addressed",
        description="What is kept and seen: only what is said to the bot and its replies, or all "
        "that is said in the channel.",
    )
    temperature: float = Field(
        0.7,
        ge=0,
        le=2,
        description="How freely the model chooses: 0 always takes the likeliest word.",
    )
    top_p: float = Field(
        0.95,
        gt=0,
        le=1,
        description="Choose among the likeliest words that together have this probability; 1 is "
        "off.",
    )
    top_k: int = Field(
        0, ge=0, le=1000, description="Choose among this many of the likeliest words; 0 is off."
    )
    min_p: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Leave out words less likely than this share of the likeliest one; 0 is off.",
    )
    repetition_penalty: float = Field(
        1.15,
        ge=0.5,
        le=2,
        description="Above 1, words already used become less likely; 1 is off.",
    )
    presence_penalty: float = Field(
        0.0,
        ge=-2,
        le=2,
        description="Above 0, words said lately become less likely, however often; 0 is off.",
    )
    frequency_penalty: float = Field(
        0.0,
        ge=-2,
        le=2,
        description="Above 0, words said lately become less likely each time again; 0 is off.",
    )
    dry_multiplier: float = Field(
        0.0,
        ge=0,
        le=5,
        description="DRY: how strongly a phrase said before is kept from being said again; 0 is "
        "off, 0.8 is usual.",
    )
    dry_base: float = Field(
        1.75,
        ge=1,
        le=4,
        description="DRY: how much stronger with each word by which the repetition is longer.",
    )
    dry_allowed_length: int = Field(
        2, ge=1, le=100, description="DRY: how long a repetition may be, in tokens, for nothing."
    )
    xtc_probability: float = Field(
        0.0,
        ge=0,
        le=1,
        description="XTC: how often the likeliest words are left out where several would do; 0 is "
        "off, 0.5 is usual.",
    )
    xtc_threshold: float = Field(
        0.1,
        ge=0,
        le=0.5,
        description="XTC: words at least this likely are left out, all but the least likely of "
        "them.",
    )
    banned_words: tuple[str, ...] = Field(
        (),
        description="Words and phrases that no reply contains, in capitals or not, inside longer "
        "words too.",
    )
    max_reply_tokens: int = Field(
        512,
        ge=16,
        le=2048,
        description="The longest reply, in tokens (about four characters each).",
    )
    history_turns: int = Field(
        100,
        ge=0,
        le=500,
        description="How many earlier turns the model sees at most; what fits its context decides "
        "too.",
    )
    memory_summary: Literal["on", "off"] = Field(
        "on",
        description="Whether what no longer fits the model's context is folded into a summary, "
        "while nobody asks for anything.",
    )
    memory_recall: Literal["on", "off"] = Field(
        "on",
        description="Whether what was said long ago in the conversation is found again by the "
        "newest message's words, and told beside the newest turns.",
    )
    instructions: str = Field(
        "", description="Added to the system text: how the bot should behave here."
    )
    history_scope: Literal["channel", "user"] = Field(
        "channel",
        description="Whose turns the model sees: everybody's in the channel, or those of whoever "
        "asks and the replies to them alone. Scenes are everybody's.",
    )
    streaming: Literal["on", "off"] = Field(
        "on",
        description="Whether a reply is shown while it is written, or at once when it is whole.",
    )
    buttons: Literal["on", "off"] = Field(
        "on", description="Whether buttons stand under the bot's replies."
    )
    allowed_roles: tuple[str, ...] = Field(
        (),
        description="Whom the bot answers: roles and members, as mentions, ids or names; everybody "
        "where none is given.",
    )
    blocked_roles: tuple[str, ...] = Field(
        (),
        description="Whom the bot does not hear: roles and members, as mentions, ids or names; "
        "goes before allowed_roles.",
    )
    rate_limit: int = Field(
        20,
        ge=0,
        le=600,
        description="How many messages of one member the bot answers in a minute; 0 is no limit.",
    )
    channel_rate_limit: int = Field(
        0,
        ge=0,
        le=6000,
        description="How many messages the bot answers in a minute in one channel; 0 is no limit.",
    )
    daily_tokens: int = Field(
        0,
        ge=0,
        le=100_000_000,
        description="How many tokens a day (of UTC) the bot writes for one member in the server; "
        "0 is no limit.",
    )
    quiet_hours: str = Field(
        "",
        description="When the bot answers nobody, every day: `22:00-07:00 Europe/Berlin` (UTC "
        "without a zone).",
    )
    answer_bots: Literal["on", "off"] = Field(
        "off", description="Whether other bots are answered, a few times in a row at most."
    )
    links: Literal["keep", "plain"] = Field(
        "keep",
        description="What becomes of links in replies: kept, or written out in plain, with no "
        "masked links and no invites.",
    )
    retention_days: int = Field(
        0,
        ge=0,
        le=3650,
        description="After how many days what was said is deleted for good; 0 keeps it.",
    )

    def sampling(self, seed: int | None = None) -> Sampling:
        """The part of it that the engine wants."""
        return Sampling(
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            min_p=self.min_p,
            repetition_penalty=self.repetition_penalty,
            seed=seed,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            dry_multiplier=self.dry_multiplier,
            dry_base=self.dry_base,
            dry_allowed_length=self.dry_allowed_length,
            xtc_probability=self.xtc_probability,
            xtc_threshold=self.xtc_threshold,
            banned_words=self.banned_words,
        )


def _define(key: str, field: FieldInfo) -> SettingDefinition:
    """What a field of :class:`ChannelSettings` says of its setting."""
    default = field.get_default()
    bounds: dict[type[Any], Any] = {type(bound): bound for bound in field.metadata}
    low, above, high = bounds.get(Ge), bounds.get(Gt), bounds.get(Le)
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    kinds: dict[object, Kind] = {float: "number", int: "integer", str: "text"}
    kind: Kind = "choice" if choices else kinds.get(field.annotation, "words")
    return SettingDefinition(
        key,
        "persona" if "persona" in field.metadata else kind,
        list(default) if kind == "words" else default,
        field.description or "",
        choices=choices,
        minimum=above.gt if above else low.ge if low else None,
        maximum=high.le if high else None,
        above_minimum=above is not None,
    )


DEFINITIONS: Mapping[str, SettingDefinition] = {
    key: _define(key, field) for key, field in ChannelSettings.model_fields.items()
}


def definition_of(key: str) -> SettingDefinition:
    """The definition of a key. Raises NotFound, naming the keys there are."""
    try:
        return DEFINITIONS[key.strip().lower()]
    except KeyError:
        raise NotFound(
            f"There is no setting «{key[:40]}».", f"There are: {', '.join(DEFINITIONS)}."
        ) from None


def _storable(text: str) -> str:
    """Without what no database takes: NUL and halves of surrogate pairs."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
