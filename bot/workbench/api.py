"""The calls that the page makes. Each reads, checks, asks a room, and answers with JSON."""

import json
from collections.abc import Mapping

from aiohttp import web

from bot.chat.definitions import definition_of
from bot.chat.messages import Scope
from bot.chat.talk.conversations import Conversations
from bot.workbench import views
from bot.workbench.answers import Refused
from bot.workbench.events import Event
from bot.workbench.forms import (
    NewMessage,
    NewText,
    Restore,
    SettingValue,
    SwipeStep,
    WhoAsks,
    read_form,
    read_query,
)
from bot.workbench.room import PERSON_ID, Room
from bot.workbench.rooms import Rooms

NUMBER = r"{turn:[0-9]{1,18}}"
CONVERSATION = r"{conversation:[0-9]{1,18}}"
HEARTBEAT_SECONDS = 15
HEARTBEAT = b": still here\n\n"


class Api:
    """The handlers, and the routes to them."""

    def __init__(
        self, conversations: Conversations, rooms: Rooms, version: str, *, has_library: bool
    ) -> None:
        self._conversations = conversations
        self._has_library = has_library
        self._rooms = rooms
        self._version = version
        self._is_closing = False

    def routes(self) -> list[web.RouteDef]:
        """Every call there is."""
        chat, turn = "/api/chats/{chat}", "/api/chats/{chat}/turns/" + NUMBER
        conversation = "/api/chats/{chat}/conversations/" + CONVERSATION
        return [
            web.get("/api/status", self.status),
            web.get("/api/personas", self.personas),
            web.get("/api/chats", self.chats),
            web.post("/api/chats", self.new_chat),
            web.get(chat, self.snapshot),
            web.get(f"{chat}/events", self.events),
            web.get(f"{chat}/export", self.export),
            web.get(f"{chat}/settings", self.settings),
            web.put(f"{chat}/settings/{{key}}", self.set_setting),
            web.delete(f"{chat}/settings/{{key}}", self.reset_setting),
            web.post(f"{chat}/messages", self.say),
            web.post(f"{chat}/answer", self.answer),
            web.post(f"{chat}/stop", self.stop),
            web.post(f"{chat}/reset", self.reset),
            web.post(f"{chat}/restore", self.restore),
            web.get(f"{chat}/conversations", self.conversations),
            web.get(conversation, self.conversation),
            web.get(f"{conversation}/export", self.export),
            web.delete(conversation, self.delete_conversation),
            web.get(f"{turn}/earlier", self.earlier),
            web.get(f"{turn}/why", self.why),
            web.put(turn, self.edit),
            web.delete(turn, self.delete),
            web.post(f"{turn}/swipe", self.swipe),
            web.post(f"{turn}/regenerate", self.regenerate),
            web.post(f"{turn}/continue", self.continue_reply),
        ]

    def refuse_more(self) -> None:
        """From now on nothing that would begin a reply is taken."""
        self._is_closing = True

    async def status(self, _request: web.Request) -> web.Response:
        """The engine and the version."""
        return web.json_response(
            {
                "version": self._version,
                "has_library": self._has_library,
                "engine": views.engine(self._conversations.engines),
            }
        )

    async def personas(self, request: web.Request) -> web.Response:
        """Who can be talked with, and which files are broken."""
        name = read_query(request, WhoAsks).name
        personas = self._conversations.personas
        found = await personas.listed(None)
        return web.json_response(
            {
                "personas": [views.persona(one, user=name) for one in found],
                "problems": views.problems(personas.problems()),
            }
        )

    async def chats(self, _request: web.Request) -> web.Response:
        """The list of chats."""
        return web.json_response({"chats": await self._rooms.lines()})

    async def new_chat(self, _request: web.Request) -> web.Response:
        """Open another chat."""
        (line,) = await self._rooms.lines([await self._rooms.create()])
        return web.json_response(line, status=201)

    async def snapshot(self, request: web.Request) -> web.Response:
        """A chat as it stands."""
        return web.json_response(await self._room(request).snapshot())

    async def events(self, request: web.Request) -> web.StreamResponse:
        """A snapshot, and then everything that happens, as server-sent events."""
        room = self._room(request)
        await room.enter(read_query(request, WhoAsks).name)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        snapshot = await room.snapshot()
        subscription = room.hub.subscribe()  # no `await` between the two: see Room.snapshot
        try:
            await response.write(Event("snapshot", snapshot).encode())
            while True:
                events = await subscription.take(HEARTBEAT_SECONDS)
                if subscription.closed and not events:
                    break
                await response.write(b"".join(one.encode() for one in events) or HEARTBEAT)
        except ConnectionResetError:
            pass  # the page went away; the reply goes on without it
        finally:
            room.hub.leave(subscription)
        return response

    async def export(self, request: web.Request) -> web.Response:
        """The conversation as a file."""
        room = self._room(request)
        number = _conversation_id(request)
        turns = await room.export(number)
        if request.query.get("format") == "text":
            body, suffix, kind = views.transcript(turns), "txt", "text/plain"
        else:
            exported = views.exported(room.key.channel_id, turns)
            body = json.dumps(exported, indent=2, ensure_ascii=False)
            suffix, kind = "json", "application/json"
        which = room.key.channel_id if number is None else f"{room.key.channel_id}-{number}"
        name = f"caduceus-chat-{which}.{suffix}"
        return web.Response(
            text=body,
            content_type=kind,
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    async def settings(self, request: web.Request) -> web.Response:
        """The settings in force, with what their controls need."""
        return web.json_response(await self._settings(self._room(request)))

    async def set_setting(self, request: web.Request) -> web.Response:
        """Set one for this chat. An empty text takes it back."""
        room, key = self._room(request), definition_of(request.match_info["key"]).key
        form = await read_form(request, SettingValue)
        cascade = self._conversations.settings
        if form.value:
            await cascade.set(room.key, Scope.CHANNEL, key, form.value, by=PERSON_ID)
        else:
            await cascade.reset(room.key, Scope.CHANNEL, key, by=PERSON_ID)
        return await self._settings_changed(room, key)

    async def reset_setting(self, request: web.Request) -> web.Response:
        """Take one back."""
        room, key = self._room(request), definition_of(request.match_info["key"]).key
        await self._conversations.settings.reset(room.key, Scope.CHANNEL, key, by=PERSON_ID)
        return await self._settings_changed(room, key)

    async def say(self, request: web.Request) -> web.Response:
        """The person says something."""
        self._refuse_when_closing()
        form = await read_form(request, NewMessage)
        return web.json_response(await self._room(request).say(form.text, form.name), status=202)

    async def answer(self, request: web.Request) -> web.Response:
        """Answer what stands unanswered."""
        self._refuse_when_closing()
        await self._room(request).answer()
        return _done(202)

    async def stop(self, request: web.Request) -> web.Response:
        """End the running reply as it stands."""
        return web.json_response({"stopped": self._room(request).writer.stop()})

    async def reset(self, request: web.Request) -> web.Response:
        """Begin a new conversation; nothing is deleted."""
        return web.json_response({"conversation_id": await self._room(request).reset()})

    async def restore(self, request: web.Request) -> web.Response:
        """Back to the conversation that a reset put away."""
        form = await read_form(request, Restore)
        await self._room(request).restore(form.conversation_id)
        return _done()

    async def conversations(self, request: web.Request) -> web.Response:
        """Every conversation that was had in a chat."""
        return web.json_response({"conversations": await self._room(request).conversations()})

    async def conversation(self, request: web.Request) -> web.Response:
        """One of them, to read."""
        number = int(request.match_info["conversation"])
        return web.json_response(await self._room(request).conversation(number))

    async def delete_conversation(self, request: web.Request) -> web.Response:
        """Take out one that was left."""
        await self._room(request).delete_conversation(int(request.match_info["conversation"]))
        return _done()

    async def earlier(self, request: web.Request) -> web.Response:
        """The turns before one."""
        return web.json_response(await self._room(request).earlier(_turn_id(request)))

    async def why(self, request: web.Request) -> web.Response:
        """«Why this reply?»"""
        turn = await self._room(request).turn(_turn_id(request))
        explanation = await self._conversations.why(turn.turn_id)
        return web.json_response(views.explanation(explanation))

    async def edit(self, request: web.Request) -> web.Response:
        """Replace a turn's text."""
        form = await read_form(request, NewText)
        await self._room(request).edit(_turn_id(request), form.text)
        return _done()

    async def delete(self, request: web.Request) -> web.Response:
        """Take a turn out."""
        await self._room(request).delete(_turn_id(request))
        return _done()

    async def swipe(self, request: web.Request) -> web.Response:
        """Show another swipe."""
        form = await read_form(request, SwipeStep)
        await self._room(request).swipe(_turn_id(request), form.step)
        return _done()

    async def regenerate(self, request: web.Request) -> web.Response:
        """Write another swipe."""
        self._refuse_when_closing()
        await self._room(request).regenerate(_turn_id(request))
        return _done(202)

    async def continue_reply(self, request: web.Request) -> web.Response:
        """Write on where a reply ended."""
        self._refuse_when_closing()
        await self._room(request).continue_reply(_turn_id(request))
        return _done(202)

    def _room(self, request: web.Request) -> Room:
        return self._rooms.get(request.match_info["chat"])

    def _refuse_when_closing(self) -> None:
        if self._is_closing:
            raise Refused(503, "Caduceus is being stopped.", "Start it again to go on.")

    async def _settings(self, room: Room) -> Mapping[str, list[views.Json]]:
        return {"settings": views.settings(await self._conversations.settings.explain(room.key))}

    async def _settings_changed(self, room: Room, key: str) -> web.Response:
        settings = await self._settings(room)
        room.hub.publish("settings", settings)
        if key == "persona":
            await room.greet()
        return web.json_response(settings)


def _turn_id(request: web.Request) -> int:
    return int(request.match_info["turn"])


def _conversation_id(request: web.Request) -> int | None:
    given = request.match_info.get("conversation")
    return None if given is None else int(given)


def _done(status: int = 200) -> web.Response:
    return web.json_response({}, status=status)
