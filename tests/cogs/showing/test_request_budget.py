"""The bot's share of Discord's requests: the rate, who gives way, what the client retries."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import aiohttp
import discord
import pytest
from aiohttp import web
from discord.http import HTTPClient, Route

from cogs.showing.request_budget import NoRoomError, RequestBudget, Urgency


async def test_no_more_than_the_limit_in_any_second() -> None:
    loop = asyncio.get_running_loop()
    budget = RequestBudget(limit=20)
    times: list[float] = []

    async def request() -> None:
        await budget.acquire(Urgency.NORMAL)
        times.append(loop.time())

    await asyncio.gather(*(request() for _ in range(50)))
    for index, first in enumerate(times):
        # The loop's clock may tell a granted moment a little late.
        within = [time for time in times[index:] if time < first + 0.95]
        assert len(within) <= 20
    assert times[-1] - times[0] < 3


async def test_edits_give_way() -> None:
    budget = RequestBudget(limit=1)
    order: list[str] = []

    async def request(name: str, priority: Urgency) -> None:
        await budget.acquire(priority)
        order.append(name)

    await budget.acquire(Urgency.NORMAL)
    await asyncio.gather(
        request("edit", Urgency.STREAM),
        request("history", Urgency.NORMAL),
        request("reply", Urgency.REPLY),
    )
    assert order == ["reply", "history", "edit"]


async def test_a_request_given_up_leaves_its_room_to_the_next() -> None:
    budget = RequestBudget(limit=1)
    await budget.acquire(Urgency.NORMAL)
    given_up = asyncio.create_task(budget.acquire(Urgency.REPLY))
    next_one = asyncio.create_task(budget.acquire(Urgency.STREAM))
    await asyncio.sleep(0)
    given_up.cancel()
    with suppress(asyncio.CancelledError):
        await given_up
    async with asyncio.timeout(1.5):
        await next_one


async def test_an_edit_without_room_in_time_is_given_up() -> None:
    budget = RequestBudget(limit=1)
    await budget.acquire(Urgency.NORMAL)
    with pytest.raises(NoRoomError):
        async with budget.reserved(Urgency.STREAM, 0.01):
            raise AssertionError("there was room")


class Counting(HTTPClient):
    """Counts instead of asking Discord."""

    def __init__(self) -> None:
        super().__init__(asyncio.get_running_loop())
        self.count = 0

    async def request(self, route: Route, **_: object) -> str:
        self.count += 1
        return route.path


async def test_room_taken_before_is_spent_by_one_request() -> None:
    budget = RequestBudget(limit=2)
    client = Counting()
    budget.install(client)
    async with budget.reserved(Urgency.REPLY):
        assert await client.request(Route("GET", "/users/@me")) == "/users/@me"
        await client.request(Route("GET", "/users/@me"))
        third = asyncio.create_task(client.request(Route("GET", "/users/@me")))
        await asyncio.sleep(0.01)
        assert client.count == 2
        third.cancel()


@asynccontextmanager
async def failing_server(failures: int) -> AsyncGenerator[tuple[str, list[float]], None]:
    """A server that fails so often before it answers."""
    times: list[float] = []

    async def answer(_: web.Request) -> web.Response:
        times.append(asyncio.get_running_loop().time())
        if len(times) <= failures:
            return web.json_response({}, status=502)
        return web.json_response({"id": "1"})

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"http://127.0.0.1:{port}", times
    finally:
        await runner.cleanup()


async def test_what_discord_py_tries_again_by_itself_counts_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    budget = RequestBudget(limit=100)
    granted: list[Urgency] = []
    original = budget.acquire

    async def noting(priority: Urgency) -> None:
        granted.append(priority)
        await original(priority)

    monkeypatch.setattr(budget, "acquire", noting)
    async with failing_server(1) as (url, times):
        monkeypatch.setattr(Route, "BASE", url)
        client = HTTPClient(asyncio.get_running_loop(), http_trace=budget.trace())
        budget.install(client)
        with suppress(discord.HTTPException):
            await client.static_login("token")
        session: aiohttp.ClientSession = client._HTTPClient__session  # type: ignore[attr-defined]
        assert session is not None
        await client.close()
    assert len(times) >= 2
    assert len(granted) == len(times)
