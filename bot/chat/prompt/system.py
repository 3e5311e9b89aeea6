"""The system text: who the bot is, as the model reads it."""

import re

from bot.chat.persona import Persona
from bot.chat.personas.macros import expand_macros
from bot.chat.prompt.parts import Part, Place, Priority

_EXAMPLE_START = re.compile("<START>", re.IGNORECASE)
_STAY = (
    "Stay in character. Write only what {{char}} says and does, and never speak or act for "
    "anybody else."
)


def is_character(persona: Persona) -> bool:
    """Whether somebody is played, rather than the bot being itself."""
    return bool(persona.personality or persona.scenario or persona.example_dialogue)


def system_parts(persona: Persona, *, char: str, user: str, instructions: str = "") -> list[Part]:
    """What the model is told of `persona`, with macros replaced.

    A description that doesn't address the model ("You are ...") is led by "You are {{char}}.", as
    character cards are written in the third person.
    """

    def part(name: str, text: str, place: Place, priority: Priority, heading: str = "") -> Part:
        return Part(name, text, place, priority, heading=heading, is_trusted=True)

    def expand(text: str) -> str:
        return expand_macros(text.strip(), char=char, user=user)

    about: list[str] = []
    if not persona.description.lower().startswith("you are"):
        about.append("You are {{char}}.")
    about.append(persona.description)
    if persona.personality:
        about.append(f"{{{{char}}}}'s personality: {persona.personality}")
    if persona.scenario:
        about.append(f"Scenario: {persona.scenario}")
    if is_character(persona):
        about.append(_STAY)
    described = "\n".join(expand(text) for text in about if text.strip())
    heading = f"Examples of how {char} talks:"
    return [
        part("persona", described, Place.PERSONA, Priority.REQUIRED),
        *(
            part("examples", expand(example), Place.EXAMPLES, Priority.SPARE, heading)
            for example in example_dialogues(persona)
        ),
        part("instructions", expand(instructions), Place.INSTRUCTIONS, Priority.REQUIRED),
    ]


def example_dialogues(persona: Persona) -> list[str]:
    """The dialogues of the example text, which `<START>` marks part."""
    blocks = _EXAMPLE_START.split(persona.example_dialogue)
    return [block.strip() for block in blocks if block.strip()]
