"""What one setting takes: its type and range, reading it, and writing it for people."""

from dataclasses import dataclass
from typing import Literal, cast

from bot.chat.messages import JsonValue
from bot.errors import ChannelSettingError

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
                words = list(dict.fromkeys(w.strip() for w in text.split(",") if w.strip()))
                longest = max(map(len, words), default=0)
                if not 0 < len(words) <= WORDS or longest > WORD_CHARACTERS:
                    raise self._refusal(text)
                return words
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
            return self.parse(",".join(str(word) for word in words)) if words else []
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise self._refusal(repr(value))
        return self.parse(str(value))

    def show(self, value: JsonValue) -> str:
        """A value as people read it."""
        if isinstance(value, list):
            return ", ".join(value) or "(none)"
        if isinstance(value, float):
            short = f"{value:g}"
            return short if float(short) == value else repr(value)
        return str(value) if value not in ("", None) else "(none)"

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

    def _refusal(self, text: str) -> ChannelSettingError:
        shown = text if len(text) <= 40 else f"{text[:40]}…"
        return ChannelSettingError(
            f"«{shown}» does not do for `{self.key}`.", f"It takes {self.range_text}."
        )


def _storable(text: str) -> str:
    """Without what no database takes: NUL and halves of surrogate pairs."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
