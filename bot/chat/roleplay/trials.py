"""What lore would fire in a channel, for `/lore test`: the channel's books, one text."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bot.chat.persona import Persona
from bot.chat.personas.lore.book import Lorebook
from bot.chat.personas.lore.reading import book_in_card
from bot.chat.personas.macros import MacroContext, Macros
from bot.chat.roleplay.activation.request import ActivationSettings, Surroundings
from bot.chat.roleplay.activation.trying import Verdict, try_text
from bot.chat.roleplay.lore import PERSONA_PRECEDENCE, ShelvedBook, read_all
from bot.chat.text.names import clean_name


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of each entry, those that fire first. `books` are the names of what was read."""

    verdicts: tuple[Verdict, ...]
    books: tuple[str, ...]
    problems: tuple[str, ...] = ()  # books that could not be read

    @property
    def fires(self) -> int:
        """How many entries fire."""
        return sum(verdict.fires for verdict in self.verdicts)


async def try_lore(
    books: Sequence[ShelvedBook],
    persona: Persona,
    text: str,
    *,
    user: str,
    context_tokens: int,
) -> Trial:
    """What would fire if `user` said `text` as the first message and `persona` answered."""
    return await asyncio.to_thread(_try, books, persona, text, user, context_tokens)


def own_book(persona: Persona) -> ShelvedBook | None:
    """A persona's own book; None where it has none."""
    document = persona.lorebook
    if not document:
        return None
    name = f"{persona.name}'s lorebook"

    def read() -> Lorebook:
        book = book_in_card(name, document)
        return book if book.name.strip() else replace(book, name=name)

    return ShelvedBook(f"persona:{persona.id or persona.name}", PERSONA_PRECEDENCE, read)


def _try(
    shelved: Sequence[ShelvedBook], persona: Persona, text: str, user: str, context_tokens: int
) -> Trial:
    books, problems = read_all(shelved)
    char = clean_name(persona.nickname or persona.name)
    macros = Macros(MacroContext(char, clean_name(user), persona=persona))
    said = try_text(
        books,
        text,
        ActivationSettings(context_tokens=context_tokens),
        Surroundings(
            character_name=persona.name,
            character_tags=persona.tags,
            character_description=macros.expand(persona.description),
            character_personality=macros.expand(persona.personality),
            character_depth_prompt=persona.depth_prompt.text if persona.depth_prompt else "",
            scenario=macros.expand(persona.scenario),
            creator_notes=persona.creator_notes,
        ),
        macros.expand,
    )
    return Trial(said, tuple(one.book.name for one in books), problems)
