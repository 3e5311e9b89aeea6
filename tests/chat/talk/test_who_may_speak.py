"""Who is heard and answered, how often and how much: by the settings, on the store that ships."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from conversing import HERE, NOON, THERE, Stage

from bot.chat.definitions import ChannelSettings
from bot.chat.limits.bots import MOST_IN_A_ROW
from bot.chat.limits.gate import WELCOME, Access, Admission
from bot.chat.limits.notices import MOST_A_MINUTE
from bot.chat.messages import ChannelKey, IncomingMessage, QuotedMessage, Speaker
from bot.chat.persona import Persona
from bot.chat.talk.listening import Heard
from bot.engine.fake import FakeEngine
from bot.errors import NotAllowed

MINUTE = timedelta(minutes=1)
NIGHT = datetime(2026, 5, 1, 23, tzinfo=UTC)


class Blocked:
    """A check of a list that another room keeps."""

    def __init__(self, *ids: str) -> None:
        self.ids = ids

    async def admit(
        self, channel: ChannelKey, speaker: Speaker, settings: ChannelSettings, *, asks: bool
    ) -> Admission:
        is_blocked = speaker.speaker_id in self.ids
        return Admission(Access.UNHEARD) if is_blocked else WELCOME


@pytest.fixture
def on(stage: Stage) -> Stage:
    return stage.keep_gate()


def line(heard: Heard) -> str:
    return "" if heard.refusal is None else heard.refusal.line(lambda at: f"{at:%d %H:%M}")


async def flood(on: Stage, count: int, people: int = 1) -> Sequence[Heard]:
    return [await on.say(f"{number}?", by=f"p{number % people}") for number in range(count)]


# Who ----------------------------------------------------------------------------------------------


async def test_whoever_is_blocked_is_as_if_they_had_said_nothing(on: Stage) -> None:
    await on.set("context", "channel")
    await on.set("blocked_roles", ["Muted"])
    for heard in (
        await on.say("Hello?", roles=["Muted"]),
        await on.overhear("I am here.", roles=["Muted"]),
    ):
        assert heard == Heard(kept=False, addressed=False)
    assert await on.texts() == []
    assert await on.answer() is None
    seen = await on.history.last_seen("discord")
    assert HERE in seen  # after a restart it is not fetched again
    assert (await on.say("Hello?")).addressed


async def test_whoever_has_no_role_for_it_is_kept_where_all_are_but_not_answered(
    on: Stage,
) -> None:
    await on.set("allowed_roles", ["Players", "eve"])
    assert await on.say("Hello?") == Heard(kept=False, addressed=False)
    await on.set("context", "channel")
    heard = await on.say("Is anybody there?")
    assert (heard.kept, heard.addressed, heard.refusal) == (True, False, None)
    assert await on.answer() is None
    assert (await on.say("I may.", roles=["players"])).addressed
    assert (await on.say("So may I.", by="eve")).addressed


async def test_what_the_unheard_say_is_not_brought_in_by_a_reply_either(on: Stage) -> None:
    await on.set("blocked_roles", ["bob"])
    bob = Speaker("bob", "Bob", username="bob")
    his, hers = (
        QuotedMessage("7", bob, "Obey me."),
        QuotedMessage("8", Speaker("ann", "Ann"), "Tea."),
    )
    for quoted in (his, hers):
        assert (await on.say("What of that?", by="eve", reply_to=quoted)).addressed
        await on.answer()
    later = on.message("And that?", by="eve", mention=False, reply_to=his)
    await on.conversations.hear(later)
    await on.conversations.edited_message(replace(later, text="And that, bot?", mentions_bot=True))
    await on.answer()
    assert "Tea." in on.prompt
    assert all("Obey me." not in request.prompt for request in on.engine.requests)
    assert [turn.reply_to for turn in await on.turns() if turn.role == "user"] == [None, hers, None]


async def test_an_edit_that_adds_the_mention_passes_the_gate_too(on: Stage) -> None:
    await on.set("context", "channel")
    said = on.message("Hello?", mention=False)
    await on.conversations.hear(said)
    await on.set("blocked_roles", ["bob"])
    edited = replace(said, text="Hello, bot?", mentions_bot=True)
    heard = await on.conversations.edited_message(edited)
    assert (heard.kept, heard.addressed) == (True, False)
    assert await on.texts() == ["Hello, bot?"]  # what was kept before reads as they want it to
    assert await on.answer() is None


async def test_an_unheard_edit_of_what_was_not_kept_keeps_nothing(on: Stage) -> None:
    await on.set("blocked_roles", ["bob"])
    edited = replace(on.message("Hello?"), mentions_bot=True)
    assert not (await on.conversations.edited_message(edited)).kept
    assert await on.texts() == []


async def test_a_proxy_is_asked_for_by_the_account_behind_it(on: Stage) -> None:
    await on.set("blocked_roles", ["bob"])
    account = Speaker("bob", "Bob", username="bob")
    copy = replace(on.message("Hello?"), author=Speaker("proxy:5:Robin", "Robin"), account=account)
    assert not (await on.conversations.hear(copy)).kept
    alone = replace(copy, message_id="77", account=None)
    assert (await on.conversations.hear(alone)).addressed


async def test_a_thread_takes_its_channels_lists(on: Stage) -> None:
    await on.set("blocked_roles", ["bob"])
    thread = ChannelKey("discord", "101", guild_id="1", parent_id=HERE.channel_id)
    assert not (await on.say("Hello?", channel=thread)).kept


async def test_a_command_is_asked_for_at_the_same_gate(on: Stage) -> None:
    await on.set("blocked_roles", ["bob"])
    await on.set("rate_limit", 1)
    bob, eve = Speaker("bob", "Bob", username="bob"), Speaker("eve", "Eve")
    admit = on.conversations.admit
    assert (await admit(HERE, bob, asks=False)).access is Access.UNHEARD
    for _ in range(3):
        assert (await admit(HERE, eve, asks=False)).access is Access.ANSWERED
    assert (await admit(HERE, eve, asks=True)).access is Access.ANSWERED
    assert (await admit(HERE, eve, asks=True)).access is Access.UNANSWERED
    assert not (await on.say("And this?", by="eve")).addressed  # it counts as one


async def test_the_owner_is_bounded_by_other_peoples_privacy_alone(stage: Stage) -> None:
    on = stage.keep_gate(owners={"discord:boss"}, checks=[Blocked("boss")])
    for key, value in (
        ("allowed_roles", ["nobody"]),
        ("blocked_roles", ["boss"]),
        ("rate_limit", 1),
        ("channel_rate_limit", 1),
        ("daily_tokens", 1),
        ("quiet_hours", "00:00-23:59"),
    ):
        await on.set(key, value)
    for _ in range(3):
        assert (await on.say("Still?", by="boss")).addressed
        await on.answer()
    assert not (await on.say("And I?", by="eve")).addressed


# How often ----------------------------------------------------------------------------------------


async def test_what_goes_over_the_rate_is_not_answered_and_told_once_a_minute(on: Stage) -> None:
    await on.set("rate_limit", 3)
    heard = await flood(on, 10)
    assert [each.addressed for each in heard] == [True] * 3 + [False] * 7
    assert [bool(line(each)) for each in heard] == [False] * 3 + [True] + [False] * 6
    assert "3 times a minute" in line(heard[3])
    reply = await on.answer()
    assert reply is not None
    assert len(reply.answers) == 3
    on.now += MINUTE
    assert [each.addressed for each in await flood(on, 4)] == [True] * 3 + [False]


async def test_a_hundred_messages_of_fifty_people_give_few_lines(on: Stage) -> None:
    await on.set("rate_limit", 1)
    heard = await flood(on, 100, people=50)
    assert sum(each.addressed for each in heard) == 50
    assert sum(bool(line(each)) for each in heard) == MOST_A_MINUTE


async def test_a_channels_rate_bounds_all_of_it_and_no_other_channel(on: Stage) -> None:
    await on.set("channel_rate_limit", 5)
    heard = await flood(on, 20, people=20)
    assert sum(each.addressed for each in heard) == 5
    assert sum(bool(line(each)) for each in heard) == 1
    assert (await on.say("And here?", channel=THERE)).addressed


async def test_who_floods_takes_nothing_of_the_channels_rate(on: Stage) -> None:
    await on.set("channel_rate_limit", 10)
    await on.set("rate_limit", 2)
    await flood(on, 50)
    assert (await on.say("May I?", by="eve")).addressed


async def test_a_members_rate_is_one_for_all_channels_of_a_guild(on: Stage) -> None:
    for channel in (HERE, THERE):
        await on.set("rate_limit", 1, channel)
    other = ChannelKey("discord", "900", guild_id="9")
    assert (await on.say("Here?")).addressed
    assert not (await on.say("There?", channel=THERE)).addressed
    assert (await on.say("Elsewhere?", channel=other)).addressed


async def test_what_was_missed_counts_for_when_it_was_said(on: Stage) -> None:
    await on.set("rate_limit", 2)
    for age in (9, 7, 5, 3, 1):
        for _ in range(2):
            assert (await on.say("Are you back?", age=age * MINUTE)).addressed


async def test_nobody_is_told_about_what_was_not_said_to_the_bot(on: Stage) -> None:
    await on.set("rate_limit", 1)
    await on.set("context", "channel")
    for _ in range(5):
        heard = await on.overhear("We talk among us.")
        assert (heard.kept, line(heard)) == (True, "")
    assert (await on.say("Hello?")).addressed


# When ---------------------------------------------------------------------------------------------


async def test_in_quiet_hours_nobody_is_answered_nor_afterwards(on: Stage) -> None:
    await on.set("quiet_hours", "22:00-07:00")
    await on.set("context", "channel")
    on.now = NIGHT
    first = await on.say("Are you up?")
    assert (first.kept, first.addressed) == (True, False)
    assert "02 07:00" in line(first)
    assert line(await on.say("Eve here.", by="eve")) == ""
    on.now += timedelta(hours=7, minutes=59)
    assert line(await on.say("Still?")) == ""
    on.now = datetime(2026, 5, 2, 7, tzinfo=UTC)
    assert await on.answer() is None
    late = await on.say("Said at five to seven.", age=5 * MINUTE)
    assert (late.addressed, line(late)) == (False, "")
    assert (await on.say("Good morning!")).addressed


async def test_hours_that_nobody_can_read_are_none(stage: Stage) -> None:
    stage.owner = {"quiet_hours": "by night"}
    on = stage.keep_gate()
    assert (await on.say("Hello?")).addressed


# How much -----------------------------------------------------------------------------------------


async def test_a_day_has_so_many_tokens_and_then_begins_anew(stage: Stage) -> None:
    stage.engine = FakeEngine(["one two three four five six"] * 9)
    on = stage.keep_gate()
    await on.set("daily_tokens", 8)
    for _ in range(2):  # the second goes over, and is written to its end
        assert (await on.say("Tell me.")).addressed
        await on.answer()
        assert on.shown == "one two three four five six"
    refused = await on.say("More!")
    assert not refused.addressed
    assert "8 tokens" in line(refused)
    assert "02 00:00" in line(refused)
    on.keep_gate()  # after a restart
    assert not (await on.say("More?")).addressed
    assert (await on.say("And for me?", by="eve")).addressed
    await on.answer()
    on.now = NOON + timedelta(days=1)
    assert (await on.say("Good morning.")).addressed


async def test_what_waits_while_the_rest_is_used_up_is_refused_with_a_line(stage: Stage) -> None:
    stage.engine = FakeEngine(["one two three four five six"] * 9)
    on = stage.keep_gate()
    await on.set("daily_tokens", 1)
    told: list[str] = []
    on.conversations.on_refused(lambda turn, why: told.append(f"{turn.text} {why.notice}"))
    await on.say("Tell me.")
    reply = await on.conversations.next_reply(HERE)
    assert reply is not None
    assert (await on.say("And more!")).addressed  # nothing is used up yet
    assert (await on.say("And I?", by="eve")).addressed
    await on.show(reply)
    second = await on.answer()
    assert second is not None
    assert [turn.text for turn in second.answers] == ["And I?"]
    assert len(told) == 1
    assert told[0].startswith("And more! You have had all")
    assert await on.answer() is None
    assert on.is_idle


async def test_who_is_blocked_while_they_wait_is_not_answered(stage: Stage) -> None:
    check = Blocked()
    on = stage.keep_gate(checks=[check])
    for who in ("bob", "eve", "cleo"):
        await on.say(f"I am {who}?", by=who)
    check.ids = ("bob",)
    await on.set("blocked_roles", ["eve"])
    reply = await on.answer()
    assert reply is not None
    assert [turn.text for turn in reply.answers] == ["I am cleo?"]
    assert await on.answer() is None


async def test_after_a_restart_roles_are_not_asked_for_again(stage: Stage) -> None:
    on = stage.keep_gate()
    await on.set("allowed_roles", ["Players"])
    await on.say("May I?", roles=["Players"])
    on.keep_gate()
    assert await on.answer() is not None


async def test_regenerate_and_continue_count_for_who_wants_them(stage: Stage) -> None:
    stage.engine = FakeEngine(["one two three four five six"] * 9)
    on = stage.keep_gate()
    await on.set("daily_tokens", 1000)
    await on.say("Tell me.")
    reply = await on.answer()
    assert reply is not None
    spent = on.ledger
    assert spent is not None
    once = await spent.spent("discord:1", "bob", NOON.date())
    assert once > 0
    await on.show(await on.conversations.regenerate(reply.turn.turn_id))
    assert await spent.spent("discord:1", "bob", NOON.date()) == 2 * once
    await on.show(await on.conversations.continue_reply(reply.turn.turn_id, by="mod"))
    assert await spent.spent("discord:1", "bob", NOON.date()) == 2 * once
    assert await spent.spent("discord:1", "mod", NOON.date()) > 0


async def test_several_askers_share_and_a_deleted_question_is_no_way_out(stage: Stage) -> None:
    stage.engine = FakeEngine(["one two three four five six seven eight"] * 3)
    on = stage.keep_gate()
    await on.set("daily_tokens", 1000)
    first = await on.say("Tell us.")
    await on.say("Yes!", by="eve")
    reply = await on.conversations.next_reply(HERE)
    assert reply is not None
    async with reply:
        async for text in reply:
            await reply.shown(text, ["bot1"])
            break
        await on.conversations.deleted(HERE, ["bot1"])
    ledger = on.ledger
    assert ledger is not None
    assert first.kept
    for who in ("bob", "eve"):
        assert await ledger.spent("discord:1", who, NOON.date()) > 0


async def test_without_a_quota_nothing_is_counted(on: Stage) -> None:
    await on.say("Tell me.")
    await on.answer()
    assert on.ledger is not None
    assert await on.ledger.spent("discord:1", "bob", NOON.date()) == 0


async def test_what_a_proxy_says_counts_for_the_account(stage: Stage) -> None:
    stage.engine = FakeEngine(["one two three"] * 3)
    on = stage.keep_gate()
    await on.set("daily_tokens", 1000)
    said = on.message("Hello?")
    await on.conversations.hear(said)
    copy: IncomingMessage = replace(
        said,
        message_id="copy",
        author=Speaker("proxy:5:Robin", "Robin"),
        account=Speaker("bob", "Bob"),
    )
    assert await on.conversations.took_place(copy, said.message_id) is not None
    await on.answer()
    assert on.ledger is not None
    assert await on.ledger.spent("discord:1", "bob", NOON.date()) > 0


# Other bots ---------------------------------------------------------------------------------------


async def test_other_bots_are_answered_where_that_is_set_a_few_times_in_a_row(on: Stage) -> None:
    assert not (await on.say("Beep?", by="robot", is_bot=True)).addressed
    await on.set("answer_bots", "on")
    await on.set("trigger", "always")
    assert not (await on.overhear("Beep.", by="robot", is_bot=True)).addressed
    heard = [await on.say("Beep?", by="robot", is_bot=True) for _ in range(MOST_IN_A_ROW + 2)]
    assert [each.addressed for each in heard] == [True] * MOST_IN_A_ROW + [False] * 2
    assert not any(each.refusal for each in heard)  # it would answer that
    await on.overhear("// people talk", by="eve")
    assert (await on.say("Beep?", by="robot", is_bot=True)).addressed
    assert (await on.say("Stop it, you two.", by="eve")).addressed


@pytest.mark.parametrize("text", ["Go on.", "// talk", "Go on, bot!"])
async def test_whoever_is_not_heard_or_not_answered_lets_no_bot_go_on(
    stage: Stage, text: str
) -> None:
    on = stage.keep_gate(checks=[Blocked("mallory")])
    await on.set("answer_bots", "on")
    await on.set("allowed_roles", ["robot", "eve"])
    for _ in range(MOST_IN_A_ROW):
        await on.say("Beep?", by="robot", is_bot=True)
    for somebody in ("mallory", "bob"):  # blocked, and not among those who are answered
        await on.say(text, by=somebody, mention="bot" in text)
        assert not (await on.say("Beep?", by="robot", is_bot=True)).addressed
    await on.say(text, by="eve", mention="bot" in text)
    assert (await on.say("Beep?", by="robot", is_bot=True)).addressed


async def test_whoever_asks_too_much_lets_no_bot_go_on(on: Stage) -> None:
    await on.set("answer_bots", "on")
    await on.set("rate_limit", 4)
    await on.say("One?", by="eve")
    for _ in range(MOST_IN_A_ROW):
        await on.say("Beep?", by="robot", is_bot=True)
    for _ in range(3):
        await on.say("Two?", by="eve")
    for _ in range(MOST_IN_A_ROW):
        await on.say("Beep?", by="other robot", is_bot=True)
    assert (await on.say("Three?", by="eve")).refusal is not None
    assert not (await on.say("Beep?", by="third robot", is_bot=True)).addressed


async def test_a_person_who_uses_a_command_lets_bots_go_on(on: Stage) -> None:
    await on.set("answer_bots", "on")
    for _ in range(MOST_IN_A_ROW):
        await on.say("Beep?", by="robot", is_bot=True)
    await on.conversations.admit(HERE, Speaker("eve", "Eve"), asks=False)
    assert not (await on.say("Beep?", by="robot", is_bot=True)).addressed
    await on.conversations.admit(HERE, Speaker("eve", "Eve"), asks=True)
    assert (await on.say("Beep?", by="robot", is_bot=True)).addressed


# Age ----------------------------------------------------------------------------------------------

VEX = Persona(id="test:vex", name="Vex", description="{{char}} bites.", tags=("NSFW",))
ADULT = replace(HERE, is_age_restricted=True)


async def test_an_age_restricted_persona_speaks_where_that_is_so_alone(stage: Stage) -> None:
    stage.personas.personas.append(VEX)
    on = stage.keep_gate()
    await on.set("persona", VEX.id)
    await on.say("Hello?", channel=ADULT)
    first = await on.answer(ADULT)
    assert first is not None
    assert (first.persona_name, first.notice) == ("Vex", "")

    await on.say("Hello again?")  # the channel is age-restricted no more
    second = await on.answer()
    assert second is not None
    assert second.persona_name == "Ada"
    assert "«Vex» is age-restricted" in second.notice
    await on.say("Once more?")
    third = await on.answer()
    assert third is not None
    assert (third.persona_name, third.notice) == ("Ada", "")
    assert await on.conversations.persona_name(HERE) == "Ada"
    assert await on.conversations.persona_name(ADULT) == "Vex"

    for again in (on.conversations.regenerate, on.conversations.continue_reply):
        with pytest.raises(NotAllowed, match="age-restricted"):
            await again(first.turn.turn_id, channel=HERE)
    await on.show(await on.conversations.regenerate(first.turn.turn_id, channel=ADULT))


async def test_no_direct_message_is_age_restricted_and_the_owners_page_asks_nobody(
    stage: Stage,
) -> None:
    stage.personas.personas.append(VEX)
    on = stage.keep_gate()
    direct = ChannelKey("discord", "700", is_direct=True)
    page = ChannelKey("workbench", "1", is_direct=True)
    for channel in (direct, page):
        await on.set("persona", VEX.id, channel)
    assert await on.conversations.persona_name(direct) == "Ada"
    assert await on.conversations.persona_name(page) == "Vex"


@pytest.mark.parametrize(
    ("tags", "says", "is_restricted"),
    [((), False, False), (("nsfw",), False, True), (("#NSFW ",), False, True), ((), True, True),
     (("not nsfw", "adult animals"), False, False)],
)  # fmt: skip
def test_a_persona_says_so_itself_or_by_a_tag(
    tags: tuple[str, ...], says: bool, is_restricted: bool
) -> None:
    persona = Persona(name="Vex", tags=tags, age_restricted=says)
    assert persona.is_age_restricted == is_restricted
