"""What in a format's wrappings is a boundary: where a reply stops, what nobody may write.

A wrapping is made of special tokens («<|im_end|>», «[INST]») or, in older formats, of words at the
beginning of a line («USER:», «### Instruction:»).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bot.chat.text.guard import fold

_TOKEN = re.compile(
    r"<[|\uff5c][^<>\n]{1,64}?[|\uff5c]>"  # <|eot_id|>; DeepSeek's are wide
    r"|<\|?[A-Za-z_][A-Za-z0-9_:.\-]{0,48}\|?>|</[A-Za-z_]{1,32}>"  # <start_of_turn>, </s>
    r"|<</?[A-Z]{2,16}>>"  # <<SYS>>
    r"|\[/?[A-Z][A-Z_]{1,32}\]"  # [INST], [/SYSTEM_PROMPT]
    r"|\[\|[^\[\]\n]{1,48}\|\]"  # [|user|]
)
_WORD = re.compile(r"\w+")
_LEAST_CHARACTERS = 3  # of a line that is a sign by itself
_USUAL_NAMES = frozenset({"system", "user", "assistant"})


@dataclass(frozen=True, slots=True)
class Signs:
    """Of one format; see :class:`~bot.chat.prompt.formats.PromptFormat`."""

    stops: tuple[str, ...]
    headers: tuple[str, ...]
    reserved_names: frozenset[str]


def tokens_in(text: str, special_tokens: Sequence[str] = ()) -> list[str]:
    """The special tokens in a wrapping, as they come."""
    known = [token for token in special_tokens if len(token.strip()) > 1 and token in text]
    known.sort(key=len, reverse=True)
    pattern = "|".join((*map(re.escape, known), _TOKEN.pattern))
    return re.findall(pattern, text)


def read_signs(
    *,
    befores: Sequence[str],
    afters: Sequence[str],
    others: Sequence[str],
    special_tokens: Sequence[str] = (),
) -> Signs:
    """The signs of a format.

    `befores` open a turn of somebody's (people's, the system's, the bot's), `afters` close one;
    the bot's is the first. `others` are all further wrappings.
    """
    stops: dict[str, None] = {}
    headers: dict[str, None] = {}
    names = set(_USUAL_NAMES)
    for text in afters:
        stops.update(dict.fromkeys(tokens_in(text, special_tokens)))
    if not stops and (closing := afters[0].strip()):
        stops[closing] = None
    every = {
        fold(token)
        for text in (*befores, *afters, *others)
        for token in tokens_in(text, special_tokens)
    }
    if every:
        spelled = "|".join(map(re.escape, sorted(every, key=lambda token: (-len(token), token))))
        headers[f"(?=(?P<inside>{spelled}))"] = None
    for before in befores:
        tokens = tokens_in(before, special_tokens)
        line = before.strip().rpartition("\n")[2].strip()
        if tokens:
            stops[tokens[0]] = None
            role = _TOKEN.sub(" ", before).strip().partition("\n")[0]
            names.update(_WORD.findall(fold(role))[:2])
        elif line:
            begins_line = "\n" in before[: before.rindex(line)] or afters[0].endswith("\n")
            stops[_line_stop(line, begins_line=begins_line)] = None
            headers[_line_header(line)] = None
            names.update(_WORD.findall(fold(line))[-1:])
    return Signs(
        tuple(stop for stop in stops if len(stop.strip()) > 1),
        tuple(header for header in headers if header),
        frozenset(name for name in names if len(name) > 1),
    )


def split_header(text: str, roles: str) -> tuple[str, str]:
    """What ends one turn and opens the next, parted before the last token that names a role.

    `roles` is a regular expression. Without such a token, all of it ends the turn.
    """
    pattern = rf"<[|\uff5c]?[^<>\n]*(?:{roles})[^<>\n]*>\s*\Z"
    found = re.search(pattern, text, re.IGNORECASE)
    at = len(text) if found is None else found.start()
    return text[:at], text[at:]


def _line_stop(line: str, *, begins_line: bool) -> str:
    """A line of words stops a reply; a bare word only where nothing else is on its line."""
    if line[-1].isalnum():
        return f"\n{line}\n"
    return f"\n{line}" if begins_line or not line[0].isalnum() else line


def _line_header(line: str) -> str:
    words = _WORD.findall(fold(line))
    if not words:
        return rf"(?=(?P<inside>{re.escape(fold(line))}))" if len(line) >= _LEAST_CHARACTERS else ""
    spelled = r"[\s*_]{1,4}".join(map(re.escape, words))
    if line.startswith("#"):
        return rf"#[#\s]{{0,16}}(?P<inside>{spelled})"
    if line.endswith(":"):
        return rf"(?P<inside>{spelled})[\s*_]{{0,16}}:"
    return rf"(?P<inside>{spelled})" if len(spelled) >= _LEAST_CHARACTERS else ""
