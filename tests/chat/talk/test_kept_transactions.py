"""What a server keeps of its own costs a reply few transactions, however many speak there."""

from pathlib import Path

import pytest
from at_once import CountedTransactions
from conversing import HERE, Stage

from bot.chat.persona import Persona
from bot.chat.personas.guild.desk import open_desk
from bot.chat.personas.library import PersonaLibrary
from bot.chat.roleplay.shelf import GuildShelf
from bot.store.database import Database

NAMES = ("Mira", "Bram", "Nessa", "Cato", "Dora", "Ennis")


class Server:
    """A server with personas and lorebooks of its own, put together as the program does it."""

    def __init__(self, folder: Path) -> None:
        self.transactions = CountedTransactions()
        database = Database(self.transactions)
        library = PersonaLibrary(folder)
        self.desk = open_desk(library, database.personas, database.lorebooks, database.casts)
        self.stage = Stage(database.history, database.settings, replies=["Indeed."])
        self.stage.personas = self.desk.personas  # type: ignore[assignment]
        self.stage.shelf = GuildShelf(self.desk.lorebooks)
        self.stage.casts = database.casts
        self.stage.start_again()

    async def people(self, count: int) -> list[Persona]:
        """So many speak in the channel; the first is its main one."""
        book = {"entries": [{"id": 1, "keys": ["tower"], "content": "It is of glass."}]}
        made: list[Persona] = []
        for name in NAMES[:count]:
            values = {"name": name, "description": "{{char}} talks.", "lorebook": book}
            made.append(await self.desk.workshop.create("1", values, "ann"))
        main, *beside = made
        await self.stage.set("persona", main.id)
        for persona in beside:
            await self.desk.casts.add_to_cast("discord:100", "1", persona.id, "ann")
        return made

    async def counted(self, name: str = "") -> dict[str, int]:
        """The transactions from a message to the end of its reply, read by the core anew."""
        self.transactions.count.clear()
        await self.stage.say(f"Tell me of the tower, {name}.")
        reply = await self.stage.conversations.next_reply(HERE)
        assert reply is not None
        async with reply:
            text = "".join([piece async for piece in reply])
            await reply.shown(text, ["b1"], last=True)
        assert "of glass" in self.stage.prompt or not name
        return dict(self.transactions.count)


@pytest.fixture
def server(tmp_path: Path) -> Server:
    """A server where nothing was done yet."""
    return Server(tmp_path)


async def test_a_servers_reply_takes_seven_transactions(server: Server) -> None:
    await server.counted()
    assert await server.counted() == {"reads": 4, "writes": 3}


async def test_its_own_persona_is_looked_up_once_a_reply(server: Server) -> None:
    await server.people(1)
    await server.counted("Mira")
    assert await server.counted("Mira") == {"reads": 5, "writes": 3}


@pytest.mark.parametrize("count", [2, 6])
async def test_a_reply_costs_the_same_however_many_speak_there(server: Server, count: int) -> None:
    await server.people(count)
    await server.counted("Mira")
    # One more than for one alone: whom the reply before it names.
    assert await server.counted("Mira") == {"reads": 6, "writes": 3}


@pytest.mark.parametrize("trigger", ["mention", "always", "chance", "off"])
async def test_where_names_wake_nobody_nobody_is_looked_up(server: Server, trigger: str) -> None:
    await server.people(6)
    await server.stage.set("trigger", trigger)
    server.transactions.count.clear()
    await server.stage.overhear("Good morning!")
    assert server.transactions.count == {"reads": 1, "writes": 1}


async def test_all_whom_a_word_may_wake_are_looked_up_at_once(server: Server) -> None:
    await server.people(6)
    await server.stage.set("trigger", "wakeword")
    await server.stage.overhear("Good morning!")
    server.transactions.count.clear()
    await server.stage.overhear("Good morning!")
    assert server.transactions.count == {"reads": 3, "writes": 1}
    assert (await server.stage.overhear("Good morning, Ennis!")).addressed
    server.transactions.count.clear()
    await server.stage.say("And to you.")  # a mention: whatever anybody is called
    assert server.transactions.count == {"reads": 1, "writes": 1}


async def test_a_persona_comes_with_its_version(server: Server) -> None:
    (mira,) = await server.people(1)
    found = await server.desk.personas.find("1", mira.id)
    assert found is not None
    # Hashing a large lorebook takes long: it was done where the document was read, in a thread.
    assert "_version" in vars(found)
    (server.desk.library.folder / "ada.toml").write_text('name = "Ada"', encoding="utf-8")
    server.desk.library.load()
    ada = server.desk.library.held("file:ada")
    assert ada is not None
    assert "_version" in vars(ada)
