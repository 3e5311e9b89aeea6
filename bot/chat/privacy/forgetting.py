"""Erases what is kept of a person: everywhere on a platform, or in one guild.

In each channel, replies that repeat their words go first, for only their words tell which these
are; then their turns, with the replies to them and all that was made of either. Broken off at any
point, it begins anew and finds what is left.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import TypeAlias

from bot.chat.messages import ChannelKey
from bot.chat.privacy.echoes import Echoes
from bot.chat.privacy.jobs import Job, JobKind, JobStore, NewJob
from bot.chat.privacy.people import (
    START,
    Mark,
    Page,
    PeopleStore,
    Person,
    Place,
    Preview,
    SaidByOthers,
    SaidByThem,
)
from bot.chat.privacy.working import Worker

PAGE_TURNS = 200
TURNS_A_ROUND = 20_000  # of theirs, whose words are looked for together: a bound on memory

TakingOut: TypeAlias = Callable[[ChannelKey], AbstractAsyncContextManager[None]]
"""Within it nothing is heard or written in a channel; what was being written has ended."""

OnForgotten = Callable[[Person], Awaitable[None]]
OnErased = Callable[[str], Awaitable[None]]

_log = logging.getLogger(__name__)


class Forgetting:
    """What `/privacy forget` does."""

    def __init__(
        self,
        people: PeopleStore,
        jobs: JobStore,
        taking_out: TakingOut,
        clock: Callable[[], datetime],
        on_taken_out: Callable[[ChannelKey], None],
    ) -> None:
        """:meth:`work_with` comes before :meth:`forget`.

        `on_taken_out` is told of each channel beside the one that `taking_out` is about.
        """
        self._people = people
        self._jobs = jobs
        self._taking_out = taking_out
        self._clock = clock
        self._on_taken_out = on_taken_out
        self._worker: Worker | None = None
        self._on_forgotten: list[OnForgotten] = []
        self._on_erased: list[OnErased] = []

    def work_with(self, worker: Worker) -> None:
        """Have the jobs done by it."""
        self._worker = worker

    def on_forgotten(self, tell: OnForgotten) -> None:
        """Have `tell` called before and after somebody's data goes: memory forgets them, too."""
        self._on_forgotten.append(tell)

    def on_erased(self, tell: OnErased) -> None:
        """Have `tell` called with the id of each guild in which somebody's data was erased."""
        self._on_erased.append(tell)

    async def preview(self, person: Person) -> Preview:
        """How much would go."""
        return await self._people.preview(person)

    async def forget(self, person: Person, *, own_channel: str = "") -> None:
        """Erase all of a person, and return when it is out of the database's files, too.

        It is kept as a job before anything goes: if this program ends in its midst, the next one
        goes on. Raises StoreError where it could not be kept or has to be tried again.
        """
        if self._worker is None:
            raise RuntimeError("Nobody does the jobs.")
        job = NewJob(
            JobKind.FORGET,
            person.platform,
            self._clock(),
            subject=person.speaker_id,
            guild_id=person.guild_id,
            place=own_channel,
        )
        await self._worker.do(job)
        await self._jobs.settle()

    async def work(self, job: Job) -> None:
        """Do such a job. Nothing of the person stands in the log."""
        person = Person(job.platform, job.subject, job.guild_id)
        await self._tell(person)
        places = await self._people.places(person, own=job.place)
        for place in places:
            await self._forget_in(person, place)
        await self._people.remove_names(person)
        await self._tell(person)
        for guild_id in sorted({each.channel.guild_id or "" for each in places} - {""}):
            for tell in self._on_erased:
                await tell(guild_id)
        _log.info("A person's data was erased %s", "in a guild" if job.guild_id else "everywhere")

    async def _tell(self, person: Person) -> None:
        for tell in self._on_forgotten:
            await tell(person)

    async def _forget_in(self, person: Person, place: Place) -> None:
        if place.is_own:
            async with self._taking_out(place.channel):
                while await self._people.remove_place(place):
                    pass
            return
        rounds = [each async for each in self._rounds(person, place)]
        mark = await self._people.mark(place)
        for texts in rounds:
            await self._remove_echoes(person, place, texts)
        async with self._taking_out(place.channel):
            await self._remove_new_echoes(person, place, rounds, mark)
            has_more = True
            while has_more:
                step = await self._people.remove_turns(person, place)
                self._tell_quoting(step.quoting)
                has_more = step.has_more
            self._tell_quoting(await self._people.remove_traces(person, place))

    def _tell_quoting(self, channels: Sequence[ChannelKey]) -> None:
        for channel in channels:
            self._on_taken_out(channel)

    async def _rounds(self, person: Person, place: Place) -> AsyncIterator[Page]:
        """Where each round of their turns begins; one at least, for what they pinned."""
        yield START
        after, count = START, 0
        while page := await self._people.said_by_them(person, place, after, PAGE_TURNS):
            after = _end(page)
            count += len(page)
            if count >= TURNS_A_ROUND:
                yield after
                count = 0

    async def _remove_echoes(self, person: Person, place: Place, begin: Page) -> None:
        """Take out every reply that repeats what they said in a round of their turns."""
        echoes = await self._learn(person, place, begin)
        after = START
        while page := await self._others(person, place, after):
            after = _end(page)
            await self._remove_which(place, echoes, page)

    async def _remove_new_echoes(
        self, person: Person, place: Place, rounds: Sequence[Page], mark: Mark
    ) -> None:
        """What was written while the others were looked at. Nothing else is written now."""
        new = await self._people.replies_since(place, mark)
        if not new:
            return
        for begin in rounds:
            await self._remove_which(place, await self._learn(person, place, begin), new)

    async def _learn(self, person: Person, place: Place, begin: Page) -> Echoes:
        own = await self._people.own(person, place)
        echoes = Echoes(own.names, person.speaker_id)
        for fact in own.facts:
            echoes.learn(0, fact)
        after, count = begin, 0
        while count < TURNS_A_ROUND and (
            page := await self._people.said_by_them(person, place, after, PAGE_TURNS)
        ):
            after = _end(page)
            count += len(page)
            await asyncio.to_thread(_learn_all, echoes, page)
        after = START
        while len(echoes) and (others := await self._others(person, place, after)):
            after = _end(others)
            await asyncio.to_thread(_unlearn_all, echoes, others)
        return echoes

    async def _others(self, person: Person, place: Place, after: Page) -> list[SaidByOthers]:
        return await self._people.said_by_others(person, place, after, PAGE_TURNS)

    async def _remove_which(
        self, place: Place, echoes: Echoes, replies: Sequence[SaidByOthers]
    ) -> None:
        whole, swipes = await asyncio.to_thread(_repeating, echoes, replies)
        if whole or swipes:
            self._tell_quoting(await self._people.remove_replies(place, whole, swipes))
        quoting = await asyncio.to_thread(_quoting, echoes, replies)
        if quoting:
            await self._people.forget_quotes(place, quoting)


def _end(page: Sequence[SaidByThem | SaidByOthers]) -> Page:
    return page[-1].conversation_id, page[-1].turn_id


def _learn_all(echoes: Echoes, page: Sequence[SaidByThem]) -> None:
    for turn in page:
        echoes.learn(turn.turn_id, turn.text)


def _unlearn_all(echoes: Echoes, page: Sequence[SaidByOthers]) -> None:
    for turn in page:
        echoes.unlearn(turn.turn_id, turn.text, is_bots=turn.is_reply)
        if turn.persona:
            echoes.unlearn(0, turn.persona, is_bots=False)


def _repeating(
    echoes: Echoes, replies: Sequence[SaidByOthers]
) -> tuple[list[int], list[tuple[int, int]]]:
    """Replies that go whole, as the swipe that people see repeats them, and other swipes."""
    whole: list[int] = []
    swipes: list[tuple[int, int]] = []
    for reply in replies:
        if not reply.is_reply:
            continue
        found = [at for at, text in reply.swipes.items() if echoes.are_in(reply.turn_id, text)]
        if reply.active in found:
            whole.append(reply.turn_id)
        else:
            swipes += [(reply.turn_id, at) for at in found]
    return whole, swipes


def _quoting(echoes: Echoes, turns: Sequence[SaidByOthers]) -> list[int]:
    """Turns that quote the bot repeating them: often the reply itself has been deleted."""
    return [
        turn.turn_id for turn in turns if turn.quoted and echoes.are_in(turn.turn_id, turn.quoted)
    ]
