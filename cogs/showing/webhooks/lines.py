"""What stands above a persona's text in its messages, and is no part of it.

Above the first message of a webhook, which can't reply: who is answered, as a small line (Discord's
subtext) that is a link to the message. Above the bot's own message, where that has to do: the
persona's name in bold.
"""

import re

from bot.chat.text.forbidden.links import without_invitations
from bot.chat.text.names import clean_name
from bot.chat.text.split import MESSAGE_CHARACTERS

ANSWERED_CHARACTERS = 32  # of the name of who is answered, as long as a nickname may be

_MARKUP = re.compile(r"([\\*_~|`\[\]()<>#@-])")
_LINK = r"https://discord\.com/channels/\d{1,20}/\d{1,20}/\d{1,20}"
_ANSWERING = re.compile(rf"-# \[↪ (?:\\.|[^\\\n\[\]]){{1,80}}\]\({_LINK}\)(?:\n|\Z)")


def answering_line(name: str, guild_id: str, channel_id: str, message_id: str) -> str:
    """The line that shows who is answered, with the jump link."""
    # Discord shows invitations wherever they stand in a message, and anybody may be called so.
    shown = _escaped(without_invitations(clean_name(name)[:ANSWERED_CHARACTERS].rstrip()))
    return f"-# [↪ {shown}](https://discord.com/channels/{guild_id}/{channel_id}/{message_id})"


def name_line(name: str) -> str:
    """A persona's name in bold."""
    return f"**{_escaped(without_invitations(clean_name(name)))}**"


def under(line: str, content: str) -> str:
    """A message's text with a line above it, or without where there is no room for both."""
    whole = f"{line}\n{content}" if line else content
    return whole if len(whole) <= MESSAGE_CHARACTERS else content


def line_above(content: str, name: str | None = None) -> str:
    """The line above a message's text, "" where there is none.

    With a persona's `name`, also that name in bold.
    """
    found = _ANSWERING.match(content)
    line = found[0].rstrip("\n") if found else ""
    if not line and name is not None:
        line = name_line(name)
        line = line if content == line or content.startswith(f"{line}\n") else ""
    return line


def without_line(content: str, name: str | None = None) -> str:
    """What the message says under that line."""
    return content[len(line_above(content, name)) :].removeprefix("\n")


def _escaped(text: str) -> str:
    return _MARKUP.sub(r"\\\1", text)
