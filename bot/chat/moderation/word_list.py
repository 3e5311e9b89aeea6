"""The words that a guild does not want: its moderators' list, and what they hear of it."""

import asyncio
import re

from bot.chat.limits.words.censor import Hit
from bot.chat.limits.words.word import Guild, GuildWord, Side, WordStore, check_pattern
from bot.chat.messages import ChannelKey
from bot.chat.moderation.journal import Event, EventKind, Journal
from bot.chat.text.forbidden.redaction import Then
from bot.errors import NotFound

_NUMBER = re.compile(r"#?\s*(\d{1,18})", re.ASCII)
_DONE = {Then.MASK: "masked", Then.STOP: "stopped", Then.IGNORE: "ignored"}


class WordList:
    """Changes guilds' lists. Who may is the front end's to know. Raises StoreError."""

    def __init__(self, store: WordStore, journal: Journal) -> None:
        """`journal` hears of changes and of what was found, by entries' numbers alone."""
        self._store = store
        self._journal = journal

    async def listed(self, guild: Guild) -> list[GuildWord]:
        """The whole list, the oldest entry first."""
        return await self._store.words(guild)

    async def add(
        self, guild: Guild, text: str, then: Then, side: Side, *, by: str
    ) -> tuple[GuildWord, bool]:
        """An entry, and whether it is new: else it has taken the place of the one before.

        Raises ChannelSettingError for what cannot be looked for, NotAllowed at the limit.
        """
        pattern = await asyncio.to_thread(check_pattern, text)
        word, is_new = await self._store.put(guild, GuildWord(pattern, then, side, added_by=by))
        what = "added to" if is_new else "changed in"
        await self._note(guild, f"Entry {word.word_id} {what} the word list: {told(word)}", by)
        return word, is_new

    async def remove(self, guild: Guild, text: str, *, by: str) -> GuildWord:
        """Take an entry out, by its word or its number. Raises NotFound."""
        gone = await self._store.take_out(guild, text.strip())
        if gone is None and (number := _NUMBER.fullmatch(text.strip())):
            numbered = {word.word_id: word for word in await self._store.words(guild)}
            word = numbered.get(int(number[1]))
            gone = word and await self._store.take_out(guild, word.pattern)
        if gone is None:
            raise NotFound("That is not on the list.", "See `/moderation words` with `list`.")
        await self._note(guild, f"Entry {gone.word_id} taken out of the word list", by)
        return gone

    async def hit(self, channel: ChannelKey, hit: Hit) -> None:
        """Words were found in what was said."""
        numbers = ", ".join(str(word.word_id) for word in hit.words)
        entries = f"Entry {numbers}" if len(hit.words) == 1 else f"Entries {numbers}"
        where = "a message" if hit.side is Side.IN else "a reply of mine"
        done = _DONE[max(word.then for word in hit.words)]
        event = Event(
            EventKind.WORDS,
            f"{entries} of the word list found in {where}: {done}",
            about=hit.speaker_id,
            channel_id=channel.channel_id,
        )
        await self._journal.note(channel.guild_id, event)

    async def _note(self, guild: Guild, text: str, by: str) -> None:
        await self._journal.note(guild[1], Event(EventKind.WORDS, text, by=by))


def told(word: GuildWord) -> str:
    """What happens for an entry, and on which side, in words."""
    sides = {Side.BOTH: "both ways", Side.IN: "in what people write", Side.OUT: "in what I say"}
    return f"{word.then.name.lower()}, {sides[word.side]}"
