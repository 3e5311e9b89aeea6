"""What of a channel's history belongs to a prompt: cuts of a window, and what they hold."""

from collections.abc import Mapping
from dataclasses import replace

from bot.chat.definitions import ChannelSettings
from bot.chat.messages import ChannelKey, HistoryWindow, Turn
from bot.chat.ports import History

RECENT_REPLIES = 3  # which a reply is not to repeat
ROUND_POSITION = 1 << 20  # where the prompt does not look for a rounder one to begin at


async def said_to_the_bot(history: History, window: HistoryWindow) -> HistoryWindow:
    """A window without what was kept while the channel's `context` was wider than it is now."""
    known = {message_id: turn for turn in window.turns for message_id in turn.message_ids}
    kept: list[tuple[int, Turn]] = []
    for position, turn in window.numbered():
        quoted = turn.reply_to
        if _is_part(turn) or (
            quoted is not None
            and not turn.speaker.is_bot
            and await concerns_the_bot(history, turn.channel, quoted.message_id, known)
        ):
            kept.append((position, turn))
    return replace(
        window,
        turns=tuple(turn for _, turn in kept),
        positions=tuple(position for position, _ in kept),
    )


def reader_of(turn: Turn, settings: ChannelSettings) -> str | None:
    """Whose turns alone a bot's turn may be written from: None for everybody's, "" for nobody's.

    Where several people asked, what they asked is all that they share.
    """
    if settings.history_scope == "channel":
        return None
    return next(iter(turn.asked_by)) if len(turn.asked_by) == 1 else ""


def is_between(turn: Turn, reader: str) -> bool:
    """Whether a turn is somebody's own, or a reply to them alone."""
    if turn.role == "user":
        return turn.speaker.speaker_id == reader
    return turn.asked_by == frozenset({reader})


async def concerns_the_bot(
    history: History, channel: ChannelKey, message_id: str, known: Mapping[str, Turn]
) -> bool:
    turn = known.get(message_id) or await history.turn_of_message(channel, message_id)
    return turn is not None and _is_part(turn)


def _is_part(turn: Turn) -> bool:
    return turn.role == "bot" or turn.addressed


def replies_in(window: HistoryWindow) -> tuple[str, ...]:
    replies = [turn.text for turn in reversed(window.turns) if turn.role == "bot"]
    return tuple(replies[:RECENT_REPLIES])


def messages_in(window: HistoryWindow) -> int:
    """How many messages the conversation has had, those that were taken out among them."""
    numbered = window.numbered()
    return numbered[-1][0] + 1 if numbered else window.skipped


def stops_short(window: HistoryWindow, turn_id: int) -> bool:
    return window.skipped > 0 and (not window.turns or window.turns[0].turn_id > turn_id)


def beginning_with(window: HistoryWindow, turn_id: int) -> HistoryWindow:
    kept = tuple(turn for turn in window.turns if turn.turn_id >= turn_id)
    is_from_start = not window.skipped and len(kept) == len(window.turns)
    if is_from_start:
        return window
    return replace(window, turns=kept, skipped=ROUND_POSITION, positions=())
