"""The core's ports for what guilds keep of their own, on SQL."""

from datetime import datetime

from bot.chat.personas.guild.kept import Purged
from bot.store.connecting.binding import OnTransactions, reads, writes
from bot.store.personas import casts, keeping, lorebooks, purging


class SqlPersonas(OnTransactions):
    """Guilds' own personas: :class:`bot.chat.personas.guild.kept.PersonaStore`."""

    kept = reads(keeping.kept)
    kept_among = reads(keeping.kept_among)
    kept_by_key = reads(keeping.kept_by_key)
    all_kept = reads(keeping.all_kept)
    document = reads(keeping.document)
    files = reads(keeping.files)
    has_picture = reads(keeping.has_picture)
    add = writes(keeping.add)
    change = writes(keeping.change, erases=True)
    remove = writes(keeping.remove)
    restore = writes(keeping.restore)
    remove_guild = writes(purging.remove_guild, erases=True)
    _is_due = reads(purging.is_due)
    _purge = writes(purging.purge, erases=True)

    async def purge(self, before: datetime) -> Purged:
        """Take away for good what was deleted before. Where there is nothing, nobody waits."""
        return await self._purge(before) if await self._is_due(before) else Purged()


class SqlLorebooks(OnTransactions):
    """Guilds' lorebooks: :class:`bot.chat.personas.guild.kept.LorebookStore`."""

    kept = reads(lorebooks.kept)
    kept_by_key = reads(lorebooks.kept_by_key)
    all_kept = reads(lorebooks.all_kept)
    document = reads(lorebooks.document)
    add = writes(lorebooks.add)
    change = writes(lorebooks.change, erases=True)
    remove = writes(lorebooks.remove)
    restore = writes(lorebooks.restore)
    attach = writes(lorebooks.attach)
    detach = writes(lorebooks.detach)
    attached = reads(lorebooks.attached)


class SqlCasts(OnTransactions):
    """Who speaks beside the main one: :class:`bot.chat.personas.guild.kept.CastStore`."""

    cast = reads(casts.cast)
    add_to_cast = writes(casts.add_to_cast)
    remove_from_cast = writes(casts.remove_from_cast)
