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

_SCHEME = r"(?:https?|discord):"
_MASKED = (
    rf"\]\(\s*+<?+(?P<address>{_SCHEME}(?:\([^\s()<>]*\)|[^\s()<>])++)>?"
    r"(?:\s++(?:\"[^\"]*\"|'[^']*'))?\s*+\)"
    rf"|\]\((?=\s*+<?+{_SCHEME})"
)
_DOT = r"\\*(?:[.\u3002]|%2e)"
_SLASHES = r"[/\\]++"
# What is compared has no upper case, and no characters that show nothing. A backslash may stand
# before any sign, which is then shown as it is, or for a slash.
_INVITE = (
    rf"<?(?:https?\\*:[/\\]{{0,4}})?(?:(?:www|ptb|canary){_DOT})?(?:"
    rf"(?:discord{_DOT}gg|dsc{_DOT}gg|invite{_DOT}gg|discord{_DOT}(?:me|io|li|link))"
    rf"{_DOT}?(?::\d{{1,5}})?{_SLASHES}"
    rf"|discord(?:app)?{_DOT}com{_DOT}?(?::\d{{1,5}})?{_SLASHES}"
    rf"(?:[\w.%-]{{1,32}}{_SLASHES}){{0,3}}?invite{_SLASHES}"
    r")[\w%-]++(?:[?#/][^\s<>()\[\]]*+)?>?"
)
_MASKED_LINK = Pattern.of(0, _MASKED)
_INVITATION = Pattern.of(0, _INVITE)


def plain_links(before: str = "") -> Sequence[Redaction]:
    """The filters that make links plain. `before`: see :class:`Redaction`."""
    links = PatternFinder([_MASKED_LINK], window=LINK_CHARACTERS)
    invites = FoldedPatternFinder([_INVITATION], window=LINK_CHARACTERS)
    return (
        Redaction(links, instead=_written_out, before=before),
        Redaction(invites, instead=lambda _: INVITE_REMOVED, before=before),
    )


def _written_out(link: str) -> str:
    found = _MASKED_LINK.whole.fullmatch(link)
    address = found["address"] if found is not None else None
    return f"] (<{address}>)" if address else "] ("
