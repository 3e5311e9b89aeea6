"""What grows old goes at night; what was left goes after thirty days; a kill changes nothing."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from store_samples import ANN, BEN, CHANNEL, OTHER_CHANNEL, Talk, nobody_writes, said

from bot.chat.limits.blocking import Block
from bot.chat.limits.words.word import GuildWord
from bot.chat.messages import ChannelKey, JsonValue, QuotedMessage, Scope, TurnState
from bot.chat.moderation.log_channels import LogChannel
from bot.chat.personas.guild.kept import Limits, PersonaDraft
from bot.chat.privacy.erasure import Erasure, make_erasure
from bot.chat.privacy.jobs import JobKind, NewJob
from bot.chat.privacy.leaving import KEPT_FOR
from bot.chat.privacy.people import Person, Place
from bot.chat.privacy.retention import next_night
from bot.chat.roleplay.memory.facts import FactSource
from bot.chat.roleplay.scenes.scene import Mode, Scene
from bot.chat.settings import SettingsCascade
from bot.errors import StoreError
from bot.store.database import Database
from bot.store.privacy.stores import SqlPlaces

EVENING = datetime(2026, 5, 1, 20, tzinfo=UTC)
THREAD = ChannelKey("discord", "150", guild_id="1", parent_id="100")
DIRECT = ChannelKey("discord", "77", is_direct=True)
OTHER_GUILD = ChannelKey("discord", "900", guild_id="9")


class NoPersonas:
    """Whom no setting names."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"nobody asks for personas here: {name}")


@dataclass
class Clockwork:
    """All that erases, on a clock that is set by hand."""

    database: Database
    now: datetime = EVENING
    owner: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    pictures: list[str] = field(default_factory=list[str])
    emptied: list[ChannelKey] = field(default_factory=list[ChannelKey])

    def erasure(self) -> Erasure:
        async def gone(digest: str) -> None:
            self.pictures.append(digest)

        database = self.database
        return make_erasure(
            people=database.people,
            aged=database.aged,
            places=database.places,
            removals=database.removals,
            jobs=database.jobs,
            settings=SettingsCascade(database.settings, NoPersonas(), self.owner),  # type: ignore[arg-type]
            taking_out=nobody_writes,
            on_picture_gone=gone,
            on_taken_out=self.emptied.append,
            clock=lambda: self.now,
        )

    async def say(
        self, text: str, days: float, channel: ChannelKey = CHANNEL, **more: object
    ) -> int:
        """Something that was said so many days ago."""
        message = said(text, channel=channel, **more)  # type: ignore[arg-type]
        message = replace(message, sent_at=self.now - timedelta(days=days))
        turn = await self.database.history.add_message(message, addressed=False)
        assert turn is not None
        return turn.turn_id

    async def set(self, key: str, days: int, scope: Scope = Scope.GUILD) -> None:
        await self.database.settings.change(scope, key, "retention_days", days, by="ann")

    async def texts(self, channel: ChannelKey = CHANNEL) -> list[str]:
        return [turn.text for turn in await self.database.history.export(channel)]

    async def next_night(self) -> None:
        self.now = next_night(self.now)
        await self.erasure().worker.work_off()


@pytest_asyncio.fixture
async def work(database: Database) -> AsyncIterator[Clockwork]:
    clockwork = Clockwork(database)
    await clockwork.erasure().retention.plan()
    yield clockwork


def test_the_night_is_at_three() -> None:
    assert next_night(EVENING) == datetime(2026, 5, 2, 3, tzinfo=UTC)
    assert next_night(datetime(2026, 5, 2, 2, 59, tzinfo=UTC)).day == 2
    assert next_night(datetime(2026, 5, 2, 3, tzinfo=UTC)).day == 3


async def test_what_is_older_goes_at_night_and_nothing_else(work: Clockwork) -> None:
    await work.set("discord:1", 30)
    await work.set("discord:200", 0, Scope.CHANNEL)
    old = await work.say("old", 31, author=ANN, message_id="5")
    await work.say("young", 29, author=BEN, reply_to=QuotedMessage("5", ANN, "old"))
    await work.say("in a thread", 31, THREAD)
    await work.say("kept here", 31, OTHER_CHANNEL)
    await work.say("another guild's", 31, OTHER_GUILD)
    await work.database.history.keep_derived(CHANNEL, "summary", "old things", [old])
    await work.erasure().worker.work_off()
    assert await work.texts() == ["old", "young"], "not before the night"
    await work.next_night()
    assert await work.texts() == ["young"]
    assert (await work.database.history.export(CHANNEL))[0].reply_to is None
    assert await work.texts(THREAD) == []
    assert await work.texts(OTHER_CHANNEL) == ["kept here"]
    assert await work.texts(OTHER_GUILD) == ["another guild's"]
    assert [one.text for one in await work.database.history.derived(CHANNEL)] == [""]
    await work.next_night()
    await work.next_night()
    assert await work.texts() == []


async def test_a_night_that_was_missed_is_made_up(work: Clockwork) -> None:
    await work.set("discord:1", 30)
    await work.say("old", 31)
    work.now += timedelta(days=3, hours=1)
    erasure = work.erasure()
    await erasure.retention.plan()  # the next start
    assert await erasure.worker.work_off() == 1
    assert await work.texts() == []
    assert await erasure.worker.work_off() == 0, "once"


async def test_the_owners_default_holds_in_direct_messages(work: Clockwork) -> None:
    work.owner = {"retention_days": 7}
    await work.say("old", 8, DIRECT)
    await work.say("young", 5, DIRECT)
    await work.next_night()
    assert await work.texts(DIRECT) == ["young"]


async def test_conversations_that_were_left_age_as_well(work: Clockwork) -> None:
    await work.set("discord:1", 30)
    await work.say("old", 31)
    await work.database.history.reset(CHANNEL)
    await work.say("young", 1)
    await work.next_night()
    (left,) = await work.database.history.list_conversations(CHANNEL)
    assert left.is_current
    assert await work.texts() == ["young"]


async def test_what_was_pinned_by_hand_stays_and_what_repeats_goes(work: Clockwork) -> None:
    facts = work.database.facts
    await work.set("discord:1", 30)
    for number, text in enumerate(("repeated", "written anew")):
        await work.say(text, 31, message_id=f"{number}")
        await facts.add_fact(CHANNEL, text, by="ann", source=FactSource(f"{number}", said_by="ann"))
    second = (await facts.facts(CHANNEL))[1]
    await facts.edit_fact(CHANNEL, second.fact_id, "By hand.")
    await facts.add_fact(CHANNEL, "Also by hand.", by="ann")
    await work.next_night()
    assert [fact.text for fact in await facts.facts(CHANNEL)] == ["By hand.", "Also by hand."]


async def test_a_scene_that_is_played_loses_old_turns_and_one_that_ended_goes(
    work: Clockwork,
) -> None:
    await work.set("discord:1", 30)
    played = Scene(
        CHANNEL, "T", ("file:ada",), "ann", work.now - timedelta(days=60), mode=Mode.FREE
    )
    await work.database.scenes.start(played)
    ended = replace(played, channel=OTHER_CHANNEL)
    await work.database.scenes.end((await work.database.scenes.start(ended)).scene_id)
    await work.say("old", 31)
    await work.say("there", 31, OTHER_CHANNEL)
    work.now = datetime.now(UTC) + timedelta(days=31)  # the store's own clock ended it
    await work.next_night()
    assert await work.texts() == []
    assert await work.database.scenes.running(CHANNEL) is not None
    during = played.started_at + timedelta(days=1)
    assert await work.database.scenes.at(OTHER_CHANNEL, during) is None


async def test_a_reply_that_is_being_written_is_left_alone(work: Clockwork) -> None:
    await work.set("discord:1", 30)
    talk = Talk(work.database.history)
    asked = await talk.ask("so?")
    reply = await work.database.history.begin_reply(
        CHANNEL, ANN, persona="Ada", answers=[asked.turn_id]
    )
    work.now = datetime.now(UTC) + timedelta(days=90)
    await work.next_night()
    assert await work.texts() == [""]
    await work.database.history.show_reply(reply.turn_id, "Yes.", ["1"])
    await work.database.history.finish_reply(reply.turn_id, TurnState.WHOLE, None)
    await work.next_night()
    assert await work.texts() == []


async def test_a_guild_that_was_left_goes_after_thirty_days(work: Clockwork) -> None:
    database = work.database
    await work.say("ours", 1)
    await work.say("theirs", 1, OTHER_GUILD)
    for guild in ("1", "9"):
        scope = (Scope.GUILD, f"discord:{guild}")
        await database.settings.change(*scope, "top_k", 5, by="ann")
    await database.settings.change(Scope.CHANNEL, "discord:100", "top_k", 5, by="ann")
    draft = PersonaDraft("Mira", "mira", "", "v1", "TOML", "v2", b"{}", picture_digest="ab" * 32)
    await database.personas.add("1", draft, Limits(), "ann")
    await database.facts.add_fact(CHANNEL, "Mira limps.", by="ann", persona_id="mira")
    await database.casts.add_to_cast("discord:100", "1", "file:bram", "ann")
    departures = work.erasure().departures
    await departures.left("discord", "1")
    work.now += KEPT_FOR - timedelta(seconds=1)
    await work.erasure().worker.work_off()
    assert await work.texts() == ["ours"]
    work.now += timedelta(seconds=1)
    await work.erasure().worker.work_off()
    assert await work.texts() == []
    assert await work.texts(OTHER_GUILD) == ["theirs"]
    assert await departures.places.known_guilds("discord") == ["9"]
    assert await departures.places.known_channels("discord") == [OTHER_GUILD]
    scopes = [
        (Scope.GUILD, "discord:1"),
        (Scope.CHANNEL, "discord:100"),
        (Scope.GUILD, "discord:9"),
    ]
    assert list(await database.settings.values(scopes)) == [scopes[-1]]
    assert await database.casts.cast("discord:100") == []
    assert work.pictures == ["ab" * 32]


async def test_a_guild_of_which_nobody_ever_said_a_word_is_known_too(work: Clockwork) -> None:
    """It may be left while the bot is away: then its clock begins at the next start."""
    database = work.database
    await database.words.put(("discord", "1"), GuildWord("plague", added_by="ann"))
    await database.blocks.add(Block("discord", "2", "ben", "Ben", "ann", work.now))
    await database.log_channels.put(LogChannel("discord", "3", "900", "ann", work.now))
    quiet = ChannelKey("discord", "400", guild_id="4")
    await database.facts.add_fact(quiet, "Mira limps.", by="ann", persona_id="mira")
    await database.settings.change(Scope.GUILD, "discord:5", "top_k", 5, by="ann")
    await database.settings.change(Scope.GUILD, "discord:5", "top_k", None, by="ann")
    places = work.erasure().departures.places
    assert await places.known_guilds("discord") == ["1", "2", "3", "4", "5"]
    for guild in ("1", "2", "3", "4", "5"):
        await work.erasure().departures.left("discord", guild)
    work.now += KEPT_FOR
    await work.erasure().worker.work_off()
    assert await places.known_guilds("discord") == []


async def test_coming_back_stops_the_clock(work: Clockwork) -> None:
    await work.say("ours", 1)
    departures = work.erasure().departures
    assert await departures.missing("discord", {"9"}) == ["1"]
    await departures.left("discord", "1")
    assert await departures.missing("discord", {"9"}) == [], "its clock runs already"
    await departures.came_back("discord", ["1", "9"])
    work.now += 2 * KEPT_FOR
    await work.erasure().worker.work_off()
    assert await work.texts() == ["ours"]
    assert await departures.missing("discord", {"9"}) == ["1"]


async def test_coming_back_while_it_goes_stops_it_at_the_next_step(
    work: Clockwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    await work.say("gone by then", 1)
    await work.say("still there", 1, OTHER_CHANNEL)
    await work.database.settings.change(Scope.GUILD, "discord:1", "top_k", 5, by="ann")
    departures = work.erasure().departures
    await departures.left("discord", "1")
    work.now += KEPT_FOR
    places = type(work.database.places)
    remove = places.remove_place

    async def and_come_back(self: SqlPlaces, place: Place) -> bool:
        has_more = await remove(self, place)
        if not has_more:  # the first channel is gone as a whole
            await departures.came_back("discord", ["1"])
        return has_more

    monkeypatch.setattr(places, "remove_place", and_come_back)
    await work.erasure().worker.work_off()
    assert await work.texts() == []
    assert await work.texts(OTHER_CHANNEL) == ["still there"]
    assert await work.database.settings.values([(Scope.GUILD, "discord:1")])


@pytest.mark.parametrize("kind", [JobKind.LEFT_GUILD, JobKind.LOST_CHANNEL])
async def test_what_was_left_is_told_where_it_went(work: Clockwork, kind: JobKind) -> None:
    await work.say("ours", 1)
    subject = "1" if kind is JobKind.LEFT_GUILD else "100"
    await work.database.jobs.add(NewJob(kind, "discord", work.now, subject=subject))
    await work.erasure().worker.work_off()
    assert set(work.emptied) == {CHANNEL}


async def test_leaving_twice_does_not_begin_anew(work: Clockwork) -> None:
    await work.say("ours", 1)
    departures = work.erasure().departures
    await departures.left("discord", "1")
    work.now += timedelta(days=20)
    await departures.left("discord", "1")
    work.now += timedelta(days=10)
    await work.erasure().worker.work_off()
    assert await work.texts() == []


async def test_a_deleted_channel_goes_with_its_threads(work: Clockwork) -> None:
    await work.say("here", 1)
    await work.say("in a thread", 1, THREAD)
    await work.say("elsewhere", 1, OTHER_CHANNEL)
    departures = work.erasure().departures
    await departures.lost("discord", "100")
    await departures.lost("discord", "4711")  # of which nothing is kept
    assert await work.database.jobs.subjects(JobKind.LOST_CHANNEL, "discord") == ["100"]
    work.now += KEPT_FOR
    await work.erasure().worker.work_off()
    assert await work.database.places.known_channels("discord") == [OTHER_CHANNEL]


async def test_settings_of_channels_in_which_nothing_was_said_go_with_their_guild(
    work: Clockwork,
) -> None:
    database = work.database
    await database.settings.change(Scope.CHANNEL, "discord:555", "top_k", 5, by="ann")
    assert await database.places.unplaced_channels("discord") == ["555"]
    await database.places.place_channels([ChannelKey("discord", "555", guild_id="1")])
    assert await database.places.unplaced_channels("discord") == []
    await work.erasure().departures.left("discord", "1")
    work.now += KEPT_FOR
    await work.erasure().worker.work_off()
    assert await database.settings.values([(Scope.CHANNEL, "discord:555")]) == {}


async def test_a_job_that_fails_is_tried_again_and_the_others_are_done(
    work: Clockwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    await work.say("hers", 1)
    await work.say("his", 1, author=BEN)
    for who in ("ann", "ben"):
        await work.database.jobs.add(NewJob(JobKind.FORGET, "discord", work.now, subject=who))
    real = type(work.database.people).places

    async def fails(self: object, person: Person, *, own: str = "") -> object:
        if person.speaker_id == "ann":
            raise StoreError("The disk is full.", "Make room.")
        return await real(self, person, own=own)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(type(work.database.people), "places", fails)
        assert await work.erasure().worker.work_off() == 2
    assert await work.texts() == ["hers"]
    assert await work.erasure().worker.work_off() == 0, "not before a minute has gone by"
    work.now += timedelta(minutes=1)
    assert await work.erasure().worker.work_off() == 1
    assert await work.texts() == []
