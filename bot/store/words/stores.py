"""The core's port for guilds' word lists, on SQL."""

from bot.store.connecting.binding import OnTransactions, reads, writes
from bot.store.words import keeping


class SqlWords(OnTransactions):
    """What guilds do not want to read: :class:`bot.chat.limits.words.word.WordStore`."""

    words = reads(keeping.words)
    put = writes(keeping.put, erases=True)
    take_out = writes(keeping.take_out, erases=True)
