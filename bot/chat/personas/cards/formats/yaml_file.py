"""YAML characters of text-generation-webui, read with a bound.

Of YAML only what these files have: one mapping of texts, perhaps with lists and mappings below.
Anchors and aliases, with which small files grow huge, are refused; every plain value is a text, so
that `name: 5` and `name: no` are names.
"""

from collections.abc import Callable, Iterator
from typing import cast

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)

from bot.chat.personas.documents import JsonObject, as_object, fault, shown

YAML_BYTES = 512 * 1024  # PyYAML reads about a megabyte a second
MOST_EVENTS = 2_000
MOST_LEVELS = 8
_NOTHING = frozenset({"", "~", "null", "Null", "NULL"})


def parse_yaml(file_name: str, text: str) -> JsonObject:
    """The mapping in a YAML text. Raises PersonaError."""
    if len(text) > YAML_BYTES:
        raise fault(file_name, None, "a YAML character is larger than 512 KiB.")
    reader = _Reader(file_name, text)
    try:
        found = as_object(reader.document())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        said = shown(str(error.problem or "it cannot be read"), 80)
        raise fault(file_name, line, f"this is not YAML: {said}.") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise fault(file_name, None, "this is not YAML that can be read.") from error
    if found is None:
        raise fault(file_name, None, "expected keys with values: name, greeting, context.")
    return found


class _Reader:
    def __init__(self, file_name: str, text: str) -> None:
        self._file_name = file_name
        self._events = self._bounded(text)

    def document(self) -> object:
        for event in self._events:
            if not isinstance(event, StreamStartEvent | DocumentStartEvent):
                return None if isinstance(event, StreamEndEvent) else self._value(event, 0)
        return None

    def _bounded(self, text: str) -> Iterator[Event]:
        parse = cast("Callable[..., Iterator[Event]]", yaml.parse)  # pyright: ignore[reportUnknownMemberType]
        for number, event in enumerate(parse(text, Loader=yaml.SafeLoader)):
            if number >= MOST_EVENTS:
                raise self._fault(event, "it has too many parts.")
            if isinstance(event, AliasEvent) or getattr(event, "anchor", None) is not None:
                raise self._fault(event, "anchors and aliases (& and *) are not read.")
            yield event

    def _value(self, event: Event, level: int) -> object:
        if level > MOST_LEVELS:
            raise self._fault(event, f"it is nested too deeply: {MOST_LEVELS} levels at most.")
        if isinstance(event, ScalarEvent):
            is_plain = event.implicit[0]
            return None if is_plain and event.value in _NOTHING else event.value
        if isinstance(event, SequenceStartEvent):
            return [self._value(each, level + 1) for each in self._until_end()]
        if isinstance(event, MappingStartEvent):
            return self._mapping(level)
        return None

    def _mapping(self, level: int) -> JsonObject:
        found: JsonObject = {}
        for event in self._until_end():
            if not isinstance(event, ScalarEvent):
                raise self._fault(event, "a key is no text.")
            key = event.value
            if key in found:
                raise self._fault(event, f"the key «{shown(key)}» stands there twice.")
            found[key] = self._value(next(self._events), level + 1)
        return found

    def _until_end(self) -> Iterator[Event]:
        for event in self._events:
            if not isinstance(event, NodeEvent):
                return
            yield event

    def _fault(self, event: Event, said: str) -> Exception:
        return fault(self._file_name, event.start_mark.line + 1, said)
