"""The calls of the page that concern scenes and forks."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated

from aiohttp import web
from pydantic import Field

from bot.chat.messages import Scope, Speaker
from bot.chat.persona import Persona
from bot.chat.roleplay.scenes import changes
from bot.chat.roleplay.scenes.scene import NOTE_DEPTH, Mode, Scene
from bot.chat.talk.conversations import Conversations
from bot.chat.talk.directing import Director, Transcript
from bot.errors import NotFound
from bot.workbench.forms import Form, Name, read_form
from bot.workbench.room import PERSON_ID, Room
from bot.workbench.rooms import Rooms

TEXT_CHARACTERS = 20_000  # the core says what is too long for what

Text = Annotated[str, Field(max_length=TEXT_CHARACTERS)]
Id = Annotated[str, Field(min_length=1, max_length=1_000)]


class NewScene(Form):
    """What is to be played."""

    title: Text
    cast: Annotated[list[Id], Field(max_length=100)]
    name: Name  # of the person
    scenario: Text = ""


class WhichPersona(Form):
    """One by its id."""

    persona: Id


class WhichMode(Form):
    """Who speaks when."""

    mode: Annotated[Mode, Field(strict=False)]


class Me(Form):
    """Whom the person plays; "" for themselves."""

    name: Text
    description: Text = ""


class Note(Form):
    """The author's note; "" for none."""

    text: Text
    depth: int = NOTE_DEPTH


class Pause(Form):
    """Whether nobody answers for a while."""

    paused: bool


class ScenesApi:
    """The handlers, and the routes to them."""

    def __init__(self, conversations: Conversations, rooms: Rooms, director: Director) -> None:
        self._conversations = conversations
        self._rooms = rooms
        self._director = director

    def routes(self) -> list[web.RouteDef]:
        """Every call there is."""
        scene = "/api/chats/{chat}/scene"
        return [
            web.get(scene, self.show),
            web.post(scene, self.start),
            web.post(f"{scene}/cast", self.add),
            web.delete(f"{scene}/cast", self.remove),
            web.post(f"{scene}/say", self.say),
            web.put(f"{scene}/turns", self.take_turns),
            web.put(f"{scene}/me", self.me),
            web.put(f"{scene}/note", self.note),
            web.put(f"{scene}/paused", self.pause),
            web.post(f"{scene}/recap", self.recap),
            web.get(f"{scene}/transcript", self.transcript),
            web.post(f"{scene}/end", self.end),
            web.post("/api/chats/{chat}/turns/{turn:[0-9]{1,18}}/fork", self.fork),
        ]

    async def show(self, request: web.Request) -> web.Response:
        """What is played in a chat."""
        return await self._answer(self._room(request))

    async def start(self, request: web.Request) -> web.Response:
        """Begin a scene."""
        room = self._room(request)
        form = await read_form(request, NewScene)
        room.refuse_when_busy()
        cast = await self._personas(form.cast)
        by = Speaker(PERSON_ID, form.name)
        await self._director.start(room.key, form.title, cast, by, scenario=form.scenario)
        room.writer.forget_note()
        await room.tell_snapshot()
        return await self._changed(room)

    async def add(self, request: web.Request) -> web.Response:
        """One more in the cast."""
        return await self._recast(request, changes.with_persona)

    async def remove(self, request: web.Request) -> web.Response:
        """One less."""
        return await self._recast(request, changes.without_persona)

    async def say(self, request: web.Request) -> web.Response:
        """One of the cast speaks now."""
        room, scene = await self._scene(request)
        form = await read_form(request, WhichPersona)
        (persona,) = await self._personas([form.persona])
        await self._director.let_speak(scene, persona, PERSON_ID)
        room.writer.write()
        return web.json_response({}, status=202)

    async def take_turns(self, request: web.Request) -> web.Response:
        """Choose who speaks when."""
        room, scene = await self._scene(request)
        form = await read_form(request, WhichMode)
        await self._director.take_turns(scene, form.mode)
        return await self._changed(room)

    async def me(self, request: web.Request) -> web.Response:
        """Be somebody, or oneself again."""
        room, scene = await self._scene(request)
        form = await read_form(request, Me)
        if form.name.strip():
            await self._director.play(scene, PERSON_ID, form.name, form.description)
        elif PERSON_ID in scene.characters:
            change = partial(changes.without_character, player=PERSON_ID)
            await self._director.change(scene, change)
        return await self._changed(room)

    async def note(self, request: web.Request) -> web.Response:
        """Set the author's note."""
        room, scene = await self._scene(request)
        form = await read_form(request, Note)
        change = partial(changes.with_note, text=form.text, depth=form.depth)
        await self._director.change(scene, change)
        return await self._changed(room)

    async def pause(self, request: web.Request) -> web.Response:
        """Nobody answers for a while, or the scene goes on."""
        room, scene = await self._scene(request)
        form = await read_form(request, Pause)
        change = changes.paused if form.paused else changes.resumed
        await self._director.change(scene, change)
        if not form.paused:
            room.writer.write()  # what waited
        return await self._changed(room)

    async def recap(self, request: web.Request) -> web.Response:
        """What has happened so far."""
        _, scene = await self._scene(request)
        return web.json_response({"text": await self._director.recap(scene, PERSON_ID)})

    async def transcript(self, request: web.Request) -> web.Response:
        """The scene so far, as a file."""
        _, scene = await self._scene(request)
        found = await self._director.transcript(scene)
        is_json = request.query.get("format") == "json"
        kind, suffix = ("application/json", "json") if is_json else ("text/markdown", "md")
        name = f"caduceus-scene-{scene.scene_id}.{suffix}"
        return web.Response(
            text=found.json if is_json else found.markdown,
            content_type=kind,
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    async def end(self, request: web.Request) -> web.Response:
        """End it, with its transcript."""
        room, scene = await self._scene(request)
        room.refuse_when_busy()
        found: Transcript = await self._director.end(scene)
        room.writer.forget_note()
        await room.tell_snapshot()
        await self._changed(room)
        files = {"markdown": found.markdown, "json": found.json}
        return web.json_response({"title": scene.title, "turns": found.turns, **files})

    async def fork(self, request: web.Request) -> web.Response:
        """Go on from a turn in a chat of its own."""
        room = self._room(request)
        turn = await room.turn(int(request.match_info["turn"]))
        fork = await self._rooms.create()
        await self._copy_settings(room, fork)
        await self._director.fork(turn.turn_id, fork.key, PERSON_ID)
        await fork.tell_snapshot()
        (line,) = await self._rooms.lines([fork])
        return web.json_response(line, status=201)

    async def _recast(self, request: web.Request, change: changes.Recast) -> web.Response:
        room, scene = await self._scene(request)
        form = await read_form(request, WhichPersona)
        (persona,) = await self._personas([form.persona])
        made = partial(change, persona_id=persona.id, name=persona.name)
        await self._director.change(scene, made)
        return await self._changed(room)

    async def _copy_settings(self, room: Room, fork: Room) -> None:
        """A chat's own settings go along, its persona first of all."""
        cascade = self._conversations.settings
        for one in await cascade.explain(room.key):
            if one.origin is Scope.CHANNEL:
                key = one.definition.key
                await cascade.set(fork.key, Scope.CHANNEL, key, one.shown, by=PERSON_ID)

    async def _personas(self, ids: Sequence[str]) -> Sequence[Persona]:
        found = await self._conversations.personas.by_ids(None, ids)
        for each in ids:
            if each not in found:
                raise NotFound("That persona is gone.", "Choose another one.")
        return [found[each] for each in ids]

    async def _scene(self, request: web.Request) -> tuple[Room, Scene]:
        room = self._room(request)
        return room, await self._director.playing(room.key)

    async def _changed(self, room: Room) -> web.Response:
        """Tell every page of the chat, too."""
        room.hub.publish("scene", {"scene": await room.scene()})
        return await self._answer(room)

    async def _answer(self, room: Room) -> web.Response:
        return web.json_response({"scene": await room.scene()})

    def _room(self, request: web.Request) -> Room:
        return self._rooms.get(request.match_info["chat"])
