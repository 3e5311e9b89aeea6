"""The core's port for scenes, on SQL."""

from bot.store.connecting.binding import OnTransactions, reads, writes
from bot.store.scenes import forking, keeping


class SqlScenes(OnTransactions):
    """What is played where: :class:`bot.chat.roleplay.scenes.keeping.Scenes`."""

    running = reads(keeping.running)
    at = reads(keeping.at)
    start = writes(keeping.start)
    change = writes(keeping.change, erases=True)
    end = writes(keeping.end)
    fork = writes(forking.fork)
