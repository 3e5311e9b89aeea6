"""Links as they are: no address behind other words, no invitations to other servers.

A masked link, `[words](address)`, is one to Discord only where nothing parts the two brackets: a
blank is put there. So however its words are written, it is none any more, and only a few characters
are held back. The address stands in `<>`, which makes no preview of it.
"""

from collections.abc import Sequence

from bot.chat.text.forbidden.patterns import FoldedPatternFinder, Pattern, PatternFinder
from bot.chat.text.forbidden.redaction import Redaction

INVITE_REMOVED = "[invite removed]"
LINK_CHARACTERS = 2_000  # a message's: a longer link is none

# A backslash before a sign is none to whoever reads the address.
_SCHEME = r"(?:(?:https?|discord|mailto|tel|sms)\\*:|[a-z][a-z0-9+.-]{1,31}\\*:\\*/)"
_MASKED = (
    rf"\]\(\s*+<?+(?P<address>{_SCHEME}(?:\([^\s()<>]*\)|[^\s()<>])++)>?"
    r"(?:\s++(?:\"[^\"]*\"|'[^']*'))?\s*+\)"
    rf"|\]\((?=\s*+<?+{_SCHEME})"
)


def _encoded(word: str) -> str:
    """A word in small letters, any of which may be written by its number, as in `%64`."""
    return "".join(f"(?:{letter}|%(?:{ord(letter):x}|{ord(letter) - 32:x}))" for letter in word)


_DOT = r"\\*(?:[.\u3002]|%2e)"
_SLASHES = r"[/\\]++"
_DISCORD, _GG, _COM, _INVITE_WORD = map(_encoded, ("discord", "gg", "com", "invite"))
_ABOVE = rf"(?:[\w.%-]{{1,32}}{_SLASHES}){{0,3}}?"  # folders that are none, such as `x/../`
# What is compared has no upper case, and no characters that show nothing. A backslash may stand
# before any sign, which is then shown as it is, or for a slash.
_INVITE = (
    rf"<?(?:discord\\*:[/\\]{{0,4}}{_ABOVE}{_INVITE_WORD}{_SLASHES}|"
    rf"(?:https?\\*:[/\\]{{0,4}})?(?:(?:www|ptb|canary){_DOT})?(?:"
    rf"(?:{_DISCORD}{_DOT}{_GG}|dsc{_DOT}gg|invite{_DOT}gg|discord{_DOT}(?:me|io|li|link))"
    rf"{_DOT}?(?::\d{{1,5}})?{_SLASHES}(?:(?:{_DOT}){{1,2}}{_SLASHES}){{0,4}}"
    rf"|{_DISCORD}(?:{_encoded('app')})?{_DOT}{_COM}{_DOT}?(?::\d{{1,5}})?{_SLASHES}"
    rf"{_ABOVE}{_INVITE_WORD}{_SLASHES}"
    r"))[\w%-]++(?:[?#/][^\s<>()\[\]]*+)?>?"
)
_MASKED_LINK = Pattern.of(0, _MASKED)
_INVITATION = Pattern.of(0, _INVITE)


def without_invitations(name: str) -> str:
    """A name that stands in a line of ours, and invites nobody."""
    invites = FoldedPatternFinder([_INVITATION], window=LINK_CHARACTERS)
    redaction = Redaction(invites, instead=lambda _: INVITE_REMOVED)
    return redaction.decode(name) + redaction.flush()


def plain_links(before: str = "") -> Sequence[Redaction]:
    """The filters that make links plain. `before`: see :class:`Redaction`."""
    links = PatternFinder([_MASKED_LINK], window=LINK_CHARACTERS)
    invites = FoldedPatternFinder([_INVITATION], window=LINK_CHARACTERS)
    # Invitations first: what stands for one has brackets, which an address may follow.
    return (
        Redaction(invites, instead=lambda _: INVITE_REMOVED, before=before),
        Redaction(links, instead=_written_out, before=before),
    )


def _written_out(link: str) -> str:
    found = _MASKED_LINK.whole.fullmatch(link)
    address = found["address"] if found is not None else None
    return f"] (<{address}>)" if address else "] ("
