"""A card's fields as a persona: wrong types are taken as what they were meant to be, and named.

The document stays as it came; what is left out here is only what cannot enter a prompt.
"""

import re
from collections.abc import Callable, Mapping

from pydantic import ValidationError

from bot.chat.persona import (
    DEPTH_TURNS,
    LIST_ITEMS,
    NAME_CHARACTERS,
    SUMMARY_CHARACTERS,
    TEXT_CHARACTERS,
    DepthPrompt,
    PersonaSampling,
    PersonaText,
)
from bot.chat.personas.cards.versions import OURS
from bot.chat.personas.documents import (
    JsonObject,
    as_list,
    as_object,
    fault,
    shown,
)
from bot.chat.text.names import clean_name, is_like_an_id
from bot.errors import PersonaError

CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
LINE_END = re.compile("\r\n?")  # Windows' cards have them

# Our texts: V3's keys for them.
TEXTS: Mapping[str, str] = {
    "description": "description",
    "personality": "personality",
    "scenario": "scenario",
    "greeting": "first_mes",
    "example_dialogue": "mes_example",
    "system_text": "system_prompt",
    "closing_reminder": "post_history_instructions",
    "creator_notes": "creator_notes",
    "creator": "creator",
    "character_version": "character_version",
}
LISTS: Mapping[str, str] = {
    "alternate_greetings": "alternate_greetings",
    "group_greetings": "group_only_greetings",
    "tags": "tags",
}
_NAMES_REFUSED = ("clyde", "discord")  # anywhere in the name
_ROLES: Mapping[object, str] = {0: "system", 1: "user", 2: "assistant"}  # as SillyTavern has them


def persona_of(
    file_name: str, data: JsonObject, line_of: Callable[[str], int | None]
) -> tuple[PersonaText, list[str]]:
    """The persona in V3's `data`, and warnings about what was unusual.

    `line_of` tells where a key stands. Raises PersonaError where there is no usable name, or a text
    is longer than any context.
    """
    reader = _Fields(data)
    extensions = reader.table("extensions")
    ours = as_object(extensions.get(OURS)) or {}
    try:
        name = checked_name(data.get("name"))
        values: dict[str, object] = {
            **{field: reader.text(key) for field, key in TEXTS.items()},
            **{field: reader.texts(key) for field, key in LISTS.items()},
            "name": reader.short("name", name),
            "nickname": reader.short("nickname", reader.text("nickname").strip()),
            "summary": reader.plain(str(ours.get("summary") or ""))[:SUMMARY_CHARACTERS],
            "depth_prompt": reader.depth_prompt(extensions.get("depth_prompt")),
            "talkativeness": reader.talkativeness(extensions.get("talkativeness")),
            "lorebook": reader.book(),
            "translated_notes": reader.translations(),
            "sampling": reader.sampling(ours.get("sampling")),
            "age_restricted": ours.get("age_restricted") is True,
            "stop_words": reader.list_of("stop_words", ours.get("stop_words")),
        }
        return PersonaText.model_validate(values), reader.warnings
    except PersonaError as error:
        raise fault(file_name, line_of("name"), error.message, error.fix) from error
    except ValidationError as error:
        field = str(error.errors(include_url=False, include_context=False)[0]["loc"][0])
        key = {**TEXTS, **LISTS}.get(field, field)
        said = f"«{key}» is longer than {TEXT_CHARACTERS:,} characters."
        raise fault(file_name, line_of(key), said) from error


def checked_name(value: object) -> str:
    """A card's or file's name, if a persona can have it. Raises PersonaError without a file."""
    if value is None:
        raise PersonaError("expected the key «name» (or «char_name»).")
    if not isinstance(value, str):
        raise PersonaError("expected text in quotes for «name».")
    name = LINE_END.sub("\n", value).strip()
    if not name:
        raise PersonaError("«name» is empty.")
    if bad := CONTROLS.search(name):
        raise PersonaError(f"«name» holds the control character {bad[0]!r}.")
    if "\n" in name:
        raise PersonaError("a name has only one line.")
    if not clean_name(name, default=""):
        raise PersonaError("«name» shows nothing.")
    if is_like_an_id(name):
        raise PersonaError(
            f"«{shown(name)}» looks like the id of a persona, so it can't be a name.",
            "Take another name.",
        )
    return name


def about_name(name: str) -> list[str]:
    """A warning where Discord refuses the name for a webhook («Create Webhook»)."""
    folded = name.casefold()
    if len(name) > 1 and not any(word in folded for word in _NAMES_REFUSED):
        return []
    return [f"Discord refuses the name «{name}»: it is shown a little changed."]


class _Fields:
    """Reads fields of a card leniently, and remembers what was unusual."""

    def __init__(self, data: JsonObject) -> None:
        self.warnings: list[str] = []
        self._data = data

    def text(self, key: str) -> str:
        return self._text(key, self._data.get(key))

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._data.get(key)
        if isinstance(value, str) and key == "tags":
            value = [tag.strip() for tag in value.split(",")]
        return self.list_of(key, value)

    def short(self, key: str, text: str) -> str:
        if len(text) > NAME_CHARACTERS:
            self.warnings.append(f"«{key}» is cut after {NAME_CHARACTERS} characters.")
        return text[:NAME_CHARACTERS]

    def list_of(self, key: str, value: object) -> tuple[str, ...]:
        if value in (None, ""):
            return ()
        items = as_list(value)
        if items is None:
            self.warnings.append(f"«{key}» is not a list; it is taken as one entry.")
            items = [value]
        found = [self._text(key, item) for item in items[:LIST_ITEMS]]
        if len(items) > LIST_ITEMS:
            self.warnings.append(f"Only the first {LIST_ITEMS} of «{key}» are used.")
        return tuple(text for text in found if text.strip())

    def table(self, key: str) -> JsonObject:
        value = self._data.get(key)
        found = as_object(value)
        if found is None and value not in (None, "", []):
            self.warnings.append(f"«{key}» is not an object in braces and is not used.")
        return found or {}

    def book(self) -> JsonObject | None:
        value = self._data.get("character_book")
        if entries := as_list(value):
            return {"entries": entries}
        return self.table("character_book") or None

    def translations(self) -> dict[str, str]:
        found = self.table("creator_notes_multilingual")
        texts = {
            self.plain(language)[:20]: self._text("creator_notes_multilingual", each)
            for language, each in list(found.items())[:LIST_ITEMS]
        }
        return {language: text for language, text in texts.items() if text}

    def depth_prompt(self, value: object) -> DepthPrompt | None:
        found = as_object(value) or {}
        text = self._text("depth_prompt", found.get("prompt"))
        if not text.strip():
            return None
        depth = _number(found.get("depth", 4))
        if depth is None or not 0 <= depth <= DEPTH_TURNS:
            self.warnings.append("The depth prompt has no usable depth; it is taken as 4.")
            depth = 4
        role = found.get("role") or "system"
        role = _ROLES.get(role, role) if isinstance(role, int | str) else role
        if role not in _ROLES.values():
            self.warnings.append("The depth prompt's role is unknown; it is taken as «system».")
            role = "system"
        return DepthPrompt.model_validate({"text": text, "depth": int(depth), "role": role})

    def talkativeness(self, value: object) -> float | None:
        if value in (None, ""):
            return None
        number = _number(value)
        if number is None or not 0 <= number <= 1:
            self.warnings.append("«talkativeness» is not a number from 0 to 1 and is not used.")
            return None
        return number

    def sampling(self, value: object) -> PersonaSampling | None:
        if value is None:
            return None
        try:
            return PersonaSampling.model_validate(value)
        except ValidationError:
            self.warnings.append("The card's sampling for Caduceus cannot be read; it is not used.")
            return None

    def plain(self, text: str) -> str:
        return CONTROLS.sub("", LINE_END.sub("\n", text).replace("\u2028", "\n"))

    def _text(self, key: str, value: object) -> str:
        if value is None:
            return ""
        if isinstance(value, bool | int | float):
            self.warnings.append(f"«{key}» holds a number, which is taken as text.")
            return str(value)
        lines = as_list(value)
        if lines and all(isinstance(line, str) for line in lines):
            self.warnings.append(f"«{key}» holds a list, which is taken as lines of one text.")
            value = "\n".join(str(line) for line in lines)
        if not isinstance(value, str):
            if value:
                self.warnings.append(f"«{key}» holds no text and is not used.")
            return ""
        return self.plain(value)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
