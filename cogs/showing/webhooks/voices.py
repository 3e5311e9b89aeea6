"""Who speaks a turn, and how: the bot itself, or a persona with a voice of its own."""

import logging
import secrets
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

import discord

from bot.chat.messages import Turn
from bot.chat.persona import Persona
from bot.chat.personas.pictures import PersonaPictures
from bot.chat.talk.conversations import Conversations
from bot.chat.text.names import NOBODY
from bot.chat.text.split import FIRST_CHARACTERS, MESSAGE_CHARACTERS
from bot.errors import CaduceusError
from cogs.platform import NOTICE_MARKS, WRITE_ERRORS, Channel, escaped, own_permissions
from cogs.showing.request_budget import RequestBudget
from cogs.showing.voice import BotVoice, ViewOf, Voice
from cogs.showing.webhooks.avatars import Avatars
from cogs.showing.webhooks.lines import answering_line, name_line
from cogs.showing.webhooks.names import ChannelNames
from cogs.showing.webhooks.persona_voice import Origins, Part, PersonaVoice, Place
from cogs.showing.webhooks.registry import Lack, Webhooks
from cogs.showing.webhooks.webhook_budget import WebhookBudget

REMEMBERED_CHANNELS = 2_000
RECALLED_TURNS = 20

_log = logging.getLogger(__name__)


async def _no_picture() -> None:
    return None


async def _ignore(_lack: Lack | None) -> None:
    return None


# Of what only deletes: it says nothing.
NOBODYS_PART = Part(
    name=str,
    picture=_no_picture,
    picture_refused=lambda _address: None,
    answering="",
    in_bold="",
    spoke_as="",
)


@dataclass(frozen=True, slots=True)
class Speech:
    """The voice of one turn, and the budget that its requests are made from."""

    voice: Voice
    budget: RequestBudget
    first_message_id: int | None = None  # of a persona's turn that is posted already

    async def first_characters(self) -> int:
        """The room for text in the turn's first message: a line may stand above it."""
        if not isinstance(self.voice, PersonaVoice):
            return MESSAGE_CHARACTERS
        if self.first_message_id is not None:
            with suppress(*WRITE_ERRORS):
                origin = await self.voice.origin(self.first_message_id)
                return FIRST_CHARACTERS if origin.line else MESSAGE_CHARACTERS
        return FIRST_CHARACTERS


class Voices:
    """Gives every turn its voice. The default persona is the bot itself, and speaks as that."""

    def __init__(
        self,
        client: discord.Client,
        conversations: Conversations,
        budget: RequestBudget,
        view_of: ViewOf,
        pictures: PersonaPictures,
    ) -> None:
        """`budget` is that of all the bot's requests."""
        self._conversations = conversations
        self._budget = budget
        self._view_of = view_of
        self._webhooks = Webhooks(client)
        self.avatars = Avatars(client, pictures)
        self._names = ChannelNames()
        self._origins = Origins()
        self._budgets: OrderedDict[int, RequestBudget] = OrderedDict()
        self._lacks: OrderedDict[int, Lack] = OrderedDict()  # said, by the channel

    async def of(
        self,
        turn: Turn,
        channel: Channel,
        own_voice: BotVoice,
        question: Turn | None = None,
    ) -> Speech:
        """The voice of a turn. `question`, the newest message that a new one answers, is shown."""
        if await self._is_itself(turn):
            return Speech(own_voice, self._budget)
        place = place_of(channel)
        persona = await self._persona(turn)
        uses_webhook = place.webhook_channel_id is not None and await self._may_be_webhook(turn)
        if not turn.message_ids and uses_webhook:
            await self.avatars.begin(persona)
            await self._recall_names(turn, channel)
        budget = self._budget_of(place)
        voice = PersonaVoice(
            place,
            await self._part(turn, persona, channel, question),
            self._webhooks,
            self._origins,
            own_voice,
            budget,
            self._view_of,
            is_new=not turn.message_ids,
            uses_webhook=uses_webhook,
            after=int(question.message_ids[-1]) if question else 0,
            on_lack=partial(self._tell, place, await self._shown(turn, persona.name)),
        )
        first = int(turn.message_ids[0]) if turn.message_ids else None
        return Speech(voice, budget, first)

    async def delete(self, channel: Channel, message_id: int) -> None:
        """Delete a message of the bot's or a persona's, by whoever sent it. Raises WRITE_ERRORS."""
        place = place_of(channel)
        voice = PersonaVoice(
            place,
            NOBODYS_PART,
            self._webhooks,
            self._origins,
            BotVoice(channel, self._view_of),
            self._budget_of(place),
            self._view_of,
            is_new=False,
            uses_webhook=place.webhook_channel_id is not None,
            on_lack=_ignore,
        )
        await voice.delete(message_id)

    async def close(self) -> None:
        """End what is still looked up or made."""
        await self.avatars.close()
        await self._webhooks.close()

    async def _part(
        self, turn: Turn, persona: Persona, channel: Channel, question: Turn | None
    ) -> Part:
        name = await self._shown(turn, persona.name)
        answering = ""
        if question is not None and turn.channel.guild_id is not None:
            answering = answering_line(
                await self._shown(turn, question.speaker.name),
                turn.channel.guild_id,
                turn.channel.channel_id,
                question.message_ids[-1],
            )
        return Part(
            name=partial(self._names.take, channel.id, persona.id or persona.name, name),
            picture=partial(self.avatars.url, persona),
            picture_refused=self.avatars.refused,
            answering=answering,
            in_bold=name_line(name),
            spoke_as=await self._shown(turn, turn.persona or persona.name),
        )

    async def _shown(self, turn: Turn, name: str) -> str:
        """A name without the words that the guild does not want to read."""
        try:
            return await self._conversations.censor.shown(turn.channel, name)
        except CaduceusError as error:
            _log.warning("What may not be shown in %s cannot be known: %s", turn.channel, error)
            return NOBODY

    async def _recall_names(self, turn: Turn, channel: Channel) -> None:
        """After a restart: who had spoken here, so that nobody else looks the same."""
        if self._names.knows(channel.id):
            return
        try:
            window = await self._conversations.history.window(
                turn.channel, RECALLED_TURNS, before_turn=turn.turn_id
            )
        except CaduceusError as error:
            _log.warning("Who has spoken in channel %s cannot be known: %s", channel.id, error)
            return
        for earlier in window.turns:
            if earlier.role == "bot" and earlier.persona:
                self._names.take(channel.id, earlier.persona_id or earlier.persona, earlier.persona)

    async def _persona(self, turn: Turn) -> Persona:
        """Who speaks; where that one is gone, or cannot be read, somebody of the same name."""
        found = None
        try:
            guild_id = turn.channel.guild_id
            found = await self._conversations.personas.find(
                guild_id, turn.persona_id or turn.persona
            )
        except CaduceusError as error:
            _log.warning("A persona speaks without its picture: %s", error)
        gone = Persona(id=turn.persona_id, name=turn.persona or turn.speaker.name or "?")
        return found or gone

    async def _is_itself(self, turn: Turn) -> bool:
        try:
            return await self._conversations.speaks_as_itself(turn)
        except CaduceusError as error:
            _log.warning("Who the bot itself is cannot be known: %s", error)
            return False

    async def _may_be_webhook(self, turn: Turn) -> bool:
        try:
            settings = await self._conversations.settings.resolve(turn.channel)
        except CaduceusError as error:
            _log.warning("How a persona is to speak cannot be known: %s", error)
            return True
        return settings.voice == "webhook"

    def _budget_of(self, place: Place) -> RequestBudget:
        """The budget of a channel's webhook, from which all its threads draw, within the bot's."""
        number = place.webhook_channel_id
        if number is None:
            return self._budget
        if number not in self._budgets:
            self._budgets[number] = WebhookBudget(self._budget)
        self._budgets.move_to_end(number)
        if len(self._budgets) > REMEMBERED_CHANNELS:
            self._budgets.popitem(last=False)
        return self._budgets[number]

    async def _tell(self, place: Place, name: str, lack: Lack | None) -> None:
        """Say what a persona lacks once in a channel, and again when it is something else."""
        number = place.webhook_channel_id or place.channel.id
        if lack is None:
            self._lacks.pop(number, None)
            return
        if self._lacks.get(number) is lack:
            return
        self._lacks[number] = lack
        if len(self._lacks) > REMEMBERED_CHANNELS:
            self._lacks.popitem(last=False)
        _log.warning("Personas speak through the bot in channel %s: %s", number, lack.value)
        shown = escaped(name)
        line = f"{shown} speaks through me here. For a name of its own, {lack.value}."
        voice = BotVoice(place.channel, self._view_of, nonce=secrets.token_hex(8))
        try:
            await voice.send(f"{NOTICE_MARKS[0]}{line}", None, "w0")
        except WRITE_ERRORS as error:
            _log.info("That could not be said in the channel: %s", error)


def place_of(channel: Channel) -> Place:
    """Whether and where a channel has webhooks. Direct messages have none."""
    if isinstance(channel, discord.Thread):
        place = Place(channel, channel.parent_id)
        home = channel.parent
    elif isinstance(channel, discord.TextChannel | discord.VoiceChannel | discord.StageChannel):
        place = Place(channel, channel.id)
        home = channel
    else:
        return Place(channel, None)
    if home is None:  # unknown here: Discord will say
        return place
    held = own_permissions(home)
    if held is None:
        return place
    return replace(place, may_manage_webhooks=held.manage_webhooks)
