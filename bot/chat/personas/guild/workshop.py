"""Where guilds' own personas are made, imported, edited, deleted and brought back."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from bot.chat.persona import NAME_CHARACTERS, Persona, PersonaText
from bot.chat.personas.cards.card import Card
from bot.chat.personas.cards.edits import new_card, renamed, with_persona, with_picture
from bot.chat.personas.cards.fields import checked_name
from bot.chat.personas.guild.kept import KeptPersona, Limits, PersonaStore, Purged
from bot.chat.personas.guild.packing import as_persona, card_of_kept, draft_of, fitted_picture
from bot.chat.personas.homes import PersonaHome, persona_key
from bot.chat.personas.library import PersonaLibrary
from bot.errors import CaduceusError, NotAllowed, NotFound, PersonaError

UNDO_FOR = timedelta(minutes=10)
PURGE_SECONDS = 30.0
TRIES = 5  # of an edit, where others edit the same persona meanwhile

Clock = Callable[[], datetime]
OnGone = Callable[[str], Awaitable[None]]

_log = logging.getLogger(__name__)


def utc_now() -> datetime:
    """This moment, aware."""
    return datetime.now(UTC)


class PersonaWorkshop:
    """Changes guilds' own personas. Who may do it is for the caller to know."""

    def __init__(
        self,
        store: PersonaStore,
        everybody: PersonaHome,
        library: PersonaLibrary | None = None,
        *,
        limits: Limits | None = None,
        clock: Clock = utc_now,
    ) -> None:
        """`everybody` is all homes together: names are unique among them. `library` has files."""
        self._store = store
        self._everybody = everybody
        self._library = library
        self._limits = limits or Limits()
        self._clock = clock
        self._on_gone: list[OnGone] = []
        self._one_at_a_time = asyncio.Semaphore(1)  # a card and its picture are much memory

    def on_picture_gone(self, told: OnGone) -> None:
        """Let `told` know the digest of a picture that no guild's persona has any more."""
        self._on_gone.append(told)

    # Reading -------------------------------------------------------------------------------------

    async def card(self, persona: Persona) -> Card:
        """A persona's card with its files, of whichever home. Raises NotFound or PersonaError."""
        if persona.guild_id is None:
            found = await self._library.card(persona.id) if self._library else None
            # One that is built in has no file.
            return found or new_card(PersonaText.model_validate(_text_of(persona)))
        document = await self._store.document(persona.guild_id, persona.id)
        if document is None:
            raise NotFound("That persona is not there any more.", "See `/persona list`.")
        files = await self._store.files(persona.guild_id, persona.id, picture_only=False)
        return await asyncio.to_thread(card_of_kept, document, files)

    async def kept(self, persona: Persona) -> KeptPersona | None:
        """Who made a guild's own persona and when; None for the owner's."""
        if persona.guild_id is None:
            return None
        return await self._store.kept(persona.guild_id, persona.id)

    async def picture(self, persona: Persona) -> bytes | None:
        """The picture of a guild's own persona, as PNG."""
        if persona.guild_id is None:
            return None
        files = await self._store.files(persona.guild_id, persona.id, picture_only=True)
        return files[0].content if files else None

    async def owner_of_name(self, guild_id: str, name: str) -> Persona | None:
        """Who has a name already, of those that the guild may use."""
        return await self._everybody.by_name(guild_id, name)

    async def free_name(self, guild_id: str, name: str) -> str:
        """The name, or the first of «name (2)», «name (3)» that nobody has."""
        taken = {persona_key(each.name) for each in await self._everybody.entries(guild_id)}
        number, found = 1, name
        while persona_key(found) in taken:
            number += 1
            ending = f" ({number})"
            found = name[: NAME_CHARACTERS - len(ending)].rstrip() + ending
        return found

    # Changing ------------------------------------------------------------------------------------

    async def create(self, guild_id: str, values: Mapping[str, object], by: str) -> Persona:
        """Make a persona of the fields of a :class:`PersonaText`. Raises PersonaError."""
        text = checked_text({}, values)
        return await self.take(guild_id, new_card(text), by)

    async def take(self, guild_id: str, card: Card, by: str, name: str = "") -> Persona:
        """Keep a card as a new persona, under another name if that is given.

        Raises PersonaError where the name is taken or cannot be one, or there are too many.
        """
        card = self._named(card, name)
        await self._refuse_taken(guild_id, card.persona.name)
        async with self._one_at_a_time:
            draft = await asyncio.to_thread(draft_of, card)
            kept = await self._store.add(guild_id, draft, self._limits, by)
        return as_persona(card.persona, kept.id, guild_id)

    async def replace(self, persona: Persona, card: Card, by: str) -> Persona:
        """Put a card in the place of a guild's own persona, under that one's name."""
        guild_id = own_guild(persona)
        if persona_key(card.persona.name) != persona_key(persona.name):
            card = self._named(card, persona.name)
        async with self._one_at_a_time:
            draft = await asyncio.to_thread(draft_of, card)
            for _ in range(TRIES):
                kept = await self._store.kept(guild_id, persona.id)
                if kept is None:
                    raise NotFound("That persona is not there any more.", "Import it as a new one.")
                done = await self._store.change(
                    guild_id, persona.id, draft, self._limits, by, revision=kept.revision
                )
                if done is not None:
                    await self._picture_left(kept.picture_digest)
                    return as_persona(card.persona, done.id, guild_id)
        raise _busy(persona.name)

    async def edit(
        self,
        persona: Persona,
        changes: Mapping[str, object],
        by: str,
        *,
        before: Mapping[str, object] | None = None,
    ) -> Persona:
        """Change fields of a guild's own persona; everything else of its card stays as it came.

        `before` is what the fields held when they were shown. Raises PersonaError where a value
        cannot be, or where somebody else has changed one of them meanwhile.
        """
        guild_id = own_guild(persona)
        for _ in range(TRIES):
            document = await self._store.document(guild_id, persona.id)
            if document is None:
                raise NotFound("That persona is not there any more.", "See `/persona list`.")
            card = await asyncio.to_thread(card_of_kept, document)
            for field, value in (before or {}).items():
                if getattr(card.persona, field) not in (value, changes.get(field)):
                    raise _busy(persona.name)
            text = checked_text(_text_of(card.persona), changes)
            edited = with_persona(card, text, int(time.time()))
            if edited is card:
                return as_persona(card.persona, persona.id, guild_id)
            if persona_key(text.name) != persona_key(card.persona.name):
                await self._refuse_taken(guild_id, text.name)
            draft = await asyncio.to_thread(draft_of, edited, with_files=False)
            done = await self._store.change(
                guild_id, persona.id, draft, self._limits, by, revision=document.persona.revision
            )
            if done is not None:
                return as_persona(edited.persona, persona.id, guild_id)
        raise _busy(persona.name)

    async def set_picture(
        self, persona: Persona, picture: bytes | None, by: str, *, file_name: str = "The picture"
    ) -> None:
        """Give a guild's own persona another picture, or none; its texts stay as they are.

        `picture` is a file as somebody brought it: it is looked at, decoded and written anew.
        Raises PersonaError for one that cannot be shown, NotFound where the persona is gone.
        """
        guild_id = own_guild(persona)
        async with self._one_at_a_time:
            made = None
            if picture is not None:
                made = await asyncio.to_thread(fitted_picture, file_name, picture)
            before = await self._put_picture(guild_id, persona, made, by)
        await self._picture_left(before)

    async def _put_picture(
        self, guild_id: str, persona: Persona, made: bytes | None, by: str
    ) -> str:
        """Keep a picture in the place of another, whose digest is returned; "" if none changed."""
        for _ in range(TRIES):
            kept = await self._store.kept(guild_id, persona.id)
            if kept is None:
                raise NotFound("That persona is not there any more.", "See `/persona list`.")
            if made is None and not kept.picture_digest:
                return ""
            edited = with_picture(await self.card(persona), made, int(time.time()))
            draft = await asyncio.to_thread(draft_of, edited)
            done = await self._store.change(
                guild_id, persona.id, draft, self._limits, by, revision=kept.revision
            )
            if done is not None:
                return kept.picture_digest
        raise _busy(persona.name)

    async def delete(self, persona: Persona, by: str) -> KeptPersona:
        """Delete a guild's own persona; :meth:`restore` brings it back for ten minutes."""
        return await self._store.remove(own_guild(persona), persona.id, by)

    async def restore(self, guild_id: str, persona_id: str) -> KeptPersona:
        """Undo a deletion. Raises NotFound where it is too late."""
        return await self._store.restore(guild_id, persona_id, self._clock() - UNDO_FOR)

    # Going for good ------------------------------------------------------------------------------

    async def purge(self) -> Purged:
        """Take away for good what was deleted more than ten minutes ago."""
        gone = await self._store.purge(self._clock() - UNDO_FOR)
        for digest in gone.picture_digests:
            await self._tell_gone(digest)
        return gone

    async def watch(self, interval_seconds: float = PURGE_SECONDS) -> None:
        """Purge for ever, also what earlier runs left. Cancel to end."""
        while True:
            try:
                await self.purge()
            except CaduceusError as error:  # another time
                _log.debug("what was deleted stays for now: %s", error)
            await asyncio.sleep(interval_seconds)

    async def _picture_left(self, digest: str) -> None:
        """A persona may have another picture now."""
        if digest and not await self._store.has_picture(digest):
            await self._tell_gone(digest)

    async def picture_gone(self, digest: str) -> None:
        """A picture's last persona went with its guild."""
        await self._picture_left(digest)

    async def _tell_gone(self, digest: str) -> None:
        for told in self._on_gone:
            await told(digest)

    async def _refuse_taken(self, guild_id: str, name: str) -> None:
        other = await self._everybody.by_name(guild_id, name)
        if other is not None:
            free = await self.free_name(guild_id, name)
            raise PersonaError(
                f"There is a persona «{other.name}» already.", f"A free name is «{free}»."
            )

    def _named(self, card: Card, name: str) -> Card:
        if not name or name == card.persona.name:
            return card
        return renamed(card, checked_text({}, {"name": name}).name, int(time.time()))


def own_guild(persona: Persona) -> str:
    """The guild that a persona is the own of. Raises NotAllowed for the owner's."""
    if persona.guild_id is None:
        raise NotAllowed(
            f"«{persona.name}» belongs to the bot's owner and cannot be changed here.",
            "Export it with `/persona export` and import that as a persona of this server.",
        )
    return persona.guild_id


def checked_text(before: Mapping[str, object], changes: Mapping[str, object]) -> PersonaText:
    """A text with some fields changed. Raises PersonaError in words for whoever typed them."""
    values = {**before, **changes}
    if "name" in changes:
        values["name"] = checked_name(changes["name"])
    try:
        return PersonaText.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = str(first["loc"][0]).replace("_", " ")
        said = str(first["msg"]).replace("String", "it").replace("Input", "it")
        raise PersonaError(
            f"The {field} is not acceptable: {said[:1].lower()}{said[1:]}."
        ) from error


def _text_of(persona: PersonaText) -> dict[str, object]:
    return {field: getattr(persona, field) for field in PersonaText.model_fields}


def _busy(name: str) -> PersonaError:
    return PersonaError(
        f"Somebody else has just changed «{name}».", "Look at it again, then make your change."
    )
