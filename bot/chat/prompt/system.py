"""The system text: who the bot is, as the model reads it."""

import re
from dataclasses import dataclass

from bot.chat.persona import Persona
from bot.chat.personas.macros import expand_macros

_EXAMPLE_START = re.compile("<START>", re.IGNORECASE)
_STAY = (
    "Stay in character. Write only what {{char}} says and does, and never speak or act for "
    "anybody else."
)


@dataclass(frozen=True, slots=True)
class SystemText:
    """The persona's parts with macros replaced. An empty one is ""."""

    persona: str
    examples: tuple[str, ...]  # dialogues; left out before real history is
    instructions: str
    greeting: str


def is_character(persona: Persona) -> bool:
    """Whether somebody is played, rather than the bot being itself."""
    return bool(persona.personality or persona.scenario or persona.example_dialogue)


def system_text(persona: Persona, *, char: str, user: str, instructions: str = "") -> SystemText:
    """What the model is told of `persona`.

    A description that doesn't address the model ("You are ...") is led by "You are {{char}}.", as
    character cards are written in the third person.
    """

    def expand(text: str) -> str:
        return expand_macros(text.strip(), char=char, user=user)

    parts: list[str] = []
    if not persona.description.lower().startswith("you are"):
        parts.append("You are {{char}}.")
    parts.append(persona.description)
    if persona.personality:
        parts.append(f"{{{{char}}}}'s personality: {persona.personality}")
    if persona.scenario:
        parts.append(f"Scenario: {persona.scenario}")
    if is_character(persona):
        parts.append(_STAY)
    return SystemText(
        persona="\n".join(expand(part) for part in parts if part.strip()),
        examples=tuple(expand(example) for example in example_dialogues(persona)),
        instructions=expand(instructions),
        greeting=expand(persona.greeting),
    )


def example_dialogues(persona: Persona) -> list[str]:
    """The dialogues of the example text, which `<START>` marks part."""
    blocks = _EXAMPLE_START.split(persona.example_dialogue)
    return [block.strip() for block in blocks if block.strip()]
