"""The macros of persona texts: `{{char}}` and `{{user}}`.

They are replaced in what personas and moderators write, never in what users write.
"""

import re

_MACRO = re.compile(r"\{\{\s*(char|user)\s*\}\}|<(bot|char|user)>", re.IGNORECASE)


def expand_macros(text: str, *, char: str, user: str) -> str:
    """Replace `{{char}}`, `<BOT>`, `<CHAR>` and `{{user}}`, `<USER>`, whatever their case.

    One pass: a name that looks like a macro stays as it is. Unknown macros stay, too.
    """

    def value(match: re.Match[str]) -> str:
        word = (match[1] or match[2]).lower()
        return user if word == "user" else char

    return _MACRO.sub(value, text)
