"""The kinds of right that a command or control asks for."""

from enum import Enum


class Right(Enum):
    """What somebody has to be. The bot's owner is bounded only by other people's privacy.

    The last four hang on what a command is given: it asks for them itself, at its start.
    """

    EVERYONE = "whoever sees it"
    READER = "whoever may read what was said in the channel before"
    TALKER = "whoever may talk to the bot there"
    MODERATOR = "Manage Messages in the channel, or Manage Server"
    SERVER = "Manage Server"
    PRESSER = "whoever it was made for"
    SCOPE = "Manage Server for the server, Manage Channels or Manage Server for a channel"
    CHOOSER = "as persona_choice says"
    OWN = "whose it is, and moderators"
    SCENE = "who started the scene, and moderators"
