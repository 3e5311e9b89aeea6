"""What a person is shown of a card before it is taken."""

from collections.abc import Mapping
from dataclasses import dataclass

from bot.chat.persona import PersonaText
from bot.chat.personas.cards.card import Card
from bot.chat.personas.cards.pictures import render
from bot.chat.personas.documents import as_list, as_object
from bot.errors import PersonaError

_LOOK_SIDE = 64
NOT_ALWAYS = ("greeting", "example_dialogue", "lorebook")  # fields that are not in every prompt


@dataclass(frozen=True, slots=True)
class Preview:
    """A card at a glance. `characters` is the length of each field that can enter a prompt.

    `greetings` counts the first one too, `notes` are in English where the card has several
    languages. Tokens are counted by whoever knows the model.
    """

    name: str
    nickname: str
    kind: str
    has_picture: bool
    notes: str
    creator: str
    tags: tuple[str, ...]
    greetings: int
    group_greetings: int
    lore_entries: int
    characters: Mapping[str, int]
    warnings: tuple[str, ...]


def preview_of(card: Card) -> Preview:
    """The preview of a card. Pure."""
    persona = card.persona
    first = (persona.greeting,) if persona.greeting else ()
    return Preview(
        name=persona.name,
        nickname=persona.nickname,
        kind=f"{card.origin.value}, {card.version.value.upper()}",
        has_picture=card.picture is not None,
        notes=persona.translated_notes.get("en") or persona.creator_notes,
        creator=persona.creator,
        tags=persona.tags,
        greetings=len(first + persona.alternate_greetings),
        group_greetings=len(persona.group_greetings),
        lore_entries=lore_entries(persona),
        characters={field: len(text) for field, text in prompt_texts(persona).items()},
        warnings=card.warnings,
    )


def picture_fault(card: Card) -> str:
    """Why the card's picture cannot be shown, "" if it can. Blocking: decodes it."""
    try:
        if card.picture is not None:
            render("The picture", card.picture, _LOOK_SIDE)
    except PersonaError:
        return "Its picture is broken and cannot be shown."
    return ""


def prompt_texts(persona: PersonaText) -> dict[str, str]:
    """The texts of a persona that can enter a prompt, by field; empty ones are left out."""
    texts = {
        "description": persona.description,
        "personality": persona.personality,
        "scenario": persona.scenario,
        "greeting": persona.greeting,
        "example_dialogue": persona.example_dialogue,
        "system_text": persona.system_text,
        "closing_reminder": persona.closing_reminder,
        "depth_prompt": persona.depth_prompt.text if persona.depth_prompt else "",
        "lorebook": "\n".join(_lore_texts(persona)),
    }
    return {field: text for field, text in texts.items() if text}


def lore_entries(persona: PersonaText) -> int:
    """How many entries the persona's lorebook has, disabled ones too."""
    return len(_entries(persona))


def _entries(persona: PersonaText) -> list[object]:
    entries = (persona.lorebook or {}).get("entries")
    by_id = as_object(entries)
    return list(by_id.values()) if by_id is not None else as_list(entries) or []


def _lore_texts(persona: PersonaText) -> list[str]:
    texts = [(as_object(entry) or {}).get("content") for entry in _entries(persona)]
    return [text for text in texts if isinstance(text, str)]
