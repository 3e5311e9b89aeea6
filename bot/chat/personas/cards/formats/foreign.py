"""Characters of other programs as V3 cards: text-generation-webui's, and Backyard's archives.

What a V3 card has no place for is kept in `extensions.caduceus` under the program's name.
"""

import posixpath
import re

from bot.chat.personas.cards.versions import OURS, Version, convert
from bot.chat.personas.documents import (
    JsonObject,
    as_list,
    as_object,
    decode,
    parse_json,
)
from bot.errors import PersonaError

_MACRO = re.compile(r"(?<!\{)#?\{(character|user)\}(?!\})", re.IGNORECASE)
_MOST_SCENARIOS = 100
_DOCUMENTS_BYTES = 2 * 1024 * 1024  # real ones have 20 KB


def webui_document(values: JsonObject) -> JsonObject:
    """The V3 card of a character of text-generation-webui: name, greeting, context."""
    known = {
        "name": "name",
        "context": "description",
        "greeting": "first_mes",
        "example_dialogue": "mes_example",
    }
    data: JsonObject = {key: values[name] for name, key in known.items() if name in values}
    rest = {name: value for name, value in values.items() if name not in known}
    if rest:
        data["extensions"] = {OURS: {"text-generation-webui": rest}}
    return convert(Version.V2, {"data": data}, Version.V3)


class ByafArchive:
    """A Backyard archive (BYAF 1): manifest, characters, scenarios, pictures.

    The first character becomes the card, the first scenario its scenario and first greeting; the
    first messages of the others are alternates. Chats in it stay out: they are somebody's.
    """

    def __init__(self, file_name: str, files: dict[str, bytes]) -> None:
        """Reads the archive. Raises PersonaError."""
        self.warnings: list[str] = []
        self._file_name = file_name
        self._files = files
        self._bytes = 0  # of documents read
        self._manifest = self._object("manifest.json")
        paths = self._paths("characters")
        if not paths:
            raise PersonaError(f"{file_name} names no character in its manifest.")
        if len(paths) > 1:
            self.warnings.append("The archive holds several characters; the first one is used.")
        self._path = paths[0]
        self._character = self._object(self._path)
        self._scenarios = [self._object(path) for path in self._paths("scenarios")]

    def document(self) -> JsonObject:
        """The V3 card."""
        first = self._scenarios[0] if self._scenarios else {}
        greetings = [
            text
            for scenario in self._scenarios
            for text in _texts(scenario.get("firstMessages"))[:1]
        ]
        examples = _texts(first.get("exampleMessages"))
        own: JsonObject = {
            "manifest": self._manifest,
            "character": self._character,
            "scenarios": [self._without_chat(each) for each in self._scenarios],
        }
        author = as_object(self._manifest.get("author")) or {}
        data: JsonObject = {
            "name": self._character.get("name") or self._character.get("displayName"),
            "description": _with_macros(self._character.get("persona")),
            "scenario": _with_macros(first.get("narrative")),
            "first_mes": greetings[0] if greetings else "",
            "alternate_greetings": greetings[1:],
            "mes_example": "\n".join(["<START>", *examples]) if examples else "",
            "system_prompt": _with_macros(first.get("formattingInstructions")),
            "creator": str(author.get("name") or ""),
            "extensions": {OURS: {"byaf": own}},
        }
        entries = self._entries()
        if entries:
            data["character_book"] = {"extensions": {}, "entries": entries}
        return convert(Version.V2, {"data": data}, Version.V3)

    def picture(self) -> bytes | None:
        """The character's first picture."""
        folder = posixpath.dirname(self._path)
        for each in as_list(self._character.get("images")) or []:
            path = str((as_object(each) or {}).get("path") or "")
            for place in (posixpath.normpath(posixpath.join(folder, path)), path):
                if path and place in self._files:
                    return self._files[place]
        return None

    def _entries(self) -> list[object]:
        found: list[object] = []
        for item in as_list(self._character.get("loreItems")) or []:
            lore = as_object(item) or {}
            keys = [key.strip() for key in str(lore.get("key") or "").split(",")]
            found.append(
                {
                    "keys": [_with_macros(key) for key in keys if key],
                    "content": _with_macros(lore.get("value")),
                    "extensions": {},
                    "enabled": True,
                    "insertion_order": len(found),
                    "use_regex": False,
                }
            )
        return found

    def _without_chat(self, scenario: JsonObject) -> JsonObject:
        if as_list(scenario.get("messages")):
            said = "The archive holds a chat, which is not taken along."
            self.warnings += [said] if said not in self.warnings else []
        return {key: value for key, value in scenario.items() if key != "messages"}

    def _paths(self, key: str) -> list[str]:
        found = as_list(self._manifest.get(key)) or []
        paths = [posixpath.normpath(path) for path in found if isinstance(path, str)]
        return list(dict.fromkeys(paths))[:_MOST_SCENARIOS]

    def _object(self, path: str) -> JsonObject:
        content = self._files.get(path)
        if content is None:
            raise PersonaError(f"{self._file_name} lacks a file that it names.")
        self._bytes += len(content)
        if self._bytes > _DOCUMENTS_BYTES:
            raise PersonaError(f"{self._file_name} holds more than 2 MiB of texts.")
        document = as_object(parse_json(self._file_name, decode(self._file_name, content)))
        if document is None:
            raise PersonaError(f"{self._file_name} is no Backyard archive that can be read.")
        return document


def _texts(value: object) -> list[str]:
    """The texts of a list of messages."""
    found = [_with_macros((as_object(each) or {}).get("text")) for each in as_list(value) or []]
    return [text for text in found if isinstance(text, str) and text]


def _with_macros(value: object) -> object:
    """A text with `{character}` and `{user}` as cards write them."""
    if not isinstance(value, str):
        return "" if value is None else value
    return _MACRO.sub(lambda found: "{{user}}" if found[1].lower() == "user" else "{{char}}", value)
