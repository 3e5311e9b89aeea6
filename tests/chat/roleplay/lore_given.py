"""Books and chats that the tests of activation share."""

from typing import Any

from bot.chat.personas.lore.book import BookKind, Lorebook, LoreEntry
from bot.chat.roleplay.activation.activate import activate
from bot.chat.roleplay.activation.outcome import Activation, Reason
from bot.chat.roleplay.activation.request import (
    ActivationSettings,
    AttachedBook,
    ChatTurn,
    EntryId,
    PastFiring,
    Request,
    Surroundings,
)


def entry(uid: str, *keys: str, content: str = "", **extra: Any) -> LoreEntry:
    return LoreEntry(uid, keys, content or f"About {uid}.", **extra)


def book(
    *entries: LoreEntry, book_id: str = "b", precedence: int = 0, **extra: Any
) -> AttachedBook:
    made = Lorebook(BookKind.WORLD_INFO, extra.pop("name", book_id), entries=entries, **extra)
    return AttachedBook(book_id, made, precedence)


def chat(*texts: str) -> tuple[ChatTurn, ...]:
    """People and the bot in turns; a person speaks last."""
    roles = ("user", "bot")
    names = ("Alex", "Nova")
    return tuple(
        ChatTurn(roles[(len(texts) - 1 - at) % 2], names[(len(texts) - 1 - at) % 2], text)
        for at, text in enumerate(texts)
    )


def fire(
    *books: AttachedBook | LoreEntry,
    said: tuple[str, ...] | str = (),
    seed: int = 0,
    past: dict[str, list[int]] | None = None,
    around: Surroundings | None = None,
    **settings: Any,
) -> Activation:
    """Entries that are given bare make one book, «b»."""
    bare = [one for one in books if isinstance(one, LoreEntry)]
    attached = [one for one in books if isinstance(one, AttachedBook)]
    extra = {key: settings.pop(key) for key in ("count", "expand") if key in settings}
    return activate(
        Request(
            (*attached, *([book(*bare)] if bare else [])),
            chat(*((said,) if isinstance(said, str) else said)),
            ActivationSettings(**settings),
            seed,
            around or Surroundings(),
            tuple(
                PastFiring(EntryId("b", uid), at)
                for uid, times in (past or {}).items()
                for at in times
            ),
            **extra,
        )
    )


def fired(activation: Activation) -> list[str]:
    return [one.entry.uid for one in activation.fired]


def why_not(activation: Activation) -> dict[str, Reason]:
    return {one.entry.uid: one.reason for one in (*activation.left_out, *activation.silent)}
