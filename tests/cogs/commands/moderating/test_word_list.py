"""`/moderation words`: who may, what is said, and what becomes of messages and replies."""

from pathlib import Path
from random import Random
from string import ascii_lowercase

import simcord
from moderating import answer, log_here, logged
from worlds import World, held, let, talking

from bot.chat.limits.words.word import MOST_PATTERNS, MOST_WORDS, GuildWord
from bot.chat.messages import ChannelKey
from cogs.platform import bare_key


async def words(
    world: World, action: str, actor: simcord.MemberActor | None = None, **options: str
) -> str:
    result = await (actor or world.chief).slash(
        world.channel, "moderation words", action=action, **options
    )
    return answer(result)


def key(world: World) -> ChannelKey:
    return bare_key(world.channel.id, world.guild.id)


def bodies(world: World) -> list[str]:
    """All that the bot has ever asked Discord to show in channels."""
    return [
        str(entry.json.get("content", ""))
        for entry in world.env.http_requests
        if entry.method in ("POST", "PATCH")
        and isinstance(entry.json, dict)
        and "/messages" in entry.path
        and "@original" not in entry.path
    ]


async def test_a_word_is_added_listed_changed_and_removed(tmp_path: Path) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        assert "The list is empty" in await words(world, "list")
        said = await words(world, "add", pattern=" Bad  W\u00f6rd ")
        assert "is on the list. Wherever people write it" in said
        assert "changed" in await words(world, "add", pattern="bad word", then="stop", side="out")
        listed = await words(world, "list")
        assert "1 of 100 entries" in listed
        assert "«bad word»: stop, in what I say" in listed
        assert "is off the list" in await words(world, "remove", pattern="BAD  word")
        assert "not on the list" in await words(world, "remove", pattern="bad word")


async def test_an_entry_goes_by_its_number_too(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await words(world, "add", pattern="/colou?rs?/")
        (kept,) = await world.database.words.words(("discord", str(world.guild.id)))
        assert "/colou?rs?/" in await words(world, "remove", pattern=f"#{kept.word_id}")


async def test_only_who_looks_after_the_server_may_and_sees_it(tmp_path: Path) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        await words(world, "add", pattern="bad")
        for actor in (world.alice, world.mod):
            for action in ("list", "add", "remove"):
                said = await words(world, action, actor, pattern="bad")
                assert said.endswith("needs the permission Manage Server.")
                assert "bad" not in said
        assert len(await world.database.words.words(("discord", str(world.guild.id)))) == 1


async def test_what_cannot_be_looked_for_is_refused_and_said_why(tmp_path: Path) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        for pattern, why in (
            ("\u200b ** ", "nothing to look for"),
            ("x" * 101, "101 characters long"),
            ("/(/", "cannot be read"),
            ("/a/b/", "begins like a pattern and is none"),
            ("/a*/", "finds something where nothing is"),
            ("/(?:a|aa)+c/", "takes too long"),
            ("/(-+)+x/", "takes too long"),
            ("/(😀+)+z/", "takes too long"),
            ("/" + "x" * 400 + "/", "402 characters long"),
            ("/x{900}{900}/", "cannot be read"),
        ):
            assert why in await words(world, "add", pattern=pattern), pattern
        assert "Which word?" in await words(world, "add")
        assert await world.database.words.words(("discord", str(world.guild.id))) == []


async def test_the_list_has_an_end(tmp_path: Path) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        guild = ("discord", str(world.guild.id))
        for number in range(MOST_PATTERNS):
            await world.database.words.put(guild, GuildWord(f"/{number}x/"))
        assert "25 patterns" in await words(world, "add", pattern="/one too many/")
        for number in range(MOST_WORDS - MOST_PATTERNS):
            await world.database.words.put(guild, GuildWord(f"a rather long word, number {number}"))
        assert "100 entries, which is the limit" in await words(world, "add", pattern="too many")
        assert "changed" in await words(world, "add", pattern="/1x/", then="stop")
        result = await world.chief.slash(world.channel, "moderation words", action="list")
        assert answer(result) == "100 of 100 entries."
        assert result.response is not None
        assert [file.filename for file in result.response.attachments] == ["words.txt"]


async def test_nothing_of_a_word_reaches_discord_while_a_reply_streams(tmp_path: Path) -> None:
    random = Random(1)
    kinds = ("forbidden", "fruit", "forbidden-fruit.", "forbidden,", "word", "fro", "forbid")
    said = ["".join(random.choices(ascii_lowercase, k=6)) for _ in range(400)]
    for at in range(0, 400, 4):
        said[at] = random.choice(kinds)
    text = " ".join(said)
    engine, gate = held(text, letters=7)
    async with talking(tmp_path, engine=engine) as world:
        await words(world, "add", pattern="forbidden")
        await words(world, "add", pattern="/fr\\w+t/")
        await world.ask("a forbidden question?")
        while not engine.requests or world.bot.conversations.running(key(world)) is not None:
            let(gate, 9)
            await world.pass_time()
        seen = [body for body in bodies(world) if body]
        assert len(seen) > 10
        assert len(world.said()) > 1  # over messages' ends, too
        assert not [body for body in seen if "forbidden" in body or "fruit" in body]
        for body in seen:  # nor a beginning of one at the end
            assert not body.rstrip("█").endswith(("forb", "forbi", "fru", "frui"))
        assert "forbidden" not in engine.requests[0].prompt


async def test_a_reply_that_is_ignored_never_shows_and_is_told_of(tmp_path: Path) -> None:
    async with talking(tmp_path, ["All this is a forbidden thing to say to anybody."]) as world:
        await words(world, "add", pattern="forbidden", then="ignore", side="out")
        await world.ask("well?")
        assert world.said() == [
            "⚠️ What came has a word in it that this server does not want, so none of it is shown."
        ]
        assert not [body for body in bodies(world) if "All this" in body]


async def test_a_personas_name_is_masked_where_it_speaks(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await words(world, "add", pattern="Ada")
        await world.chief.slash(world.channel, "persona use", name="Ada")
        await world.ask("hello?")
        sent = [entry.json for entry in world.env.http_requests if "/webhooks/" in entry.path]
        assert sent
        names = [body.get("username", "") for body in sent if isinstance(body, dict)]
        assert "███" in names
        assert not [name for name in names if "Ada" in name]


async def test_the_log_hears_of_the_list_and_of_hits_but_no_text(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        log = await log_here(world)
        await words(world, "add", pattern="forbidden")
        await world.ask("a forbidden question")
        await words(world, "remove", pattern="forbidden")
        lines = await logged(world, log)
        assert len([line for line in lines if "word list" in line]) == 3
        assert not [line for line in lines if "forbidden" in line]


async def test_another_server_has_another_list(tmp_path: Path) -> None:
    async with talking(tmp_path, ["Such a forbidden thing to say."]) as world:
        other = ("discord", str(world.guild.id + 1))
        await world.database.words.put(other, GuildWord("forbidden"))
        await world.ask("well?")
        assert world.said() == ["Such a forbidden thing to say."]
