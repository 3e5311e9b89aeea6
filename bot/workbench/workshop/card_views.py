"""Personas' files and dropped cards as the page's JSON: texts only, never a picture or an address.

Everything in it comes from files of strangers: the page shows it as text.
"""

from bot.chat.persona import Persona, PersonaText
from bot.chat.personas.cards.card import Card
from bot.chat.personas.cards.preview import lore_entries, preview_of, prompt_texts
from bot.chat.personas.cards.writing import Format
from bot.chat.personas.folder import PersonaFolder
from bot.chat.personas.lore.book import Lorebook, LoreEntry
from bot.chat.personas.lore.reading import book_in_card
from bot.errors import LorebookError
from bot.workbench.views import Json
from bot.workbench.workshop.counting import Cost

NOTES_CHARACTERS = 20_000  # of the creator's notes in a preview
GREETING_CHARACTERS = 4_000
MOST_SHOWN = 20  # greetings, tags, warnings
MOST_ENTRIES = 300  # of a lorebook in the editor
ENTRY_CHARACTERS = 2_000
ALWAYS = (
    "description", "personality", "scenario", "system_text", "closing_reminder", "depth_prompt",
)  # fmt: skip


def line(persona: Persona, folder: PersonaFolder) -> Json:
    """A line of the list of personas."""
    path = folder.library.file_of(persona.id)
    return {
        "id": persona.id,
        "name": persona.name,
        "summary": persona.summary or persona.description[:140],
        "file": path.name if path else "",
        "version": persona.version,
        "stamp": folder.library.stamp_of(persona.id),
    }


def editable(persona: Persona, card: Card, folder: PersonaFolder, cost: Cost) -> Json:
    """A persona with all that the editor changes, and what it only shows."""
    texts = card.persona.model_dump(mode="json", exclude={"lorebook", "sampling"})
    own = card.persona.sampling
    path = folder.library.file_of(persona.id)
    file_name = path.name if path else ""
    return {
        "id": persona.id,
        "version": Persona(**dict(card.persona)).version,
        "stamp": folder.library.stamp_of(persona.id),
        "file": file_name,
        "kind": preview_of(card).kind if file_name else "built in",
        "has_picture": card.picture is not None,
        "warnings": list(card.warnings[:MOST_SHOWN]),
        "formats": [each.value for each in Format],
        "fields": texts,
        "sampling": own.model_dump(exclude_none=True) if own else {},
        "lore": entries(card.persona),
        "cost": told(cost),
    }


def preview(card: Card, cost: Cost, picture_fault: str) -> Json:
    """A card before it is taken: what the preview in Discord says, too."""
    found, persona = preview_of(card), card.persona
    greetings = (persona.greeting, *persona.alternate_greetings)
    shown = [text[:GREETING_CHARACTERS] for text in greetings if text]
    return {
        "name": found.name,
        "nickname": found.nickname,
        "kind": found.kind,
        "has_picture": found.has_picture and not picture_fault,
        "notes": found.notes[:NOTES_CHARACTERS],
        "creator": found.creator[:200],
        "tags": [tag[:60] for tag in found.tags[:MOST_SHOWN]],
        "description": persona.description[:GREETING_CHARACTERS],
        "greetings": found.greetings,
        "group_greetings": found.group_greetings,
        "greeting_texts": shown[:MOST_SHOWN],
        "lore_entries": found.lore_entries,
        "characters": dict(found.characters),
        "warnings": [*found.warnings[:MOST_SHOWN], *filter(None, [picture_fault])],
        "cost": told(cost),
    }


def book(file_name: str, found: Lorebook) -> Json:
    """A lorebook in a line."""
    return {
        "name": (found.name or file_name)[:200],
        "kind": found.kind.value,
        "entries": len(found.entries),
    }


def told(cost: Cost) -> Json:
    """Tokens by field, and of what context."""
    return {
        "tokens": dict(cost.tokens),
        "always": sum(cost.tokens.get(field, 0) for field in ALWAYS),
        "context": cost.context_tokens,
        "model": cost.model,
        "exact": cost.is_exact,
    }


def counted_texts(persona: PersonaText) -> dict[str, str]:
    """The texts whose cost is told: those that can enter a prompt, and the other greetings."""
    texts = prompt_texts(persona)
    for number, text in enumerate(persona.alternate_greetings[:MOST_SHOWN]):
        texts[f"alternate_greetings.{number}"] = text
    return texts


def entries(persona: PersonaText) -> Json:
    """The lorebook of a persona, to look at."""
    count = lore_entries(persona)
    if persona.lorebook is None or not count:
        return {"count": 0, "entries": []}
    try:
        found = book_in_card("The lorebook", persona.lorebook).entries
    except LorebookError as error:
        return {"count": count, "entries": [], "problem": str(error)}
    return {"count": count, "entries": [_entry(each) for each in found[:MOST_ENTRIES]]}


def _entry(entry: LoreEntry) -> Json:
    return {
        "title": entry.title,
        "keys": [key[:80] for key in entry.keys[:MOST_SHOWN]],
        "constant": entry.constant,
        "enabled": entry.enabled,
        "text": entry.content[:ENTRY_CHARACTERS],
    }
