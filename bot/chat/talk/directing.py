"""What people do with scenes: start, cast, play, pause, tell again, end and fork them.

Who may do what is the front end's to know.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bot.chat.limits.ages import require_may_speak
from bot.chat.messages import ChannelKey, Speaker, Turn
from bot.chat.persona import Persona
from bot.chat.roleplay.scenes import changes
from bot.chat.roleplay.scenes.keeping import Fork, SceneChange, Scenes
from bot.chat.roleplay.scenes.scene import MOST_PERSONAS, Mode, Scene
from bot.chat.roleplay.scenes.transcript import as_json, as_markdown
from bot.chat.talk.conversations import Conversations, utc_now
from bot.chat.talk.recap import Recapper
from bot.errors import NotAllowed, NotFound


@dataclass(frozen=True, slots=True)
class Transcript:
    """A scene that has ended, as files."""

    scene: Scene
    turns: int
    markdown: str
    json: str


class Director:
    """Scenes for a front end. Raises UserErrors that say what to do, and StoreError."""

    def __init__(self, conversations: Conversations, scenes: Scenes) -> None:
        """`scenes` are those that the conversations are played in."""
        self._conversations = conversations
        self._scenes = scenes
        self._recapper = Recapper(conversations.engines, conversations.formats)
        self._recapper.on_written = self._charge

    async def playing(self, channel: ChannelKey) -> Scene:
        """What is played in a channel. Raises NotFound where nothing is."""
        scene = await self._scenes.running(channel)
        if scene is None:
            raise NotFound("No scene is played here.", "Start one, or go to the thread of yours.")
        return scene

    async def found(self, channel: ChannelKey) -> Scene | None:
        """What is played in a channel, if anything is."""
        return await self._scenes.running(channel)

    async def start(
        self,
        channel: ChannelKey,
        title: str,
        cast: Sequence[Persona],
        by: Speaker,
        *,
        scenario: str = "",
    ) -> tuple[Scene, Turn | None]:
        """A new scene, in a conversation of its own, and its greeting, which nobody has seen yet.

        The first of the cast greets.
        """
        scene = self.drafted(channel, title, cast, by, scenario=scenario)
        await self.require_voice(channel)
        kept = await self._scenes.start(scene)
        history = self._conversations.history
        if (await history.window(channel, 1)).turns:
            await self._conversations.reset(channel)
        return kept, await self._conversations.greetings.begin(channel, by)

    async def require_voice(self, channel: ChannelKey) -> None:
        """Raise NotAllowed where the bot answers nobody: a scene changes nothing about that."""
        settings = await self._conversations.settings.resolve(channel)
        if settings.trigger == "off":
            raise NotAllowed(
                "I am switched off in this channel: its `trigger` is `off`.",
                "Whoever looks after the channel can change that in its settings.",
            )

    def drafted(
        self,
        channel: ChannelKey,
        title: str,
        cast: Sequence[Persona],
        by: Speaker,
        *,
        scenario: str = "",
    ) -> Scene:
        """The scene that would be started, kept nowhere: raises what is wrong with it."""
        for persona in cast:
            require_may_speak(persona, channel)
        ids = tuple(dict.fromkeys(persona.id for persona in cast))
        if not 0 < len(ids) <= MOST_PERSONAS:
            raise NotAllowed(f"A scene has from 1 to {MOST_PERSONAS} personas.")
        return Scene(
            channel=channel,
            title=changes.clean_title(title),
            cast=ids,
            started_by=by.speaker_id,
            started_at=utc_now(),
            scenario=changes.clean_scenario(scenario),
        )

    async def change(self, scene: Scene, change: SceneChange) -> Scene:
        """Change a scene by one of :mod:`bot.chat.roleplay.scenes.changes`."""
        return await self._scenes.change(scene.scene_id, change)

    async def play(self, scene: Scene, player: str, name: str, description: str) -> Scene:
        """Let a player be somebody in a scene."""
        taken = [
            name for persona in await self.cast(scene) for name in (persona.name, persona.nickname)
        ]
        return await self.change(
            scene,
            lambda now: changes.with_character(now, player, name, description, taken),
        )

    async def take_out(self, scene: Scene, persona_id: str) -> Scene:
        """Take one out of the cast, also one that is gone."""
        names = await self._names(scene)
        name = names.get(persona_id, persona_id)
        return await self.change(
            scene, lambda now: changes.without_persona(now, persona_id, name, names)
        )

    async def take_turns(self, scene: Scene, mode: Mode) -> Scene:
        """Choose who speaks when."""
        return await self.change(scene, lambda now: replace(now, mode=mode))

    async def let_speak(
        self, scene: Scene, persona: Persona, by: str, *, channel: ChannelKey | None = None
    ) -> None:
        """One of the cast speaks next; the front end asks for the reply.

        `channel` is the scene's, as it is known now.
        """
        channel = channel or scene.channel
        if persona.id not in scene.cast:
            raise NotFound(f"{persona.name} does not play in this scene.", "Add it to the cast.")
        if scene.is_paused:
            raise NotAllowed("The scene is paused.", "Let it go on first.")
        require_may_speak(persona, channel)
        await self.require_voice(channel)
        await self._conversations.let_speak(channel, persona.id, by)

    async def recap(self, scene: Scene, user: str) -> str:
        """What has happened so far. Raises EngineError or SettingsError, too.

        NotAllowed where the guild does not want to read any of it.
        """
        turns = await self._conversations.history.export(scene.channel)
        reading = await self._conversations.censor.reading(scene.channel)
        turns = await asyncio.to_thread(list, map(reading.retold, turns))
        scene = await self.shown(scene)
        told = await self._recapper.recap(scene, turns, f"{scene.channel.platform}:{user}")
        return await self._conversations.shown_again.text(scene.channel, told)

    async def _charge(self, scene: Scene, user: str, tokens: int) -> None:
        _, _, who = user.partition(":")
        await self._conversations.wrote(scene.channel, who, tokens)

    async def transcript(self, scene: Scene, conversation_id: int | None = None) -> Transcript:
        """What was said so far, as files; in the current conversation, or in another one."""
        turns = await self._conversations.history.export(
            scene.channel, conversation_id=conversation_id
        )
        # Who is gone since is called as when they spoke.
        spoke = {turn.persona_id: turn.persona for turn in turns if turn.role == "bot"}
        names = {**spoke, **await self._names(scene)}
        reading = await self._conversations.censor.reading(scene.channel)
        turns = await asyncio.to_thread(list, map(reading.retold, turns))
        names = {persona_id: reading.shown(name) for persona_id, name in names.items()}
        scene = await self.shown(scene)
        return Transcript(
            scene, len(turns), as_markdown(scene, turns, names), as_json(scene, turns, names)
        )

    async def shown(self, scene: Scene) -> Scene:
        """A scene without the words that its guild does not want to read by now."""
        mask = (await self._conversations.censor.reading(scene.channel)).shown
        return replace(
            scene,
            title=mask(scene.title),
            scenario=mask(scene.scenario),
            note=mask(scene.note),
            characters={
                player: replace(one, name=mask(one.name), description=mask(one.description))
                for player, one in scene.characters.items()
            },
        )

    async def end(self, scene: Scene) -> Transcript:
        """End a scene. What is said after it belongs to a new conversation."""
        ended = await self._scenes.end(scene.scene_id)
        played, _ = await self._conversations.reset(scene.channel)  # ends what is being written
        return await self.transcript(ended, played)

    async def fork(self, turn_id: int, target: ChannelKey, by: str) -> Fork:
        """Copy a conversation up to a turn, with its scene, into a channel that is new."""
        return await self._scenes.fork(turn_id, target, by)

    async def fork_here(self, turn_id: int, by: str) -> tuple[Fork, int]:
        """Go on from a turn in the same channel, where there can be no other one.

        Also returns the conversation that is left, to go back to.
        """
        turn = await self._conversations.history.turn(turn_id)
        before, _ = await self._conversations.reset(turn.channel)
        try:
            return await self._scenes.fork(turn_id, turn.channel, by), before
        except NotFound:
            await self._conversations.history.restore(turn.channel, before)
            raise

    async def cast(self, scene: Scene) -> Sequence[Persona]:
        """The personas that play, as far as they are there."""
        personas = self._conversations.personas
        found = await personas.by_ids(scene.channel.guild_id, scene.cast)
        return [found[each] for each in scene.cast if each in found]

    async def _names(self, scene: Scene) -> Mapping[str, str]:
        return {persona.id: persona.name for persona in await self.cast(scene)}
