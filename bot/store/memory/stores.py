"""The core's ports for what is remembered, on SQL."""

from bot.store.connecting.binding import OnTransactions, reads, writes
from bot.store.memory import facts as kept


class SqlFacts(OnTransactions):
    """Facts: :class:`bot.chat.roleplay.memory.facts.FactStore`."""

    facts = reads(kept.facts)
    fact = reads(kept.fact)
    add_fact = writes(kept.add_fact)
    edit_fact = writes(kept.edit_fact, erases=True)
    remove_fact = writes(kept.remove_fact, erases=True)
