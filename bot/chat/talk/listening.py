"""Whom a message is for: whether the bot answers it, and whether it is kept at all."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import replace

from bot.chat.definitions import ChannelSettings
from bot.chat.messages import IncomingMessage
from bot.chat.ports import History
from bot.chat.prompt.preparation import concerns_the_bot
from bot.chat.text.asides import is_out_of_character

# Scripts written without spaces between words: Thai to Khmer, kana, Han.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
# What holds words that nobody said: addresses, of people too, and an emoji spelled out.
_ADDRESSES = re.compile(
    r"[a-z][a-z0-9+.-]{0,20}://\S+|\bwww\.\S+|[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+"
    r"|(?:[a-z0-9-]{1,63}\.)+(?:[a-z]{2,24}/\S*|(?:com|org|net|io|dev|gg|app|edu|gov|info|ai|xyz|uk)\b)"
    r"|(?<![\w:]):\w{2,32}:(?![\w:])",
    re.IGNORECASE,
)
NO_WORD = "\ufffc"  # stands where something was shown that isn't a word


def without_asides(message: IncomingMessage) -> IncomingMessage:
    """Without a quotation of what was said out of character."""
    if message.reply_to is not None and is_out_of_character(message.reply_to.text):
        return replace(message, reply_to=None)
    return message


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
    words = message.text if message.words is None else message.words
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
    words = message.text if message.words is None else message.words
    names = tuple(names)
    is_named = message.mentions_bot or (
        settings.trigger == "wakeword" and has_wake_word(words, (*settings.wake_words, *names))
    )
    return is_named and is_addressed(message, settings, 1.0, names)


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


def has_wake_word(text: str, words: Iterable[str]) -> bool:
    """Whether one of `words` stands in `text` as a whole word, whatever the case.

    In scripts without spaces between words, it may stand anywhere. Addresses and the names of
    emoji hold no words.
    """
    text = _fold(_ADDRESSES.sub(NO_WORD, text))
    inside = [word for word in (_fold(word).strip() for word in words) if word and word in text]
    if not inside:
        return False
    edges = {i for i in range(len(text)) if _apart(text[i - 1 : i], text[i])} | {len(text)}
    return any(
        start + len(word) in edges and text.startswith(word, start)
        for word in inside
        for start in edges
    )


def _fold(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _apart(left: str, right: str) -> bool:
    """Whether a word may begin or end between two characters ("" is the text's beginning)."""
    if not left or not (_is_word(left) and _is_word(right)):
        return True
    return bool(_UNSPACED.match(left) or _UNSPACED.match(right))


def _is_word(character: str) -> bool:
    return character == "_" or unicodedata.category(character)[0] in "LMN"
