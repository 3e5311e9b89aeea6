"""How scenes look in Discord: their opening, their cast, their files."""

import io
from collections.abc import Iterator, Sequence

import discord

from bot.chat.persona import Persona
from bot.chat.roleplay.scenes.scene import Mode, Scene
from bot.chat.talk.directing import Transcript
from cogs.commands.personas.looks import plain
from cogs.interactions import CONTENT_CHARACTERS

SHOWN_CHARACTERS = 1_200  # of a scenario or a note
LINE_CHARACTERS = 150  # of a character's description
NAME_SHOWN_CHARACTERS = 80

MODES = {
    Mode.FREE: "whoever is named speaks, else one of them",
    Mode.ROUND: "they speak in turn",
    Mode.NAMED: "only who is named speaks",
}


def opening(scene: Scene, cast: Sequence[Persona]) -> str:
    """What stands at a scene's beginning."""
    lines = [f"## {plain(scene.title, NAME_SHOWN_CHARACTERS)}"]
    if scene.scenario:
        lines += quoted(scene.scenario)
    lines.append(f"With {listed(cast)}.")
    lines.append(
        "-# Everything said here is answered, but ((asides)) and lines that begin with //. "
        "`/roleplay me` gives you a character."
    )
    return "\n".join(lines)[:CONTENT_CHARACTERS]


def described(scene: Scene, cast: Sequence[Persona]) -> str:
    """Who plays, and how."""
    lines = [
        f"**{plain(scene.title, NAME_SHOWN_CHARACTERS)}**"
        + (" (paused)" if scene.is_paused else ""),
        f"Cast: {listed(cast)}; turns `{scene.mode.value}`: {MODES[scene.mode]}.",
    ]
    for player, one in scene.characters.items():
        text = plain(" ".join(one.description.split()), LINE_CHARACTERS)
        name = plain(one.name, NAME_SHOWN_CHARACTERS)
        lines.append(f"- <@{player}> is **{name}**" + (f": {text}" if text else ""))
    if scene.scenario:
        lines += ["Scenario:", *quoted(scene.scenario)]
    if scene.note:
        lines += [f"Author's note, {scene.note_depth} turns deep:", *quoted(scene.note)]
    return "\n".join(lines)[:CONTENT_CHARACTERS]


def listed(cast: Sequence[Persona]) -> str:
    """The names of a cast."""
    names = [f"**{plain(persona.name, NAME_SHOWN_CHARACTERS)}**" for persona in cast]
    return ", ".join(names) or "nobody"


def quoted(text: str) -> Iterator[str]:
    """Somebody's words as a quotation."""
    return (f"> {line}" for line in plain(text, SHOWN_CHARACTERS).splitlines())


def files(transcript: Transcript, name: str, limit_bytes: int) -> list[discord.File]:
    """A transcript's files, as far as they have room together."""
    found: list[discord.File] = []
    for kind, text in (("md", transcript.markdown), ("json", transcript.json)):
        content = text.encode()
        limit_bytes -= len(content)
        if limit_bytes >= 0:
            found.append(discord.File(io.BytesIO(content), filename=f"{name}.{kind}"))
    return found
