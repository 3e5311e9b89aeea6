"""Names that Discord takes for a webhook's message, and names that tell personas apart.

What Discord takes (its reference, «Create Webhook» and «Usernames and Nicknames»; its OpenAPI
document gives 1 to 80 characters): neither "clyde" nor "discord" inside, whatever the case, nor
three backticks; not "everyone" or "here"; some characters that show nothing are taken out, blanks
around it too, and more than one blank is one. Some of it is said to hold for users' names alone,
and a name of one character was refused as too short for years: we keep to all of it.
"""

import re
import unicodedata
from collections import OrderedDict
from itertools import count

import regex

from bot.chat.persona import NAME_CHARACTERS
from bot.chat.text.guard import fold
from bot.chat.text.names import NOBODY

LEAST_CHARACTERS = 2
REMEMBERED_CHANNELS = 2_000
REMEMBERED_NAMES = 50  # of one channel

HAIR_SPACE = "\u200a"  # parts a word and is hardly seen
FILLER = "\u17b5"  # a letter without a shape, which is not taken off a name's end

_READ_CHARACTERS = 1_024  # of a name: more is hostile
_REFUSED = re.compile("clyde|discord|```")
_REFUSED_WHOLE = frozenset({"everyone", "here"})
_JOINERS = "\u200c\u200d"  # of Persian, of Indian scripts, of emoji: only between two characters
# Letters and signs by their category that show nothing.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_CLUSTER = regex.compile(r"\X")


def webhook_name(name: str) -> str:
    """`name`, changed as little as makes Discord take it. Idempotent."""
    name = _trimmed(_without_unseen(name[:_READ_CHARACTERS]))
    if not _shows_anything(name):
        name = NOBODY
    name = _parted(name)
    if len(name) < LEAST_CHARACTERS:
        name += FILLER
    return name


def _without_unseen(name: str) -> str:
    kept: list[str] = []
    for place, character in enumerate(name):
        category = unicodedata.category(character)
        if category in ("Zs", "Zl", "Zp", "Cc"):
            kept.append(HAIR_SPACE if character == HAIR_SPACE else " ")
        elif character in _JOINERS:
            after = name[place + 1 : place + 2]
            if kept and kept[-1] not in (" ", HAIR_SPACE, *_JOINERS) and _is_seen(after):
                kept.append(character)
        elif category in ("Cf", "Cs", "Co", "Cn") and not _is_tag(character):
            continue
        elif character not in _BLANK:
            kept.append(character)
    return "".join(kept)


def _is_tag(character: str) -> bool:
    """Of the letters that make flags of regions; they follow an emoji."""
    return "\U000e0020" <= character <= "\U000e007f"


def _is_seen(character: str) -> bool:
    return (
        character != ""
        and character not in _BLANK
        and unicodedata.category(character)[0] in "LNPSM"
    )


def _shows_anything(name: str) -> bool:
    return any(
        character not in _BLANK and unicodedata.category(character)[0] in "LNPS"
        for character in name
    )


def _trimmed(name: str) -> str:
    """On one line, not too long, what is seen as one character never parted."""
    name = re.sub(f"[ {HAIR_SPACE}]{{2,}}", " ", name).strip(f" {HAIR_SPACE}")
    if len(name) <= NAME_CHARACTERS:
        return name
    end = 0
    for cluster in _CLUSTER.finditer(name):
        if cluster.end() > NAME_CHARACTERS:
            break
        end = cluster.end()
    return name[: end or NAME_CHARACTERS].rstrip(f" {HAIR_SPACE}{_JOINERS}")


def _parted(name: str) -> str:
    """Without a word that Discord refuses: it is parted behind its first letter."""
    while True:
        folded, places = _folded(name)
        found = _REFUSED.search(folded)
        if found is None and folded not in _REFUSED_WHOLE:
            return name
        start = found.start() if found else 0
        second = max(places[start] + 1, places[start + 1])  # its accents stay with the first
        first = name[:second].rstrip(_JOINERS)
        name = _trimmed(f"{first}{HAIR_SPACE}{name[second:]}")


def _folded(name: str) -> tuple[str, list[int]]:
    """As Discord may compare it: no case, width or style, nothing unseen; and each one's place."""
    folded: list[str] = []
    places: list[int] = []
    for place, character in enumerate(name):
        if unicodedata.category(character) in ("Cf", "Mn", "Me"):
            continue
        for plain in unicodedata.normalize("NFKD", fold(character)).lower():
            if unicodedata.category(plain) not in ("Cf", "Mn", "Me"):
                folded.append(plain)
                places.append(place)
    return "".join(folded), places


class ChannelNames:
    """Who goes by which name in each channel.

    Discord shows messages of one webhook that follow each other under one name as one speaker's.
    So a second persona of a name is numbered there, as long as the first one is remembered.
    """

    def __init__(self) -> None:
        """Nobody has spoken."""
        self._channels: OrderedDict[int, OrderedDict[str, str]] = OrderedDict()

    def knows(self, channel_id: int) -> bool:
        """Whether anybody has spoken in a channel."""
        return channel_id in self._channels

    def take(self, channel_id: int, persona: str, name: str) -> str:
        """The name under which a persona (by its id) speaks in a channel, as Discord takes it."""
        speakers = self._channels.setdefault(channel_id, OrderedDict())
        self._channels.move_to_end(channel_id)
        if len(self._channels) > REMEMBERED_CHANNELS:
            self._channels.popitem(last=False)
        taken = {_look(other) for who, other in speakers.items() if who != persona}
        plain = shown = webhook_name(name)
        known = speakers.get(persona, "")
        unnumbered = known.rpartition(" (")[0]
        if unnumbered and _look(unnumbered) == _look(plain) and _look(known) not in taken:
            shown = known  # the number that it has already
        for number in count(2):
            if _look(shown) not in taken:
                break
            mark = f" ({number})"
            shown = webhook_name(plain[: NAME_CHARACTERS - len(mark)].rstrip() + mark)
        speakers[persona] = shown
        speakers.move_to_end(persona)
        if len(speakers) > REMEMBERED_NAMES:
            speakers.popitem(last=False)
        return shown


def _look(name: str) -> str:
    """What two names have in common that look the same."""
    return "".join(_folded(name)[0].split())
