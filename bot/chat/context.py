"""What of a channel's talk is kept and seen: the `context` setting."""

from collections.abc import Mapping
from dataclasses import replace

from bot.chat.messages import ChannelKey, HistoryWindow, IncomingMessage, Turn
from bot.chat.ports import History
from bot.chat.settings import ChannelSettings
from bot.chat.trigger import is_out_of_character


async def is_kept(
    history: History, message: IncomingMessage, settings: ChannelSettings, *, addressed: bool
) -> bool:
    """Whether a message becomes a turn."""
    if addressed:
        return True
    if is_out_of_character(message.text) or not message.text.strip():
        return False
    if settings.context == "channel":
        return True
    if settings.trigger == "off" or message.author.is_bot or message.reply_to is None:
        return False
    return await _concerns_the_bot(history, message.channel, message.reply_to.message_id, {})


async def said_to_the_bot(history: History, window: HistoryWindow) -> HistoryWindow:
    """A window without what was kept while the channel's `context` was wider than it is now."""
    known = {message_id: turn for turn in window.turns for message_id in turn.message_ids}
    turns: list[Turn] = []
    for turn in window.turns:
        quoted = turn.reply_to
        if _is_part(turn) or (
            quoted is not None
            and not turn.speaker.is_bot
            and await _concerns_the_bot(history, turn.channel, quoted.message_id, known)
        ):
            turns.append(turn)
    return replace(window, turns=tuple(turns))


async def _concerns_the_bot(
    history: History, channel: ChannelKey, message_id: str, known: Mapping[str, Turn]
) -> bool:
    turn = known.get(message_id) or await history.turn_of_message(channel, message_id)
    return turn is not None and _is_part(turn)


def _is_part(turn: Turn) -> bool:
    return turn.role == "bot" or turn.addressed
