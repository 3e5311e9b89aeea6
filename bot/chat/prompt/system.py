"""What a persona tells the model: who the bot is, how it talks, what it is reminded of."""

import re
from collections.abc import Collection, Iterator
from typing import Final

from bot.chat.persona import DepthPrompt, Persona
from bot.chat.personas.macros import Macros
from bot.chat.prompt.parts import Part, Place, Priority, Role
from bot.chat.prompt.staging import NO_SCENE, Staging

SYSTEM_PROMPT: Final = "system_prompt"  # what lore may silence, as `@@disable_ui_prompt` calls it
CLOSING_REMINDER: Final = "post_history_instructions"
STOP_WORDS = 32  # of a persona, as many as count
STOP_CHARACTERS = 200

_EXAMPLE_START = re.compile("<START>", re.IGNORECASE)
_STAY = (
    "Stay in character. Write only what {{char}} says and does, and never speak or act for "
    "anybody else."
)
_YOU_ARE = "You are {{char}}."
# Of what stands even where no earlier turn has room, these go last; lore's ranks are lower.
_DEPTH_RANK = 1 << 30
_REMINDER_RANK = _DEPTH_RANK + 1
_ROLES: dict[str, Role] = {"system": "system", "user": "user", "assistant": "bot"}


def is_character(persona: Persona) -> bool:
    """Whether somebody is played, rather than the bot being itself."""
    return bool(persona.personality or persona.scenario or persona.example_dialogue)


def persona_parts(
    persona: Persona,
    macros: Macros,
    *,
    char: str,
    instructions: str = "",
    silenced: Collection[str] = (),
    staging: Staging = NO_SCENE,
) -> Iterator[Part]:
    """What the model is told of `persona`, with macros replaced. Its notes are not among it.

    A description that doesn't address the model ("You are ...") is led by "You are {{char}}.", as
    character cards are written in the third person. A persona's own system text takes the place of
    what we say (`{{original}}` in it is that), and its closing reminder stands last, where we have
    none. `silenced` are SYSTEM_PROMPT and CLOSING_REMINDER, where lore takes them out. In a scene,
    which may have a scenario in place of the persona's, everybody is played.
    """
    own = persona.system_text.strip()
    leads = not persona.description.lower().startswith("you are")
    is_quiet = bool(own) or SYSTEM_PROMPT in silenced
    lead = [_YOU_ARE] if leads else []
    stay = [_STAY] if staging.is_scene or is_character(persona) else []
    if own and SYSTEM_PROMPT not in silenced:
        original = macros.expand("\n".join((*lead, *stay)))
        yield _part("system text", macros.expand(own, original=original), Place.OPENING)
    about = [
        *(() if is_quiet else lead),
        persona.description,
        persona.personality and f"{{{{char}}}}'s personality: {persona.personality}",
        f"Scenario: {persona.scenario}" if persona.scenario and not staging.has_scenario else "",
        *(() if is_quiet else stay),
    ]
    told = "\n".join(macros.expand(text.strip()) for text in about if text.strip())
    yield _part("persona", told, Place.PERSONA)
    heading = f"Examples of how {char} talks:"
    for example in example_dialogues(persona):
        yield Part(
            "examples",
            macros.expand(example),
            Place.EXAMPLES,
            Priority.SPARE,
            heading=heading,
            is_trusted=True,
        )
    yield _part("instructions", macros.expand(instructions.strip()), Place.INSTRUCTIONS)
    if persona.depth_prompt is not None:
        yield note_part(persona.depth_prompt, "depth prompt", macros)
    if persona.closing_reminder and CLOSING_REMINDER not in silenced:
        yield Part(
            "reminder",
            macros.expand(persona.closing_reminder.strip()),
            Place.CLOSING,
            Priority.IMPORTANT,
            rank=_REMINDER_RANK,
            is_trusted=True,
        )


def note_part(note: DepthPrompt, name: str = "note", macros: Macros | None = None) -> Part:
    """An author's note or a depth prompt, at its depth and in its role.

    Without `macros` they are replaced where the prompt is written.
    """
    text = note.text.strip()
    return Part(
        name,
        macros.expand(text) if macros else text,
        Place.IN_HISTORY,
        Priority.IMPORTANT,
        rank=_DEPTH_RANK,
        depth=note.depth,
        role=_ROLES[note.role],
        is_trusted=True,
    )


def stop_words(persona: Persona, macros: Macros) -> tuple[str, ...]:
    """What a persona's author wants a reply to end at, as far as it can be a stop."""
    words = (macros.expand(word) for word in persona.stop_words[:STOP_WORDS])
    return tuple(word for word in words if word.strip() and len(word) <= STOP_CHARACTERS)


def example_dialogues(persona: Persona) -> list[str]:
    """The dialogues of the example text, which `<START>` marks part."""
    blocks = _EXAMPLE_START.split(persona.example_dialogue)
    return [block.strip() for block in blocks if block.strip()]


def _part(name: str, text: str, place: Place) -> Part:
    return Part(name, text, place, Priority.REQUIRED, is_trusted=True)
