"""The fields of a persona as forms show them, and as people type them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bot.chat.persona import NAME_CHARACTERS, SUMMARY_CHARACTERS, DepthPrompt, PersonaText
from bot.errors import PersonaError

SHORT = 100
LONG = 4_000


@dataclass(frozen=True, slots=True)
class Line:
    """One input of a form of short fields: how a value is shown, and read again."""

    field: str
    label: str
    most: int
    show: Callable[[PersonaText], str]
    read: Callable[[PersonaText, str], object]
    is_long: bool = False
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """What can be chosen to be edited: a form of short fields, or one long text."""

    key: str
    label: str
    help: str
    lines: tuple[Line, ...] = ()  # none: the field `key` is one long text


def _words(field: str, label: str, most: int, **more: bool) -> Line:
    return Line(
        field, label, most, lambda text: getattr(text, field), lambda _, typed: typed, **more
    )


def _tags(_: PersonaText, typed: str) -> object:
    return tuple(tag for each in typed.split(",") if (tag := each.strip()))


def _lines(_: PersonaText, typed: str) -> object:
    return tuple(line for each in typed.splitlines() if (line := each.strip()))


def _number(typed: str, label: str, kind: Callable[[str], float | int]) -> float | int:
    try:
        return kind(typed.strip().replace(",", "."))
    except (ValueError, OverflowError) as error:
        raise PersonaError(f"{label}: «{typed.strip()[:40]}» is not a number.") from error


def _talkativeness(_: PersonaText, typed: str) -> object:
    return _number(typed, "Talkativeness", float) if typed.strip() else None


def _show_talkativeness(text: PersonaText) -> str:
    return "" if text.talkativeness is None else f"{text.talkativeness:g}"


def _show_sampling(text: PersonaText) -> str:
    values = text.sampling.model_dump(exclude_none=True) if text.sampling else dict[str, float]()
    return "\n".join(f"{key} = {value:g}" for key, value in values.items())


def _sampling(_: PersonaText, typed: str) -> object:
    values: dict[str, float | int] = {}
    for line in typed.splitlines():
        key, _equals, value = line.partition("=")
        if line.strip():
            kind = int if key.strip() in _WHOLE else float
            values[key.strip()] = _number(value, key.strip()[:40] or "Sampling", kind)
    return values or None


_WHOLE = ("top_k", "dry_allowed_length", "max_reply_tokens")


def _depth(text: PersonaText, typed: str) -> object:
    before = text.depth_prompt
    if before is None:
        if typed.strip() not in ("", "4"):
            raise PersonaError("The note has no text yet.", "Write its text first.")
        return None
    return before.model_copy(update={"depth": _number(typed or "4", "Depth", int)}).model_dump()


DEPTH_TEXT = "depth_prompt"
CHOICES: tuple[Choice, ...] = (
    Choice("names", "Name and labels", "name, nickname, one line for lists, tags, creator", (
        _words("name", "Name", NAME_CHARACTERS, is_required=True),
        _words("nickname", "Nickname: what it is called in the texts", NAME_CHARACTERS),
        _words("summary", "One line for lists", SUMMARY_CHARACTERS),
        Line("tags", "Tags, with commas between", LONG, lambda t: ", ".join(t.tags), _tags),
        _words("creator", "Creator", LONG),
    )),
    Choice("description", "Description", "who it is and how it looks"),
    Choice("personality", "Personality", "what it is like"),
    Choice("scenario", "Scenario", "where and when it all happens"),
    Choice("greeting", "Greeting", "what it says first"),
    Choice("example_dialogue", "Examples", "how it talks"),
    Choice("system_text", "System text", "takes the place of the bot's own"),
    Choice("closing_reminder", "Closing reminder", "stands last in every prompt"),
    Choice(DEPTH_TEXT, "Note at a depth", "stands some turns before the newest"),
    Choice("creator_notes", "Notes", "for people, never in a prompt"),
    Choice("numbers", "How it speaks", "sampling, stop words, talkativeness, depth of the note", (
        Line("sampling", "Sampling: temperature = 0.9, one a line", LONG, _show_sampling,
             _sampling, is_long=True),
        Line("stop_words", "Stop words, one a line", LONG, lambda t: "\n".join(t.stop_words),
             _lines, is_long=True),
        Line("talkativeness", "Talkativeness, 0 to 1", SHORT, _show_talkativeness,
             _talkativeness),
        Line("depth_prompt", "Depth of the note, in turns", SHORT,
             lambda t: str(t.depth_prompt.depth) if t.depth_prompt else "", _depth),
        _words("character_version", "Version of the card", LONG),
    )),
)  # fmt: skip
BY_KEY: Mapping[str, Choice] = {choice.key: choice for choice in CHOICES}
GREETING = "greeting:{}"  # an alternate one, by its place


def long_text(text: PersonaText, key: str) -> str:
    """The long text that a key stands for."""
    if key.startswith("greeting:"):
        place = int(key.partition(":")[2])
        return text.alternate_greetings[place] if place < len(text.alternate_greetings) else ""
    if key == DEPTH_TEXT:
        return text.depth_prompt.text if text.depth_prompt else ""
    return str(getattr(text, key))


def long_change(text: PersonaText, key: str, typed: str) -> dict[str, object]:
    """The change of a persona that another long text is."""
    if key.startswith("greeting:"):
        place = int(key.partition(":")[2])
        others = list(text.alternate_greetings)
        others[place : place + 1] = [typed] if typed.strip() else []
        return {"alternate_greetings": tuple(others)}
    if key == DEPTH_TEXT:
        before = text.depth_prompt or DepthPrompt(text="")
        after = before.model_copy(update={"text": typed}).model_dump() if typed.strip() else None
        return {DEPTH_TEXT: after}
    return {key: typed}
