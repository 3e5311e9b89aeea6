"""`/roleplay`: scenes, in threads of their own where that can be."""

import logging
from contextlib import suppress
from functools import partial
from typing import Literal, TypeAlias

from discord import app_commands
from discord.ext import commands

from bot.chat.limits.ages import require_may_speak
from bot.chat.messages import Turn
from bot.chat.roleplay.scenes import changes
from bot.chat.roleplay.scenes.scene import (
    DESCRIPTION_CHARACTERS,
    MOST_DEPTH,
    NAME_CHARACTERS,
    NOTE_CHARACTERS,
    NOTE_DEPTH,
    SCENARIO_CHARACTERS,
    TITLE_CHARACTERS,
    Mode,
)
from bot.chat.talk.directing import Director
from bot.errors import CaduceusError, NotFound
from cogs.client import CaduceusBot, Interaction, channel_of
from cogs.commands.personas.finding import complete_persona, find_persona
from cogs.commands.personas.looks import plain
from cogs.commands.scenes.finding import (
    complete_for_cast,
    complete_member,
    find_cast,
    find_member,
    playing,
)
from cogs.commands.scenes.looks import MODES, counted, described, files, listed, opening
from cogs.commands.scenes.threads import archive, open_thread, require_place
from cogs.interactions import CONTENT_CHARACTERS, acknowledge, answering, shown
from cogs.platform import WRITE_ERRORS, Channel, key_of
from cogs.rights.holding import require_may_send
from cogs.rights.talking import speaker_behind

Text: TypeAlias = app_commands.Range[str, 1, SCENARIO_CHARACTERS]
_log = logging.getLogger(__name__)


class RoleplayCommands(
    commands.GroupCog, group_name="roleplay", group_description="Scenes to play in"
):
    """Commands about scenes. Who may do what is checked each time."""

    def __init__(self, bot: CaduceusBot, director: Director) -> None:
        self._bot = bot
        self._director = director

    @app_commands.command()
    @app_commands.describe(
        title="What the scene is called",
        persona="Who plays; several with commas between them",
        scenario="What it is about",
    )
    @app_commands.autocomplete(persona=complete_persona)
    async def start(
        self,
        interaction: Interaction,
        title: app_commands.Range[str, 1, TITLE_CHARACTERS],
        persona: str,
        scenario: Text = "",
    ) -> None:
        """Start a scene, in a thread of its own where that can be."""
        by = speaker_behind(interaction)
        async with answering(interaction):
            here = channel_of(interaction)
            title, scenario = [await self._wanted(interaction, text) for text in (title, scenario)]
            cast = await find_cast(interaction, persona)
            draft = self._director.drafted(key_of(here), title, cast, by, scenario=scenario)
            await self._director.require_voice(key_of(here))
            thread = await open_thread(interaction, await shown(interaction, draft.title))
            if thread is None:
                require_place(interaction)
                require_may_send(here)
            place = thread or here
            try:
                scene, greeting = await self._director.start(
                    key_of(place), title, cast, by, scenario=scenario
                )
            except CaduceusError:
                if thread is not None:
                    await archive(thread, thread.owner_id)
                raise
            begins = await shown(interaction, opening(scene, cast))
        if thread is not None:
            with suppress(*WRITE_ERRORS):
                await thread.send(begins)
            await interaction.followup.send(f"A scene begins in {thread.mention}.")
        else:
            note = "\n-# It is played right here: there can be no thread of its own."
            said = await interaction.followup.send(
                begins[: CONTENT_CHARACTERS - len(note)] + note, wait=True
            )
            # From here on, what is said while the bot is away is answered when it comes back.
            await self._bot.conversations.history.note_seen(key_of(here), str(said.id))
        if greeting is not None:
            await self._greet(greeting, place, str(interaction.id))

    @app_commands.command()
    @app_commands.describe(action="What to do", persona="Which persona")
    @app_commands.autocomplete(persona=complete_for_cast)
    async def cast(
        self,
        interaction: Interaction,
        action: Literal["add", "remove", "list"],
        persona: str | None = None,
    ) -> None:
        """Let a persona play in this scene or no more, or see who plays."""
        if action == "list":
            await interaction.response.defer(ephemeral=True, thinking=True)
            scene = await playing(interaction, self._director)
            text = described(scene, await self._director.cast(scene))
            await interaction.followup.send(await shown(interaction, text), ephemeral=True)
            return
        async with answering(interaction):
            scene = await playing(interaction, self._director)
            if not persona:
                raise NotFound("Which persona?", "Choose one with the option `persona`.")
            if action == "add":
                found = await find_persona(interaction, persona)
                require_may_speak(found, key_of(channel_of(interaction)))
                change = partial(
                    changes.with_persona,
                    persona_id=found.id,
                    name=found.name,
                    nickname=found.nickname,
                )
                scene, name = await self._director.change(scene, change), found.name
            elif persona in scene.cast:  # by its id, as one that is gone is listed
                scene, name = await self._director.take_out(scene, persona), persona
            else:
                found = await find_member(interaction, self._director, scene, persona)
                scene, name = await self._director.take_out(scene, found.id), found.name
            cast = await self._director.cast(scene)
            does = "plays in this scene now" if action == "add" else "no longer plays in this scene"
            said = f"**{plain(name, 80)}** {does}. Cast: {listed(cast)}."
            said = await shown(interaction, said)
        await interaction.followup.send(said[:CONTENT_CHARACTERS])

    @app_commands.command()
    @app_commands.describe(persona="Who speaks now")
    @app_commands.autocomplete(persona=complete_member)
    async def say(self, interaction: Interaction, persona: str) -> None:
        """Let one of the cast speak now."""
        await acknowledge(interaction)
        channel = channel_of(interaction)
        scene = await playing(interaction, self._director)
        found = await find_member(interaction, self._director, scene, persona)
        key = key_of(channel)
        require_may_speak(found, key)
        await self._director.let_speak(scene, found, str(interaction.user.id), channel=key)
        said = await shown(interaction, f"**{plain(found.name, 80)}** speaks now.")
        await interaction.followup.send(said, ephemeral=True)
        self._bot.serving.serve(key, channel)

    @app_commands.command()
    @app_commands.describe(mode="Who answers a message")
    @app_commands.choices(
        mode=[
            app_commands.Choice(name=f"{mode.value}: {says}", value=mode.value)
            for mode, says in MODES.items()
        ]
    )
    async def turns(self, interaction: Interaction, mode: str) -> None:
        """Choose who speaks when."""
        async with answering(interaction):
            scene = await playing(interaction, self._director)
            scene = await self._director.take_turns(scene, Mode(mode))
        await interaction.followup.send(f"Turns are `{scene.mode.value}`: {MODES[scene.mode]}.")

    @app_commands.command()
    @app_commands.describe(
        name="Who you are in this scene; nothing: yourself again", description="What you are like"
    )
    async def me(
        self,
        interaction: Interaction,
        name: app_commands.Range[str, 1, NAME_CHARACTERS] | None = None,
        description: app_commands.Range[str, 1, DESCRIPTION_CHARACTERS] | None = None,
    ) -> None:
        """Be somebody in this scene: personas know you by that name."""
        player = str(interaction.user.id)
        async with answering(interaction):
            scene = await playing(interaction, self._director)
            if name is None and description is not None:
                own = scene.characters.get(player)
                if own is None:
                    raise NotFound("You play nobody in this scene.", "Say who you are: a name.")
                name = own.name
            if name is None:
                change = partial(changes.without_character, player=player)
                scene = await self._director.change(scene, change)
            else:
                name, description = [
                    await self._wanted(interaction, text) for text in (name, description or "")
                ]
                scene = await self._director.play(scene, player, name, description)
            one = scene.characters.get(player)
            who = f"**{plain(one.name, 80)}**" if one is not None else "themselves again"
            who = await shown(interaction, who)
        await interaction.followup.send(f"{interaction.user.mention} is {who} in this scene.")

    @app_commands.command()
    @app_commands.describe(
        text="What the personas are to bear in mind; nothing takes it away",
        depth="So many messages before the newest one",
    )
    async def note(
        self,
        interaction: Interaction,
        text: app_commands.Range[str, 1, NOTE_CHARACTERS] | None = None,
        depth: app_commands.Range[int, 0, MOST_DEPTH] = NOTE_DEPTH,
    ) -> None:
        """Set the author's note of this scene."""
        await acknowledge(interaction)
        scene = await playing(interaction, self._director)
        text = await self._wanted(interaction, text or "")
        change = partial(changes.with_note, text=text, depth=depth)
        scene = await self._director.change(scene, change)
        said = f"The note stands {depth} messages deep from now on." if scene.note else "No note."
        await interaction.followup.send(said, ephemeral=True)

    @app_commands.command()
    async def pause(self, interaction: Interaction) -> None:
        """Pause this scene: nobody of the cast answers."""
        async with answering(interaction):
            scene = await playing(interaction, self._director)
            await self._director.change(scene, changes.paused)
        await interaction.followup.send(
            "The scene is paused: nobody answers until `/roleplay resume`."
        )

    @app_commands.command()
    async def resume(self, interaction: Interaction) -> None:
        """Let a paused scene go on."""
        channel = channel_of(interaction)
        async with answering(interaction):
            scene = await playing(interaction, self._director)
            await self._director.change(scene, changes.resumed)
        await interaction.followup.send("The scene goes on.")
        self._bot.serving.serve(key_of(channel), channel)

    @app_commands.command()
    async def recap(self, interaction: Interaction) -> None:
        """Have the model tell what has happened in this scene so far."""
        channel = channel_of(interaction)
        async with answering(interaction):
            scene = await playing(interaction, self._director)
            text = await self._director.recap(scene, str(interaction.user.id))
            head = f"**{plain(scene.title, 80)}: what has happened so far**\n"
            head = await shown(interaction, head)
        message = await interaction.followup.send(
            head + text[: CONTENT_CHARACTERS - len(head)], wait=True
        )
        held = interaction.app_permissions
        if interaction.guild_id is None or held.pin_messages or held.manage_messages:
            with suppress(*WRITE_ERRORS):  # it may have as many pins as there can be
                await channel.get_partial_message(message.id).pin()

    @app_commands.command()
    async def end(self, interaction: Interaction) -> None:
        """End this scene, and get what was said as files."""
        channel = channel_of(interaction)
        async with answering(interaction):
            scene = await playing(interaction, self._director)
            transcript = await self._director.end(scene)
            title = plain(transcript.scene.title, 80)
        found = files(transcript, f"scene-{scene.scene_id}", interaction.filesize_limit)
        ends = f"**{title}** ends after {counted(transcript.turns)}."
        await interaction.followup.send(f"{ends} Who ended it has what was said as files.")
        # Not in the open: what a purge or an erasure takes away would go on standing there.
        text = "What was said. Only you see these files: save them, and share them with who played."
        if len(found) < 2:
            text += "\nNot all of it has room in a message: the bot's owner has it."
        await interaction.followup.send(text, files=found, ephemeral=True)
        own = self._bot.user
        await archive(channel, own.id if own is not None else 0)

    async def _wanted(self, interaction: Interaction, text: str) -> str:
        key = key_of(channel_of(interaction))
        return await self._bot.conversations.censor.wanted(key, text)

    async def _greet(self, greeting: Turn, place: Channel, nonce: str) -> None:
        try:
            await self._bot.serving.show(greeting, place, nonce)
        except (CaduceusError, *WRITE_ERRORS) as error:
            _log.warning("A greeting in %s could not be shown: %s", place.id, error)
            with suppress(NotFound):
                await self._bot.conversations.delete_turn(greeting.turn_id)
