"""The chats of the workbench, found again after a restart."""

import re
from collections.abc import Sequence

from bot.chat.messages import ChannelKey
from bot.chat.talk.conversations import Conversations
from bot.errors import NotFound
from bot.workbench import views
from bot.workbench.answers import Refused
from bot.workbench.room import PLATFORM, Room
from bot.workbench.writer import MessageNumbers

CHAT_ID = re.compile(r"[1-9][0-9]{0,8}")
MOST_CHATS = 200


class Rooms:
    """All chats there are."""

    def __init__(self, conversations: Conversations) -> None:
        self._conversations = conversations
        self._numbers = MessageNumbers()
        self._rooms: dict[str, Room] = {}

    async def open(self) -> None:
        """Find the chats of earlier days; there is always one."""
        await self._conversations.history.serve(PLATFORM, "", self._answer)
        await self._find()
        if not self._rooms:
            self._add("1", is_new=True)

    def all(self) -> list[Room]:
        """Every chat, the oldest first."""
        return [self._rooms[chat_id] for chat_id in sorted(self._rooms, key=int)]

    async def lines(self, rooms: Sequence[Room] | None = None) -> list[views.Json]:
        """The list of chats (or of some), read in one go."""
        if rooms is None:
            await self._find()
            rooms = self.all()
        keys = [room.key for room in rooms]
        settings = self._conversations.settings
        overview = await self._conversations.history.overview(keys, settings.scopes_of(keys))
        lines: list[views.Json] = []
        for key in keys:
            persona = await settings.persona(key, settings.settle(key, overview.settings))
            lines.append(views.chat(key.channel_id, persona.name, overview.newest.get(key)))
        return lines

    def get(self, chat_id: str) -> Room:
        """A chat. Raises NotFound."""
        try:
            return self._rooms[chat_id]
        except KeyError:
            raise NotFound("There is no such chat.", "Choose one from the list.") from None

    async def create(self) -> Room:
        """A new chat, empty. Raises Refused when there are too many."""
        await self._find()  # or it would be given the number of another page's chat
        if len(self._rooms) >= MOST_CHATS:
            raise Refused(409, f"There are {MOST_CHATS} chats already.", "Go on in one of them.")
        room = self._add(str(max(map(int, self._rooms)) + 1), is_new=True)
        await self._conversations.history.note_seen(room.key, self._numbers.next())
        return room

    async def _find(self) -> None:
        """Take in the chats that are in the database: of earlier days, and of other pages on it."""
        for key in await self._conversations.history.last_seen(PLATFORM):
            if CHAT_ID.fullmatch(key.channel_id) and key.channel_id not in self._rooms:
                self._add(key.channel_id)

    def _answer(self, key: ChannelKey) -> None:
        """Another page's program, or an earlier one, has left a question behind."""
        if CHAT_ID.fullmatch(key.channel_id):
            room = self._rooms.get(key.channel_id) or self._add(key.channel_id)
            room.writer.write()

    def _add(self, chat_id: str, *, is_new: bool = False) -> Room:
        room = Room(chat_id, self._conversations, self._numbers, is_new=is_new)
        self._rooms[chat_id] = room
        return room
