"""What becomes of what people say, in plain words: what `/privacy about` tells.

Everything told is true of one place and moment: its settings, the engines that are configured.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.chat.definitions import ChannelSettings

YOURS = (
    "`/privacy export` sends you everything of yours, `/privacy forget` erases it, "
    "`/privacy optout` keeps you out of all of this, everywhere."
)
DAYS_AFTER_LEAVING = 30  # a server, or after a channel was deleted, until what is theirs goes


@dataclass(frozen=True, slots=True)
class TextReceiver:
    """An engine: who gets what people say, to write the replies."""

    host: str  # of another program; "": this one
    is_here: bool  # on this machine
    is_fallback: bool = False


@dataclass(frozen=True, slots=True)
class Handling:
    """How this program is set up, as far as it concerns people's data. Names no secrets."""

    database: str  # "SQLite" or "PostgreSQL"
    receivers: Sequence[TextReceiver]


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody asks."""

    settings: ChannelSettings
    is_direct: bool
    is_scene: bool = False  # one is played there


def paragraphs(handling: Handling, place: Place, owners: str) -> list[tuple[str, str]]:
    """Headings and their texts; `owners` names who runs the bot."""
    return [
        ("Kept here", _kept(place)),
        ("Beside it", _beside(place)),
        ("Where", _where(handling, owners)),
        ("How long", _how_long(place)),
        ("Who gets it", _receivers(handling.receivers)),
        ("Who sees it", _seen_by(place)),
        (
            "Yours to decide",
            YOURS,
        ),
    ]


def _kept(place: Place) -> str:
    settings = place.settings
    if place.is_scene:
        return (
            "All that is said in this scene, but asides in ((double parentheses)), and my replies."
        )
    if settings.context == "channel" and not place.is_direct:
        return "Everything that is said in this channel, also to others, and my replies."
    if settings.trigger == "off" and settings.context != "channel":
        return "Nothing new: I am switched off here. What was kept before is still there."
    if place.is_direct:
        return "All that you write to me here, and my replies."
    said = {
        "always": "Everything that is said in this channel, since I answer all of it",
        "wakeword": "What is said to me or holds one of my wake words",
        "chance": "What is said to me, and what I answer by chance",
    }.get(settings.trigger, "What is said to me")
    rest = "" if settings.trigger == "always" else " What you say to others is not kept."
    return f"{said}; what that replies to; and my replies.{rest}"


def _beside(place: Place) -> str:
    words = (
        "Your name and id; other versions of my replies; how each came to be (when, which model, "
        "seed, how many tokens); facts that are pinned; scenes, with who began them and whom you "
        "play; who made personas and lorebooks, added them to channels and changed settings; how "
        "much was written for you today. Of moderation: who is blocked and by whom, who set word "
        "lists and log channels, and whose messages a purge takes away. And who has opted out, "
        "and whose data is still to be erased."
    )
    if place.settings.memory_summary == "on":
        words += " The model sums up here what was said long ago."
    return words


def _where(handling: Handling, owners: str) -> str:
    if handling.database == "SQLite":
        where = "In a database file (SQLite) on the machine that I run on"
    else:
        where = f"In a {handling.database} database of whoever runs me"
    return f"{where}. I am run by {owners}, who can read it, and may keep backups."


def _how_long(place: Place) -> str:
    days = place.settings.retention_days
    if days:
        kept = f"{days} day{'' if days == 1 else 's'} here; a job each night deletes what is older."
    else:
        kept = "Here until somebody deletes it: no number of days is set."
    if place.is_direct:
        return kept
    return f"{kept} If I leave this server, its data goes after {DAYS_AFTER_LEAVING} days."


def _receivers(receivers: Sequence[TextReceiver]) -> str:
    lines = [_receiver(one) for one in receivers]
    if all(one.is_here for one in receivers):
        lines.append("Beside Discord itself, nobody else gets what you say.")
    return " ".join(lines)


def _receiver(receiver: TextReceiver) -> str:
    if receiver.is_fallback:
        whose = "When the first model is down or busy, another one answers"
    else:
        whose = "The model that writes my replies runs"
    if not receiver.host:
        there = "on the same machine: nothing is sent away"
    elif receiver.is_here:
        there = f"on the same machine, in a program of its own ({receiver.host})"
    elif receiver.is_fallback:
        return f"{whose}, on the server **{receiver.host}**: the same is sent there, then."
    else:
        return (
            f"{whose} on the server **{receiver.host}**: for each reply and summary, a part "
            "of the conversation is sent there."
        )
    return f"{whose}, {there}." if receiver.is_fallback else f"{whose} {there}."


def _seen_by(place: Place) -> str:
    if place.is_direct:
        return "Only you, and who runs me."
    return (
        "Whoever may read this channel's history: its conversation (`/chat export`), facts, "
        "summary, and what stood before a reply («Why this reply?»). Moderators see no more of "
        "what you say, but who asked, and who changed which setting."
    )
