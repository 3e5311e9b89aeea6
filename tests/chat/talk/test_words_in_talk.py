"""What a guild does not want to read: not heard, not said, not for a moment."""

from dataclasses import replace

import pytest
from conversing import BYRON, HERE, Stage, StageMaker, quote

from bot.chat.limits.words.censor import NOT_ANSWERED, Censor, Hit
from bot.chat.limits.words.word import Guild, GuildWord, Side
from bot.chat.messages import ChannelKey, Speaker, TurnState
from bot.chat.talk.faults import NOTHING_ALLOWED
from bot.chat.talk.reply import Reply
from bot.chat.text.forbidden.redaction import Then
from bot.engine.api import FinishReason
from bot.engine.fake import FakeEngine
from bot.errors import EngineFailed, NotAllowed, StoreError

BOB = Speaker("bob", "Bob")
DIRECT = ChannelKey("discord", "300", is_direct=True)


class GivenWords:
    """A list in memory."""

    def __init__(self, *words: GuildWord) -> None:
        self.listed = list(words)
        self.is_lost = False

    async def words(self, guild: Guild) -> list[GuildWord]:
        if self.is_lost:
            raise StoreError("The list cannot be read.")
        return self.listed if guild == ("discord", "1") else []

    async def put(self, guild: Guild, word: GuildWord) -> tuple[GuildWord, bool]:
        raise NotImplementedError

    async def take_out(self, guild: Guild, pattern: str) -> GuildWord | None:
        raise NotImplementedError


def with_words(stage: Stage, *words: GuildWord) -> GivenWords:
    store = GivenWords(*words)
    stage.censor = Censor(store)
    stage.start_again()
    return store


async def moments(stage: Stage, reply: Reply) -> list[str]:
    """All that is to be seen of a reply."""
    seen = [reply.text_before]
    message_ids = list(reply.turn.message_ids) or ["b1"]
    async with reply:
        async for new in reply:
            seen.append(seen[-1] + new)
            await reply.shown(seen[-1], message_ids)
    return seen


async def asked(stage: Stage, text: str = "well?") -> Reply:
    await stage.say(text)
    reply = await stage.conversations.next_reply(HERE)
    assert reply is not None
    return reply


# What people write ---------------------------------------------------------------------------


async def test_a_word_is_masked_in_what_is_kept_and_what_the_model_sees(stage: Stage) -> None:
    with_words(stage, GuildWord("bad"))
    await stage.say("so b\u200b\u0430d a day")
    await stage.answer()
    assert await stage.texts() == ["so ███ a day", "One."]
    assert "so ███ a day" in stage.prompt


async def test_a_message_that_is_ignored_is_not_heard(stage: Stage) -> None:
    with_words(stage, GuildWord("bad", Then.IGNORE))
    heard = await stage.say("so bad a day")
    assert (heard.kept, heard.addressed, heard.refusal) == (False, False, None)
    assert await stage.answer() is None
    assert await stage.texts() == []


async def test_a_message_that_is_stopped_is_not_answered_and_that_is_said_once(
    stage: Stage,
) -> None:
    with_words(stage, GuildWord("bad", Then.STOP))
    heard = await stage.say("so bad a day")
    assert (heard.kept, heard.addressed) == (False, False)
    assert heard.refusal is not None
    assert heard.refusal.notice == NOT_ANSWERED
    assert (await stage.say("bad again")).refusal is None
    assert await stage.texts() == []


async def test_what_is_not_for_us_is_refused_to_nobody(stage: Stage) -> None:
    with_words(stage, GuildWord("bad", Then.STOP))
    await stage.set("context", "channel")
    heard = await stage.overhear("bad")
    assert (heard.kept, heard.refusal) == (False, None)


async def test_words_of_the_other_side_and_other_places_do_not_count(stage: Stage) -> None:
    with_words(stage, GuildWord("bad", side=Side.OUT))
    await stage.say("bad")
    assert await stage.texts() == ["bad"]
    with_words(stage, GuildWord("bad"))
    await stage.say("bad", channel=DIRECT)
    assert await stage.texts(DIRECT) == ["bad"]


async def test_names_and_what_is_quoted_are_masked_whatever_is_to_happen(stage: Stage) -> None:
    with_words(stage, GuildWord("bad", Then.IGNORE))
    message = stage.message("why?", reply_to=None)
    said = replace(message, author=Speaker("bob", "Bad Bob"))
    await stage.conversations.hear(said)
    with_words(stage)
    first = await stage.say("a bad thing", by="ann")
    with_words(stage, GuildWord("bad", Then.IGNORE))
    assert (await stage.say("this?", reply_to=quote(first))).kept
    turns = await stage.turns()
    assert turns[0].speaker.name == "███ Bob"
    assert turns[-1].reply_to is not None
    assert turns[-1].reply_to.text == "a ███ thing"


async def test_an_edit_is_taken_like_a_new_message(stage: Stage) -> None:
    with_words(stage, GuildWord("bad"), GuildWord("worse", Then.STOP))
    said = stage.message("a fine day")
    await stage.conversations.hear(said)
    await stage.conversations.edited_message(replace(said, text="a bad day"))
    assert await stage.texts() == ["a ███ day"]
    heard = await stage.conversations.edited_message(replace(said, text="a worse day"))
    assert heard.refusal is not None
    assert await stage.texts() == []
    assert await stage.answer() is None


async def test_an_edit_elsewhere_is_masked_in_what_quotes_it(stage: Stage) -> None:
    with_words(stage, GuildWord("bad"))
    first = await stage.say("a fine day")
    assert first.turn is not None
    await stage.conversations.edited(HERE, first.turn.message_ids[0], "a bad day")
    assert await stage.texts() == ["a ███ day"]


async def test_what_takes_a_messages_place_is_screened(stage: Stage) -> None:
    with_words(stage, GuildWord("bad"), GuildWord("worse", Then.IGNORE))
    first, second = stage.message("hello"), stage.message("hm")
    await stage.conversations.hear(first)
    await stage.conversations.hear(second)
    await stage.conversations.took_place(stage.message("bad hello"), first.message_id)
    await stage.conversations.took_place(stage.message("worse"), second.message_id)
    assert await stage.texts() == ["███ hello"]


async def test_old_turns_are_masked_for_the_model_once_a_word_is_added(stage: Stage) -> None:
    await stage.say("a bad day")
    await stage.answer()
    with_words(stage, GuildWord("bad"))
    await stage.say("and now?")
    await stage.answer()
    assert "a ███ day" in stage.prompt


async def test_where_the_list_cannot_be_read_nothing_is_heard_or_said(stage: Stage) -> None:
    store = with_words(stage, GuildWord("bad"))
    await stage.say("hello")
    store.is_lost = True
    with pytest.raises(StoreError):
        await stage.say("bad")
    reply = await stage.answer()
    assert reply is not None
    assert reply.outcome is not None
    assert reply.outcome.error
    assert await stage.texts() == ["hello"]


# What the bot says ---------------------------------------------------------------------------


async def test_nothing_of_a_word_is_shown_while_a_reply_streams(set_stage: StageMaker) -> None:
    text = "A fine day for a bad word, a Badly sung song and a b**a**d one, my dear, so very bad"
    stage = set_stage(engine=FakeEngine([text], chunk_characters=1))
    with_words(stage, GuildWord("bad"), GuildWord("/son\\w/"))
    seen = await moments(stage, await asked(stage))
    shown = "A fine day for a ███ word, a Badly sung ████ and a █**█**█ one, my dear, so very ███"
    assert seen[-1] == shown
    assert all(shown.startswith(moment) for moment in seen)
    assert (await stage.texts())[-1] == shown


async def test_a_reply_ends_before_a_word_that_stops_it(set_stage: StageMaker) -> None:
    text = "A fine day it was when we set out to sea, until the bad weather came and all went home."
    stage = set_stage(engine=FakeEngine([text], chunk_characters=1))
    with_words(stage, GuildWord("bad weather", Then.STOP))
    reply = await asked(stage)
    seen = await moments(stage, reply)
    assert seen[-1].rstrip() == text[: text.index(" bad")]
    assert reply.outcome is not None
    assert (reply.outcome.finish, reply.outcome.error) == (FinishReason.STOP, "")
    assert stage.engine.cancelled
    assert reply.turn.state is TurnState.WHOLE


async def test_a_reply_with_a_word_that_forbids_it_is_not_shown_at_all(
    set_stage: StageMaker,
) -> None:
    text = "A fine day it was when we set out to sea, until the bad weather came and all went home."
    stage = set_stage(engine=FakeEngine([text, "A good day."], chunk_characters=1))
    with_words(stage, GuildWord("bad", Then.IGNORE))
    reply = await asked(stage)
    assert await moments(stage, reply) == [""]
    assert reply.outcome is not None
    assert reply.outcome.error == NOTHING_ALLOWED
    assert await stage.texts() == ["well?"]
    assert await moments(stage, await asked(stage)) == ["", "A good day."]


async def test_a_word_may_not_grow_out_of_a_reply_that_goes_on(set_stage: StageMaker) -> None:
    stage = set_stage(replies=["It was so ba", "d that nobody came to see it at all."])
    with_words(stage, GuildWord("bad"))
    first = await stage_answer(stage)
    again = await stage.conversations.continue_reply(first.turn.turn_id)
    seen = await moments(stage, again)
    assert seen[-1] == "It was so ba█ that nobody came to see it at all."


async def stage_answer(stage: Stage) -> Reply:
    await stage.say("well?")
    reply = await stage.answer()
    assert reply is not None
    return reply


async def test_what_is_shown_again_is_masked_by_the_list_of_now(set_stage: StageMaker) -> None:
    stage = set_stage(replies=["A bad idea, I would say to that.", "Then we shall sail at dawn."])
    reply = await stage_answer(stage)
    await stage.show(await stage.conversations.regenerate(reply.turn.turn_id))
    store = with_words(stage, GuildWord("bad"))
    turn = await stage.conversations.swipe(reply.turn.turn_id, -1)
    assert turn.text == "A ███ idea, I would say to that."
    store.listed = [GuildWord("sail", Then.IGNORE)]
    with pytest.raises(NotAllowed):
        await stage.conversations.swipe(reply.turn.turn_id, 1)
    assert (await stage.turns())[-1].text == "A ███ idea, I would say to that."


async def test_greetings_are_without_the_words(stage: Stage) -> None:
    greeter = BYRON.model_copy(
        update={"greeting": "A bad day, {{user}}.", "alternate_greetings": ("Worse.", "Fine!")}
    )
    stage.personas.personas = [greeter]
    with_words(stage, GuildWord("bad"), GuildWord("worse", Then.IGNORE))
    turn = await stage.conversations.greetings.begin(HERE, BOB)
    assert turn is not None
    assert [swipe.text for swipe in turn.swipes] == ["A ███ day, Bob.", "Fine!"]


async def test_what_was_held_back_of_a_reply_that_breaks_off_is_without_the_words(
    set_stage: StageMaker,
) -> None:
    text = "A fine day, and then a bad one came along the way, to everybody's great surprise"
    engine = FakeEngine(
        [text], chunk_characters=8, fail_with=EngineFailed("It broke."), fail_after_chunks=4
    )
    stage = set_stage(engine=engine)
    with_words(stage, GuildWord("bad"))
    seen = await moments(stage, await asked(stage))
    assert "bad" not in seen[-1]
    assert seen[-1].startswith("A fine day, and then a ███")


async def test_links_are_plain_where_they_are_to_be(set_stage: StageMaker) -> None:
    text = "See [the shop](https://evil.example) and come to discord.gg/abc, my dear friend."
    stage = set_stage(engine=FakeEngine([text], chunk_characters=1))
    reply = await asked(stage)
    assert (await moments(stage, reply))[-1] == text
    await stage.set("links", "plain")
    seen = await moments(stage, await asked(stage, "once more?"))
    shown = "See [the shop] (<https://evil.example>) and come to [invite removed], my dear friend."
    assert seen[-1] == shown
    assert all(shown.startswith(moment) for moment in seen)


async def test_moderators_hear_of_words_that_were_found(stage: Stage) -> None:
    with_words(stage, GuildWord("one", word_id=7), GuildWord("bad", word_id=8))
    hits: list[tuple[ChannelKey, Hit]] = []

    async def hear(channel: ChannelKey, hit: Hit) -> None:
        hits.append((channel, hit))

    assert stage.censor is not None
    stage.censor.on_hit(hear)
    await stage.overhear("bad")  # nothing that concerns the bot
    await stage.say("bad day")
    await stage.answer()
    assert [(hit.side, [word.word_id for word in hit.words]) for _, hit in hits] == [
        (Side.IN, [8]),
        (Side.OUT, [7]),
    ]


@pytest.mark.parametrize("setting", ["blocked_roles", "allowed_roles"])
async def test_whoever_is_not_answered_is_told_of_no_word_in_an_edit(
    stage: Stage, setting: str
) -> None:
    stage.keep_gate()
    with_words(stage, GuildWord("bad", Then.STOP))
    hits: list[Hit] = []

    async def listen(_channel: ChannelKey, hit: Hit) -> None:
        hits.append(hit)

    stage.conversations.censor.on_hit(listen)
    await stage.set(setting, ["bob" if setting == "blocked_roles" else "eve"])
    said = stage.message("Hello.", mention=False)
    await stage.conversations.hear(said)
    edited = replace(said, text="bad bot", mentions_bot=True)
    assert (await stage.conversations.edited_message(edited)).refusal is None
    assert len(hits) == (setting == "allowed_roles")  # who is blocked is as if nothing was said
