"""Everything of moderation that a front end needs, in one hand."""

from dataclasses import dataclass

from bot.chat.limits.blocking import Blocks
from bot.chat.limits.words.word import WordStore
from bot.chat.moderation.journal import Journal
from bot.chat.moderation.log_channels import LogChannels
from bot.chat.moderation.purges import Purges
from bot.chat.moderation.purging import Purger
from bot.chat.moderation.reports import Erasures, Outages, SettingsReports
from bot.chat.moderation.word_list import WordList
from bot.chat.talk.conversations import Conversations
from bot.chat.talk.taking_out import TakingOut


@dataclass(frozen=True, slots=True)
class Moderation:
    """What moderators do things with."""

    journal: Journal
    blocks: Blocks
    log_channels: LogChannels
    purger: Purger
    outages: Outages
    erasures: Erasures
    words: WordList


def open_moderation(
    conversations: Conversations,
    taking_out: TakingOut,
    *,
    blocks: Blocks,
    log_channels: LogChannels,
    purges: Purges,
    words: WordStore,
    journal: Journal | None = None,
) -> Moderation:
    """Put it together; from now on, the journal hears of settings and words."""
    journal = journal or Journal()
    SettingsReports(conversations.settings, journal)
    purger = Purger(purges, conversations, taking_out, journal)
    word_list = WordList(words, journal)
    conversations.censor.on_hit(word_list.hit)
    return Moderation(
        journal, blocks, log_channels, purger, Outages(journal), Erasures(journal), word_list
    )
