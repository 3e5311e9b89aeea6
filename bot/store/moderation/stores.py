"""The core's ports for moderation, on SQL."""

from bot.store.connecting.binding import OnTransactions, reads, writes
from bot.store.moderation import blocking, log_channels, purging


class SqlBlocks(OnTransactions):
    """Who is not heard where: :class:`bot.chat.limits.blocking.Blocks`."""

    find = reads(blocking.find)
    add = writes(blocking.add)
    remove = writes(blocking.remove, erases=True)
    listed = reads(blocking.listed)


class SqlLogChannels(OnTransactions):
    """Where moderators are told: :class:`bot.chat.moderation.log_channels.LogChannels`."""

    find = reads(log_channels.find)
    put = writes(log_channels.put)
    remove = writes(log_channels.remove)
    note_problem = writes(log_channels.note_problem)
    count_untold = writes(log_channels.count_untold)
    with_untold = reads(log_channels.with_untold)


class SqlPurges(OnTransactions):
    """What goes for good: :class:`bot.chat.moderation.purges.Purges`."""

    plan = reads(purging.make_plan)
    channels_with_copies = reads(purging.channels_with_copies)
    purge_copies = writes(purging.purge_copies, erases=True)
    purge = writes(purging.purge, erases=True)
    gone = writes(purging.gone, erases=True)
    unfinished = reads(purging.unfinished)
