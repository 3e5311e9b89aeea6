"""Everything of one person: :class:`bot.chat.privacy.ports.Belongings` on SQL.

A table that names people is in one of these sections, or in a test's list with the reason why not.
"""

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Connection

from bot.chat.privacy.ports import Page
from bot.store.connecting.binding import OnTransactions, reads
from bot.store.privacy import made, measures, said

Pages = Callable[[Connection, str, str, int], Page]

SECTIONS: Mapping[str, Pages] = {
    "opt_outs": made.opt_outs,
    "messages": said.messages,
    "quotes": said.quotes,
    "replies": said.replies,
    "facts": made.facts,
    "scenes": made.scenes,
    "setting_changes": made.setting_changes,
    "personas": made.personas,
    "lorebooks": made.lorebooks,
    "casts": made.casts,
    "words": measures.words,
    "log_channels": measures.log_channels,
    "blocks": measures.blocks,
    "purges": measures.purges,
    "tokens_spent": measures.tokens_spent,
}


def page(connection: Connection, platform: str, speaker_id: str, section: str, after: int) -> Page:
    """Some things of a section. Each page is a transaction of its own: nobody waits for all."""
    return SECTIONS[section](connection, platform, speaker_id, after)


class SqlBelongings(OnTransactions):
    """What is kept of a person, and of nobody else."""

    page = reads(page)

    def sections(self) -> Sequence[str]:
        """The kinds of things that are kept, in order."""
        return tuple(SECTIONS)
