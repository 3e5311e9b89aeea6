"""How much of the machine's memory conversations may take that a GPU has no room for."""

import logging

import psutil

from bot.engine.machine.cgroups import read_limits

AUTO_SHARE = 0.25  # of what is free
AUTO_MOST_BYTES = 16_000_000_000  # setting it aside takes a GPU's driver a few seconds
MOST_SHARE = 0.8  # of what is free, whatever was asked for: a swapping machine helps nobody

log = logging.getLogger(__name__)


def free_memory_bytes() -> int:
    """What this process may still take, by the machine and by its control groups."""
    free = int(psutil.virtual_memory().available)
    limit = read_limits().memory_free_bytes
    return free if limit is None else min(free, limit)


def host_cache_bytes(asked: int | None, free_bytes: int | None = None) -> int:
    """How much to set aside; `asked` None is by what is free."""
    if asked == 0:
        return 0
    free = free_memory_bytes() if free_bytes is None else free_bytes
    if asked is None:
        return min(int(free * AUTO_SHARE), AUTO_MOST_BYTES)
    most = int(free * MOST_SHARE)
    if asked > most:
        log.warning(
            "HOST_KV_CACHE is %.1f GB, but only %.1f GB are free: %.1f GB are taken",
            asked / 1e9,
            free / 1e9,
            most / 1e9,
        )
    return min(asked, most)
