"""Whom a message is for: whether the bot answers it, and whether it is kept at all."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bot.chat.definitions import ChannelSettings
from bot.chat.limits.gate import Admission
from bot.chat.messages import IncomingMessage, Turn
from bot.chat.ports import History
from bot.chat.prompt.windows import concerns_the_bot
from bot.chat.text.asides import is_out_of_character
from bot.chat.text.words import has_wake_word


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of a message."""

    kept: bool  # it stands in the history
    addressed: bool  # it is to be answered: call `next_reply` for its channel
    turn: Turn | None = None
    refusal: Admission | None = None  # why it is not answered, where that is to be told


def without_asides(message: IncomingMessage) -> IncomingMessage:
    """Without a quotation of what was said out of character."""
    if message.reply_to is not None and is_out_of_character(message.reply_to.text):
        return replace(message, reply_to=None)
    return message


def hangs_on_names(message: IncomingMessage, settings: ChannelSettings) -> bool:
    """Whether it can matter to a message what the personas of its channel are called."""
    is_open = settings.trigger == "wakeword" and not message.mentions_bot
    return is_open and not message.author.is_bot and bool(words_of(message).strip())


def is_addressed(
    message: IncomingMessage,
    settings: ChannelSettings,
    roll: float,
    names: Iterable[str] = (),
) -> bool:
    """Whether the bot answers. `roll`, from 0 to below 1, decides where `trigger` is `chance`.

    `names` are those of the personas that speak in the channel: they always are wake words.
    """
    if settings.trigger == "off" or message.author.is_bot or is_out_of_character(message.text):
        return False
    if message.channel.is_direct or message.mentions_bot or message.replies_to_bot:
        return True
    words = words_of(message)
    if not words.strip():
        return False  # a picture alone wakes nobody up
    match settings.trigger:
        case "always":
            return True
        case "wakeword":
            return has_wake_word(words, (*settings.wake_words, *names))
        case "chance":
            return roll < settings.chance
        case _:
            return False


def is_addressed_since(
    message: IncomingMessage, settings: ChannelSettings, names: Iterable[str] = ()
) -> bool:
    """Whether a message is for the bot since its edit: it names the bot, or one of `names`, now.

    Whether `always` and `chance` answer a message was decided when it came.
    """
    names = tuple(names)
    is_named = message.mentions_bot or (
        settings.trigger == "wakeword"
        and has_wake_word(words_of(message), (*settings.wake_words, *names))
    )
    return is_named and is_addressed(message, settings, 1.0, names)


def is_played(message: IncomingMessage) -> bool:
    """Whether a message belongs to a scene: all but what is said out of character."""
    return bool(message.text.strip()) and not is_out_of_character(message.text)


def words_of(message: IncomingMessage) -> str:
    """What of a message was written by hand."""
    return message.text if message.words is None else message.words


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
    return await concerns_the_bot(history, message.channel, message.reply_to.message_id, {})
