"""Which scene is meant, and who of its cast."""

from collections.abc import Sequence

from discord import app_commands

from bot.chat.persona import Persona
from bot.chat.personas.homes import persona_key
from bot.chat.roleplay.scenes.scene import MOST_PERSONAS, Scene
from bot.chat.talk.directing import Director
from bot.errors import NotFound
from cogs.client import Interaction, bot_of, channel_of
from cogs.commands.personas.finding import choices_of, complete_persona, find_persona
from cogs.interactions import offered
from cogs.platform import key_of


async def playing(interaction: Interaction, director: Director) -> Scene:
    """The scene of the channel. Raises NotFound."""
    scene = await director.found(key_of(channel_of(interaction)))
    if scene is None:
        raise NotFound(
            "No scene is played here.", "Start one with `/roleplay start`, or go to its thread."
        )
    return scene


async def find_cast(interaction: Interaction, names: str) -> Sequence[Persona]:
    """One persona, or several with commas between them. Raises NotFound."""
    try:
        return [await find_persona(interaction, names)]
    except NotFound:
        parts = [part.strip() for part in names.split(",") if part.strip()]
        if len(parts) < 2:
            raise
    return [await find_persona(interaction, part) for part in parts[: MOST_PERSONAS + 1]]


async def find_member(
    interaction: Interaction, director: Director, scene: Scene, name: str
) -> Persona:
    """One of the cast by its name. Raises NotFound."""
    for persona in await director.cast(scene):
        if persona_key(name) in map(persona_key, (persona.name, persona.nickname, persona.id)):
            return persona
    persona = await find_persona(interaction, name)
    raise NotFound(
        f"{persona.name} does not play in this scene.", "Add it with `/roleplay cast add`."
    )


@offered
async def complete_member(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
    """The personas of the scene's cast whose names hold what was typed."""
    casting, key = bot_of(interaction).conversations.casting, key_of(channel_of(interaction))
    scene = await casting.scene(key)
    cast = await casting.here(key, scene=scene) if scene is not None else ()
    return choices_of([persona.name for persona in cast], typed)


async def complete_for_cast(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
    """Those who can be added, or taken out, as `action` says."""
    if interaction.namespace.action == "remove":
        return await complete_member(interaction, typed)
    return await complete_persona(interaction, typed)
