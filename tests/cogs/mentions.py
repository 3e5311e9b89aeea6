"""Whether what the bot writes can call anybody: every request of every test is looked at."""

from collections.abc import Iterable, Iterator
from typing import Any

import simcord

TEXT_DISPLAY = 10  # a component that calls people as content does; embeds call nobody


def callers(requests: Iterable[simcord.HttpLogEntry]) -> list[str]:
    """The requests that write a message and do not switch all mentions off."""
    return [
        f"{entry.method} {entry.path}: {message}"
        for entry in requests
        if entry.method in ("POST", "PATCH", "PUT")
        for message in _messages(entry)
        if _says_words(message) and not _is_quiet(message.get("allowed_mentions"))
    ]


def _messages(entry: simcord.HttpLogEntry) -> Iterator[dict[str, Any]]:
    """The messages that a request writes: a channel's, a webhook's, an interaction's answer."""
    body = entry.json
    if not isinstance(body, dict):
        return
    if entry.path.endswith("/callback"):
        if body.get("type") in (4, 7):  # an answer, or an edit of the message with the button
            yield body.get("data") or {}
    elif "/messages" in entry.path or "/webhooks/" in entry.path:
        yield body
    elif entry.path.endswith("/threads") and "message" in body:
        yield body["message"]


def _says_words(message: dict[str, Any]) -> bool:
    return bool(message.get("content")) or _has_text(message.get("components"))


def _has_text(components: Any) -> bool:
    if isinstance(components, list):
        return any(_has_text(one) for one in components)
    if not isinstance(components, dict):
        return False
    return components.get("type") == TEXT_DISPLAY or _has_text(components.get("components"))


def _is_quiet(allowed: Any) -> bool:
    if not isinstance(allowed, dict) or allowed.get("parse") != []:
        return False
    return not (allowed.get("users") or allowed.get("roles") or allowed.get("replied_user"))
