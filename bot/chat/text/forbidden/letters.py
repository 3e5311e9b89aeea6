"""Characters as they are compared: look-alikes are one letter, what shows nothing is none."""

import re
import unicodedata

from bot.chat.text.guard import fold

# Shown by Discord as how the letters look, if at all: they part no word.
MARKUP = frozenset("*_~|`\\")
# Signs that make another letter of the one before, where others are only accents: of Indian
# scripts, Thai to Khmer, kana.
_LETTER_MARKS = re.compile("[\u0900-\u0fff\u1000-\u109f\u1780-\u17ff\u3099\u309a]")
_REMEMBERED_CHARACTERS = 20_000


class Letters(dict[str, str]):
    """What each character is compared as: letters, a blank, or "" for what shows nothing."""

    def __missing__(self, character: str) -> str:
        """Work it out when it is first met."""
        if len(self) > _REMEMBERED_CHARACTERS:
            self.clear()
        self[character] = compared = _compared(character)
        return compared


def _compared(character: str) -> str:
    if character.isspace():
        return " "
    parts = unicodedata.normalize("NFKD", character)
    compared = "".join(part if _LETTER_MARKS.match(part) else fold(part) for part in parts)
    return " " if compared.isspace() else compared


letters = Letters()
