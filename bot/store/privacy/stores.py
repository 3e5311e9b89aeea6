"""The core's ports for what goes for good, on SQL."""

from bot.store.connecting.binding import OnTransactions, reads, writes
from bot.store.privacy import ageing, forgetting, people, places, removals
from bot.store.privacy.places import remove_place


class SqlPeople(OnTransactions):
    """What is kept of people: :class:`bot.chat.privacy.people.PeopleStore`."""

    preview = reads(people.preview)
    places = reads(people.places)
    own = reads(people.own)
    said_by_them = reads(people.said_by_them)
    said_by_others = reads(people.said_by_others)
    mark = reads(people.mark)
    replies_since = reads(people.replies_since)
    remove_replies = writes(forgetting.remove_replies, erases=True)
    forget_quotes = writes(forgetting.forget_quotes_in, erases=True)
    remove_turns = writes(forgetting.remove_their_turns, erases=True)
    remove_traces = writes(forgetting.remove_traces, erases=True)
    remove_place = writes(remove_place, erases=True)
    remove_names = writes(forgetting.remove_names_of, erases=True)


class SqlAged(OnTransactions):
    """What grows old: :class:`bot.chat.privacy.retention.AgedStore`."""

    channels_after = reads(ageing.channels_after)
    old_turns = reads(ageing.old_turns)
    remove_old = writes(ageing.remove_old, erases=True)
    has_old_rest = reads(ageing.has_old_rest)
    remove_old_rest = writes(ageing.remove_old_rest, erases=True)
    remove_empty = writes(places.remove_empty)


class SqlPlaces(OnTransactions):
    """What is left: :class:`bot.chat.privacy.leaving.PlaceStore`."""

    places_in_guild = reads(places.places_in_guild)
    places_of_channel = reads(places.places_of_channel)
    remove_place = writes(remove_place, erases=True)
    remove_guild = writes(places.remove_guild, erases=True)
    known_guilds = reads(places.known_guilds)
    known_channels = reads(places.known_channels)
    unplaced_channels = reads(places.unplaced_channels)
    place_channels = writes(places.place_channels)


class SqlRemovals(OnTransactions):
    """What is to go off a platform: :class:`bot.chat.privacy.removals.RemovalStore`."""

    to_remove = reads(removals.to_remove)
    removed = writes(removals.removed, erases=True)
