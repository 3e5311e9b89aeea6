"""Whose turn it is to speak in a channel with several personas."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bot.chat.messages import ChannelKey, Turn, TurnState
from bot.chat.persona import Persona
from bot.chat.ports import History
from bot.chat.roleplay.scenes.scene import Mode, Scene
from bot.chat.roleplay.speakers import (
    Member,
    Queued,
    Rules,
    Said,
    Spoken,
    followers,
    next_speaker,
    still_to_speak,
)
from bot.chat.talk.casting import member_of
from bot.errors import NotFound

CHANNELS_IN_MIND = 2_000


@dataclass(frozen=True, slots=True)
class Speaking:
    """Who speaks now, which waiting messages that takes up, and all that it answers."""

    persona: Persona
    takes_up: tuple[Turn, ...]
    answers: tuple[Turn, ...]
    asked_by: frozenset[str]
    follows: int | None = None  # the reply that waits for this one
    is_awaited: bool = False  # others are to speak after it


@dataclass(frozen=True, slots=True)
class _Floor:
    """Who is still to speak, since the newest message of anybody else's."""

    queue: tuple[Queued, ...] = ()
    asked_by: frozenset[str] = frozenset()
    chained: int = 0  # replies to personas
    last_turn: int | None = None  # the newest reply, whom it names is not known yet
    waits: int | None = None  # the reply that is stored as waiting for the next


class Floors:
    """Gives the floor in channels with several personas.

    A reply that others are to follow is stored as waiting: who they are follows from what the
    round's replies answer, so that a restart between two of them loses nobody.
    """

    def __init__(self, history: History) -> None:
        """Nobody is queued at first."""
        self._history = history
        self._floors: OrderedDict[ChannelKey, _Floor] = OrderedDict()

    def forget(self, channel: ChannelKey) -> None:
        """Nobody is to speak there any more, as far as this process knows."""
        self._floors.pop(channel, None)

    async def end(self, channel: ChannelKey, since: datetime) -> None:
        """Nobody is to speak there any more, after a restart neither. Raises StoreError.

        Nor in a round that another process began `since` then.
        """
        floor = self._floors.pop(channel, None)
        waits = None if floor is None else floor.waits
        if waits is None:
            turns = await self._history.unended_round(channel, since=since)
            waits = next((turn.turn_id for turn in reversed(turns) if turn.role == "bot"), None)
        if waits is not None:
            await self._history.answer_no_more([waits])

    async def take_again(
        self,
        channel: ChannelKey,
        cast: Sequence[Persona],
        chain: int,
        scene: Scene | None,
        since: datetime,
        admitted: Callable[[Sequence[Turn]], Awaitable[Sequence[Turn]]],
    ) -> None:
        """Queue whoever is still to speak in a round that another process began.

        Messages of before `since` are left, and those whose authors are not `admitted` any more.
        Raises StoreError.
        """
        if len(cast) < 2 and scene is None:
            return
        floor = self._floors.get(channel, _Floor())
        if floor.queue or floor.last_turn is not None:
            return
        turns = await self._history.unended_round(channel, since=since)
        replies = [turn for turn in turns if turn.role == "bot"]
        if not replies or replies[-1].state is TurnState.RUNNING:  # another process is at it
            return
        asked = [turn for turn in turns if turn.role == "user"]
        recent = await admitted([turn for turn in asked if turn.created_at >= since])
        members = [member_of(persona) for persona in cast]
        rules = None if scene is None else Rules(scene.mode)
        spoken: list[Spoken] = []
        for reply in replies:
            said = [await self._said(turn) for turn in asked if turn.answered_by == reply.turn_id]
            is_whole = reply.state is TurnState.WHOLE
            spoken.append(Spoken(reply.persona_id, tuple(said), reply.text, is_whole))
        queue, chained = still_to_speak(spoken, members, chain, rules)
        there = {turn.turn_id for turn in recent}
        left: list[Queued] = []
        for each in queue if there else ():
            answers = tuple(turn_id for turn_id in each.answers if turn_id in there)
            if answers or not each.answers:
                left.append(replace(each, answers=answers))
        waits = replies[-1].turn_id
        if left:
            asked_by = replies[-1].asked_by
            self._remember(channel, _Floor(tuple(left), asked_by, chained, waits=waits))
        else:
            await self._history.answer_no_more([waits])

    async def _said(self, turn: Turn, words: str | None = None) -> Said:
        text = turn.text if words is None else words
        return Said(turn.turn_id, text, await self._replied_to(turn))

    def spoke(self, channel: ChannelKey, turn_id: int) -> None:
        """This is the reply of whom the floor was given to: others may follow it."""
        floor = self._floors.get(channel)
        if floor is not None:
            waits = turn_id if floor.queue else None
            self._floors[channel] = replace(floor, last_turn=turn_id, waits=waits)

    def request(self, channel: ChannelKey, persona_id: str, by: str) -> None:
        """Somebody wants a persona to speak next, whether or not a message waits."""
        floor = self._floors.get(channel, _Floor())
        queue = (Queued(persona_id), *(q for q in floor.queue if q.persona_id != persona_id))
        self._remember(channel, replace(floor, queue=queue, asked_by=frozenset({by})))

    def of_one_person(self, channel: ChannelKey, waiting: Sequence[Turn]) -> Sequence[Turn]:
        """What one person alone waits for, where each is answered by themselves: who has waited
        longest. Nothing while personas are still to answer somebody: nobody else comes between.
        """
        if not waiting or self._floors.get(channel, _Floor()).queue:
            return ()
        longest = waiting[0].speaker.speaker_id
        return [turn for turn in waiting if turn.speaker.speaker_id == longest]

    async def give(
        self,
        channel: ChannelKey,
        waiting: Sequence[Turn],
        cast: Sequence[Persona],
        chain: int,
        scene: Scene | None = None,
        written: Mapping[int, str | None] | None = None,
    ) -> Speaking | None:
        """Who speaks next, None when nobody does. Raises StoreError.

        `cast` begins with the main persona; `chain` is how often personas may answer each other.
        A `scene` has an order of its own. `written` is what of the turns was written by hand, None
        for all: only there is anybody named.
        """
        if len(cast) < 2 and scene is None:
            self.forget(channel)
            asked_by = frozenset(turn.speaker.speaker_id for turn in waiting)
            return Speaking(cast[0], tuple(waiting), tuple(waiting), asked_by) if waiting else None
        members = [member_of(persona) for persona in cast]
        rules = None if scene is None else await self._rules(scene, waiting)
        floor = self._floors.pop(channel, _Floor())
        floor = await self._followed(floor, members, chain, rules)
        by_hand = written or {}
        said = [await self._said(turn, by_hand.get(turn.turn_id)) for turn in waiting]
        there, queue = await self._still_there(floor.queue, waiting)
        step = next_speaker(said, queue, members, rules)
        if step is None:
            return None
        persona = next(each for each in cast if each.id == step.persona_id)
        answers = tuple(there[turn_id] for turn_id in step.answers if turn_id in there)
        asked_by = frozenset(turn.speaker.speaker_id for turn in answers) or floor.asked_by
        chained = 0 if step.takes_up else floor.chained + (not step.answers)
        self._remember(channel, _Floor(step.queue, asked_by, chained))
        takes_up = tuple(there[turn_id] for turn_id in step.takes_up)
        return Speaking(persona, takes_up, answers, asked_by, floor.waits, bool(step.queue))

    def _remember(self, channel: ChannelKey, floor: _Floor) -> None:
        self._floors[channel] = floor
        while len(self._floors) > CHANNELS_IN_MIND:
            self._floors.popitem(last=False)

    async def _rules(self, scene: Scene, waiting: Sequence[Turn]) -> Rules:
        """The scene's order. Chance depends on what is answered: the same after a restart."""
        seed = hash((scene.scene_id, *(turn.turn_id for turn in waiting)))
        if scene.mode is Mode.NAMED:
            return Rules(scene.mode, seed=seed)
        last = await self._history.last_reply(scene.channel)
        return Rules(scene.mode, last.persona_id if last is not None else "", seed)

    async def _followed(
        self, floor: _Floor, members: Sequence[Member], chain: int, rules: Rules | None
    ) -> _Floor:
        """The floor with whom the newest reply names."""
        if floor.last_turn is None:
            return floor
        try:
            turn = await self._history.turn(floor.last_turn)
        except NotFound:
            return floor
        if turn.state is not TurnState.WHOLE:  # stopped: then so is what it would have set off
            return floor
        left = chain - floor.chained - sum(not each.answers for each in floor.queue)
        queue = followers(turn.text, turn.persona_id, floor.queue, members, left, rules)
        return replace(floor, queue=queue)

    async def _still_there(
        self, queue: Sequence[Queued], waiting: Sequence[Turn]
    ) -> tuple[dict[int, Turn], list[Queued]]:
        """The turns by their numbers, and the queue without whom nobody asks any more."""
        there = {turn.turn_id: turn for turn in waiting}
        for turn_id in {turn_id for each in queue for turn_id in each.answers}:
            try:
                there[turn_id] = await self._history.turn(turn_id)
            except NotFound:
                continue
        kept: list[Queued] = []
        for each in queue:
            left = tuple(turn_id for turn_id in each.answers if turn_id in there)
            if left or not each.answers:
                kept.append(replace(each, answers=left))
        return there, kept

    async def _replied_to(self, turn: Turn) -> str:
        """The persona whose message a message replies to, "" for none."""
        if turn.reply_to is None:
            return ""
        target = await self._history.turn_of_message(turn.channel, turn.reply_to.message_id)
        return target.persona_id if target is not None and target.role == "bot" else ""
