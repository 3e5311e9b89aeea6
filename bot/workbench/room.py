"""One chat of the workbench: what the person can do in it."""

from collections.abc import Sequence
from contextlib import suppress

from bot.chat.messages import ChannelKey, IncomingMessage, Speaker, Turn
from bot.chat.persona import Persona
from bot.chat.roleplay.scenes.scene import Scene
from bot.chat.talk.conversations import Conversations
from bot.errors import NotAllowed, NotFound
from bot.workbench import views
from bot.workbench.answers import Refused
from bot.workbench.events import Hub
from bot.workbench.scenes import views as scene_views
from bot.workbench.writer import ChatWriter, MessageNumbers

PLATFORM = "workbench"
PERSON_ID = "person"
WINDOW_TURNS = 100  # how many turns a page is given at once


class Room:
    """A chat. What happens is published to :attr:`hub`; the page draws what it is told."""

    def __init__(
        self,
        chat_id: str,
        conversations: Conversations,
        numbers: MessageNumbers,
        *,
        is_new: bool = False,
    ) -> None:
        """In one that `is_new` the persona greets the first page that comes."""
        self.key = ChannelKey(PLATFORM, chat_id, is_direct=True)
        self.hub = Hub()
        self.writer = ChatWriter(self.key, conversations, numbers, self.hub)
        self._conversations = conversations
        self._history = conversations.history
        self._numbers = numbers
        self._person = "Guest"  # what greetings call the person
        self._is_new = is_new

    async def enter(self, name: str) -> None:
        """A page comes, whose person wants to be called so; a new chat begins with a greeting."""
        self._person = name
        if not self._is_new:
            return
        window = await self._history.window(self.key, 1)
        if not window.turns:
            await self._conversations.greetings.begin(self.key, Speaker(PERSON_ID, name))
        self._is_new = False

    async def say(self, text: str, name: str) -> views.Json:
        """The person says something; the answer comes by itself."""
        self._person = name
        message = IncomingMessage(
            message_id=self._numbers.next(),
            channel=self.key,
            author=Speaker(PERSON_ID, name),
            text=text,
            sent_at=views.now(),
            mentions_bot=True,
        )
        heard = await self._conversations.hear(message)
        if heard.addressed:
            self.writer.write()  # first, so that no page takes the message for unanswered
        if heard.turn is not None:
            self.writer.tell_turn(heard.turn)
        if not heard.kept:
            self.writer.tell_note(
                "Not kept: what stands in ((double parentheses)) or after // is an aside."
            )
        return {"kept": heard.kept, "addressed": heard.addressed}

    async def answer(self) -> None:
        """Answer what stands unanswered at the end. Raises Refused when nothing does."""
        self.refuse_when_busy()
        window = await self._history.window(self.key, 1)
        newest = window.turns[-1] if window.turns else None
        if newest is None or newest.role != "user":
            raise Refused(409, "There is nothing to answer.", "Write something first.")
        await self._conversations.ask_again(newest.turn_id)
        self.writer.write()

    async def regenerate(self, turn_id: int) -> None:
        """Write another swipe of a reply."""
        await self._bot_turn(turn_id)
        self.writer.write(lambda: self._conversations.regenerate(turn_id))

    async def continue_reply(self, turn_id: int) -> None:
        """Go on where a reply ended."""
        await self._bot_turn(turn_id)
        self.writer.write(lambda: self._conversations.continue_reply(turn_id))

    async def swipe(self, turn_id: int, step: int) -> None:
        """Show another swipe of a reply."""
        await self._bot_turn(turn_id)
        self.writer.tell_turn(await self._conversations.swipe(turn_id, step))

    async def edit(self, turn_id: int, text: str) -> None:
        """Replace a turn's text."""
        await self.turn(turn_id)
        try:
            edited = await self._conversations.edit_turn(turn_id, text)
        except NotAllowed as error:
            raise Refused(409, error.message, error.fix) from error
        self.writer.tell_turn(edited)
        if edited.role == "user" and not self.writer.is_busy:
            self.writer.forget_note()  # it may have asked for this very edit

    async def delete(self, turn_id: int) -> None:
        """Take a turn out, even a reply being written."""
        await self.turn(turn_id)
        await self._conversations.delete_turn(turn_id)
        self.writer.tell_gone(turn_id)

    async def reset(self) -> int:
        """Begin a new conversation. Returns the old one's id, for :meth:`restore`."""
        await self.take_back_greeting()  # what it alone stands in is an empty conversation
        old, _new = await self._conversations.reset(self.key)
        self.writer.forget_note()
        await self.greet()
        return old

    async def greet(self) -> None:
        """The chosen persona says its greeting, once a conversation; pages draw the chat anew.

        A greeting that nobody has answered gives way to it.
        """
        try:
            await self.take_back_greeting()
            by = Speaker(PERSON_ID, self._person)
            await self._conversations.greetings.begin(self.key, by)
        finally:
            await self.tell_snapshot()

    async def restore(self, conversation_id: int) -> None:
        """Go back to an earlier conversation."""
        self.refuse_when_busy()
        greeting = await self._conversations.greetings.taken_back(self.key)
        await self._history.restore(self.key, conversation_id)  # first: it may be gone
        await self._take_out(greeting)
        self.writer.forget_note()
        await self.tell_snapshot()

    async def conversations(self) -> list[views.Json]:
        """Every conversation that was had here, the newest first."""
        found = await self._history.list_conversations(self.key)
        return [
            views.conversation(one)
            for one in found
            if one.turns > 1 or not one.first.is_greeting  # where nobody has said anything
        ]

    async def conversation(self, conversation_id: int) -> views.Json:
        """The newest turns of one of them; the earlier ones as of any other."""
        window = await self._history.window(self.key, WINDOW_TURNS, conversation_id=conversation_id)
        return {"turns": [self.writer.view(one) for one in window.turns], "skipped": window.skipped}

    async def delete_conversation(self, conversation_id: int) -> None:
        """Take one out that was left. The present one is not deleted so."""
        await self._conversations.delete_conversation(self.key, conversation_id)

    async def turn(self, turn_id: int) -> Turn:
        """A turn of this chat. Raises NotFound for any other chat's, Discord's above all."""
        turn = await self._history.turn(turn_id)
        if turn.channel != self.key:
            raise NotFound("There is no such message here.", "Reload the page.")
        return turn

    async def earlier(self, before_turn: int) -> views.Json:
        """The turns before one."""
        await self.turn(before_turn)
        window = await self._history.window(self.key, WINDOW_TURNS, before_turn=before_turn)
        turns = [self.writer.view(turn) for turn in window.turns]
        return {"turns": turns, "skipped": window.skipped}

    async def export(self, conversation_id: int | None = None) -> list[Turn]:
        """Every turn of a conversation, by default the current one."""
        return await self._history.export(self.key, conversation_id=conversation_id)

    async def snapshot(self) -> views.Json:
        """All that a page needs to draw this chat now.

        When this returns, nothing has happened since that the snapshot lacks: a page that begins
        to listen before the loop gets its turn again misses nothing.
        """
        while True:
            revision = self.hub.revision
            window = await self._history.window(self.key, WINDOW_TURNS)
            settings = await self._conversations.settings.resolve(self.key)
            persona = await self._conversations.settings.persona(self.key, settings)
            scene, cast = await self._stage()
            if revision == self.hub.revision:
                break
        return {
            "chat": self.key.channel_id,
            "persona": views.persona(cast[0] if cast else persona, user=self._person),
            "scene": scene_views.scene(scene, cast, PERSON_ID) if scene else None,
            "turns": [self.writer.view(turn) for turn in window.turns],
            "skipped": window.skipped,
            "busy": self.writer.is_busy,
            "live": self.writer.live_turn,
            "note": self.writer.note,
            "engine": views.engine(self._conversations.engines),
        }

    async def scene(self) -> views.Json | None:
        """What is played here."""
        scene, cast = await self._stage()
        return None if scene is None else scene_views.scene(scene, cast, PERSON_ID)

    async def _stage(self) -> tuple[Scene | None, Sequence[Persona]]:
        """What is played here, and who plays."""
        casting = self._conversations.casting
        scene = await casting.scene(self.key)
        return scene, () if scene is None else await casting.here(self.key, scene=scene)

    async def tell_snapshot(self) -> None:
        """Have every page draw this chat anew."""
        self.hub.publish("snapshot", await self.snapshot())

    async def take_back_greeting(self) -> None:
        """Delete the greeting that is all of the present conversation, if it is."""
        await self._take_out(await self._conversations.greetings.taken_back(self.key))

    async def _take_out(self, greeting: Turn | None) -> None:
        if greeting is not None:
            with suppress(NotFound):
                await self._conversations.delete_turn(greeting.turn_id)

    def refuse_when_busy(self) -> None:
        """Raises Refused while a reply is being written."""
        if self.writer.is_busy:
            raise Refused(409, "A reply is being written.", "Stop it, or wait for its end.")

    async def _bot_turn(self, turn_id: int) -> None:
        turn = await self.turn(turn_id)
        self.refuse_when_busy()
        if turn.role != "bot":
            raise Refused(409, "That is not a reply.", "Choose a reply of the persona's.")
